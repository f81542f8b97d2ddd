"""Where one generation's time goes, measured in generations that no campaign times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pytest_sdspeed.device.accelerator import find_module, name_kind, synchronize
from pytest_sdspeed.errors import read_first_line
from pytest_sdspeed.model import Profile
from pytest_sdspeed.pipelines.busy import measure_busy_ns
from pytest_sdspeed.pipelines.flops import count_generation_flops
from pytest_sdspeed.pipelines.stages import EventTimestamps, HostTimestamps, StageTimer, Timestamps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")


def profile_generation(
    pipeline: Any, draw: Callable[[], object], *, kind: str, partial: bool
) -> Profile:
    """Measure stage times, FLOPs and, on an accelerator, how long it was busy.

    This takes one generation, on a GPU two. The second is for the profiler alone: it hardly changes
    how long kernels take, but slows the host between them.

    Args:
        pipeline: pipeline that draws.
        draw: draws one generation, with whatever flags it needs.
        kind: kind of the device.
        partial: whether a call of a denoiser may skip modules, whose calls are then counted one by
            one.

    Returns:
        What was measured. What could not be is None, with a note.
    """
    notes: list[str] = []
    timer = _make_timer(kind)
    stages = _try(
        "where a generation's time goes",
        lambda: _time_draw(timer, pipeline, draw, inside=partial),
        notes,
    )
    if stages is None:
        return Profile(notes=tuple(notes))
    return Profile(
        stages_s=stages,
        busy_s=None
        if kind == "cpu"
        else _try("how busy the GPU was", lambda: _measure_busy_s(draw, kind), notes),
        flops=_try(
            "how many FLOPs a generation has",
            lambda: count_generation_flops(pipeline, timer),
            notes,
        ),
        notes=tuple(notes),
    )


def time_stages(pipeline: Any, draw: Callable[[], object], *, kind: str) -> Mapping[str, float]:
    """Measure the stages of one generation.

    Args:
        pipeline: pipeline that draws.
        draw: draws one generation, with whatever flags it needs, and waits for the device; what it
            raises passes unchanged.
        kind: kind of the device.

    Returns:
        Stage -> seconds.
    """
    return _time_draw(_make_timer(kind), pipeline, draw, inside=False)


def _time_draw(
    timer: StageTimer, pipeline: Any, draw: Callable[[], object], *, inside: bool
) -> Mapping[str, float]:
    with timer.watch(pipeline, inside=inside):
        draw()
    return timer.measure_stages_s()


def _make_timer(kind: str) -> StageTimer:
    return StageTimer(HostTimestamps() if kind == "cpu" else _make_gpu_timestamps(kind))


def _try(what: str, work: Callable[[], T], notes: list[str]) -> T | None:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - no extra may cost a campaign its result
        first = read_first_line(error, "no message")[:200]
        notes.append(f"{what} is unknown: {type(error).__name__}: {first}")
        return None


def _measure_busy_s(draw: Callable[[], object], kind: str) -> float:
    import torch

    activity = getattr(torch.profiler.ProfilerActivity, kind.upper(), None)
    device = getattr(torch.autograd.DeviceType, kind.upper(), None)
    if activity is None or device is None:
        raise LookupError(f"torch's profiler does not see {name_kind(kind)}")
    return measure_busy_ns(draw, activity, device) / 1e9


def _make_gpu_timestamps(kind: str) -> Timestamps:
    module = find_module(kind)
    return EventTimestamps(module) if hasattr(module, "Event") else HostTimestamps(synchronize)
