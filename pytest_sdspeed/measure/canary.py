"""The canary: fixed work, timed beside a campaign, that tells the machine from the stack."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import GenerationError, SdSpeedError, explain
from pytest_sdspeed.measure.tracers import call_untraced

if TYPE_CHECKING:
    from pytest_sdspeed.measure.clock import Clock

Operations = Mapping[str, Callable[[], Callable[[], object]]]
"""Operation -> what makes its inputs and returns the work of one call, which alone holds them."""

REPEATS = 7


class CanaryTimes(NamedTuple):
    """One timing of the canary.

    Attributes:
        seconds: operation -> median of its repeats.
        errors: operation -> why it has no time.
    """

    seconds: dict[str, float]
    errors: dict[str, SdSpeedError]


def time_canary(operations: Operations, clock: Clock, repeats: int = REPEATS) -> CanaryTimes:
    """Time every operation: a warm-up call of each, then one of each in turn, ``repeats`` times.

    The median, since the fastest of a few calls is the luckiest on a machine that others use too.
    An operation that raises, or that the clock cannot time, is left out. The inputs are let go at
    the end.

    Args:
        operations: what is timed.
        clock: tells time and waits for the device, before and after each call.
        repeats: timed calls of each operation, one at least.
    """
    work: dict[str, Callable[[], object]] = {}
    taken: dict[str, list[float]] = {name: [] for name in operations}
    errors: dict[str, SdSpeedError] = {}
    for _ in range(1 + repeats):
        for name in [name for name in operations if name not in errors]:
            try:
                if name not in work:
                    work[name] = operations[name]()
                taken[name].append(call_untraced(_time_call, name, work[name], clock))
            except Exception as error:  # noqa: BLE001 - the canary must never break a campaign
                errors[name] = explain(name, error)
                work.pop(name, None)
    return CanaryTimes(
        {name: statistics.median(taken[name][1:]) for name in operations if name not in errors},
        errors,
    )


def pair_times(before: CanaryTimes, after: CanaryTimes) -> dict[str, tuple[float, float]]:
    """Return operation -> its times before and after, seconds, for operations that have both."""
    return {
        name: (seconds, after.seconds[name])
        for name, seconds in before.seconds.items()
        if name in after.seconds
    }


def _time_call(name: str, work: Callable[[], object], clock: Clock) -> float:
    clock.synchronize()
    start = clock.now()
    work()
    clock.synchronize()
    taken = clock.now() - start
    if taken <= 0:
        raise GenerationError(f"{name} took no time that the clock can tell")
    return taken
