"""From a campaign's record to one row's result: expectation, verdict and reasons put together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import WorkerLostError
from pytest_sdspeed.model import CONTROL, Interval, Result, Verdict
from pytest_sdspeed.run.criteria import Criteria, RowCase, weights_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.measure.campaign_data import CampaignData, Decision
    from pytest_sdspeed.model import Machine
    from pytest_sdspeed.run.settings import Options
    from pytest_sdspeed.setups.catalog import ResolvedSetup


def judge_row(case: RowCase) -> Result:
    """The result of one row of a campaign."""
    from pytest_sdspeed.judge.memory import judge_memory
    from pytest_sdspeed.judge.speed.blocks import latencies
    from pytest_sdspeed.judge.verdict import combine_verdicts
    from pytest_sdspeed.run.pictures import judge_pictures
    from pytest_sdspeed.run.usage import describe_unknowns, describe_usage

    record, name, base = case.record, case.candidate.name, case.base.name
    is_baseline = name == base
    decision = None if is_baseline else record.decisions[name]
    pictures, exhibits, images, notes = judge_pictures(case)
    speed: Verdict = decision.verdict if decision else "pass"
    peak, peak_of_base = (record.peak_bytes.get(arm) for arm in (name, base))
    memory = judge_memory(
        peak, peak_of_base, case.expected.memory, exact=case.machine.kind == "cuda"
    )
    verdict, reasons = combine_verdicts(
        speed, pictures, record.control, memory=memory.reason, throttled=record.throttled
    )
    error = record.errors.get(name)
    if error is not None:
        # It has blocks, which are kept, but it did not hold out.
        verdict, reasons = (
            ("invalid" if isinstance(error, WorkerLostError) else "fail"),
            (str(error), *reasons),
        )
    interval = decision.interval if decision else Interval(1.0, 1.0, 1.0)
    blocks = decision.blocks if decision else len(record.samples_s[base])
    samples = {arm: record.samples_s[arm][:blocks] for arm in dict.fromkeys((base, CONTROL, name))}
    latency_s, baseline_latency_s = latencies(samples, name, base)
    setup, profile = case.candidate.setup, record.profiles.get(name)
    return Result(
        table=case.choice.table.name if case.choice else None,
        setup=name,
        baseline=base,
        device=case.machine.device,
        documented_on=case.expected.documented_on,
        recorded_in=case.expected.recorded_in,
        speedup=interval.speedup,
        low=interval.low,
        high=interval.high,
        expected=1.0 if is_baseline else case.expected.speedup,
        tolerance=case.expected.tolerance,
        floor=(1.0 if is_baseline else case.expected.speedup) * (1 - case.expected.tolerance),
        verdict=verdict,
        image_verdict=pictures.verdict if pictures else None,
        blocks=blocks,
        latency_s=latency_s,
        baseline_latency_s=baseline_latency_s,
        samples_s=samples,
        image=pictures.metrics if pictures else {},
        images=images,
        reasons=(*reasons, *(_speed_reasons(decision, case) if decision else ())),
        control=record.control,
        planned_blocks=record.planned_blocks,
        resolves=decision.minimum_detectable_effect if decision else None,
        recipe=setup.recipe if setup else None,
        versions=case.machine.versions,
        weights=case.weights,
        peak_memory_bytes=peak,
        memory_share=None if is_baseline else memory.share,
        memory_bound=case.expected.memory,
        stages_s=profile.stages_s if profile else None,
        telemetry=describe_usage(case, latency_s, None if images is None else len(images)),
        exhibits=exhibits,
        starts_s={arm: pairs[:blocks] for arm, pairs in record.starts_s.items() if arm in samples},
        notes=(
            *notes,
            *filter(None, (memory.note,)),
            *describe_unknowns(case),
            *case.machine.notes,
        ),
        canary_s=record.canary_s,
        raised=None if error is None else str(error),
    )


def make_lost_result(
    choice: ResolvedSetup, expected: Criteria, machine: Machine, options: Options, reason: str
) -> Result:
    """The result of a row that was lost with the process that measured it: invalid, without a single block.

    Args:
        choice: of the row.
        expected: what it is held to.
        machine: where it was measured.
        options: of the run.
        reason: what became of it.
    """
    is_baseline = choice.setup == choice.baseline
    return Result(
        table=choice.table.name,
        setup=choice.setup,
        baseline=choice.baseline,
        device=machine.device,
        documented_on=expected.documented_on,
        recorded_in=expected.recorded_in,
        speedup=math.nan,
        low=math.nan,
        high=math.nan,
        expected=1.0 if is_baseline else expected.speedup,
        tolerance=expected.tolerance,
        floor=(1.0 if is_baseline else expected.speedup) * (1 - expected.tolerance),
        verdict="invalid",
        image_verdict=None,
        blocks=0,
        latency_s=math.nan,
        baseline_latency_s=math.nan,
        samples_s={choice.baseline: (), CONTROL: (), choice.setup: ()},
        image={},
        images=None,
        reasons=(reason,),
        control=None,
        recipe=choice.recipe,
        versions=machine.versions,
        weights=weights_of(choice.recipe, options),
        memory_bound=expected.memory,
    )


def relative_speeds(record: CampaignData) -> dict[str, tuple[float, float]]:
    """What a campaign says of each of its setups: name -> speed-up and latency, seconds."""
    from pytest_sdspeed.judge.speed.blocks import latencies

    base = record.baseline
    found = {
        name: (decision.interval.speedup, latencies(record.samples_s, name, base)[0])
        for name, decision in record.decisions.items()
    }
    return found | (
        {base: (1.0, latencies(record.samples_s, base, base)[0])} if record.samples_s[base] else {}
    )


def _speed_reasons(decision: Decision, case: RowCase) -> Sequence[str]:
    floor, found = case.expected.floor, decision.interval
    if decision.verdict == "fail":
        return (f"slower than its floor: at most x{found.high:.3f}, the floor is x{floor:.3f}",)
    if decision.verdict != "inconclusive":
        return ()
    resolved = (
        f"{_resolution(decision, case.record.planned_blocks)}: the floor x{floor:.3f} is not told"
        " apart"
    )
    if decision.more_blocks is None:
        return (
            (
                f"{resolved}; no number of blocks that a campaign may take decides a ratio this"
                " close to its floor"
            ),
        )
    record, total = case.record, decision.blocks + decision.more_blocks
    seconds = decision.more_blocks * record.timed_s / max(1, len(record.samples_s[case.base.name]))
    # The next run plans with what a block of all rows costs, though rows leave.
    budget_s = max(record.timed_s + 1.2 * seconds, 1.1 * record.block_s * total)
    wanted = f"--sd-budget {math.ceil(budget_s)} --sd-max-blocks {total}"
    return (
        (
            f"{resolved}; about {decision.more_blocks} more blocks ({seconds:.0f} s) would decide"
            f" it: {wanted}"
        ),
    )


def _resolution(decision: Decision, planned: int) -> str:
    if decision.minimum_detectable_effect is None:
        return f"{planned} blocks decide nothing"
    return f"at this noise, {planned} blocks resolve {decision.minimum_detectable_effect:.1%}"
