"""How long a device worked: the union of the intervals its profiler recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def measure_union_ns(intervals: Iterable[tuple[int, int]]) -> int:
    """Return the length of the union of intervals (start, end), ns: overlaps count once."""
    total, reached = 0, None
    for start, end in sorted(intervals):
        if reached is None or start > reached:
            total, reached = total + end - start, end
        elif end > reached:
            total, reached = total + end - reached, end
    return total


def measure_busy_ns(work: Callable[[], object], activity: Any, device: Any) -> int:
    """Return how many nanoseconds a device was busy while some work was done.

    Args:
        work: what is profiled; the profiler waits for the device at its end.
        activity: the ``torch.profiler.ProfilerActivity`` that is recorded.
        device: the ``torch.autograd.DeviceType`` whose events count.

    Raises:
        LookupError: the profiler saw nothing there.
    """
    from torch.profiler import profile

    with profile(activities=[activity]) as profiler:
        work()
    # The raw events: ``profiler.events()`` first links every kernel with its caller, which takes a
    # minute for half a million kernels.
    events = profiler.profiler.kineto_results.events()
    seen = [
        (event.start_ns(), event.end_ns())
        for event in events
        if event.device_type() == device and not event.is_user_annotation()
    ]
    if not seen:
        raise LookupError("the profiler saw no work on the device")
    return measure_union_ns(seen)
