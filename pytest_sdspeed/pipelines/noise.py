"""The same noise for every arm, on every pipeline, whatever its scheduler, dtype and device."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DRAWS = ("randn", "rand", "randn_like", "rand_like")
"""Functions of ``torch`` that draw floating-point numbers. What pipelines, schedulers and
autoencoders of diffusers draw with, ``randn_tensor``, calls the first of them."""
_DRAW, _ENCODING = "randn_tensor", "diffusers.models.autoencoders.vae"
"""The function with which autoencoders draw from the distribution of a picture's latents, and the
module that has it."""
_APART = 1 << 41
"""Between the seed of a generation and that of what its autoencoder draws."""


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

    What an autoencoder draws while it encodes a picture comes from a generator of its own: one that
    draws nothing, as the tiny ones, would leave all noise after it another.
    """
    import torch

    before = [(torch, name, getattr(torch, name)) for name in _DRAWS]
    encoding = sys.modules.get(_ENCODING)
    if encoding is not None:
        before.append((encoding, _DRAW, getattr(encoding, _DRAW)))
    for owner, name, draw in before:
        setattr(owner, name, _make_draw(draw, name))
    try:
        yield
    finally:
        for owner, name, draw in before:
            setattr(owner, name, draw)


@cache
def _make_draw(draw: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Make what stands in for a function that draws.

    It is made once: what is compiled would be compiled again if a function that it calls is new.
    """
    if name == _DRAW:
        return _draw_apart(draw)
    return (_cast_like if name.endswith("_like") else _cast)(draw)


def _draw_apart(draw: Callable[..., Any]) -> Callable[..., Any]:
    import torch

    @wraps(draw)
    def draw_apart(shape: Any, generator: Any = None, *args: Any, **kwargs: Any) -> Any:
        if isinstance(generator, torch.Generator):
            seed = generator.initial_seed() + _APART
            generator = torch.Generator(generator.device).manual_seed(seed)
        return draw(shape, generator, *args, **kwargs)

    return draw_apart


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
