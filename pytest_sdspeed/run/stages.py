"""What a campaign by stages says of a row: each stage's ratio, and whether whole calls agree."""

from __future__ import annotations

import statistics
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.judge.speed.blocks import latencies
from pytest_sdspeed.judge.speed.whole_calls import withstands_whole_calls
from pytest_sdspeed.measure.whole_calls import compare_arms
from pytest_sdspeed.model import CONTROL, StageResults
from pytest_sdspeed.model.stages import say_stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_sdspeed.judge.speed.stage_floors import StageVerdict
    from pytest_sdspeed.judge.speed.whole_calls import WholeCalls
    from pytest_sdspeed.measure.campaign_data import CampaignData, Decision, StageData
    from pytest_sdspeed.model import Contrast, Interval
    from pytest_sdspeed.run.criteria import RowCase

_NONE: Mapping[str, StageVerdict] = MappingProxyType({})


class StageFindings(NamedTuple):
    """What is known of a row's stages.

    Attributes:
        results: each stage's ratio and latencies; None if whole calls were measured.
        broken: why no verdict on its speed stands, or "".
        slower: whether a stage is below its floor, which fails the row whatever its calls take.
        reasons: which stage made the verdict, in words.
        notes: what else a reader should know.
    """

    results: StageResults | None = None
    broken: str = ""
    slower: bool = False
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def examine_stages(case: RowCase, decision: Decision | None) -> StageFindings:
    """Examine what the stages of a row show.

    Args:
        case: the row.
        decision: what the looks decided; None for the baseline.
    """
    data = case.data
    if data.stages is None:
        why = data.unstaged
        return StageFindings(
            notes=(f"measured by whole calls, not by stages: {why}",) if why else ()
        )
    if decision is None or decision.blocks < stopping.LEAST_BLOCKS:
        return StageFindings(_summarize(data.stages, {}, {}))
    name, base = case.candidate.name, case.base.name
    samples = {
        arm: {stage: pairs[: decision.blocks] for stage, pairs in found.items()}
        for arm, found in data.stages.samples_s.items()
    }
    shared = [stage for stage in samples.get(name, {}) if stage in samples[base]]
    ratios = {stage: find_stage_ratio(samples, name, base, stage, len(shared)) for stage in shared}
    medians = {
        stage: latencies(
            {arm: found[stage] for arm, found in samples.items() if stage in found}, name, base
        )
        for stage in shared
    }
    verdicts = data.stages.verdicts.get(name, {})
    ratios |= {stage: found.interval for stage, found in verdicts.items()}
    slower = any(found.verdict == "fail" for found in verdicts.values())
    whole = compare_arms(
        data.stages.whole_s, data.samples_s, decision.blocks, (name, base), baseline=base
    )
    results = _summarize(data.stages, ratios, medians, verdicts)
    if whole is not None:
        medians_s = tuple(statistics.median(data.stages.whole_s[arm]) for arm in (name, base))
        unowned = (whole.candidate, whole.baseline)
        results = replace(results, whole_s=medians_s, unowned=unowned)
    reasons = tuple(_list_reasons(case, decision, results))
    notes = () if decision.verdict == "fail" else tuple(_note_undecided(results))
    found = StageFindings(results, slower=slower, reasons=reasons, notes=notes)
    if whole is None or whole.excess == 1:
        return found
    said = _describe(whole, name, base)
    if not withstands_whole_calls(decision.interval, decision.floor, whole):
        return found._replace(broken=f"time that no stage owns: {said}", reasons=())
    turns_none = f"{said}: time that no stage owns, which turns no verdict"
    return found._replace(notes=(turns_none, *notes))


def _summarize(
    data: StageData,
    ratios: Mapping[str, Interval],
    medians: Mapping[str, Sequence[float]],
    verdicts: Mapping[str, StageVerdict] = _NONE,
) -> StageResults:
    sampling = data.sampling
    return StageResults(
        steps=sampling.steps,
        sampled_steps=sampling.sampled,
        why_all=sampling.why,
        ratios=ratios,
        verdicts={stage: found.verdict for stage, found in verdicts.items()},
        floor=next((found.floor for found in verdicts.values()), None),
        latencies_s=medians,
    )


def find_stage_ratio(
    samples: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]],
    name: str,
    base: str,
    stage: str,
    stages: int,
) -> Interval:
    """Estimate a stage's ratio; the error is shared by all stages, and by both sides of each.

    Args:
        samples: arm -> stage -> [first, second] call of every block, seconds.
        name: name of the arm.
        base: name of its baseline, whose second pairs are the control's.
        stage: name of the stage.
        stages: how many stages share the error.
    """
    own = samples[name][stage]
    theirs = [samples[arm][stage][: len(own)] for arm in (base, CONTROL)]
    ratios = intervals.log_ratios(theirs, [own])
    return intervals.interval(ratios, stopping.critical_value(len(own), stages))


def _describe(whole: WholeCalls, name: str, other: str) -> str:
    return (
        f"whole calls of {name} take {whole.candidate:+.1%} beside the sum of its stages, those of"
        f" {other} {whole.baseline:+.1%}"
    )


def _list_reasons(case: RowCase, decision: Decision, results: StageResults) -> Iterator[str]:
    """Name the stages that make the row fail."""
    slower = [stage for stage, verdict in results.verdicts.items() if verdict == "fail"]
    for stage in slower:
        said = f"{say_stage(stage)} {results.ratios[stage]:.3f}"
        yield f"{said} is below its floor x{results.floor:.3f}"
    if not slower:
        yield from _name_slowest(case, decision, results)


def _note_undecided(results: StageResults) -> Iterator[str]:
    """Note the stages that may be slower: their blocks could not tell."""
    for stage, verdict in results.verdicts.items():
        if verdict == "inconclusive":
            yield (
                f"{say_stage(stage)} {results.ratios[stage]:.3f} cannot be told from its floor"
                f" x{results.floor:.3f}: the row is judged without it"
            )


def _name_slowest(case: RowCase, decision: Decision, results: StageResults) -> Iterator[str]:
    """Name the stage that misses most of the time that a row which fails should save."""
    if decision.verdict != "fail" or not results.ratios:
        return
    missing = {
        stage: ours - theirs / case.criteria.speedup
        for stage, (ours, theirs) in results.latencies_s.items()
    }
    worst = max(missing, key=lambda stage: missing[stage])
    if missing[worst] <= 0:
        # The medians of the stages are not what the interval is made of.
        return
    share = missing[worst] / sum(value for value in missing.values() if value > 0)
    if results.verdicts:
        # Against another version nothing is to be saved.
        said = f"{say_stage(worst)} {results.ratios[worst]}"
        yield f"by stages: {said} is {share:.0%} of what was lost"
        return
    yield (
        f"by stages: {worst} {results.ratios[worst]} misses {share:.0%} of the time that"
        f" x{case.criteria.speedup:.2f} would save"
    )


def find_unowned(data: CampaignData, contrast: Contrast, decision: Decision | None) -> str:
    """Say what time that no stage owns turns the verdict on two rows, or return "".

    Args:
        data: what their campaign found.
        contrast: the two rows.
        decision: what the looks decided about their ratio, or None.
    """
    if data.stages is None or decision is None:
        return ""
    arms = contrast.faster, contrast.slower
    found = compare_arms(
        data.stages.whole_s, data.samples_s, decision.blocks, arms, baseline=data.baseline
    )
    if found is None or withstands_whole_calls(decision.interval, decision.floor, found):
        return ""
    return f"time that no stage owns: {_describe(found, *arms)}"
