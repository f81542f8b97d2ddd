"""The same noise for every arm, on every pipeline, whatever its scheduler, dtype and device."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DRAWS = ("randn", "rand", "randn_like", "rand_like")
"""Functions of ``torch`` that draw floating-point numbers. What pipelines, schedulers and
autoencoders of diffusers draw with, ``randn_tensor``, calls the first of them."""


def make_generator(seed: int) -> Any:
    """Make what a generation draws from, on the CPU, whatever the default device is.

    It is new each time: a reused one gives other noise at each call.
    """
    import torch

    return torch.Generator("cpu").manual_seed(seed)


@contextmanager
def draw_in_float32() -> Iterator[None]:
    """Have torch draw noise of half types in float32 and cast it, inside the block.

    The same seed gives other numbers in another dtype. What is drawn from a generator on the CPU is
    drawn there, wherever it is wanted: some pipelines ask for it on their device, which torch
    refuses.
    """
    import torch

    before = {name: getattr(torch, name) for name in _DRAWS}
    for name, draw in before.items():
        setattr(torch, name, _make_draw(draw, like=name.endswith("_like")))
    try:
        yield
    finally:
        for name, draw in before.items():
            setattr(torch, name, draw)


@cache
def _make_draw(draw: Callable[..., Any], *, like: bool) -> Callable[..., Any]:
    """Make what stands in for a function of torch.

    It is made once: what is compiled would be compiled again if a function that it calls is new.
    """
    return (_cast_like if like else _cast)(draw)


def _cast(draw: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    @wraps(draw)
    def draw_and_cast(
        *args: Any, dtype: Any = None, device: Any = None, generator: Any = None, **kwargs: Any
    ) -> Any:
        half = dtype in (torch.float16, torch.bfloat16)
        elsewhere = (
            generator is not None
            and device is not None
            and generator.device.type == "cpu"
            and torch.device(device).type not in ("cpu", "meta")
        )
        drawn = draw(
            *args,
            dtype=torch.float32 if half else dtype,
            device="cpu" if elsewhere else device,
            generator=generator,
            **kwargs,
        )
        if half:
            drawn = drawn.to(dtype)
        return drawn.to(device) if elsewhere else drawn

    return draw_and_cast


def _cast_like(draw: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    @wraps(draw)
    def draw_and_cast(like: Any, *args: Any, dtype: Any = None, **kwargs: Any) -> Any:
        wanted = dtype or like.dtype
        if wanted not in (torch.float16, torch.bfloat16):
            return draw(like, *args, dtype=dtype, **kwargs)
        return draw(like, *args, dtype=torch.float32, **kwargs).to(wanted)

    return draw_and_cast
