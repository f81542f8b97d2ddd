"""Rules that watch a series night by night: on which night does each find which change?

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
"""Number of results before a rule is first asked."""

LEVEL_NIGHTS, LEAST_LIMIT = 20, 0.03
"""The plain rule: nights that make level and noise, and the least change that counts."""

PAIR_LIMIT = 3.0
"""The plain rule: distance of two results in a row, in median absolute deviations."""

CLIP, SLACK, DECISION = 2.5, 0.5, 5.0
"""CUSUM, in standard deviations: bound of a result, what is subtracted, and the sum that alarms."""

SIGMA_OF_MAD = 1.4826
"""Standard deviation of normal noise over its median absolute deviation."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A change that a rule claims. Nights are indexes of results.

    Attributes:
        since: first night of the claimed change.
        found: night on which the rule found it.
        change: size of the claimed change, as a difference of logarithms; above zero is slower.
        end: the night after the last claimed one, if the rule knows one before ``found``; else
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
        """Tell whether the claim is of a slowdown."""
        return self.change > 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Attributes:
        name: name in tables.
        source: where it is written down, and its settings.
        alarms: (latencies in seconds, first night that is asked) -> alarms found from that night
            on, the oldest first. It raises ImportError if the tool is missing.
        both: whether it finds speed-ups too.
        cost: about how many times slower it is than the fast rules, by which the number of
            simulated series is divided.
    """

    name: str
    source: str
    alarms: Callable[[np.ndarray, int], list[Alarm]]
    both: bool = True
    cost: int = 1


def ours(latencies: np.ndarray, first: int = 0) -> list[Alarm]:
    """Ask the package's rule, with every run a reference; withdrawn alarms are included."""
    found = find_change_points(np.log(latencies), np.ones(len(latencies), dtype=bool))
    return [
        Alarm(point.since, point.detected_at, point.change, gone=point.retracted_at)
        for point in found
        if point.detected_at >= first
    ]


def median_of_five(limit: float) -> Callable[[np.ndarray, int], list[Alarm]]:
    """Make the rule that tonight is more than ``limit`` above the median of the last five results.

    Nights in a row are one alarm, found on the first.
    """

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
    """Ask the plain rule: two results in a row that are off on the same side, or a CUSUM.

    Two results are off beyond max(3%, 3 MAD) of the median of the 20 results before them. The CUSUM
    sums (result - level) / sigma, winsorised at 2.5, less 0.5, on either side, and alarms beyond 5;
    sigma is 1.4826 MAD of the last 20, 1% at least, as the pair's limit is 3%. After an alarm the
    series starts over where the change began.
    """
    return [alarm for alarm in _plain(np.log(latencies).tolist()) if alarm.found >= first]


def _plain(values: list[float]) -> Iterator[Alarm]:
    start, sums, since = 0, [0.0, 0.0], [0, 0]
    for night, value in enumerate(values):
        known = values[max(start, night - LEVEL_NIGHTS) : night]
        if len(known) < NIGHTS:
            continue
        level, spread = _level(known)
        step = (value - level) / max(LEAST_LIMIT / PAIR_LIMIT, SIGMA_OF_MAD * spread)
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
    """Return median and median absolute deviation."""
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
