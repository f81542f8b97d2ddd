"""Do whole calls take what their stages add up to? Time that no stage owns could turn a verdict."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.speed.intervals import decide
from pytest_sdspeed.model import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST_DIFFERENCE = 0.01
"""Fraction by which whole calls may differ from their stages' sum before it counts."""


class WholeCalls(NamedTuple):
    """What whole calls say about a row that was measured by stages.

    Attributes:
        candidate, baseline: by which fraction their whole calls took more than their stages' sum.
        excess: by which factor the measured speed-up exceeds that of whole calls, less what noise
            explains; 1.0 if they agree.
        doubt: the same without what noise explains: more calls would tell.
    """

    candidate: float
    baseline: float
    excess: float
    doubt: float


def compare_whole_calls(
    candidate_s: Sequence[float],
    candidate_sum_s: float,
    baseline_s: Sequence[float],
    baseline_sum_s: float,
) -> WholeCalls:
    """Compare whole calls of a row and of its baseline with the sums of their stages.

    Of each arm's whole calls the fastest counts, since contention only slows. With ``u`` the log of
    that over the sum, the difference ``u_candidate - u_baseline`` is what the speed-up by stages is
    too large by. It counts as far as it exceeds ``LEAST_DIFFERENCE`` and the difference of each
    arm's two fastest calls: that is how well their fastest call is known.

    Args:
        candidate_s: whole calls of the row, seconds; two or more.
        candidate_sum_s: its stages' sum, seconds.
        baseline_s: whole calls of the baseline, seconds; two or more.
        baseline_sum_s: its stages' sum, seconds.

    Raises:
        ValueError: fewer than two calls of an arm.
    """
    ours, our_noise = _compare(candidate_s, candidate_sum_s)
    theirs, their_noise = _compare(baseline_s, baseline_sum_s)
    beyond, in_doubt = (
        math.copysign(max(0.0, abs(ours - theirs) - allowed), ours - theirs)
        for allowed in (max(LEAST_DIFFERENCE, our_noise, their_noise), LEAST_DIFFERENCE)
    )
    return WholeCalls(math.expm1(ours), math.expm1(theirs), math.exp(beyond), math.exp(in_doubt))


def withstands_whole_calls(measured: Interval, floor: float | None, found: WholeCalls) -> bool:
    """Tell whether the verdict is the same if the speed-up is that of whole calls.

    Args:
        measured: the speed-up by stages, with its interval.
        floor: its least speed-up, or None for a row without one.
        found: what whole calls say.
    """
    if floor is None:
        return True
    by_calls = Interval(
        *(end / found.excess for end in (measured.speedup, measured.low, measured.high))
    )
    return decide(measured, floor) == decide(by_calls, floor)


def _compare(whole_s: Sequence[float], sum_s: float) -> tuple[float, float]:
    """Return the log of the fastest call over the sum, and that of the two fastest calls."""
    if len(whole_s) < 2:  # noqa: PLR2004 - a palindrome has two of each
        raise ValueError(f"{len(whole_s)} whole call(s); valid: two or more")
    first, second = sorted(whole_s)[:2]
    return math.log(first / sum_s), math.log(second / first)
