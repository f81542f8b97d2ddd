"""The same noise for every arm, in its steps too, whatever its scheduler, dtype and device."""

from __future__ import annotations

import inspect
import sys
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DRAW = "randn_tensor"
"""Name of the function by which the schedulers of diffusers draw noise."""


def takes_generator(pipeline: Any) -> bool:
    """Tell whether a pipeline's call takes a ``generator``, which it hands to its scheduler."""
    parameters = inspect.signature(type(pipeline).__call__).parameters
    return "generator" in parameters or any(
        one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()
    )


@contextmanager
def draw_in_float32(scheduler: Any) -> Iterator[None]:
    """Have a scheduler draw its noise in float32 and cast it, inside the block.

    The same seed gives other numbers in another dtype.
    """
    modules = {sys.modules.get(kind.__module__) for kind in type(scheduler).__mro__}
    drawing = [module for module in modules if callable(getattr(module, _DRAW, None))]
    before = [getattr(module, _DRAW) for module in drawing]
    for module, draw in zip(drawing, before, strict=True):
        setattr(module, _DRAW, _cast(draw))
    try:
        yield
    finally:
        for module, draw in zip(drawing, before, strict=True):
            setattr(module, _DRAW, draw)


def _cast(draw: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    @wraps(draw)
    def draw_and_cast(*args: Any, dtype: Any = None, **kwargs: Any) -> Any:
        if dtype not in (torch.float16, torch.bfloat16):
            return draw(*args, dtype=dtype, **kwargs)
        return draw(*args, dtype=torch.float32, **kwargs).to(dtype)

    return draw_and_cast
