"""Is one stage of a call slower, though the call as a whole is not? For two equal versions."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.judge.speed.bias import withstands_bias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.judge.speed.intervals import Pairs
    from pytest_sdspeed.model import Interval, Verdict

LEAST_SHARE = 0.005
"""Share of the baseline's call below which a stage is held to nothing: nobody waits for it, and two
processes of the same code may differ by more of so short a time than the floor allows."""

BORDER_S = 0.0005
"""Seconds by which a stage may differ between two processes of the same code, whatever it does.

The baseline has two calls in a round, which often follow one another, so that its stages begin less
often with what another process left in the caches; and what lies where in memory differs. The upper
end of a stage's interval lies further out by it at least."""


class StageVerdict(NamedTuple):
    """What the looks decided about one stage.

    Attributes:
        verdict: ``inconclusive`` if no look decided.
        interval: baseline over candidate, at the deciding look or the last one. Its upper end holds
            together with those of all stages of the run, its lower end by itself; both are widened
            as those of calls are, the upper one by ``BORDER_S`` if that is more.
        floor: least ratio that passes.
        blocks: blocks of that look.
        needed: blocks in all after which a look would decide it, None if it is decided or if no
            number would.
    """

    verdict: Verdict
    interval: Interval
    floor: float
    blocks: int
    needed: int | None = None


def choose_held(
    baseline: Mapping[str, Sequence[Pairs]], candidate: Mapping[str, Pairs]
) -> list[str]:
    """Choose the stages that are held: those of both versions that take ``LEAST_SHARE`` of a call.

    Args:
        baseline: stage -> per kind of pair (outer, inner) the [first, second] call of every block,
            seconds.
        candidate: stage -> its pairs, likewise.
    """
    taken = {stage: _find_seconds(kinds) for stage, kinds in baseline.items()}
    least_s = LEAST_SHARE * sum(taken.values())
    return [stage for stage, seconds in taken.items() if stage in candidate and seconds >= least_s]


def judge_stages(
    baseline: Mapping[str, Sequence[Pairs]],
    candidate: Mapping[str, Pairs],
    floor: float,
    *,
    held: Sequence[str],
    rows: int = 1,
    allowance: float = 0.0,
    before: Mapping[str, StageVerdict] | None = None,
) -> dict[str, StageVerdict]:
    """Judge the stages of a row at a look.

    A stage is decided once, at the first look whose interval lies on one side of its floor, as a
    call is. "pass" has the error of a call, ``stopping.ERROR_PER_SIDE``, for each stage: a row is
    said to have no slower stage only if every one passes. "fail" shares that error among all held
    stages of all rows (Bonferroni), and a stage that fails gives its share to the others of its row
    (Holm 1979). Stages are a family of their own beside the calls.

    The false alarms that follow: if stages sit exactly on their floors, any of a run's fails in at
    most 0.5% of runs, beside the 0.5% of its calls; of versions that are equal, which sit a whole
    tolerance above, far fewer do. This assumes that blocks are independent and about normal, as for
    calls. It does not cover what differs by more than ``BORDER_S`` between two processes of the
    same code, by the layout of memory: ``--sd-confirm`` and ``--sd-against-control`` are for that.

    A stage is not decided while the bias that its own A/A control shows could turn it.

    Args:
        baseline: stage -> per kind of pair (outer, inner) the [first, second] call of every block,
            seconds.
        candidate: stage -> its pairs, likewise.
        floor: least ratio of baseline over candidate that passes.
        held: the stages that are held, the same at every look.
        rows: how many rows of the run have stages that are held.
        allowance: by which fraction intervals are widened at least, see ``intervals.widen``.
        before: what the earlier look found.

    Returns:
        Stage -> what is known of it.
    """
    decided = {
        stage: found for stage, found in (before or {}).items() if found.verdict != "inconclusive"
    }
    while True:
        failed = sum(found.verdict == "fail" for found in decided.values())
        family = max(1, rows * len(held) - failed)
        asked = {
            stage: _judge(baseline[stage], candidate[stage], floor, family, allowance)
            for stage in held
            if stage not in decided
        }
        decided |= {stage: one for stage, one in asked.items() if one.verdict != "inconclusive"}
        if not any(one.verdict == "fail" for one in asked.values()):
            return {stage: decided.get(stage) or asked[stage] for stage in held}


def _judge(
    kinds: Sequence[Pairs], own: Pairs, floor: float, family: int, allowance: float
) -> StageVerdict:
    """Judge one stage; ``family`` stages share the error of "fail"."""
    blocks = len(own)
    above = max(allowance, BORDER_S / _find_seconds(kinds))
    ratios = intervals.log_ratios(kinds, [own])
    found = intervals.interval(
        ratios, stopping.critical_value(blocks), stopping.critical_value(blocks, family)
    )
    found = intervals.widen(found, allowance, above)
    said = intervals.decide(found, floor)
    outer, inner = kinds
    control = intervals.control_interval(outer, inner, family)
    if said and withstands_bias(found, floor, control):
        return StageVerdict(said, found, floor, blocks)
    allowed = above if found.speedup < floor else allowance
    needed = None if said else intervals.blocks_to_decide(ratios, floor, family, allowed)
    return StageVerdict("inconclusive", found, floor, blocks, needed)


def _find_seconds(kinds: Sequence[Pairs]) -> float:
    """Return the median of the seconds of a stage."""
    return statistics.median(slot for kind in kinds for pair in kind for slot in pair)
