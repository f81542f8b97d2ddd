"""The rules that were tried for this project's own gate; `BLOCK_RULES[0]` is the one that ships."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from power.campaigns import FLOOR, Looks, Shares, judged
from pytest_sdspeed.judge.speed import stopping
from pytest_sdspeed.judge.speed.blocks import guard_logs, judge_logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from power.campaigns import Ratios

EFFECT_VARIANCE = 4.0
"""Prior variance of the e-process's effect size.

It is a row's distance from its floor in standard deviations of a block.
"""


class Rule(NamedTuple):
    """A way to judge a campaign with one row.

    Attributes:
        name: name in tables.
        ratios: log ratios of blocks.
        judge: (looks, true ratio) -> shares.
    """

    name: str
    ratios: Ratios
    judge: Callable[[Looks, float], Shares]


def _mean_logs(baseline: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """Return the log ratios of blocks in which every slot counts."""
    ratios: np.ndarray = baseline.mean((-1, -2)) - candidate.mean((-1, -2))
    return ratios


def _faster_slots(baseline: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """Return the log ratios of the faster slots of pairs, since contention only slows."""
    ratios: np.ndarray = baseline.min(-1).mean(-1) - candidate.min(-1).mean(-1)
    return ratios


def _e_process(looks: Looks, ratio: float) -> Shares:
    """Decide when the evidence against "on the floor" exceeds 1 over the error of both sides.

    The error holds for any number of looks. The e-process is the t test's Bayes factor, with a
    right-Haar prior on the standard deviation and a normal one on the effect size.
    """
    blocks = looks.blocks.astype(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (looks.mean[:, 0] + math.log(ratio / FLOOR)) / looks.error[:, 0]
        freedom, gain = blocks - 1, 1 + blocks * EFFECT_VARIANCE
        log_evidence = -0.5 * np.log(gain) + blocks / 2 * (
            np.log1p(t**2 / freedom) - np.log1p(t**2 / (gain * freedom))
        )
    decided = log_evidence > -math.log(2 * stopping.ERROR_PER_SIDE)
    ever, first = decided.any(1), decided.argmax(1)
    sign = np.sign(t[np.arange(len(t)), first])
    passed, failed = float((ever & (sign > 0)).mean()), float((ever & (sign < 0)).mean())
    return Shares(
        passed,
        failed,
        float(np.where(ever, looks.blocks[first], looks.blocks[-1]).mean()),
        passed,
        failed,
    )


BLOCK_RULES = (
    Rule("guarded pairs (shipped)", judge_logs, judged),
    Rule("mean of logs", _mean_logs, judged),
    Rule("faster slot of each pair", _faster_slots, judged),
    Rule("e-process on guarded pairs", guard_logs, _e_process),
)
