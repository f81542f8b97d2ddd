"""Rules that watch a series night by night, each asked the same: on which night would you have told what?

Every rule sees the nights that have a result, and on each of them only that night and those before
it. Rules of other tools call the tool's own functions: ``peers``.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pytest_sdspeed.judge.changes.change_points import find_change_points

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OURS = "pytest-sdspeed"

NIGHTS = 5
"""Results that every rule has before it is first asked."""

LEVEL_NIGHTS, LEAST_LIMIT = 20, 0.03
"""The plain rule: level and noise are those of the last 20, and no change of less than 3%
counts."""

PAIR_LIMIT = 3.0
"""The plain rule: two in a row that are so many median absolute deviations off."""

CLIP, SLACK, DECISION = 2.5, 0.5, 5.0
"""CUSUM, in standard deviations: where a run is winsorised, what is taken off each, and the sum
that alarms."""

_SIGMA = 1.4826
"""Standard deviation of normal noise over its median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that a rule told. Nights are indexes of results.

    Attributes:
        since: first night of what is claimed.
        found: night whose result gave it away.
        change: claimed, as a difference of logarithms; its sign is the direction, above zero is
            slower.
        end: the night after the last claimed one, where the rule knows one before ``found``; else
            None.
        gone: night on which the rule itself withdrew it, or None.
    """

    since: int
    found: int
    change: float
    end: int | None = None
    gone: int | None = None

    @property
    def slower(self) -> bool:
        """Whether the claim is of a slowdown."""
        return self.change > 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        name: as a table shows it.
        source: where it is written down, and its settings.
        alarms: (latencies in seconds, first night that is asked) -> alarms found from that night
            on, the oldest first. Raises ImportError where the tool is missing.
        both: whether it knows faster too.
        cost: how much slower than the fast ones, about: simulated series are fewer by that.
    """

    name: str
    source: str
    alarms: Callable[[np.ndarray, int], list[Alarm]]
    both: bool = True
    cost: int = 1


def ours(latencies: np.ndarray, first: int = 0) -> list[Alarm]:
    """The package's ``find_change_points``, every run a reference, with those that it withdrew."""
    found = find_change_points(np.log(latencies), np.ones(len(latencies), dtype=bool))
    return [
        Alarm(point.since, point.detected_at, point.change, gone=point.retracted_at)
        for point in found
        if point.detected_at >= first
    ]


def median_of_five(limit: float) -> Callable[[np.ndarray, int], list[Alarm]]:
    """Tonight is more than ``limit`` above the median of the last five results; nights in a row are one alarm, found on the first."""

    def alarms(latencies: np.ndarray, first: int = 0) -> list[Alarm]:
        if len(latencies) <= NIGHTS:
            return []
        ratios = latencies[NIGHTS:] / np.median(sliding_window_view(latencies, NIGHTS), axis=1)[:-1]
        flags = ratios > 1 + limit
        begun = np.flatnonzero(flags & ~np.concatenate([[False], flags[:-1]]))
        nights = [(int(index) + NIGHTS, math.log(ratios[index])) for index in begun]
        return [Alarm(night, night, change) for night, change in nights if night >= first]

    return alarms


def two_in_a_row_and_cusum(latencies: np.ndarray, first: int = 0) -> list[Alarm]:
    """The plain rule: two results in a row beyond max(3%, 3 MAD) of the median of the last 20 before them, on one side, or a CUSUM.

    The CUSUM sums (result - level) / sigma, winsorised at 2.5, less 0.5, on either side, and alarms
    beyond 5; sigma is 1.4826 MAD of the last 20, 1% at least, as the pair's limit is 3%. After an
    alarm the series begins anew where the change began.
    """
    return [alarm for alarm in _plain(np.log(latencies).tolist()) if alarm.found >= first]


def _plain(values: list[float]) -> Iterator[Alarm]:
    start, sums, since = 0, [0.0, 0.0], [0, 0]
    for night, value in enumerate(values):
        known = values[max(start, night - LEVEL_NIGHTS) : night]
        if len(known) < NIGHTS:
            continue
        level, spread = _level(known)
        step = (value - level) / max(LEAST_LIMIT / PAIR_LIMIT, _SIGMA * spread)
        for side, sign in enumerate((1, -1)):
            since[side] = since[side] if sums[side] > 0 else night
            sums[side] = max(0.0, sums[side] + max(-CLIP, min(CLIP, sign * step)) - SLACK)
        alarm = _two_in_a_row(values, start, night)
        if not alarm and max(sums) > DECISION:
            begun = since[sums.index(max(sums))]
            alarm = Alarm(
                begun,
                night,
                math.copysign(
                    abs(statistics.median(values[begun : night + 1]) - level), sums[0] - sums[1]
                ),
            )
        if alarm:
            yield alarm
            start, sums = alarm.since, [0.0, 0.0]


def _two_in_a_row(values: list[float], start: int, night: int) -> Alarm | None:
    known = values[max(start, night - 1 - LEVEL_NIGHTS) : night - 1]
    if len(known) < NIGHTS:
        return None
    level, spread = _level(known)
    limit = max(LEAST_LIMIT, PAIR_LIMIT * spread)
    first, second = values[night - 1] - level, values[night] - level
    beyond = min(first, second) > limit or max(first, second) < -limit
    return Alarm(night - 1, night, (first + second) / 2) if beyond else None


def _level(known: list[float]) -> tuple[float, float]:
    """Median and median absolute deviation."""
    level = statistics.median(known)
    return level, statistics.median(abs(value - level) for value in known)


OWN: tuple[Rule, ...] = (
    Rule(OURS, "pytest_sdspeed/judge/changes/change_points.py", ours),
    Rule(
        "median of five, 5%",
        "sgl-project/sglang, pull request 37915",
        median_of_five(0.05),
        both=False,
    ),
    Rule("median of five, 10%", "the same, 10%", median_of_five(0.10), both=False),
    Rule(
        "two in a row + CUSUM",
        "max(3%, 3 MAD) of the last 20; winsorised at 2.5, h = 5",
        two_in_a_row_and_cusum,
    ),
)
"""This project's rule, and the plain ones."""
