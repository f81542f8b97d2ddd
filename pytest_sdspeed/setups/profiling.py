"""Where one generation's time goes, in generations of its own that no clock of a campaign sees."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pytest_sdspeed.model import Profile
from pytest_sdspeed.setups.busy import busy_ns
from pytest_sdspeed.setups.flops import generation_flops
from pytest_sdspeed.setups.stages import CudaMarks, HostMarks, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def profiled(pipeline: Any, draw: Callable[[], object], *, kind: Literal["cpu", "cuda"], partial: bool) -> Profile:
    """Stage times, FLOPs and, on a GPU, its busy share. Takes one generation, on a GPU two.

    The busy share is the time in which the GPU worked on anything in the second, over the time of the first: the profiler hardly changes
    how long kernels take, but slows the host between them.

    Args:
        pipeline: what draws.
        draw: one generation.
        kind: of the device.
        partial: whether a call of the UNet may leave out modules, whose calls are then counted one by one.

    Returns:
        What was found. What could not be is None, with a note.
    """
    notes: list[str] = []
    watch = Watch(_cuda_marks() if kind == "cuda" else HostMarks())

    def watched() -> float:
        with watch.on(pipeline, inside=partial):
            return _wall_s(draw, kind)

    wall_s = _tried("where a generation's time goes", watched, notes)
    if wall_s is None:
        return Profile(notes=tuple(notes))
    return Profile(
        stages_s=_tried("how long the stages take", watch.stages_s, notes),
        flops=_tried("how many FLOPs a generation has", lambda: generation_flops(pipeline, watch), notes),
        busy_share=_tried("how busy the GPU was", lambda: _busy_share(draw, wall_s), notes) if kind == "cuda" else None,
        notes=tuple(notes),
    )


def _tried(what: str, work: Callable[[], T], notes: list[str]) -> T | None:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - no extra may cost a campaign its result
        first = (str(error).strip() or "no message").splitlines()[0][:200]
        notes.append(f"{what} is unknown: {type(error).__name__}: {first}")
        return None


def _wall_s(draw: Callable[[], object], kind: str) -> float:
    _synchronize(kind)
    start = time.perf_counter()
    draw()
    _synchronize(kind)
    return time.perf_counter() - start


def _busy_share(draw: Callable[[], object], wall_s: float) -> float:
    import torch

    busy = busy_ns(lambda: _wall_s(draw, "cuda"), torch.profiler.ProfilerActivity.CUDA, torch.autograd.DeviceType.CUDA)
    return min(1.0, busy / 1e9 / wall_s)


def _cuda_marks() -> CudaMarks:
    import torch

    return CudaMarks(torch.cuda)


def _synchronize(kind: str) -> None:
    import torch

    if kind == "cuda":
        torch.cuda.synchronize()
