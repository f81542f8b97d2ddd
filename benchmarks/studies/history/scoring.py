"""How alarms are scored, the same way for every rule, from the results alone.

Nights without a result are left out; levels are medians of logarithms.

*Alarm*: the first night of an unbroken run of flags in one direction. A change point is flagged
once, on the night when it first appears.

*Transient*: gone by the next nights. The median of the next three results (fewer if the series
ends; undecided if it ends with the alarm) is nearer to the level before (median of the five results
before the claimed ones) than to the claimed level (median of the claimed results, up to the alarm),
and is less than 5% off the level before in the direction of the alarm: an overshoot of a step that
stays is not transient.

*Lasting step*, found in hindsight and by none of the rules: two levels that differ by 5% or more
and by three standard deviations (1.4826 MAD) of the nights on either side, with five nights or more
on either side, of which 80% or more are on their side of the middle between the levels. Levels are
those of up to ten nights on either side, not reaching past a neighboring step. The step is at the
night that leaves the fewest nights on the wrong side of the middle, and at the last of several such
nights: a level that appears for a night, disappears and then stays is one step, since it stayed.
Its first appearance is kept too.

*Found*: an alarm in the direction of the step, from its first appearance until ten results after
the step, whose own night is night 1; an alarm before it counts as night 1. An alarm that was not
transient also finds the step one or two nights before its first appearance: some steps take several
nights. An alarm that this project's rule withdrew finds nothing; what peers withdraw still counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from history.rules import SIGMA_OF_MAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from history.nightlies import Series
    from history.rules import Alarm, Rule

BEFORE, AFTER = 5, 3
"""Results that make the level before an alarm, and those that decide whether it is transient."""

LEAST_STEP = math.log1p(0.05)
LEAST_SIDE, MOST_SIDE = 5, 10
"""Nights on either side of a lasting step."""

AGREEING, DEVIATIONS = 0.8, 3.0
"""Least share of the nights that are on their own side, and least step in standard deviations."""

FOUND_BEFORE, FOUND_WITHIN = 2, 10
"""Results before a step's first appearance, and after the step, within which an alarm finds it."""

SOON = 2
"""A step counts as found soon on its second night at the latest."""


class Step(NamedTuple):
    """A lasting step of a series; nights are indexes of results.

    Attributes:
        night: first night since which it stayed.
        came: night of its first appearance.
        change: difference of logarithms; above zero is slower.
    """

    night: int
    came: int
    change: float


class Judged(NamedTuple):
    """An alarm and whether it was transient, None if the series ends with it."""

    alarm: Alarm
    transient: bool | None


@dataclass(frozen=True, slots=True)
class Replay:
    """What one rule claims about one series.

    Attributes:
        series: the series.
        rule: the rule.
        alarms: all alarms, in order.
        steps: the lasting steps in the directions that the rule knows, each with the alarm that
            found it, or None.
    """

    series: Series
    rule: Rule
    alarms: tuple[Judged, ...]
    steps: tuple[tuple[Step, Alarm | None], ...]


def replay(series: Sequence[Series], rules: Sequence[Rule]) -> list[Replay]:
    """Ask every rule about every series."""
    found = []
    for one in series:
        values = np.log(one.latencies)
        steps = lasting_steps(values)
        for rule in rules:
            alarms = [alarm for alarm in rule.alarms(one.latencies, 0) if rule.both or alarm.slower]
            judged = tuple(Judged(alarm, transient(values, alarm)) for alarm in alarms)
            known = [step for step in steps if rule.both or step.change > 0]
            found.append(
                Replay(one, rule, judged, tuple((step, finder(step, judged)) for step in known))
            )
    return found


def transient(values: np.ndarray, alarm: Alarm) -> bool | None:
    """Tell whether an alarm was gone by the next nights, as defined above.

    Args:
        values: logarithms of the series, shape (n,).
        alarm: the alarm, with at least one night before it.
    """
    later = values[alarm.found + 1 :][:AFTER]
    if not len(later):
        return None
    after = float(np.median(later))
    before = float(np.median(values[max(0, alarm.since - BEFORE) : alarm.since]))
    claimed = float(np.median(values[alarm.since : min(alarm.found + 1, alarm.end or len(values))]))
    still = math.copysign(1, alarm.change) * (after - before)
    return abs(after - before) < abs(after - claimed) and still < LEAST_STEP


def finder(step: Step, alarms: Sequence[Judged]) -> Alarm | None:
    """Return the first alarm that found a step, or None."""
    for alarm, gone in alarms:
        first = step.came - (0 if gone else FOUND_BEFORE)
        if (
            alarm.slower == (step.change > 0)
            and alarm.gone is None
            and first <= alarm.found <= step.night + FOUND_WITHIN
        ):
            return alarm
    return None


def nights_until(alarm: Alarm, night: int) -> int:
    """Return on which night of a step it was found: 1 is the first."""
    return max(1, alarm.found - night + 1)


# Lasting steps


def lasting_steps(values: np.ndarray) -> list[Step]:
    """Find the lasting steps of a series of logarithms, in order.

    Candidates are splits whose five nights on either side differ by 5% or more, the best within
    five nights. While some are not lasting steps between their neighbors, the smallest of those is
    dropped and the others are checked again.
    """
    nights = _candidates(values)
    while True:
        steps: list[Step] = []
        for night, end in zip(nights, [*nights[1:], len(values)], strict=False):
            steps.append(_settled(values, steps[-1].night if steps else 0, night, end))
        bounds = [0, *(step.night for step in steps), len(values)]
        sides = [_sides(values, *bounds[index : index + 3]) for index in range(len(steps))]
        bad = [index for index, (left, right) in enumerate(sides) if not _is_lasting(left, right)]
        if not bad:
            return [
                step._replace(change=_difference(*side))
                for step, side in zip(steps, sides, strict=True)
            ]
        del nights[min(bad, key=lambda index: abs(_difference(*sides[index])))]


def _candidates(values: np.ndarray) -> list[int]:
    """Return the splits that reduce the absolute deviations of the nights around them most."""
    gains = {}
    for night in range(LEAST_SIDE, len(values) - LEAST_SIDE + 1):
        left, right = values[night - LEAST_SIDE : night], values[night : night + LEAST_SIDE]
        if abs(np.median(right) - np.median(left)) >= LEAST_STEP:
            both = np.concatenate([left, right])
            gains[night] = float(_spread(both) - _spread(left) - _spread(right))
    # Of several equal gains the earliest counts.
    best = sorted(gains, key=lambda night: (-gains[night], night))
    chosen: list[int] = []
    for night in best:
        if all(abs(night - other) >= LEAST_SIDE for other in chosen):
            chosen.append(night)
    return sorted(chosen)


def _spread(values: np.ndarray) -> float:
    return float(np.abs(values - np.median(values)).sum())


def _settled(values: np.ndarray, start: int, night: int, end: int) -> Step:
    """Move a step to the night that leaves the fewest nights on the wrong side of the middle."""
    left, right = _sides(values, start, night, end)
    change = _difference(left, right)
    middle = float(np.median(left)) + change / 2
    first, beyond = (
        night - len(left),
        math.copysign(1, change) * (np.concatenate([left, right]) - middle) > 0,
    )
    splits = np.arange(max(first + 1, night - LEAST_SIDE + 1), min(end, night + LEAST_SIDE))
    wrong = np.array(
        [beyond[: split - first].sum() + (~beyond[split - first :]).sum() for split in splits]
    )
    fewest = splits[wrong == wrong.min()]
    return Step(int(fewest[-1]), int(fewest[0]), change)


def _sides(values: np.ndarray, start: int, night: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nights on either side of a step that make the levels."""
    return (
        values[max(start, night - MOST_SIDE) : night],
        values[night : min(end, night + MOST_SIDE)],
    )


def _difference(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.median(right) - np.median(left))


def _is_lasting(left: np.ndarray, right: np.ndarray) -> bool:
    if min(len(left), len(right)) < LEAST_SIDE:
        return False
    levels = np.array([np.median(left), np.median(right)])
    change, middle = levels[1] - levels[0], levels.mean()
    agreeing = min(
        (math.copysign(1, change) * (middle - left) > 0).mean(),
        (math.copysign(1, change) * (right - middle) > 0).mean(),
    )
    sigma = SIGMA_OF_MAD * max(
        float(np.median(np.abs(side - level)))
        for side, level in zip((left, right), levels, strict=True)
    )
    return bool(abs(change) >= max(LEAST_STEP, DEVIATIONS * sigma) and agreeing >= AGREEING)
