"""Optimizations of how convolutions lie in memory, and of how their kernels are chosen."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.device.flags import hold
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.flags import prove_flag
from pytest_sdspeed.pipelines.optimizations.support import require_cuda
from pytest_sdspeed.pipelines.parts import AUTOENCODER, DENOISERS, find_parts, list_components
from pytest_sdspeed.pipelines.watching import list_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_FORMATS = {4: "channels_last", 5: "channels_last_3d"}
"""Axes of a convolution's weights -> the name of their format."""


class _Layout(NamedTuple):
    """How many convolutions of a part lie channels last, and how many do not.

    Those that lie the same either way, as with kernels of one pixel, are neither.
    """

    laid: int
    plain: int


@contextmanager
def _prove_channels_last(pipeline: Any) -> Iterator[Callable[[], Finding]]:
    """Look at how the weights of convolutions lie once the generation is done."""
    layouts: dict[str, _Layout] = {}
    yield lambda: _judge_layouts(layouts)
    components = list_components(pipeline)
    for group in (DENOISERS, AUTOENCODER):
        layouts |= {name: _find_layout(components[name]) for name in find_parts(group, components)}


def _judge_layouts(layouts: dict[str, _Layout]) -> Finding:
    known = {name: found for name, found in layouts.items() if found.laid + found.plain}
    if not known:
        return Finding(
            acted=False,
            text=f"{list_names(layouts)}: no convolution whose weights have a channel order",
        )
    said = [
        f"{name} has {found.laid} of {found.laid + found.plain} convolutions channels last"
        for name, found in known.items()
    ]
    without = [name for name in layouts if name not in known]
    said += [f"{list_names(without)} has none to lay out"] if without else []
    return Finding(all(found.laid > found.plain for found in known.values()), "; ".join(said))


def _find_layout(module: Any) -> _Layout:
    import torch

    laid = plain = 0
    for weight in module.parameters():
        if weight.dim() not in _FORMATS or weight.is_meta:
            continue
        order = getattr(torch, _FORMATS[weight.dim()])
        last, first = weight.is_contiguous(memory_format=order), weight.is_contiguous()
        laid += last and not first
        plain += first and not last
    return _Layout(laid, plain)


def _hold_cudnn_benchmark() -> AbstractContextManager[None]:
    return hold({"torch.backends.cudnn.benchmark": True})


def _prove_cudnn_benchmark(pipeline: Any) -> AbstractContextManager[Callable[[], Finding]]:
    """Read the flag at every call of the denoisers."""
    import torch

    return prove_flag(
        pipeline, name="cudnn.benchmark", read=lambda: bool(torch.backends.cudnn.benchmark)
    )


OPTIMIZATIONS = (
    Optimization(
        name="channels_last",
        summary="convolutions of denoisers and autoencoder in channels-last memory format",
        memory_format="channels_last",
        prove=_prove_channels_last,
    ),
    Optimization(
        name="cudnn_benchmark",
        summary="cuDNN picks its fastest convolution by trying",
        supported=lambda machine: require_cuda("cudnn_benchmark", machine),
        slot=_hold_cudnn_benchmark,
        prove=_prove_cudnn_benchmark,
    ),
)
