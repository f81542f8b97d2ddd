"""Where one generation's time goes, in generations of its own that no clock of a campaign sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pytest_sdspeed.errors import first_line
from pytest_sdspeed.model import Profile
from pytest_sdspeed.pipelines.busy import busy_ns
from pytest_sdspeed.pipelines.flops import generation_flops
from pytest_sdspeed.pipelines.stages import CudaMarks, HostMarks, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


def profiled(pipeline: Any, draw: Callable[[], object], *, kind: Literal["cpu", "cuda"], partial: bool) -> Profile:
    """Stage times, FLOPs and, on a GPU, how long it worked. Takes one generation, on a GPU two.

    The profiler has the second for itself: it hardly changes how long kernels take, but slows the host between them.

    Args:
        pipeline: what draws.
        draw: one generation, with whatever flags it needs.
        kind: of the device.
        partial: whether a call of the UNet may leave out modules, whose calls are then counted one by one.

    Returns:
        What was found. What could not be is None, with a note.
    """
    notes: list[str] = []
    watch = _watch(kind)
    stages = _tried("where a generation's time goes", lambda: _watched(watch, pipeline, draw, inside=partial), notes)
    if stages is None:
        return Profile(notes=tuple(notes))
    return Profile(
        stages_s=stages,
        busy_s=_tried("how busy the GPU was", lambda: _busy_s(draw), notes) if kind == "cuda" else None,
        flops=_tried("how many FLOPs a generation has", lambda: generation_flops(pipeline, watch), notes),
        notes=tuple(notes),
    )


def stages_s(pipeline: Any, draw: Callable[[], object], *, kind: Literal["cpu", "cuda"]) -> Mapping[str, float]:
    """Stage -> seconds, of one generation. Raises what it raises.

    Args:
        pipeline: what draws.
        draw: one generation, with whatever flags it needs; waits for the device.
        kind: of the device.
    """
    return _watched(_watch(kind), pipeline, draw, inside=False)


def _watched(watch: Watch, pipeline: Any, draw: Callable[[], object], *, inside: bool) -> Mapping[str, float]:
    with watch.on(pipeline, inside=inside):
        draw()
    return watch.stages_s()


def _watch(kind: Literal["cpu", "cuda"]) -> Watch:
    return Watch(_cuda_marks() if kind == "cuda" else HostMarks())


def _tried(what: str, work: Callable[[], T], notes: list[str]) -> T | None:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - no extra may cost a campaign its result
        first = first_line(error, "no message")[:200]
        notes.append(f"{what} is unknown: {type(error).__name__}: {first}")
        return None


def _busy_s(draw: Callable[[], object]) -> float:
    import torch

    return busy_ns(draw, torch.profiler.ProfilerActivity.CUDA, torch.autograd.DeviceType.CUDA) / 1e9


def _cuda_marks() -> CudaMarks:
    import torch

    return CudaMarks(torch.cuda)
