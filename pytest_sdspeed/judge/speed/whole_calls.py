"""Do whole calls take what their stages add up to? Time that no stage owns could turn a verdict."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.speed import stopping
from pytest_sdspeed.judge.speed.intervals import control_ratios, decide
from pytest_sdspeed.model import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.judge.speed.intervals import Pairs

LEAST_DIFFERENCE = 0.01
"""Fraction by which whole calls may differ from their stages' sum before it counts.

So much may also be wrong without notice with steps that were not measured, and with what waiting
for the device at every border costs. The intervals of a campaign by stages are wider by it: nothing
closer to its floor is decided. ``benchmarks/studies/gate_power.py`` has what that is worth, in its
study ``stages``."""

NOISE_ERRORS = 4.33
"""Standard errors of the difference of two arms' means that noise may explain: a simulation chose
it, see ``LEAST_DIFFERENCE``."""

SUM_ERRORS = 2.0
"""Standard errors of the ratio by stages that noise may explain beside it, likewise."""

LEAST_CALLS = 2
"""Whole calls of an arm that say something of it: those of a palindrome."""

BLOCKS_A_PALINDROME = 10
"""Blocks for which there is one more palindrome of whole calls: what many blocks decide is close to
its floor, and a small difference turns it."""

USUAL_PALINDROMES = 3
"""Palindromes of whole calls while they may turn a verdict, at least."""


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
    *,
    sum_error: float = 0.0,
) -> WholeCalls:
    """Compare whole calls of a row and of its baseline with the sums of their stages.

    Of each arm's whole calls the mean counts, without the slowest sixth, rounded down. With ``u``
    the log of that over the sum, the difference ``u_candidate - u_baseline`` is what the speed-up
    by stages is too large by. It counts as far as it exceeds ``LEAST_DIFFERENCE`` and
    ``NOISE_ERRORS`` standard errors, by the scatter of the logs of the baseline's calls, and
    ``SUM_ERRORS`` of the sums, squares added. Noise of the candidate's own excuses nothing: a step
    in a hundred that takes three times as long is seldom among those that are measured, and is in
    every second whole call.

    Args:
        candidate_s: whole calls of the row, seconds; two or more.
        candidate_sum_s: its stages' sum, seconds.
        baseline_s: whole calls of the baseline, seconds; two or more.
        baseline_sum_s: its stages' sum, seconds.
        sum_error: standard error of the log ratio by stages, see ``estimate_sum_error``.

    Raises:
        ValueError: fewer than two calls of an arm.
    """
    ours, theirs = _compare(candidate_s, candidate_sum_s), _compare(baseline_s, baseline_sum_s)
    calls = 1 / len(candidate_s) + 1 / len(baseline_s)
    error = math.sqrt(calls) * statistics.stdev(map(math.log, baseline_s))
    noise = math.hypot(NOISE_ERRORS * error, SUM_ERRORS * sum_error)
    beyond, in_doubt = (
        math.copysign(max(0.0, abs(ours - theirs) - allowed), ours - theirs)
        for allowed in (max(LEAST_DIFFERENCE, noise), LEAST_DIFFERENCE)
    )
    return WholeCalls(math.expm1(ours), math.expm1(theirs), math.exp(beyond), math.exp(in_doubt))


def estimate_sum_error(outer: Pairs, inner: Pairs, pairs: int = 2) -> float:
    """Estimate the standard error of a row's log ratio by stages from the A/A control alone.

    The control is the difference of two pairs of calls; a row has one pair in a block, and what it
    is compared with one or two.

    Args:
        outer: [first, second] call of the baseline's outer pair in every block, seconds.
        inner: those of its inner pair.
        pairs: how many pairs in a block has what the row is compared with: 2 for the baseline.

    Returns:
        The error; 0.0 with fewer than two blocks.
    """
    ratios = control_ratios(outer, inner)
    if len(ratios) < stopping.LEAST_BLOCKS:
        return 0.0
    return math.sqrt((1 + 1 / pairs) / 2 * statistics.variance(ratios) / len(ratios))


def count_palindromes(blocks: int) -> tuple[int, int]:
    """Return how many palindromes of whole calls follow blocks: the least, and the most.

    Args:
        blocks: how many decided a row; 0 if none is decided.
    """
    least = 1 + blocks // BLOCKS_A_PALINDROME
    return least, max(USUAL_PALINDROMES, least)


def withstands_whole_calls(measured: Interval, floor: float | None, found: WholeCalls) -> bool:
    """Tell whether the verdict is the same if the speed-up is that of whole calls.

    A row that stages leave undecided stays so if whole calls are faster.

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
    by_stages, verdict = decide(measured, floor), decide(by_calls, floor)
    return by_stages == verdict or (by_stages is None and verdict == "pass")


def _compare(whole_s: Sequence[float], sum_s: float) -> float:
    """Return the log of the mean call over the sum; the slowest sixth is left out."""
    if len(whole_s) < LEAST_CALLS:
        raise ValueError(f"{len(whole_s)} whole call(s); valid: two or more")
    kept = sorted(whole_s)[: len(whole_s) - len(whole_s) // 6]
    return math.log(statistics.fmean(kept) / sum_s)
