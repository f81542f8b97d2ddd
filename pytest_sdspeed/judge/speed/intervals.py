"""Is it faster? The speed-up with its interval, what it says about a floor, and the A/A control.

The sample is the block, never the slot: one log ratio per block, baseline over candidate, so that
above 0 the candidate is faster.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Literal

from scipy import special

from pytest_sdspeed.judge.speed import stopping
from pytest_sdspeed.judge.speed.blocks import block_ratios, contrast_ratios, judge_ratios
from pytest_sdspeed.model import Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Pairs = Sequence[Sequence[float]]

CONTROL_ERROR = 0.009
"""Probability that the A/A controls of a run break without cause, over all its campaigns together:
1% less a margin for dependent blocks, see the study ``control`` of
``benchmarks/studies/gate_power.py``."""

POWER = 0.9
"""Share of campaigns that decide, in every statement of what a number of blocks can resolve or of
how many blocks are needed."""

_POWER_QUANTILE = statistics.NormalDist().inv_cdf(POWER)
_CLOCK_RESOLUTION = 1e-9
_LARGEST_EXPONENT = 700.0


def log_ratios(baseline: Sequence[Pairs], candidate: Sequence[Pairs]) -> tuple[float, ...]:
    """Compute the log speed-up of every block, see ``blocks.judge_ratios``.

    Args:
        baseline: per kind of pair of the baseline (outer, inner) the [first, second] slots of every
            block, seconds.
        candidate: pairs of the candidate, likewise.

    Returns:
        One natural log per block; above 0 the candidate is faster. Empty without blocks.

    Raises:
        ValueError: if the numbers of blocks differ, or a duration is not a positive finite number.
    """
    return _compute_ratios(judge_ratios, baseline, candidate)


def contrast_log_ratios(slower: Sequence[Pairs], faster: Sequence[Pairs]) -> tuple[float, ...]:
    """Compute the log ratio of two rows in every block, see ``blocks.contrast_ratios``.

    The blocks are the sample, as for a row and its baseline. Two intervals against the baseline do
    not make one of their ratio: both hold the noise of the same baseline, which cancels in it.

    Args:
        slower: per kind of pair the [first, second] slots of every block, seconds.
        faster: those of the other row, likewise.

    Returns:
        One natural log per block; above 0 the first row takes more time. Empty without blocks.

    Raises:
        ValueError: as ``log_ratios``.
    """
    return _compute_ratios(contrast_ratios, slower, faster)


def control_ratios(first: Pairs, second: Pairs) -> tuple[float, ...]:
    """Compute the A/A control's log ratio of every block, see ``blocks.block_ratios``.

    Args:
        first: [first, second] slots of the baseline's outer pair in every block, seconds.
        second: those of its inner pair.

    Returns:
        First over second, one natural log per block. Empty without blocks.

    Raises:
        ValueError: as ``log_ratios``.
    """
    return _compute_ratios(block_ratios, [first], [second])


def _compute_ratios(
    rule: Callable[[ArrayLike, ArrayLike], NDArray[np.float64]],
    baseline: Sequence[Pairs],
    candidate: Sequence[Pairs],
) -> tuple[float, ...]:
    counts = {len(pairs) for pairs in (*baseline, *candidate)}
    if len(counts) != 1:
        raise ValueError(f"blocks are paired, but the arms have {sorted(counts)} of them")
    if counts == {0}:
        return ()
    ours, theirs = (list(zip(*arm, strict=True)) for arm in (baseline, candidate))
    return tuple(rule(ours, theirs).tolist())


def interval(ratios: Sequence[float], below: float, above: float | None = None) -> Interval:
    """Estimate the speed-up with its interval, from one log ratio a block.

    With mean ``m`` and standard deviation ``s`` of ``n`` blocks, it is ``exp(m)`` in ``[exp(m -
    below * s / sqrt(n)), exp(m + above * s / sqrt(n))]``: Student's t interval of the mean of
    logarithms, which assumes that blocks are independent and about normal. The critical values of
    repeated looks are those of ``stopping.critical_value``;
    ``benchmarks/studies/gate_power.py`` shows how they do under other noise.

    Args:
        ratios: log speed-ups, one per block.
        below: critical t value of the lower bound, that of "pass".
        above: critical t value of the upper bound, that of "fail"; equal to ``below`` if None.

    Returns:
        Ratios; low, speed-up and high are equal if the blocks are.

    Raises:
        ValueError: with fewer than two blocks, or a ratio that is not finite.
    """
    mean, spread = _moments(ratios)
    error = spread / math.sqrt(len(ratios))
    return Interval(
        _exp(mean),
        _exp(mean - below * error),
        _exp(mean + (below if above is None else above) * error),
    )


def widen(measured: Interval, below: float, above: float | None = None) -> Interval:
    """Return an interval whose ends lie further out by a fraction, for a bias that nobody sees.

    ``[low / (1 + below), high * (1 + above)]``: it holds the true speed-up as surely as before if
    the measured one is biased by no more than that.

    Args:
        measured: the speed-up with its interval.
        below: fraction of the lower end.
        above: fraction of the upper end; as that of the lower one if not given.
    """
    upper = below if above is None else above
    return Interval(measured.speedup, measured.low / (1 + below), measured.high * (1 + upper))


def decide(measured: Interval, floor: float) -> Literal["pass", "fail"] | None:
    """Tell what the interval says about the floor.

    "pass" if it lies wholly above, "fail" if wholly below, None if it holds the floor.

    Args:
        measured: the speed-up with its interval.
        floor: least speed-up, a ratio.
    """
    if measured.low > floor:
        return "pass"
    if measured.high < floor:
        return "fail"
    return None


def blocks_to_decide(
    ratios: Sequence[float], floor: float, rows: int = 1, allowance: float = 0.0
) -> int | None:
    """Estimate after how many blocks in all a look would decide, with probability ``POWER``.

    The first later look whose ``_reach``, times the standard deviation of a block, is less than the
    distance from the floor. It assumes that mean and standard deviation are what they seem: a rough
    figure, since they will not stay.

    Args:
        ratios: log speed-ups, one per block.
        floor: least speed-up, a ratio above 0.
        rows: how many rows share the error of "fail".
        allowance: by which fraction the interval is widened, see ``widen``.

    Returns:
        A total, not a number on top, and more than there are; None if even the last look would
        not tell.

    Raises:
        ValueError: with fewer than two blocks, a ratio that is not finite, or a floor that is not
            positive.
    """
    if not floor > 0:
        raise ValueError(f"floor is {floor}; valid: a ratio above 0")
    mean, spread = _moments(ratios)
    gap = mean - math.log(floor)
    sharing = rows if gap < 0 else 1
    return next(
        (
            look
            for look in stopping.later_looks(len(ratios))
            if _reach(look, sharing) * spread < abs(gap) - math.log1p(allowance)
        ),
        None,
    )


def minimum_detectable_effect(
    ratios: Sequence[float], blocks: int, rows: int = 1, allowance: float = 0.0
) -> float | None:
    """Estimate how far from its floor a speed-up must be to be decided at so many blocks.

    The fraction is ``exp(reach * s) - 1`` with the reach of ``_reach`` and the standard deviation
    ``s`` of a block: a campaign whose effect is that large is decided with probability ``POWER`` if
    the noise stays as it is.

    Args:
        ratios: log speed-ups, one per block, for their noise.
        blocks: number of blocks.
        rows: how many rows share the error of "fail", the side that needs more.
        allowance: by which fraction the interval is widened, see ``widen``.

    Returns:
        A fraction: 0.03 means that a speed-up 3% below the floor fails. None if there is
        no look within so few blocks.

    Raises:
        ValueError: with fewer than two ratios, or one that is not finite.
    """
    if not stopping.looks(blocks):
        return None
    return find_resolution(_moments(ratios)[1], blocks, rows, allowance)


def find_resolution(
    noise: float, blocks: int, rows: int = 1, allowance: float = 0.0
) -> float | None:
    """Return how far from its floor a speed-up must be to be decided at a known noise.

    Args:
        noise: standard deviation of a block's log ratio.
        blocks: number of blocks.
        rows: how many rows share the error of "fail", the side that needs more.
        allowance: fraction by which the interval is wider on each side.

    Returns:
        A fraction, or None if there is no look within so few blocks; see
        ``minimum_detectable_effect``.
    """
    if not stopping.looks(blocks):
        return None
    reach = _reach(blocks, rows) * noise + math.log1p(allowance)
    return math.expm1(min(reach, _LARGEST_EXPONENT))


def _reach(look: int, rows: int) -> float:
    """Return the distance that a look decides with probability ``POWER``.

    In standard deviations of a block: ``(c (1 - 1 / (4 f)) + z sqrt(1 + c^2 / (2 f))) / sqrt(n)``
    for ``n`` blocks, ``f = n - 1``, the critical value ``c`` and the normal quantile ``z`` of
    ``POWER``. It is the normal approximation of "mean beyond ``c`` times its estimated standard
    error", whose estimate has the mean ``1 - 1 / (4 f)`` and the variance ``1 / (2 f)``.
    """
    critical, freedom = stopping.critical_value(look, rows), look - 1
    deviation = math.sqrt(1 + critical**2 / (2 * freedom))
    return (critical * (1 - 1 / (4 * freedom)) + _POWER_QUANTILE * deviation) / math.sqrt(look)


def control_interval(first: Pairs, second: Pairs, campaigns: int = 1) -> Interval | None:
    """Estimate the A/A control: the baseline against itself, with a two-sided t interval.

    It should hold 1. With ``n`` blocks the critical value is Student's t of ``n - 1`` degrees of
    freedom at ``1 - CONTROL_ERROR / (2 campaigns)``, Bonferroni's share of each campaign.

    The confidence is that of one look: ask once, after the last block. Blocks are the sample here
    too: the spread of single slots would see an effect sooner, and depends on slots being
    independent, which on a busy machine they are not. The interval is widened by 1e-9, a nanosecond
    in a second, so that durations that differ by less than any clock resolves do not count as a
    difference.

    Args:
        first: [first, second] slots of the baseline's outer pair in every block, seconds.
        second: those of its inner pair.
        campaigns: how many campaigns of the run share ``CONTROL_ERROR``.

    Returns:
        First over second, or None with fewer than two blocks.

    Raises:
        ValueError: as ``log_ratios``.
    """
    ratios = control_ratios(first, second)
    if len(ratios) < stopping.LEAST_BLOCKS:
        return None
    measured = interval(
        ratios, -float(special.stdtrit(len(ratios) - 1, CONTROL_ERROR / campaigns / 2))
    )
    return Interval(
        measured.speedup,
        measured.low * (1 - _CLOCK_RESOLUTION),
        measured.high * (1 + _CLOCK_RESOLUTION),
    )


def _moments(ratios: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation, exactly rounded.

    Neither the order of the blocks nor the way they are summed leaves a trace.
    """
    if len(ratios) < stopping.LEAST_BLOCKS:
        raise ValueError(
            f"{len(ratios)} block(s) have no interval; valid: {stopping.LEAST_BLOCKS} or more"
        )
    values = [float(ratio) for ratio in ratios]
    if not all(map(math.isfinite, values)):
        raise ValueError("a block's log ratio is not finite")
    return statistics.fmean(values), statistics.stdev(values)


def _exp(value: float) -> float:
    """Return ``exp``, kept finite: an interval of two noisy blocks may exceed the largest float."""
    return math.exp(max(-_LARGEST_EXPONENT, min(_LARGEST_EXPONENT, value)))
