"""Simulated campaigns, judged by the package's own block ratios and critical values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.judge.speed.blocks import block_ratios

if TYPE_CHECKING:
    from collections.abc import Callable

    from power.noise import Noise

TOLERANCE = 0.05
FLOOR = 1 - TOLERANCE
OUTER, INNER, FIRST_ROW = 0, 1, 2
"""Indexes of a block's pairs: the baseline's outer and inner pair, then one for each row."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What every look of simulated campaigns sees; shapes (trials, rows, looks).

    Attributes:
        blocks: number of blocks at each look.
        mean: mean log ratio of a row whose true speed-up is its floor.
        error: standard error of that mean.
    """

    blocks: np.ndarray
    mean: np.ndarray
    error: np.ndarray


class Shares(NamedTuple):
    """The outcome of simulated rows.

    Attributes:
        passed, failed: shares of rows.
        blocks: mean number of blocks taken.
        suite_passed: share of campaigns in which every row passes.
        suite_failed: share of campaigns in which at least one row fails.
    """

    passed: float
    failed: float
    blocks: float
    suite_passed: float
    suite_failed: float


def slots_per_block(rows: int) -> int:
    """Return the slots of a block: four of the baseline and two of every row."""
    return 4 + 2 * rows


def paired(
    rng: np.random.Generator, noise: Noise, trials: int, rows: int = 1, edge: float = 0.0
) -> np.ndarray:
    """Simulate campaigns whose arms do not differ.

    Every block is a palindrome of two baseline pairs and the rows' pairs, with its first half
    shuffled, as ``measure.campaign`` makes it.

    Args:
        rng: source of noise and order.
        noise: noise of the slots, in the order in which they are taken.
        trials: number of campaigns.
        rows: number of arms beside the baseline.
        edge: planted fault: fraction by which the first and the last slot of every block are
            longer.

    Returns:
        Durations, seconds, shape (trials, blocks, 2 + rows, 2).
    """
    arms, slots = 2 + rows, slots_per_block(rows)
    logs = noise.draw(rng, trials, noise.blocks * slots).reshape(trials, noise.blocks, slots)
    logs[..., [0, -1]] += math.log1p(edge)
    position = np.argsort(rng.random((trials, noise.blocks, arms)), axis=-1)
    # The outer pair of the baseline is the one that begins first.
    position[..., :2] = np.sort(position[..., :2], axis=-1)
    pairs = np.stack(
        [
            np.take_along_axis(logs, position, -1),
            np.take_along_axis(logs, slots - 1 - position, -1),
        ],
        axis=-1,
    )
    pairs[..., FIRST_ROW:, :] *= noise.candidate
    durations: np.ndarray = np.exp(pairs)
    return durations


def seen(
    pairs: np.ndarray, ratios: Callable[[np.ndarray, np.ndarray], np.ndarray] = block_ratios
) -> Looks:
    """Compute what the looks see, by the package's block ratios or another rule's."""
    looks = stopping.looks(pairs.shape[1])
    means, errors = [], []
    for look in looks:
        found = [
            ratios(pairs[:, :look, :FIRST_ROW], pairs[:, :look, row : row + 1])
            for row in range(FIRST_ROW, pairs.shape[2])
        ]
        blocks = np.stack(found, axis=1)
        means.append(blocks.mean(-1))
        errors.append(blocks.std(-1, ddof=1) / math.sqrt(look))
    return Looks(np.array(looks), np.stack(means, -1), np.stack(errors, -1))


def verdicts(looks: Looks, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Judge campaigns whose rows all have one true speed-up.

    Args:
        looks: what the looks see at equal speed.
        ratio: true speed-up over the documented one; ``FLOOR`` is on the floor.

    Returns:
        1 for "pass", -1 for "fail", 0 for undecided, and the blocks taken; both of shape (trials,
        rows).
    """
    trials, rows, _ = looks.mean.shape
    family_size = np.full(trials, rows)
    shift = math.log(ratio / FLOOR)
    verdict, taken = np.zeros((trials, rows), dtype=int), np.full((trials, rows), looks.blocks[-1])
    for index, blocks in enumerate(looks.blocks):
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (looks.mean[..., index] + shift) / looks.error[..., index]
        passing = (verdict == 0) & (t > stopping.critical_value(int(blocks)))
        verdict[passing], taken[passing] = 1, blocks
        critical_by_size = np.array(
            [
                math.inf,
                *(stopping.critical_value(int(blocks), count) for count in range(1, rows + 1)),
            ]
        )
        while (failing := (verdict == 0) & (-t > critical_by_size[family_size][:, None])).any():
            verdict[failing], taken[failing] = -1, blocks
            family_size = np.maximum(1, family_size - failing.sum(1))
    return verdict, taken


def judged(looks: Looks, ratio: float) -> Shares:
    """Return the shares of verdicts of campaigns, see ``verdicts``."""
    verdict, taken = verdicts(looks, ratio)
    shares = (
        (verdict > 0).mean(),
        (verdict < 0).mean(),
        taken.mean(),
        (verdict > 0).all(1).mean(),
        (verdict < 0).any(1).mean(),
    )
    return Shares(*map(float, shares))


def control_alarms(pairs: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Tell whether the A/A control of each campaign excludes 1.

    Args:
        pairs: durations, from ``paired``.
        blocks: number of blocks of each campaign, shape (trials,).
    """
    found = np.zeros(len(pairs), dtype=bool)
    for count in np.unique(blocks):
        chosen = blocks == count
        ratios = block_ratios(
            pairs[chosen, :count, OUTER : OUTER + 1], pairs[chosen, :count, INNER : INNER + 1]
        )
        t = ratios.mean(1) / ratios.std(1, ddof=1) * math.sqrt(count)
        found[chosen] = np.abs(t) > stats.t.isf(intervals.CONTROL_ERROR / 2, count - 1)
    return found
