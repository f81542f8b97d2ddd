"""A call put together from its stages, of which only the first denoising steps were measured."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.model.stages import order_stages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.model.stages import StageTime

LEAST_STEPS = 4
"""Denoising steps after the first that are measured of a call at least."""

SHARE = 8
"""Of so many denoising steps one is measured."""

_WORTH_ALL = 0.6
"""Share of the steps from which on all of them are measured."""

_UNEVEN = 0.02
"""Fraction of a call that the first steps may mispredict, beside their own noise."""

_NORMAL_MAD = 1.4826
"""Standard deviations of a normal value in its median absolute deviation."""


class Sampling(NamedTuple):
    """How many denoising steps are measured of each call.

    Attributes:
        steps: denoising steps of a whole call.
        sampled: those that are measured, from the first one on; ``steps`` for all of them.
        why: why all of them are, or "".
    """

    steps: int
    sampled: int
    why: str = ""


def count_sampled(steps: int) -> int:
    """Return how many denoising steps of a call are measured if they are alike; all if few are."""
    sampled = 1 + max(LEAST_STEPS, round((steps - 1) / SHARE))
    return steps if sampled >= _WORTH_ALL * steps else sampled


def choose_sampling(whole: Sequence[StageTime], uneven: str = "") -> Sampling:
    """Choose how many denoising steps are measured, from one whole call by stages.

    The first step stands for itself; those after it stand for all the others, if they are alike:
    if the denoisers are asked for equal work in each, and if the first of them predict the call.

    Args:
        whole: the parts of a whole call.
        uneven: why its steps are known to be of unlike cost, or "".
    """
    steps = [part for part in whole if part.is_step]
    sampled = count_sampled(len(steps))
    if sampled == len(steps):
        return Sampling(len(steps), len(steps), "its steps are few")
    why = uneven or _find_uneven(steps, sampled, sum(part.seconds for part in whole))
    return Sampling(len(steps), len(steps) if why else sampled, why)


def _find_uneven(steps: Sequence[StageTime], sampled: int, call_s: float) -> str:
    """Say why the first steps do not stand for all, or return ""."""
    kinds = len({step.work for step in steps[1:]})
    if kinds > 1:
        return f"its denoisers are asked for {kinds} kinds of work"
    if len({step.stage for step in steps}) > 1:
        return "it denoises in more than one stage"
    seconds = [step.seconds for step in steps[1:]]
    predicted = (len(steps) - 1) * statistics.fmean(seconds[: sampled - 1])
    middle = statistics.median(seconds)
    noise = _NORMAL_MAD * statistics.median(abs(one - middle) for one in seconds)
    allowed = 4 * noise * len(seconds) / math.sqrt(sampled - 1) + _UNEVEN * call_s
    if abs(predicted - sum(seconds)) > allowed:
        return (
            f"its first {sampled} steps would make {predicted + steps[0].seconds:.3g} s of the"
            f" {sum(step.seconds for step in steps):.3g} s that all of them took"
        )
    return ""


def put_together(parts: Sequence[StageTime], steps: int) -> dict[str, float]:
    """Put the seconds of each stage of a whole call together.

    Denoising steps that were not measured are as long as the mean of those after the first:
    ``first + (steps - 1) * mean(others)``. A call of which every step was measured is its sum.

    Args:
        parts: what was measured of one call, in order.
        steps: denoising steps of the whole call.

    Returns:
        Stage -> seconds, in the order of stages; their sum is the call's latency.

    Raises:
        ValueError: steps are missing, and only the first one was measured.
    """
    found: dict[str, float] = {}
    for part in parts:
        found[part.stage] = found.get(part.stage, 0.0) + part.seconds
    measured = [part for part in parts if part.is_step]
    missing = steps - len(measured)
    if missing > 0:
        if len(measured) < 2:  # noqa: PLR2004 - the first one, and one that stands for the others
            raise ValueError(f"{len(measured)} of {steps} steps say nothing about the others")
        found[measured[-1].stage] += missing * statistics.fmean(
            part.seconds for part in measured[1:]
        )
    return {stage: found[stage] for stage in order_stages(found)}
