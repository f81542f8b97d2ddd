"""Is it faster? The paired speed-up, its interval, and a stopping rule that keeps its promise under repeated looks.

The sample is the block, never the slot: one log ratio per block, baseline over candidate, so that above 0 the candidate is faster.
After a few fixed numbers of blocks the interval is compared with the floor; the critical values are those of a group-sequential test.
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from pytest_sdspeed.model import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

ERROR_PER_SIDE = 0.01
"""Probability of a wrong verdict at the floor, for "pass" and for "fail" alike, over all looks together."""

SPENDING_GAMMA = 1.0
"""Shape of the Hwang-Shih-DeCani spending function: 0 spends evenly over the blocks, 1 as Pocock does, -4 as O'Brien and Fleming do."""

CONTROL_CONFIDENCE = 0.99
"""Two-sided confidence of the A/A control."""

LEAST_BLOCKS = 2
"""The fewest blocks that have a standard deviation, hence an interval."""

MOST_BLOCKS = 10_000
"""More blocks than anybody will wait for: a mean this close to the floor sits on it."""

_LADDER = (4, 6, 8, 12, 16, 20)
_LADDER_GROWTH = 1.2
_LEAST_GAP = 2
_PATHS = 500_000
_PATHS_SEED = 20_260_101
_CLOCK_RESOLUTION = 1e-9
_LARGEST_EXPONENT = 700.0


def log_ratios(baseline: Sequence[Sequence[float]], candidate: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """The log speed-up of every block: mean log duration of the baseline's slots minus that of the candidate's.

    Nothing is trimmed: a rule that drops slots after seeing them has error rates nobody knows.

    Args:
        baseline: durations of each block's slots, seconds.
        candidate: the same blocks, in the same order; the number of slots in a block may differ from the baseline's.

    Returns:
        One natural log per block; above 0 the candidate is faster.

    Raises:
        ValueError: if the numbers of blocks differ, a block is empty, or a duration is not a positive finite number.
    """
    if len(baseline) != len(candidate):
        raise ValueError(f"blocks are paired, but the baseline has {len(baseline)} and the candidate {len(candidate)}")
    return tuple(_mean_log(ours) - _mean_log(theirs) for ours, theirs in zip(baseline, candidate, strict=True))


def affordable_looks(max_blocks: int, block_s: float, budget_s: float) -> tuple[int, ...]:
    """The numbers of blocks after which to look, fixed before the first look by what the budget affords.

    Args:
        max_blocks: most blocks of the campaign.
        block_s: what one block costs, seconds.
        budget_s: what all blocks together may cost, seconds.

    Returns:
        Strictly increasing numbers of blocks, never empty: the ladder 4, 6, 8, 12, 16, 20, then 20% more each, up to the most blocks that fit,
        which is the last look. Two blocks, the least that have an interval, are taken even where the budget or ``max_blocks`` denies them.

    Raises:
        ValueError: if ``block_s`` is not positive and finite, or ``budget_s`` is negative or not a number.
    """
    if not (math.isfinite(block_s) and block_s > 0):
        raise ValueError(f"block_s is {block_s}; valid: a positive number of seconds")
    if not budget_s >= 0:
        raise ValueError(f"budget_s is {budget_s}; valid: a number of seconds, 0 or more")
    last = max(LEAST_BLOCKS, int(min(max_blocks, budget_s / block_s)))
    looks = list(itertools.takewhile(lambda look: look <= last, _ladder()))
    if looks and 0 < last - looks[-1] < _LEAST_GAP:
        looks.pop()
    if not looks or looks[-1] < last:
        looks.append(last)
    return tuple(looks)


@functools.cache
def boundaries(looks: tuple[int, ...], alpha: float = ERROR_PER_SIDE) -> tuple[float, ...]:
    """Critical t values, one per look, that spend a one-sided error of ``alpha`` over all looks together.

    A speed-up is on one side of the floor if its t statistic (mean minus log floor, over the standard error) passes the look's value. Each
    side has its own ``alpha``; a path that ended on the other side is still counted here, which errs on the safe side, negligibly.

    The spending function is of Lan and DeMets (1983), in the family of Hwang, Shih and DeCani (1990):
    ``alpha * (1 - exp(-gamma * t)) / (1 - exp(-gamma))``, where t is the share of the last look's blocks, and gamma is ``SPENDING_GAMMA``.
    Normal critical values are no good at 3 degrees of freedom, so the values come from the t statistic's own law: the first exactly, the
    later ones as quantiles of half a million simulated paths (and their mirror images) of independent normal blocks that have not crossed
    before. The seed is fixed: the same looks give the same values. Below an ``alpha`` of 1e-4 the quantiles rest on too few paths.

    Why gamma 1: looks at 4 6 8 12 16 20, the truth at the documented speed-up, the floor 5% below, 50,000 simulated campaigns per cell. Left
    of the slash slots are independent and normal, right of it AR(1) of .5 with drift and 2% spikes of x1.3. Wrong is the worst share of one
    verdict with the truth at the floor, over all cells and both blocks, of two slots of each arm and of four slots of the baseline:

    ================ =============== =============== ======================= =======
    gamma            blocks, CV 1%   blocks, CV 3%   pass at truth, CV 3%    wrong
    ================ =============== =============== ======================= =======
    O'Brien-Fleming  7.7 / 10.6      11.9 / 13.3     100% / 97.7%            1.22%
    -2               4.9 / 7.4       9.5 / 10.7      100% / 97.5%            1.03%
    0                4.4 / 6.9       8.6 / 9.8       100% / 96.7%            1.05%
    **1**            4.2 / 6.9       8.3 / 9.5       100% / 96.0%            1.04%
    2                4.1 / 6.8       8.1 / 9.3       100% / 94.9%            1.03%
    4                4.0 / 6.9       7.9 / 9.2       100% / 91.8%            1.04%
    ================ =============== =============== ======================= =======

    The simulation's own error is 0.05%. Above 1 the blocks saved no longer pay for the passes lost. With four baseline slots per block gamma 1
    takes 4.1 / 6.4 blocks at CV 1% and 7.3 / 8.0 at CV 3%, and passes 97.8% under spikes.

    Args:
        looks: numbers of blocks, strictly increasing, 2 or more.
        alpha: total one-sided error, between 0 and 0.5.

    Returns:
        One positive critical value per look, for ``looks[i] - 1`` degrees of freedom.

    Raises:
        ValueError: if the looks are empty, below 2 or not strictly increasing, or ``alpha`` is out of range.
    """
    if not looks or looks[0] < LEAST_BLOCKS or any(later <= sooner for sooner, later in itertools.pairwise(looks)):
        raise ValueError(f"looks are {looks}; valid: strictly increasing numbers of blocks, {LEAST_BLOCKS} or more")
    if not 0 < alpha < 0.5:  # noqa: PLR2004
        raise ValueError(f"alpha is {alpha}; valid: between 0 and 0.5, exclusive")
    shares = [_spent(look / looks[-1]) for look in looks]
    first = float(stats.t.isf(alpha * shares[0], looks[0] - 1))
    if len(looks) == 1:
        return (first,)
    return (first, *_later_boundaries(looks, first, np.diff(shares) * alpha))


def interval(ratios: Sequence[float], critical: float) -> Interval:
    """The speed-up with its interval, ``exp(mean -+ critical * sd / sqrt(n))`` of the blocks' log ratios.

    Args:
        ratios: log speed-ups, one per block.
        critical: critical t value, from ``boundaries``.

    Returns:
        Ratios; low, speed-up and high are equal if the blocks are.

    Raises:
        ValueError: with fewer than two blocks, or a ratio that is not finite.
    """
    mean, spread = _moments(ratios)
    half = critical * spread / math.sqrt(len(ratios))
    return Interval(_exp(mean), _exp(mean - half), _exp(mean + half))


def decide(measured: Interval, floor: float) -> Literal["pass", "fail"] | None:
    """What the interval says about the floor: "pass" wholly above, "fail" wholly below, None undecided.

    Args:
        measured: the speed-up with its interval.
        floor: least speed-up, a ratio.
    """
    if measured.low > floor:
        return "pass"
    if measured.high < floor:
        return "fail"
    return None


def blocks_to_decide(ratios: Sequence[float], floor: float, critical: float) -> int | None:
    """How many blocks in all would decide, if mean and standard deviation stayed what they are.

    The least n with ``critical * sd / sqrt(n) < |mean - log(floor)|``. A rough figure: mean and standard deviation will not stay.

    Args:
        ratios: log speed-ups, one per block.
        floor: least speed-up, a ratio above 0.
        critical: critical t value, that of the last look.

    Returns:
        A total, not a number on top; None if the mean sits on the floor, or so close that ``MOST_BLOCKS`` would not tell.

    Raises:
        ValueError: with fewer than two blocks, a ratio that is not finite, or a floor that is not positive.
    """
    if not floor > 0:
        raise ValueError(f"floor is {floor}; valid: a ratio above 0")
    mean, spread = _moments(ratios)
    gap = abs(mean - math.log(floor))
    if gap == 0:
        return None
    needed = min((critical * spread / gap) ** 2, float(MOST_BLOCKS))
    blocks = max(LEAST_BLOCKS, math.floor(needed) + 1)
    return blocks if blocks <= MOST_BLOCKS else None


def resolvable(ratios_sd: float, blocks: int, critical: float) -> float:
    """The change that so many blocks can tell, as a fraction: 0.03 means a speed-up known to within 3%.

    Args:
        ratios_sd: standard deviation of the blocks' log ratios.
        blocks: number of blocks.
        critical: critical t value of the look at that number.

    Raises:
        ValueError: if ``blocks`` is below 1.
    """
    if blocks < 1:
        raise ValueError(f"blocks is {blocks}; valid: 1 or more")
    return math.expm1(min(critical * ratios_sd / math.sqrt(blocks), _LARGEST_EXPONENT))


def control_interval(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Interval | None:
    """The A/A control: the baseline against itself, with a two-sided 99% t interval. It should hold 1.

    The confidence is that of one look: ask once, after the last block. The interval is widened by 1e-9, a nanosecond in a second, so that
    durations that differ by less than any clock resolves do not count as a difference.

    Args:
        first: durations of one half of the baseline's slots in each block, seconds.
        second: those of the other half.

    Returns:
        First over second, or None with fewer than two blocks.

    Raises:
        ValueError: as ``log_ratios``.
    """
    ratios = log_ratios(first, second)
    if len(ratios) < LEAST_BLOCKS:
        return None
    measured = interval(ratios, float(stats.t.isf((1 - CONTROL_CONFIDENCE) / 2, len(ratios) - 1)))
    return Interval(measured.speedup, measured.low * (1 - _CLOCK_RESOLUTION), measured.high * (1 + _CLOCK_RESOLUTION))


def _mean_log(durations: Sequence[float]) -> float:
    if not durations:
        raise ValueError("a block has no slots")
    for duration in durations:
        if not (math.isfinite(duration) and duration > 0):
            raise ValueError(f"a slot lasted {duration} s; valid: positive and finite")
    return math.fsum(math.log(duration) for duration in durations) / len(durations)


def _moments(ratios: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation, exactly rounded, so that neither the order of the blocks nor their number leaves a trace."""
    if len(ratios) < LEAST_BLOCKS:
        raise ValueError(f"{len(ratios)} block(s) have no interval; valid: {LEAST_BLOCKS} or more")
    values = [float(ratio) for ratio in ratios]
    if not all(map(math.isfinite, values)):
        raise ValueError("a block's log ratio is not finite")
    return statistics.fmean(values), statistics.stdev(values)


def _exp(value: float) -> float:
    """``exp`` that stays finite: an interval of two noisy blocks may reach beyond the largest float."""
    return math.exp(max(-_LARGEST_EXPONENT, min(_LARGEST_EXPONENT, value)))


def _ladder() -> itertools.chain[int]:
    beyond = itertools.accumulate(itertools.repeat(_LADDER_GROWTH), lambda look, growth: round(look * growth), initial=_LADDER[-1])
    return itertools.chain(_LADDER, itertools.islice(beyond, 1, None))


def _spent(share: float, gamma: float = SPENDING_GAMMA) -> float:
    """The share of the error spent when that share of the blocks is measured."""
    return math.expm1(-gamma * share) / math.expm1(-gamma) if gamma else share


def _later_boundaries(looks: tuple[int, ...], first: float, errors: np.ndarray) -> list[float]:
    """Quantiles of the t statistic at the later looks, among the paths that have not crossed before.

    A stage adds g blocks to n: their mean is normal with variance 1/g, their sum of squares chi-square with g - 1 degrees of freedom, and
    sums of squares combine by ``n * g / (n + g) * (difference of means)**2`` (Chan, Golub and LeVeque 1979). A path's mirror image has -t.
    """
    rng = np.random.default_rng(_PATHS_SEED)
    mean, squares = np.zeros(_PATHS), np.zeros(_PATHS)
    alive = np.ones((2, _PATHS), dtype=bool)
    critical = [first]
    for index, (before, blocks) in enumerate(itertools.pairwise((0, *looks))):
        added = blocks - before
        shift = rng.standard_normal(_PATHS) / math.sqrt(added) - mean
        squares += (rng.chisquare(added - 1, _PATHS) if added > 1 else 0.0) + before * added / blocks * shift**2
        mean += shift * added / blocks
        t = mean * np.sqrt(blocks * (blocks - 1) / squares)
        both = np.stack([t, -t])
        if index:
            critical.append(_upper_quantile(both[alive], round(float(errors[index - 1]) * both.size)))
        alive &= both <= critical[index]
    return critical[1:]


def _upper_quantile(values: np.ndarray, above: int) -> float:
    """The value that ``above`` others exceed, at least one, so that it stays finite however small the error to spend."""
    rank = values.size - max(above, 1) - 1
    return max(float(np.partition(values, rank)[rank]), math.ulp(0.0))
