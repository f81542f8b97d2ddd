"""From a campaign's data to the result of one row: criteria, verdict and reasons."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import WorkerLostError
from pytest_sdspeed.model import CONTROL, Interval, Rehearsal, Result, Verdict
from pytest_sdspeed.run.criteria import Criteria, RowCase, weights_of
from pytest_sdspeed.run.settings import REHEARSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_sdspeed.judge.pictures.gate import ImageJudgement
    from pytest_sdspeed.measure.campaign_data import CampaignData, Decision
    from pytest_sdspeed.model import Case, Machine
    from pytest_sdspeed.run.costs import CostFindings
    from pytest_sdspeed.run.pictures import PictureFindings
    from pytest_sdspeed.run.settings import Options
    from pytest_sdspeed.run.speed import SpeedFindings
    from pytest_sdspeed.run.stages import StageFindings
    from pytest_sdspeed.setups.catalog import ResolvedSetup


class _Findings(NamedTuple):
    """What was found of a row, each part by itself.

    Attributes:
        decision: what the looks decided; None for the baseline, which has no floor, and in a
            rehearsal, which has no looks.
        pictures: its pictures.
        costs: its memory, what compiles, and how it starts.
        speed: what stands behind the decision.
        stages: what its stages show.
    """

    decision: Decision | None
    pictures: PictureFindings
    costs: CostFindings
    speed: SpeedFindings
    stages: StageFindings


class _Figures(NamedTuple):
    """What was measured of a row, in the blocks that count.

    Attributes:
        interval: speed-up.
        floor: least speed-up that passes.
        blocks: how many blocks count.
        samples_s: arm -> its pairs of latencies, of the row, its baseline and the control.
        starts_s: arm -> when they began.
        latency_s, baseline_latency_s: medians.
    """

    interval: Interval
    floor: float
    blocks: int
    samples_s: Mapping[str, Sequence[Sequence[float]]]
    starts_s: Mapping[str, Sequence[Sequence[float]]]
    latency_s: float
    baseline_latency_s: float


def judge_row(case: RowCase) -> Result:
    """Judge one row of a campaign."""
    found = _examine(case)
    verdict, reasons = _combine(case, found)
    return _make_result(case, found, verdict, reasons)


def _examine(case: RowCase) -> _Findings:
    from pytest_sdspeed.run.costs import examine_costs
    from pytest_sdspeed.run.pictures import judge_pictures
    from pytest_sdspeed.run.speed import examine_speed
    from pytest_sdspeed.run.stages import examine_stages

    name = case.candidate.name
    timed = name != case.base.name and not case.options.rehearses
    decision = case.data.decisions[name] if timed else None
    return _Findings(
        decision,
        judge_pictures(case),
        examine_costs(case),
        examine_speed(case, decision),
        examine_stages(case, decision),
    )


def _combine(case: RowCase, found: _Findings) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict on speed, pictures and costs together, with its reasons."""
    from pytest_sdspeed.judge.verdict import combine_verdicts

    speed = found.decision.verdict if found.decision else "pass"
    verdict, reasons = combine_verdicts(
        "fail" if found.stages.slower else speed,
        found.pictures.judgement,
        case.data.control,
        memory=found.costs.memory.reason,
        costs=found.costs.judgement.reasons,
        doubts=found.costs.judgement.doubts,
        throttled=case.data.throttled or found.stages.broken,
        withstands=found.speed.withstands,
    )
    if case.is_shrunk and found.pictures.judgement is not None:
        # Nothing else is judged.
        verdict = "invalid" if found.pictures.judgement.verdict == "powerless" else verdict
    error = case.data.errors.get(case.candidate.name)
    if error is not None:
        # It raised after some blocks, which are kept.
        verdict = "invalid" if isinstance(error, WorkerLostError) else "fail"
        reasons = (str(error), *reasons)
    return verdict, (*reasons, *found.speed.reasons, *found.stages.reasons)


def _measure(case: RowCase, decision: Decision | None) -> _Figures:
    from pytest_sdspeed.judge.speed.blocks import latencies

    data, name, base = case.data, case.candidate.name, case.base.name
    blocks = decision.blocks if decision else len(data.samples_s[base])
    samples = {arm: data.samples_s[arm][:blocks] for arm in dict.fromkeys((base, CONTROL, name))}
    held_to = decision.floor if decision else None
    if case.options.rehearses:
        return _measure_nothing(case, samples)
    return _Figures(
        decision.interval if decision else Interval(1.0, 1.0, 1.0),
        _find_floor(case.criteria, is_baseline=name == base) if held_to is None else held_to,
        blocks,
        samples,
        {arm: pairs[:blocks] for arm, pairs in data.starts_s.items() if arm in samples},
        *latencies(samples, name, base),
    )


def _measure_nothing(case: RowCase, samples: Mapping[str, Sequence[Sequence[float]]]) -> _Figures:
    """Return the figures of a rehearsal: none of them is known."""
    unknown = math.nan
    return _Figures(
        Interval(unknown, unknown, unknown),
        _find_floor(case.criteria, is_baseline=case.candidate.name == case.base.name),
        0,
        samples,
        {},
        unknown,
        unknown,
    )


def _find_expected(criteria: Criteria, *, is_baseline: bool) -> float:
    return 1.0 if is_baseline else criteria.speedup


def _find_floor(criteria: Criteria, *, is_baseline: bool) -> float:
    return _find_expected(criteria, is_baseline=is_baseline) * (1 - criteria.tolerance)


def _make_result(
    case: RowCase, found: _Findings, verdict: Verdict, reasons: tuple[str, ...]
) -> Result:
    from pytest_sdspeed.run.costs import find_iterations_per_s
    from pytest_sdspeed.run.usage import describe_unknowns, describe_usage

    data, name, base, criteria = case.data, case.candidate.name, case.base.name, case.criteria
    figures, pictures = _measure(case, found.decision), found.pictures.judgement
    setup, profile, error = case.candidate.setup, data.profiles.get(name), data.errors.get(name)
    images = found.pictures.images
    return Result(
        # What was measured, on what
        table=case.resolved.table.name if case.resolved else None,
        setup=name,
        baseline=base,
        recipe=setup.recipe if setup else None,
        weights=case.weights,
        optimizations=setup.optimizations if setup else None,
        baseline_optimizations=case.base.setup.optimizations if case.base.setup else None,
        revision=_find_revision(case),
        device=case.machine.device,
        versions=case.machine.versions,
        # What it is held to
        documented_on=criteria.documented_on,
        recorded_in=criteria.recorded_in,
        expected=_find_expected(criteria, is_baseline=name == base),
        tolerance=criteria.tolerance,
        tolerance_s=criteria.tolerance_s,
        floor=figures.floor,
        memory_bound=criteria.memory,
        # How fast it is
        speedup=figures.interval.speedup,
        low=figures.interval.low,
        high=figures.interval.high,
        blocks=figures.blocks,
        latency_s=figures.latency_s,
        baseline_latency_s=figures.baseline_latency_s,
        samples_s=figures.samples_s,
        starts_s=figures.starts_s,
        slow_pairs=found.speed.slow_pairs,
        biased=not found.speed.withstands,
        control=data.control,
        canary_s=data.canary_s,
        planned_blocks=data.planned_blocks,
        resolves=found.decision.minimum_detectable_effect if found.decision else None,
        rehearsal=_describe_rehearsal(case, pictures),
        # What it draws
        image_verdict=pictures.verdict if pictures else None,
        image=pictures.metrics if pictures else {},
        image_ranges=pictures.ranges if pictures else {},
        images=images,
        exhibits=found.pictures.exhibits,
        self_difference=found.pictures.own,
        baseline_self_difference=found.pictures.baseline_own,
        # What it takes
        **found.costs.figures,
        memory_share=None if name == base else found.costs.memory.share,
        iterations_per_s=find_iterations_per_s(case, figures.latency_s),
        documented_costs=dict(criteria.costs),
        cost_bounds=dict(criteria.cost_bounds),
        stages_s=profile.stages_s if profile else None,
        by_stage=found.stages.results,
        proofs=data.proofs.get(name, ()),
        baseline_proofs=data.proofs.get(base, ()),
        telemetry=describe_usage(
            case,
            figures.latency_s,
            None if images is None else len(images),
            videos=found.pictures.videos,
        ),
        # What follows
        verdict=verdict,
        reasons=reasons,
        raised=None if error is None else str(error),
        notes=(
            *found.pictures.notes,
            *found.speed.notes,
            *found.stages.notes,
            *filter(None, (found.costs.memory.note,)),
            *found.costs.judgement.notes,
            *(_note_rehearsal(case) if case.options.rehearses else describe_unknowns(case)),
            *case.machine.notes,
            *(setup.notes if setup else ()),
        ),
    )


def _note_rehearsal(case: RowCase) -> Iterator[str]:
    """Note what of a row's stack a CPU does not do."""
    from pytest_sdspeed.pipelines.rehearsing import describe_left_out
    from pytest_sdspeed.run.rehearsal import describe_idle

    stacks = [one.setup.optimizations for one in (case.candidate, case.base) if one.setup]
    yield from describe_left_out(dict.fromkeys(label for stack in stacks for label in stack))
    proofs = case.data.proofs.get(case.candidate.name, ())
    yield from (describe_idle(one) for one in proofs if one.finding.excused)


def _describe_rehearsal(case: RowCase, pictures: ImageJudgement | None) -> Rehearsal | None:
    """Describe what a rehearsal found in the place of times; None if the row was measured."""
    if not case.options.rehearses:
        return None
    drawn_s = sum(case.data.warm_up_s.get(case.candidate.name, (math.nan,)))
    control = pictures.control if pictures else None
    return Rehearsal(drawn_s=drawn_s, nearest=_name_other(control[1]) if control else "")


def _name_other(case: Case) -> str:
    """Name by what another case differs from the main one."""
    if case.prompt:
        return "another prompt"
    return f"{case.steps} steps" if case.steps else "another seed"


def _find_revision(case: RowCase) -> str | None:
    """Return what tells the weights of a row and of its baseline from those of other days.

    Random weights are drawn anew by their names, and a callable does not tell its own.
    """
    from pytest_sdspeed.pipelines.revisions import describe_revisions

    setup, base = case.candidate.setup, case.base.setup
    if setup is None or base is None or case.weights in ("random", REHEARSED):
        return None
    parts = {**base.parts, **setup.parts}
    return describe_revisions([setup.recipe.model, *(parts[role] for role in sorted(parts))])


def make_result_without_effect(case: RowCase, reason: str) -> Result:
    """Make the result of a row that was not timed, since an optimization was not seen to act.

    Args:
        case: the row.
        reason: which one, and what was seen.
    """
    data, name, base = case.data, case.candidate.name, case.base
    setup, of_base = case.candidate.setup, base.setup
    return replace(
        _make_untimed_result(name, base.name, case.criteria, case.machine, reason),
        table=case.resolved.table.name if case.resolved else None,
        control=data.control,
        biased=False,
        recipe=setup.recipe if setup else None,
        weights=case.weights,
        peak_memory_bytes=data.peak_bytes.get(name),
        optimizations=setup.optimizations if setup else None,
        baseline_optimizations=of_base.optimizations if of_base else None,
        revision=_find_revision(case),
        proofs=data.proofs.get(name, ()),
        baseline_proofs=data.proofs.get(base.name, ()),
        rehearsal=_describe_rehearsal(case, None),
        notes=case.machine.notes,
    )


def make_lost_result(
    resolved: ResolvedSetup, criteria: Criteria, machine: Machine, options: Options, reason: str
) -> Result:
    """Make the result of a row that was lost with its process: invalid, without a single block.

    Args:
        resolved: setup of the row.
        criteria: what it is held to.
        machine: where it was measured.
        options: options of the run.
        reason: what became of it.
    """
    return replace(
        _make_untimed_result(resolved.setup, resolved.baseline, criteria, machine, reason),
        table=resolved.table.name,
        recipe=resolved.recipe,
        weights=weights_of(resolved.recipe, options),
        optimizations=resolved.optimizations,
        rehearsal=Rehearsal(drawn_s=math.nan) if options.rehearses else None,
    )


def _make_untimed_result(
    name: str, base: str, criteria: Criteria, machine: Machine, reason: str
) -> Result:
    """Make the result of a row without a single block: invalid, for a reason."""
    is_baseline = name == base
    return Result(
        table=None,
        setup=name,
        baseline=base,
        device=machine.device,
        documented_on=criteria.documented_on,
        recorded_in=criteria.recorded_in,
        speedup=math.nan,
        low=math.nan,
        high=math.nan,
        expected=_find_expected(criteria, is_baseline=is_baseline),
        tolerance=criteria.tolerance,
        tolerance_s=criteria.tolerance_s,
        floor=_find_floor(criteria, is_baseline=is_baseline),
        verdict="invalid",
        image_verdict=None,
        blocks=0,
        latency_s=math.nan,
        baseline_latency_s=math.nan,
        samples_s={base: (), CONTROL: (), name: ()},
        image={},
        images=None,
        reasons=(reason,),
        control=None,
        recipe=None,
        versions=machine.versions,
        memory_bound=criteria.memory,
        documented_costs=dict(criteria.costs),
        cost_bounds=dict(criteria.cost_bounds),
    )


def relative_speeds(data: CampaignData) -> dict[str, tuple[float, float]]:
    """Return the speed-up and the latency, seconds, of each setup of a campaign, by name."""
    from pytest_sdspeed.judge.speed.blocks import latencies

    base = data.baseline
    found = {
        name: (decision.interval.speedup, latencies(data.samples_s, name, base)[0])
        for name, decision in data.decisions.items()
    }
    return found | (
        {base: (1.0, latencies(data.samples_s, base, base)[0])} if data.samples_s[base] else {}
    )
