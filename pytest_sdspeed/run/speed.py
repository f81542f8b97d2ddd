"""What a campaign says of a row's speed beside its verdict: bias, slow slots, why undecided."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_sdspeed.judge.speed.slow_pairs import Counts
    from pytest_sdspeed.measure.campaign_data import Decision
    from pytest_sdspeed.run.criteria import RowCase


class SpeedFindings(NamedTuple):
    """What is known of a row's speed beside its verdict.

    Attributes:
        withstands: whether no bias that the A/A control shows could turn the verdict.
        reasons: why the verdict is what it is, in words.
        notes: what else a reader should know.
        slow_pairs: arm -> pairs of slots of which one is slow, and all pairs.
    """

    withstands: bool
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    slow_pairs: Mapping[str, Sequence[int]] = {}


def examine_speed(case: RowCase, decision: Decision | None) -> SpeedFindings:
    """Examine what stands behind the verdict on a row's speed.

    Args:
        case: the row.
        decision: what the looks decided; None for the baseline, which has no floor.
    """
    from pytest_sdspeed.judge.speed.bias import find_bias, withstands_bias
    from pytest_sdspeed.judge.speed.slow_pairs import describe

    data = case.data
    bias = find_bias(data.control)
    if decision is None:
        return SpeedFindings(withstands=True, notes=tuple(_note_bias(case, bias)))
    floor, found = _floor_of(case, decision), decision.interval
    # Without a control nothing is known of a bias, and nothing that was decided stands.
    known = data.control is not None or decision.verdict == "inconclusive"
    withstands = known and withstands_bias(found, floor, data.control)
    counts = _count_slow_pairs(case, decision)
    name, base = case.candidate.name, case.base.name
    decided = withstands and decision.verdict in ("pass", "fail")
    slow = (*describe(counts, decided=decided), *_note_whole_mean(case, decision)) if counts else ()
    if withstands:
        reasons = (*_list_reasons(decision, case), *_say_load(case, decision.verdict))
    else:
        turned = (
            f"a bias of up to {bias - 1:.1%} either way could turn what {found:.3f} says about its"
            f" floor x{floor:.3f}"
        )
        reasons = (*([turned] if bias > 1 else ()), *_say_load(case, "invalid"))
    return SpeedFindings(
        withstands,
        reasons,
        (*slow, *_note_seconds(case, floor), *(_note_bias(case, bias) if withstands else ())),
        {
            name: (int(counts.candidate), counts.candidate_pairs),
            base: (int(counts.baseline), counts.baseline_pairs),
        }
        if counts
        else {},
    )


def _floor_of(case: RowCase, decision: Decision) -> float:
    return case.criteria.floor if decision.floor is None else decision.floor


def _note_seconds(case: RowCase, floor: float) -> Iterator[str]:
    """Note that the seconds allow a row to take more than twice as long as it should."""
    criteria = case.criteria
    if floor < min(criteria.floor, criteria.speedup / 2):
        yield (
            f"tolerance_s = {criteria.tolerance_s:g} is in seconds, and more than the row should"
            f" take at all: its floor is x{floor:.3g} instead of x{criteria.floor:.3g}"
        )


def _note_bias(case: RowCase, bias: float) -> Iterator[str]:
    if bias > 1:
        yield (
            f"A/A control {case.data.control:.3f} excludes x1: equal work took unequal time, which"
            f" may bias ratios by up to {bias - 1:.1%}; that turns no verdict here"
        )


def _say_load(case: RowCase, verdict: str) -> Iterator[str]:
    if case.data.load and verdict in ("inconclusive", "invalid"):
        yield f"meanwhile on this machine: {case.data.load}"


def _note_whole_mean(case: RowCase, decision: Decision) -> Iterator[str]:
    """Note that a row passes by its usual slots alone: the mean of all of them is too slow."""
    samples, blocks = case.data.samples_s, decision.blocks
    outer, inner, own = (
        [slot for pair in samples[arm][:blocks] for slot in pair]
        for arm in (case.base.name, CONTROL, case.candidate.name)
    )
    whole = statistics.fmean([*outer, *inner]) / statistics.fmean(own)
    if decision.verdict == "pass" and whole < _floor_of(case, decision):
        yield (
            f"the mean over all slots is x{whole:.2f}, under the floor: a few slow slots of"
            f" {case.candidate.name} were taken for a disturbance. If they are its own doing, more"
            " blocks will tell: --sd-max-blocks"
        )


def _count_slow_pairs(case: RowCase, decision: Decision) -> Counts | None:
    from pytest_sdspeed.judge.speed.blocks import count_slow_pairs

    samples, blocks = case.data.samples_s, decision.blocks
    outer, inner, own = (
        samples[arm][:blocks] for arm in (case.base.name, CONTROL, case.candidate.name)
    )
    if not len(outer) == len(inner) == len(own) > 0:
        return None
    return count_slow_pairs(list(zip(outer, inner, strict=True)), [[pair] for pair in own])


def _list_reasons(decision: Decision, case: RowCase) -> Sequence[str]:
    floor, found = _floor_of(case, decision), decision.interval
    if decision.verdict == "fail":
        return (f"slower than its floor: at most x{found.high:.3f}, the floor is x{floor:.3f}",)
    if decision.verdict != "inconclusive":
        return ()
    resolved = (
        f"{_describe_resolution(decision, case.data.planned_blocks)}: the ratio cannot be told from"
        f" the floor x{floor:.3f}"
    )
    if decision.more_blocks is None:
        return (
            (
                f"{resolved}; no number of blocks that a campaign may take decides a ratio this"
                " close to its floor"
            ),
        )
    data, total = case.data, decision.blocks + decision.more_blocks
    seconds = decision.more_blocks * data.timed_s / max(1, len(data.samples_s[case.base.name]))
    # The next run plans with the cost of a block of all rows, though some are decided earlier.
    budget_s = max(data.timed_s + 1.2 * seconds, 1.1 * data.block_s * total)
    wanted = f"--sd-budget {math.ceil(budget_s)} --sd-max-blocks {total}"
    if data.cut_short:
        wanted = f"{wanted}, but this campaign {data.cut_short}"
    return (
        (
            f"{resolved}; about {decision.more_blocks} more blocks ({seconds:.0f} s) would decide"
            f" it: {wanted}"
        ),
    )


def _describe_resolution(decision: Decision, planned: int) -> str:
    from pytest_sdspeed.report.text import describe_resolved

    if decision.minimum_detectable_effect is None:
        return f"{planned} blocks decide nothing"
    resolved = describe_resolved(decision.minimum_detectable_effect)
    return f"at this noise, {planned} blocks {resolved}"
