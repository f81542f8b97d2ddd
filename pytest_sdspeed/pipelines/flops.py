"""Floating-point operations of a generation.

They are counted on twins of its modules, which have shapes but no numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import read_first_line
from pytest_sdspeed.pipelines.parts import list_modules
from pytest_sdspeed.pipelines.twins import (
    check_twin,
    count_call_flops,
    count_shallow_flops,
    describe_twin,
)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping

    from pytest_sdspeed.pipelines.recorded_calls import Shapes
    from pytest_sdspeed.pipelines.stages import Part, StageTimer
    from pytest_sdspeed.pipelines.twins import Twin


def count_generation_flops(pipeline: Any, timer: StageTimer) -> int:
    """Count the FLOPs of a generation: the sum over calls of what each takes at its shapes.

    Compiled and traced graphs hide their operators, so every part is counted on its twin. The count
    is that of the architecture, whatever computes it. If calls of a denoiser's submodules were
    counted as well, each submodule counts as often as it was computed.

    Args:
        pipeline: pipeline that drew the generation.
        timer: what watched it, with the calls of each part.

    Raises:
        LookupError: a part cannot be counted; the message names it.
    """
    modules = list_modules(pipeline)
    total = 0
    for key, calls in timer.calls.items():
        part = timer.parts[key]
        try:
            total += _count_part(modules[part.name], part, calls, timer.inner.get(key))
        except Exception as error:
            said = read_first_line(error, type(error).__name__)
            raise LookupError(f"{key}: {said}") from error
    return total


def _count_part(
    module: Any, part: Part, calls: Counter[Shapes], inner: Mapping[str, int] | None
) -> int:
    twin = describe_twin(module)
    check_twin(module, twin)
    method = "__call__" if part.method == "forward" else part.method
    interval = getattr(module, "interval", 1)
    if inner is not None:
        return _count_by_submodule(twin, calls, inner)
    if interval > 1:
        return _count_cached_flops(twin, calls, interval)
    return sum(
        count * count_call_flops(twin, method, shapes)[""] for shapes, count in calls.items()
    )


def _count_cached_flops(twin: Twin, calls: Mapping[Shapes, int], interval: int) -> int:
    """Count the FLOPs of a ``FeatureCachedUNet`` in one generation.

    Raises:
        LookupError: the calls differ in shape.
    """
    (shapes, count), *others = calls.items()
    if others:
        raise LookupError("a UNet that keeps features was called with several shapes")
    full = -(-count // interval)
    return full * count_call_flops(twin, "__call__", shapes)[""] + (
        count - full
    ) * count_shallow_flops(twin, shapes)


def _count_by_submodule(twin: Twin, calls: Mapping[Shapes, int], inner: Mapping[str, int]) -> int:
    if len(calls) > 1:
        raise LookupError("a denoiser that leaves modules out was called with several shapes")
    own = _subtract_inner_flops(count_call_flops(twin, "__call__", next(iter(calls))))
    if not any(inner.get(name) for name in own if name):
        raise LookupError("the calls inside of it cannot be seen: it is compiled or traced")
    return sum(inner.get(name, 0) * flops for name, flops in own.items())


def _subtract_inner_flops(totals: Mapping[str, int]) -> dict[str, int]:
    """Return the FLOPs of each module without those of the modules that it calls."""
    own = dict(totals)
    for name, flops in totals.items():
        if name:
            own[_find_caller(name, totals)] -= flops
    return own


def _find_caller(name: str, known: Mapping[str, int]) -> str:
    """Return the innermost known module around one.

    Lists of modules are never called, so that they are not known.
    """
    above = name.rpartition(".")[0]
    while above not in known:
        above = above.rpartition(".")[0]
    return above
