"""What one block says: the log speed-up of a candidate over its baseline, from pairs of slots.

Every arm has its slots in pairs, mirror images of each other in the block's palindrome. The mean of
a pair's logs is what drift leaves alone. A stall (a slot of twenty times its usual length, on a
shared machine) ruins that mean, so a pair whose slots disagree wildly counts as its faster slot
alone: contention only slows. How wildly is told by the differences inside the pairs, which say
nothing about which arm is faster.

Contention slows every arm alike. A candidate whose pairs are disturbed more often than its
baseline's is slow in some calls by its own doing, as far as anybody can tell, and then every slot
counts in full, see ``slow_pairs``.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pytest_sdspeed.judge.speed import slow_pairs
from pytest_sdspeed.judge.speed.slow_pairs import GUARD
from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    FloatArray: TypeAlias = NDArray[np.float64]

_MEDIAN_DIFFERENCE = 0.9538725524089
"""Median of the absolute difference of two standard normal values: sqrt(2) times the normal
quantile of 3/4."""


_LOG_OF_TWO = math.log(2)


def judge_ratios(baseline: ArrayLike, candidate: ArrayLike) -> FloatArray:
    """Compute the log speed-up of every block, as a row is judged by it.

    It is that of ``block_ratios`` unless the candidate is slow in some calls by its own doing
    (``slow_pairs.are_its_own``). Then the location of a pair, of both arms, is the log of the mean
    of its slots: nothing is trimmed, and what the candidate's slow calls cost counts in full. Both
    rules estimate the same speed-up if disturbances hit the arms alike.

    Args:
        baseline: as for ``block_ratios``.
        candidate: likewise.

    Returns:
        Natural logs, shape (..., blocks); above 0 the candidate is faster.

    Raises:
        ValueError: as ``block_ratios``.
    """
    return judge_logs(*_paired_logs(baseline, candidate))


def judge_logs(ours: FloatArray, theirs: FloatArray) -> FloatArray:
    """Compute ``judge_ratios`` from the logs of the baseline's and the candidate's slots."""
    deviation = _slot_deviation(ours)
    ratios = _guard(ours, theirs, deviation)
    own = slow_pairs.are_its_own(slow_pairs.count(ours, theirs, deviation))
    if own.any():
        whole = _log_means(ours).mean(-1) - _log_means(theirs).mean(-1)
        ratios = np.where(own[..., None], whole, ratios)
    return ratios


def contrast_ratios(slower: ArrayLike, faster: ArrayLike) -> FloatArray:
    """Compute the log ratio of every block between two rows, of which neither is the reference.

    It is that of ``block_ratios`` unless either row is slow in some calls by its own doing: then
    the location of a pair, of both rows, is the log of the mean of its slots, as in
    ``judge_ratios``. So swapping the rows changes the sign and nothing else.

    Args:
        slower: durations of the row that is said to take more time, as for ``block_ratios``.
        faster: those of the other one.

    Returns:
        Natural logs, shape (..., blocks); above 0 the first row takes more time.

    Raises:
        ValueError: as ``block_ratios``.
    """
    ours, theirs = _paired_logs(slower, faster)
    counts = (
        slow_pairs.count(ours, theirs, _slot_deviation(ours)),
        slow_pairs.count(theirs, ours, _slot_deviation(theirs)),
    )
    own = slow_pairs.are_its_own(counts[0]) | slow_pairs.are_its_own(counts[1])
    ratios = guard_logs(ours, theirs)
    if own.any():
        whole = _log_means(ours).mean(-1) - _log_means(theirs).mean(-1)
        ratios = np.where(own[..., None], whole, ratios)
    return ratios


def count_slow_pairs(baseline: ArrayLike, candidate: ArrayLike) -> slow_pairs.Counts:
    """Count pairs with a slow slot, see ``slow_pairs.count``; arguments as for ``block_ratios``."""
    ours, theirs = _paired_logs(baseline, candidate)
    return slow_pairs.count(ours, theirs, _slot_deviation(ours))


def block_ratios(baseline: ArrayLike, candidate: ArrayLike) -> FloatArray:
    """Compute the log speed-up of every block, without what disturbs single slots.

    It is the mean of ``x`` over the baseline's pairs less that over the candidate's, with ``x`` the
    location of a pair: ``(log a + log b) / 2``, or ``log min(a, b)`` if ``|log a - log b|`` exceeds
    ``GUARD`` standard deviations of a slot. It assumes that disturbances only slow, and that they
    hit a minority of the pairs; a drift that is linear over the block cancels.
    ``benchmarks/studies/gate_power.py`` compares the rule with others.

    The standard deviation of a slot is estimated for each arm by the
    median absolute difference inside its pairs, and the larger of both holds for both: an arm that
    is noisier than the other is not mistaken for one with stalls. Of two arms of unlike noise the
    noisier one is favoured by about 2% of its deviation.

    Args:
        baseline: durations in seconds, shape (..., blocks, pairs, 2).
        candidate: the same blocks in the same order; the number of pairs in a block may differ.

    Returns:
        Natural logs, shape (..., blocks); above 0 the candidate is faster. Swapping the arms
        changes the sign and nothing else.

    Raises:
        ValueError: if shapes do not fit, or a duration is not a positive finite number.
    """
    return guard_logs(*_paired_logs(baseline, candidate))


def _paired_logs(baseline: ArrayLike, candidate: ArrayLike) -> tuple[FloatArray, FloatArray]:
    ours, theirs = _logs(baseline), _logs(candidate)
    if ours.shape[:-2] != theirs.shape[:-2]:
        raise ValueError(
            f"blocks are paired, but the baseline has {ours.shape[:-2]} and the candidate"
            f" {theirs.shape[:-2]}"
        )
    return ours, theirs


def guard_logs(ours: FloatArray, theirs: FloatArray) -> FloatArray:
    """Compute ``block_ratios`` from the logs of the baseline's and the candidate's slots."""
    return _guard(ours, theirs, _slot_deviation(ours))


def _guard(ours: FloatArray, theirs: FloatArray, deviation: FloatArray) -> FloatArray:
    limit = GUARD * np.maximum(deviation, _slot_deviation(theirs))
    ratios: FloatArray = _locations(ours, limit).mean(-1) - _locations(theirs, limit).mean(-1)
    return ratios


def _logs(durations: ArrayLike) -> FloatArray:
    array = np.asarray(durations, dtype=np.float64)
    if array.ndim < 3 or array.shape[-1] != 2 or not array.size:  # noqa: PLR2004 - blocks, pairs, both slots
        raise ValueError(
            f"durations have shape {array.shape}; valid: (..., blocks, pairs, 2), none of them 0"
        )
    if not (np.isfinite(array).all() and (array > 0).all()):
        wrong = array[~(np.isfinite(array) & (array > 0))][0]
        raise ValueError(f"a slot lasted {wrong} s; valid: positive and finite")
    logs: FloatArray = np.log(array)
    return logs


def _slot_deviation(logs: FloatArray) -> FloatArray:
    """Estimate the standard deviation of one slot, shape (..., 1, 1).

    ``median |first - second| / 0.954``, over all pairs of an arm: robust against fewer than half of
    them.
    """
    differences = np.abs(logs[..., 0] - logs[..., 1])
    median: FloatArray = np.median(differences.reshape(*differences.shape[:-2], -1), axis=-1)
    deviation: FloatArray = median[..., None, None] / _MEDIAN_DIFFERENCE
    return deviation


def _locations(logs: FloatArray, limit: FloatArray) -> FloatArray:
    first, second = logs[..., 0], logs[..., 1]
    found: FloatArray = np.where(
        np.abs(first - second) > limit, np.minimum(first, second), (first + second) / 2
    )
    return found


def _log_means(logs: FloatArray) -> FloatArray:
    """Return the logs of the means of pairs."""
    means: FloatArray = np.logaddexp(logs[..., 0], logs[..., 1]) - _LOG_OF_TWO
    return means


def latencies(
    samples_s: Mapping[str, Sequence[Sequence[float]]], name: str, base: str
) -> tuple[float, float]:
    """Return the median latencies of an arm and of its baseline, seconds.

    The control's slots are the baseline's.

    Args:
        samples_s: arm -> [first, second] slot of every block, seconds.
        name: name of the arm.
        base: name of its baseline, which may be the arm itself.
    """
    return _median(samples_s[name], samples_s[CONTROL] if name == base else ()), _median(
        samples_s[base], samples_s[CONTROL]
    )


def _median(*pairs: Sequence[Sequence[float]]) -> float:
    return statistics.median(slot for group in pairs for pair in group for slot in pair)
