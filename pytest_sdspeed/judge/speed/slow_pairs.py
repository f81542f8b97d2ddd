"""Slow slots: contention, or the candidate's own doing?

A candidate that compiles anew in every fifth call is as slow in these as a neighbour on the machine
would make it. What tells them apart is the baseline, whose slots lie among the candidate's, twice
as many: contention hits them as well.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

GUARD = 4.0
"""A pair is disturbed if its slots differ by more than this many standard deviations of a slot.

Undisturbed normal slots differ so much once in 214 pairs: ``2 (1 - Phi(4 / sqrt(2)))``. A smaller
guard trims what is normal, a larger one lets x1.3 spikes through."""

SPARED = 8
"""The candidate's share of disturbed pairs may exceed its baseline's by one in so many.

What happens once in sixteen calls, and in none of the baseline's, still counts as chance; from the
eighth block on that spares the one stall that a campaign on a shared machine has by chance."""

ERROR = 0.001
"""Level of the exact test that says that a candidate is disturbed more often than its baseline."""

_LEAST, _MOST = math.log(1.01), math.log(1.25)
"""Logs of two ratios. Slots that differ by less than 1% are not worth a word, however steady the
arm is. And the candidate's own noise explains no more than 25%: if every second call is slow, every
pair has one, and what is usual for the candidate would hide it."""
_LOWER_QUARTILE = 0.4506241100243562
"""Lower quartile of the absolute difference of two standard normal values: sqrt(2) times the normal
quantile of 5/8."""


class Counts(NamedTuple):
    """How many pairs have a slow slot; numbers or arrays of one shape, one for each campaign.

    Attributes:
        candidate: pairs of the candidate with a slow slot, of ``candidate_pairs``.
        baseline: pairs of the baseline with a slow slot, of ``baseline_pairs``.
    """

    candidate: NDArray[np.int64]
    candidate_pairs: int
    baseline: NDArray[np.int64]
    baseline_pairs: int


def count(ours: FloatArray, theirs: FloatArray, deviation: FloatArray) -> Counts:
    """Count the pairs whose slots differ by more than ``GUARD`` standard deviations of a slot.

    The deviation is the baseline's or the candidate's, whichever is larger. The candidate's is
    estimated by the lower quartile of the differences inside its pairs: their median is a slow
    call's difference already if every third call is slow, which falls into two pairs of three.

    Args:
        ours: logs of the baseline's slots, shape (..., blocks, pairs, 2).
        theirs: those of the candidate.
        deviation: standard deviation of the baseline's slots, shape (..., 1, 1).
    """
    own, other = _differences(ours), _differences(theirs)
    rank = (other.shape[-1] - 1) // 4
    quartile = np.partition(other, rank, axis=-1)[..., rank] / _LOWER_QUARTILE
    limit = np.maximum(GUARD * deviation[..., 0, 0], np.clip(GUARD * quartile, _LEAST, _MOST))[
        ..., None
    ]
    return Counts((other > limit).sum(-1), other.shape[-1], (own > limit).sum(-1), own.shape[-1])


def _differences(logs: FloatArray) -> FloatArray:
    differences: FloatArray = np.abs(logs[..., 0] - logs[..., 1])
    return differences.reshape(*differences.shape[:-2], -1)


def are_its_own(counts: Counts) -> NDArray[np.bool_]:
    """Tell whether the candidate's slow slots count as its own doing.

    They do if its share of disturbed pairs exceeds the baseline's by more than one in ``SPARED``,
    or if ``are_significant`` says so. The first asks for evidence of contention before anything is
    trimmed: a campaign that has none yet goes on until slow slots are rare, or recur. The second
    finds with more blocks what is rarer. ``benchmarks/studies/gate_power.py`` has what the rule
    does to candidates that are slow in every third call, and to those that are not.
    """
    theirs, their_pairs, ours, our_pairs = counts
    beyond = SPARED * (theirs * our_pairs - ours * their_pairs) > their_pairs * our_pairs
    return beyond | are_significant(counts)


def are_significant(counts: Counts) -> NDArray[np.bool_]:
    """Tell whether the candidate's share of disturbed pairs is greater than the baseline's.

    Fisher's exact test (1934), one-sided, at the level ``ERROR``. It assumes that pairs are
    disturbed independently of each other, and equally often in both arms if nothing but the
    machine disturbs them.
    """
    found: NDArray[np.bool_] = np.vectorize(_is_significant, otypes=[bool])(*counts)
    return found


@functools.cache
def _is_significant(theirs: int, their_pairs: int, ours: int, our_pairs: int) -> bool:
    # A smaller share is significant of nothing, and is most of what is asked.
    if theirs * our_pairs <= ours * their_pairs:
        return False
    disturbed = theirs + ours
    as_many = sum(
        math.comb(their_pairs, taken) * math.comb(our_pairs, disturbed - taken)
        for taken in range(theirs, min(their_pairs, disturbed) + 1)
    )
    return as_many < ERROR * math.comb(their_pairs + our_pairs, disturbed)


def describe(counts: Counts, *, decided: bool) -> Iterator[str]:
    """Describe disturbed pairs if one arm has more of them than contention explains.

    Args:
        counts: those of one campaign.
        decided: whether the row passes or fails: then slow slots that may be chance need no word.
    """
    theirs, their_pairs, ours, our_pairs = (int(number) for number in counts)
    found = (
        f"one slot is much slower than the other in {theirs} of its {their_pairs} pairs of slots,"
        f" and in {ours} of its baseline's {our_pairs}"
    )
    if are_significant(counts):
        yield (
            f"{found}: that is not contention, which hits both. The candidate itself is slow in"
            f" about one call of {_one_in(theirs, their_pairs)}: does it compile or allocate anew?"
            " All its slots count in full"
        )
    elif are_significant(Counts(counts.baseline, our_pairs, counts.candidate, their_pairs)):
        yield (
            f"{found}: that is not contention, which hits both. The baseline itself is slow in"
            f" about one call of {_one_in(ours, our_pairs)}: does it compile or allocate anew? Its"
            " slow slots are left out"
        )
    elif not decided and are_its_own(counts):
        yield (
            f"{found}: too few to tell the candidate's own doing (does it compile or allocate anew"
            " in some calls?) from the machine's, so that all slots count in full"
        )


def _one_in(slow: int, pairs: int) -> int:
    return round(2 * pairs / slow)
