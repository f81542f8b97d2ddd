"""A call put together from its stages, of which only the first denoising steps were measured."""

from __future__ import annotations

import itertools
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

_UNEVEN = 0.01
"""Fraction of a call that the first steps may mispredict, beside their own noise: so much are
intervals by stages wider, see ``whole_calls.LEAST_DIFFERENCE``."""

_MOST_NOISE = 0.03
"""Fraction of a call that their noise may explain: steps that differ more are all measured."""

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

    Those after the first stand for all the others, if they are alike: if the denoisers are asked
    for equal work in each, if nothing is decoded between them, and if the first of them predict the
    call.

    Args:
        whole: the parts of a whole call.
        uneven: why its steps are known to be of unlike cost, or "".
    """
    steps = [part for part in whole if part.is_step]
    sampled = count_sampled(len(steps))
    if sampled == len(steps):
        return Sampling(len(steps), len(steps), "its steps are few")
    why = uneven or _find_other_work(whole) or _find_other_cost(whole, sampled)
    return Sampling(len(steps), len(steps) if why else sampled, why)


def may_be_disturbed(whole: Sequence[StageTime]) -> bool:
    """Tell whether only the clock says that the first steps of a call do not stand for all.

    That may be the machine's doing: another call tells.
    """
    steps = sum(part.is_step for part in whole)
    sampled = count_sampled(steps)
    alike = sampled < steps and not _find_other_work(whole)
    return alike and bool(_find_other_cost(whole, sampled))


def keep_faster(first: Sequence[StageTime], second: Sequence[StageTime]) -> list[StageTime]:
    """Return the parts of two equal calls, each as fast as it was in either: contention slows.

    Calls that are not equal leave the first one as it is.
    """
    if [(one.stage, one.work) for one in first] != [(one.stage, one.work) for one in second]:
        return list(first)
    return [min(pair, key=lambda one: one.seconds) for pair in zip(first, second, strict=True)]


def _find_other_work(whole: Sequence[StageTime]) -> str:
    """Say in what the steps of a call are other work than its first ones, or return ""."""
    steps = [part for part in whole if part.is_step]
    kinds = len({step.work for step in steps[1:]})
    if kinds > 1:
        return f"its denoisers are asked for {kinds} kinds of work"
    if len({step.stage for step in steps}) > 1:
        return "it denoises in more than one stage"
    first = next(at for at, part in enumerate(whole) if part.is_step)
    if not all(part.is_step for part in whole[first : first + len(steps)]):
        return "it decodes between its denoising steps"
    return ""


def _find_other_cost(whole: Sequence[StageTime], sampled: int) -> str:
    """Say that the first steps of a call do not predict what all take, or return ""."""
    steps = [part for part in whole if part.is_step]
    # What follows the loop and is no stage of its own is done in the last step.
    seconds = [step.seconds for step in steps[1:-1]]
    measured = seconds[: sampled - 2]
    missed = abs(len(seconds) * statistics.fmean(measured) - sum(seconds))
    # From one step to the next: a cache that sets in later is no noise.
    turns = [abs(one - other) for one, other in itertools.pairwise(seconds)]
    noise = _NORMAL_MAD * statistics.median(turns) / math.sqrt(2)
    call_s = sum(part.seconds for part in whole)
    explained = 4 * noise * len(seconds) / math.sqrt(len(measured))
    if missed > min(explained, _MOST_NOISE * call_s) + _UNEVEN * call_s:
        ends = steps[0].seconds + steps[-1].seconds
        return (
            f"by its first {sampled - 1} steps and its last one all would take"
            f" {len(seconds) * statistics.fmean(measured) + ends:.3g} s, and they took"
            f" {sum(seconds) + ends:.3g} s"
        )
    return ""


def cut_short(whole: Sequence[StageTime], sampling: Sampling) -> list[StageTime]:
    """Return the parts of a whole call that are left if some of its steps are measured alone."""
    places = [at for at, part in enumerate(whole) if part.is_step]
    left_out = set(places[sampling.sampled :])
    return [part for at, part in enumerate(whole) if at not in left_out]


def find_other_end(whole: Sequence[StageTime], short: Sequence[StageTime]) -> str:
    """Say why a call that was cut short does not end as a whole one does, or return "".

    What follows the loop is done in its last step, wherever that is; what only the last step of a
    whole call does, in no step of another one.

    Args:
        whole: the parts of a whole call.
        short: those of a call of which some steps are measured.
    """
    ours_s, theirs_s = (
        [part.seconds for part in parts if part.is_step][-1] for parts in (short, whole)
    )
    if abs(ours_s - theirs_s) <= _UNEVEN * sum(part.seconds for part in whole):
        return ""
    return f"its last step took {theirs_s:.3g} s, and {ours_s:.3g} s if the call was cut short"


def put_together(parts: Sequence[StageTime], steps: int) -> dict[str, float]:
    """Put the seconds of each stage of a whole call together.

    The first step that was measured stands for itself, and so does the last: what follows the loop
    and is no stage of its own is done in it. Those that were not measured are as long as the mean
    of the ones between: ``first + (steps - 2) * mean(between) + last``. A call of which every step
    was measured is its sum.

    Args:
        parts: what was measured of one call, in order.
        steps: denoising steps of the whole call.

    Returns:
        Stage -> seconds, in the order of stages; their sum is the call's latency.

    Raises:
        ValueError: steps are missing, and none between the first and the last was measured.
    """
    found: dict[str, float] = {}
    for part in parts:
        found[part.stage] = found.get(part.stage, 0.0) + part.seconds
    measured = [part for part in parts if part.is_step]
    missing = steps - len(measured)
    if missing > 0:
        between = [part.seconds for part in measured[1:-1]]
        if not between:
            raise ValueError(f"{len(measured)} of {steps} steps say nothing about the others")
        found[measured[-1].stage] += missing * statistics.fmean(between)
    return {stage: found[stage] for stage in order_stages(found)}
