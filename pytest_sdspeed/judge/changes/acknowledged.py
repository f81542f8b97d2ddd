"""Changes that somebody accepted as the new level of their history."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_sdspeed.judge.changes.change_points import LEAST_EFFECT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_sdspeed.model import Acknowledgement, Change, History

_SAME_CHANGE_RUNS = 2
"""Further runs may move the beginning of a change by so many runs."""


def find_acknowledgement(
    history: History, change: Change, given: Iterable[Acknowledgement]
) -> Acknowledgement | None:
    """Find how a change was accepted, however large it is by now; None if it was not.

    It is the same change if it is in the same history, of the same direction, and begins with the
    same run, or on its host at most two runs away. Further runs may tell that what seemed to be the
    latency of all rows is the ratio of one, or the other way round. Of several, one of the same
    figure comes first, then the largest.

    Args:
        history: history of the change.
        change: the change.
        given: what was accepted, in any histories.
    """
    found = [one for one in given if _is_same(history, change, one)]
    return max(found, key=lambda one: (one.ratio == change.ratio, abs(one.change)), default=None)


def covers(acknowledged: Acknowledgement, change: Change, latency: float | None = None) -> bool:
    """Tell whether a change is no larger than what was accepted, but for 3%: it is not told.

    What is within 3% is no change of a level either.

    A change of the ratio may be what was accepted as one of the latency, or a second one that began
    a run or two later: an upgrade made all rows slower, and then the code one of them. So the
    latency must not have changed by more than what was accepted either.

    Args:
        acknowledged: what was accepted, of this change.
        change: the change.
        latency: how far the latency moved with it, as a difference of logarithms; None if that is
            not known.
    """
    if change.ratio and not acknowledged.ratio and latency is not None:
        moved = replace(change, change=math.expm1(latency), ratio=False)
        if (latency > 0) == (change.change > 0) and not covers(acknowledged, moved):
            return False
    more = abs(math.log1p(change.change)) - abs(math.log1p(acknowledged.change))
    return more <= LEAST_EFFECT


def _is_same(history: History, change: Change, one: Acknowledgement) -> bool:
    if one.counts is not None or (change.change > 0) != (one.change > 0):
        return False
    if not one.key.fits(history.key):
        return False
    first = history.runs[change.since]
    place = bisect_left(history.runs, one.since, key=lambda run: run.date)
    near = abs(place - change.since) <= _SAME_CHANGE_RUNS and one.host in (None, first.host)
    return first.date == one.since or near
