"""Simulated campaigns, judged by the package's own block ratios and critical values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from power.slot_order import balanced_places, plant
from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.judge.speed.blocks import guard_logs, judge_logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from power.noise import Noise
    from power.slot_order import Places

    Ratios = Callable[[np.ndarray, np.ndarray], np.ndarray]
    """(logs of the baseline's slots, logs of the candidate's) -> log ratio of every block."""

TOLERANCE = 0.05
FLOOR = 1 - TOLERANCE
OUTER, INNER, FIRST_ROW = 0, 1, 2
"""Indexes of a block's pairs: the baseline's outer and inner pair, then one for each row."""
PASS, FAIL, UNDECIDED, INVALID = 1, -1, 0, 2


@dataclass(frozen=True, slots=True)
class Looks:
    """What every look of simulated campaigns sees; shapes (trials, rows, looks).

    Attributes:
        blocks: number of blocks at each look.
        mean: mean log ratio of a row whose true speed-up is its floor.
        error: standard error of that mean.
        bias: log of the bias that the A/A control admits, shape (trials, looks), 0 if it holds;
            None for a rule that asks no control.
    """

    blocks: np.ndarray
    mean: np.ndarray
    error: np.ndarray
    bias: np.ndarray | None = None


class Shares(NamedTuple):
    """The outcome of simulated rows.

    Attributes:
        passed, failed: shares of rows.
        blocks: mean number of blocks taken.
        suite_passed: share of campaigns in which every row passes.
        suite_failed: share of campaigns in which at least one row fails.
        invalid: share of rows that the A/A control makes invalid.
    """

    passed: float
    failed: float
    blocks: float
    suite_passed: float
    suite_failed: float
    invalid: float = 0.0


def slots_per_block(rows: int) -> int:
    """Return the slots of a block: four of the baseline and two of every row."""
    return 4 + 2 * rows


def paired(
    rng: np.random.Generator,
    noise: Noise,
    trials: int,
    rows: int = 1,
    *,
    effect: str = "",
    size: float = 0.0,
    places: Places = balanced_places,
) -> np.ndarray:
    """Simulate campaigns whose arms do not differ.

    Every block is a palindrome of two baseline pairs and the rows' pairs, as ``measure.campaign``
    makes it.

    Args:
        rng: source of noise and order.
        noise: noise of the slots, in the order in which they are taken.
        trials: number of campaigns.
        rows: number of arms beside the baseline.
        effect: planted effect of the order, see ``slot_order.EFFECTS``, or "".
        size: its size, a fraction of a slot.
        places: draws the order of the blocks.

    Returns:
        Durations, seconds, shape (trials, blocks, 2 + rows, 2).
    """
    arms, slots = 2 + rows, slots_per_block(rows)
    logs = noise.draw(rng, trials, noise.blocks * slots).reshape(trials, noise.blocks, slots)
    place = places(rng, trials, noise.blocks, arms)
    # The outer pair of the baseline is the one that begins first.
    place[..., :FIRST_ROW] = np.sort(place[..., :FIRST_ROW], axis=-1)
    arm = np.empty(logs.shape, dtype=int)
    owner = np.broadcast_to(np.maximum(np.arange(arms) - 1, 0), place.shape)
    np.put_along_axis(arm, place, owner, -1)
    np.put_along_axis(arm, slots - 1 - place, owner, -1)
    if noise.candidate != 1.0:
        logs = np.where(arm > 0, noise.candidate, 1.0) * logs
    if effect:
        logs = plant(logs, arm, effect, size)
    pairs = np.stack(
        [np.take_along_axis(logs, place, -1), np.take_along_axis(logs, slots - 1 - place, -1)],
        axis=-1,
    )
    durations: np.ndarray = np.exp(pairs)
    return durations


def seen(pairs: np.ndarray, ratios: Ratios = judge_logs, *, control: bool = False) -> Looks:
    """Compute what the looks see, by the package's block ratios or another rule's.

    Args:
        pairs: durations, from ``paired``.
        ratios: the rule's log ratios.
        control: whether the rule asks the A/A control.
    """
    looks = stopping.looks(pairs.shape[1])
    logs = np.log(pairs)
    means, errors, biases = [], [], []
    for look in looks:
        found = [
            ratios(logs[:, :look, :FIRST_ROW], logs[:, :look, row : row + 1])
            for row in range(FIRST_ROW, pairs.shape[2])
        ]
        mean, error = _moments(np.stack(found, axis=1))
        means.append(mean)
        errors.append(error)
        if control:
            biases.append(_control_bias(logs[:, :look]))
    return Looks(
        np.array(looks),
        np.stack(means, -1),
        np.stack(errors, -1),
        np.stack(biases, -1) if control else None,
    )


def _moments(ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the means over blocks, and their standard errors."""
    return ratios.mean(-1), ratios.std(-1, ddof=1) / math.sqrt(ratios.shape[-1])


def _control_bias(logs: np.ndarray) -> np.ndarray:
    """Return the log of the bias that the A/A control of each campaign admits, 0 if it holds."""
    mean, error = _moments(guard_logs(logs[:, :, OUTER : OUTER + 1], logs[:, :, INNER : INNER + 1]))
    half = stats.t.isf(intervals.CONTROL_ERROR / 2, logs.shape[1] - 1) * error
    bias: np.ndarray = np.where(np.abs(mean) > half, np.abs(mean) + half, 0.0)
    return bias


def verdicts(looks: Looks, ratio: float, allowance: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Judge campaigns whose rows all have one true speed-up.

    Args:
        looks: what the looks see at equal speed.
        ratio: true speed-up over the documented one; ``FLOOR`` is on the floor.
        allowance: by how much the ends of intervals lie further out, a log; that of stages.

    Returns:
        ``PASS``, ``FAIL``, ``UNDECIDED`` or ``INVALID``, and the blocks taken; both of shape
        (trials, rows).
    """
    trials, rows, _ = looks.mean.shape
    family_size = np.full(trials, rows)
    mean = looks.mean + math.log(ratio / FLOOR)
    bias = np.zeros((trials, len(looks.blocks))) if looks.bias is None else looks.bias
    verdict = np.full((trials, rows), UNDECIDED)
    taken = np.full((trials, rows), looks.blocks[-1])
    # How far the floor is from the end of a decided row's interval.
    margin = np.full((trials, rows), math.inf)
    for index, blocks in enumerate(looks.blocks):
        at, error, least = mean[..., index], looks.error[..., index], bias[:, index, None]
        asked = (margin > least).all(1, keepdims=True)
        beyond = at - stopping.critical_value(int(blocks)) * error - allowance
        passing = asked & (verdict == UNDECIDED) & (beyond > least)
        verdict[passing], taken[passing], margin[passing] = PASS, blocks, beyond[passing]
        critical_by_size = np.array(
            [
                math.inf,
                *(stopping.critical_value(int(blocks), count) for count in range(1, rows + 1)),
            ]
        )
        while True:
            beyond = -at - critical_by_size[family_size][:, None] * error - allowance
            failing = asked & (verdict == UNDECIDED) & (beyond > least)
            if not failing.any():
                break
            verdict[failing], taken[failing], margin[failing] = FAIL, blocks, beyond[failing]
            family_size = np.maximum(1, family_size - failing.sum(1))
    if looks.bias is not None:
        end = np.searchsorted(looks.blocks, taken.max(1))
        undecided = _margin_undecided(looks, mean[..., -1], family_size, allowance)
        margin = np.where(verdict == UNDECIDED, undecided, margin)
        least = looks.bias[np.arange(trials), end][:, None]
        verdict[(margin <= least) & (least > 0)] = INVALID
    return verdict, taken


def _margin_undecided(
    looks: Looks, last: np.ndarray, family_size: np.ndarray, allowance: float
) -> np.ndarray:
    """Return how large a bias must be to turn rows that the last look leaves undecided.

    Args:
        looks: what the looks see.
        last: distances from the floor at the last look, shape (trials, rows).
        family_size: how many rows share the error of "fail" then, shape (trials,).
        allowance: as for ``verdicts``.
    """
    blocks, error = int(looks.blocks[-1]), looks.error[..., -1]
    critical = np.array([stopping.critical_value(blocks, int(size)) for size in family_size])
    ends = (last - stopping.critical_value(blocks) * error, -last - critical[:, None] * error)
    margin: np.ndarray = np.abs(np.maximum(*ends) - allowance)
    return margin


def verdicts_before(looks: Looks, ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Judge as ``verdicts`` does, by the rule of before: a broken control makes all rows invalid.

    The control is asked once, when a campaign ends.
    """
    verdict, taken = verdicts(Looks(looks.blocks, looks.mean, looks.error), ratio)
    if looks.bias is not None:
        end = np.searchsorted(looks.blocks, taken.max(1))
        verdict[looks.bias[np.arange(len(verdict)), end] > 0] = INVALID
    return verdict, taken


def judged(
    looks: Looks,
    ratio: float,
    judge: Callable[[Looks, float], tuple[np.ndarray, np.ndarray]] = verdicts,
) -> Shares:
    """Return the shares of verdicts of campaigns, see ``verdicts``."""
    verdict, taken = judge(looks, ratio)
    passed, failed = verdict == PASS, verdict == FAIL
    shares = (
        passed.mean(),
        failed.mean(),
        taken.mean(),
        passed.all(1).mean(),
        failed.any(1).mean(),
        (verdict == INVALID).mean(),
    )
    return Shares(*map(float, shares))


def control_alarms(pairs: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Tell whether the A/A control of each campaign excludes 1.

    Args:
        pairs: durations, from ``paired``.
        blocks: number of blocks of each campaign, shape (trials,).
    """
    found = np.zeros(len(pairs), dtype=bool)
    logs = np.log(pairs)
    for count in np.unique(blocks):
        chosen = blocks == count
        found[chosen] = _control_bias(logs[chosen, :count]) > 0
    return found
