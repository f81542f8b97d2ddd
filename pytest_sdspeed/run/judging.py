"""From a campaign's data to the result of one row: criteria, verdict and reasons."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import WorkerLostError
from pytest_sdspeed.model import CONTROL, Interval, Result, Verdict
from pytest_sdspeed.run.criteria import Criteria, RowCase, weights_of

if TYPE_CHECKING:
    from pytest_sdspeed.measure.campaign_data import CampaignData
    from pytest_sdspeed.model import Machine
    from pytest_sdspeed.run.settings import Options
    from pytest_sdspeed.setups.catalog import ResolvedSetup


def judge_row(case: RowCase) -> Result:
    """Judge one row of a campaign."""
    from pytest_sdspeed.judge.memory import INEXACT, judge_memory
    from pytest_sdspeed.judge.speed.blocks import latencies
    from pytest_sdspeed.judge.verdict import combine_verdicts
    from pytest_sdspeed.run.pictures import judge_pictures
    from pytest_sdspeed.run.speed import examine_speed
    from pytest_sdspeed.run.usage import describe_unknowns, describe_usage

    data, name, base = case.data, case.candidate.name, case.base.name
    is_baseline = name == base
    decision = None if is_baseline else data.decisions[name]
    found = judge_pictures(case)
    pictures, images = found.judgement, found.images
    speed: Verdict = decision.verdict if decision else "pass"
    peak, peak_of_base = (data.peak_bytes.get(arm) for arm in (name, base))
    kind = case.machine.kind
    memory = judge_memory(
        peak, peak_of_base, case.criteria.memory, exact=kind not in INEXACT, kind=kind
    )
    examined = examine_speed(case, decision)
    verdict, reasons = combine_verdicts(
        speed,
        pictures,
        data.control,
        memory=memory.reason,
        throttled=data.throttled,
        withstands=examined.withstands,
    )
    error = data.errors.get(name)
    if error is not None:
        # It raised after some blocks, which are kept.
        verdict, reasons = (
            ("invalid" if isinstance(error, WorkerLostError) else "fail"),
            (str(error), *reasons),
        )
    interval = decision.interval if decision else Interval(1.0, 1.0, 1.0)
    blocks = decision.blocks if decision else len(data.samples_s[base])
    samples = {arm: data.samples_s[arm][:blocks] for arm in dict.fromkeys((base, CONTROL, name))}
    latency_s, baseline_latency_s = latencies(samples, name, base)
    held_to = decision.floor if decision else None
    setup, profile = case.candidate.setup, data.profiles.get(name)
    return Result(
        table=case.resolved.table.name if case.resolved else None,
        setup=name,
        baseline=base,
        device=case.machine.device,
        documented_on=case.criteria.documented_on,
        recorded_in=case.criteria.recorded_in,
        speedup=interval.speedup,
        low=interval.low,
        high=interval.high,
        expected=1.0 if is_baseline else case.criteria.speedup,
        tolerance=case.criteria.tolerance,
        tolerance_s=case.criteria.tolerance_s,
        floor=(
            (1.0 if is_baseline else case.criteria.speedup) * (1 - case.criteria.tolerance)
            if held_to is None
            else held_to
        ),
        verdict=verdict,
        image_verdict=pictures.verdict if pictures else None,
        blocks=blocks,
        latency_s=latency_s,
        baseline_latency_s=baseline_latency_s,
        samples_s=samples,
        image=pictures.metrics if pictures else {},
        images=images,
        image_ranges=pictures.ranges if pictures else {},
        self_difference=found.own,
        baseline_self_difference=found.baseline_own,
        reasons=(*reasons, *examined.reasons),
        control=data.control,
        planned_blocks=data.planned_blocks,
        resolves=decision.minimum_detectable_effect if decision else None,
        recipe=setup.recipe if setup else None,
        versions=case.machine.versions,
        weights=case.weights,
        peak_memory_bytes=peak,
        memory_share=None if is_baseline else memory.share,
        memory_bound=case.criteria.memory,
        stages_s=profile.stages_s if profile else None,
        telemetry=describe_usage(case, latency_s, None if images is None else len(images)),
        exhibits=found.exhibits,
        starts_s={arm: pairs[:blocks] for arm, pairs in data.starts_s.items() if arm in samples},
        notes=(
            *found.notes,
            *examined.notes,
            *filter(None, (memory.note,)),
            *describe_unknowns(case),
            *case.machine.notes,
        ),
        canary_s=data.canary_s,
        raised=None if error is None else str(error),
        biased=not examined.withstands,
        slow_pairs=examined.slow_pairs,
        optimizations=setup.optimizations if setup else None,
        baseline_optimizations=case.base.setup.optimizations if case.base.setup else None,
        revision=_find_revision(case),
    )


def _find_revision(case: RowCase) -> str | None:
    """Return what tells the weights of a row and of its baseline from those of other days.

    Random weights are drawn anew by their names, and a callable does not tell its own.
    """
    from pytest_sdspeed.pipelines.revisions import describe_revisions

    setup, base = case.candidate.setup, case.base.setup
    if setup is None or base is None or case.weights == "random":
        return None
    recipe, stack = setup.recipe, {*setup.optimizations, *base.optimizations}
    parts = {"distilled_unet": recipe.student, "tiny_vae": recipe.tiny_vae}
    used = [model for name, model in parts.items() if model and name in stack]
    return describe_revisions([recipe.model, *used])


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
    is_baseline = resolved.setup == resolved.baseline
    return Result(
        table=resolved.table.name,
        setup=resolved.setup,
        baseline=resolved.baseline,
        device=machine.device,
        documented_on=criteria.documented_on,
        recorded_in=criteria.recorded_in,
        speedup=math.nan,
        low=math.nan,
        high=math.nan,
        expected=1.0 if is_baseline else criteria.speedup,
        tolerance=criteria.tolerance,
        tolerance_s=criteria.tolerance_s,
        floor=(1.0 if is_baseline else criteria.speedup) * (1 - criteria.tolerance),
        verdict="invalid",
        image_verdict=None,
        blocks=0,
        latency_s=math.nan,
        baseline_latency_s=math.nan,
        samples_s={resolved.baseline: (), CONTROL: (), resolved.setup: ()},
        image={},
        images=None,
        reasons=(reason,),
        control=None,
        recipe=resolved.recipe,
        versions=machine.versions,
        weights=weights_of(resolved.recipe, options),
        memory_bound=criteria.memory,
        optimizations=resolved.optimizations,
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
