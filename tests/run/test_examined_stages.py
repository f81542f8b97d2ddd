"""From a campaign by stages to what a row says of each stage: ratios, the slowest by name, and whether whole calls agree."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import campaigns
import pytest

from pytest_sdspeed.judge.claims import judge_contrast
from pytest_sdspeed.measure.campaign_data import StageData
from pytest_sdspeed.model import Contrast
from pytest_sdspeed.run import claims
from pytest_sdspeed.run.stages import examine_stages, find_unowned

bench = campaigns.bench
_quick_collector = campaigns.quick_collector
BASE = {"text": 0.1, "step": 0.1, "decode": 0.2, "steps": 40, "cv": 0.002}
"""A call of 4.3 s."""


def measure(bench, *, floor=0.98, speedup=1.0, cut=lambda data: data, **row):
    """Measure a row, and examine it: the decision, and what was found."""
    facts = {**BASE, **row}
    data = bench.run(bench.staged("base", **BASE), bench.staged("row", floor=floor, **facts), unit="stage", max_blocks=6)
    case = SimpleNamespace(
        data=cut(data),
        candidate=SimpleNamespace(name="row"),
        base=SimpleNamespace(name="base"),
        criteria=SimpleNamespace(speedup=speedup),
    )
    return data.decisions["row"], examine_stages(case, data.decisions["row"])


def test_each_stage_has_its_ratio_and_its_latencies(bench):
    decision, found = measure(bench, floor=1.5, step=0.05, decode=0.1, text=0.2)
    assert decision.verdict == "pass"
    ratios = {stage: ratio.speedup for stage, ratio in found.results.ratios.items()}
    assert ratios == pytest.approx({"text_encoder": 0.5, "denoising": 2.0, "decoding": 2.0}, rel=0.005)
    assert all(ratio.low < ratio.speedup < ratio.high for ratio in found.results.ratios.values())
    assert found.results.latencies_s["denoising"] == pytest.approx((2.0, 4.0), rel=0.005)
    assert (found.results.steps, found.results.sampled_steps, found.results.why_all) == (40, 6, "")
    assert found.results.unowned == pytest.approx((0, 0), abs=0.005)
    assert (found.broken, found.reasons, found.notes) == ("", (), ())


@pytest.mark.parametrize(
    ("row", "speedup", "stage"),
    [
        ({"step": 0.106}, 1.0, "denoising"),
        ({"decode": 0.5}, 1.0, "decoding"),
        ({"text": 0.3}, 1.0, "text_encoder"),
        ({"step": 0.05, "decode": 0.4}, 2.0, "decoding"),
        ({"step": 0.1, "decode": 0.1, "text": 0.05}, 2.0, "denoising"),
        ({"step": 0.108, "decode": 0.1}, 1.0, "denoising"),
    ],
    ids=["a step", "decoding", "text", "decoding of a faster row", "steps that are not faster", "one slower, one faster"],
)
def test_the_stage_that_misses_most_is_named_if_a_row_fails(bench, row, speedup, stage):
    decision, found = measure(bench, floor=0.99 * speedup, speedup=speedup, **row)
    assert decision.verdict == "fail"
    (said,) = found.reasons
    assert said.startswith(f"by stages: {stage} x")
    assert said.endswith(f"of the time that x{speedup:.2f} would save")
    assert not found.broken


def test_no_stage_is_named_if_none_misses_anything(bench):
    """A floor above the speed-up itself, which one of a tolerance of 0 is within noise."""
    decision, found = measure(bench, floor=1.05, speedup=0.9)
    assert decision.verdict == "fail"
    assert not found.reasons


def test_a_row_that_passes_names_no_stage_though_one_is_slower(bench):
    decision, found = measure(bench, floor=0.9, decode=0.22)
    assert decision.verdict == "pass"
    assert not found.reasons


@pytest.mark.parametrize(
    ("row", "verdict", "said"),
    [({"stall": 0.3}, "pass", "row take +6."), ({"step": 0.103, "stall": -0.3}, "fail", "row take -6.")],
    ids=["no pass", "no fail"],
)
def test_time_that_no_stage_owns_breaks_a_verdict_that_it_turns(bench, row, verdict, said):
    decision, found = measure(bench, floor=0.98 if verdict == "pass" else 0.99, **row)
    assert decision.verdict == verdict
    assert found.broken.startswith("time that no stage owns: whole calls of row take ")
    assert said in found.broken
    assert not found.reasons
    assert len(found.results.whole_s) == 2


def test_time_that_no_stage_owns_is_noted_if_it_turns_nothing(bench):
    decision, found = measure(bench, floor=0.5, stall=0.3)
    assert decision.verdict == "pass"
    assert not found.broken
    (note,) = found.notes
    assert note.startswith("whole calls of row take +6.")
    assert note.endswith("time that no stage owns, which turns no verdict")


def test_a_row_without_a_whole_call_has_its_stages_alone(bench):
    _, found = measure(bench, cut=lambda data: replace(data, stages=replace(data.stages, whole_s={})))
    assert set(found.results.ratios) == {"text_encoder", "denoising", "decoding"}
    assert (found.results.whole_s, found.results.unowned, found.broken) == ((), (), "")


def test_the_baseline_has_no_ratios(bench):
    data = bench.run(bench.staged("base", **BASE), bench.staged("row", floor=0.9, **BASE), unit="stage", max_blocks=3)
    case = SimpleNamespace(data=data, candidate=SimpleNamespace(name="base"), base=SimpleNamespace(name="base"))
    found = examine_stages(case, None)
    assert (found.results.steps, dict(found.results.ratios), found.reasons) == (40, {}, ())


@pytest.mark.parametrize(("why", "notes"), [("", ()), ("row takes 20", ("measured by whole calls, not by stages: row takes 20",))])
def test_whole_calls_have_no_stages_and_say_why(why, notes):
    case = SimpleNamespace(data=SimpleNamespace(stages=None, unstaged=why))
    found = examine_stages(case, None)
    assert (found.results, found.notes) == (None, notes)


def test_blocks_after_the_decision_are_not_of_the_ratios(bench):
    """A row that a contrast keeps is measured on: its stages are those of the blocks that decided it."""

    def lengthen(data):
        stages = {
            arm: {stage: [*pairs, (99.0, 99.0)] if arm == "row" else [*pairs, (1.0, 1.0)] for stage, pairs in found.items()}
            for arm, found in data.stages.samples_s.items()
        }
        return replace(data, stages=StageData(sampling=data.stages.sampling, samples_s=stages, whole_s=data.stages.whole_s))

    _, found = measure(bench, floor=0.5, cut=lengthen)
    assert found.results.ratios["denoising"].speedup == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize(("stall", "verdict"), [(0.0, "pass"), (0.6, "invalid")])
def test_a_claim_between_two_rows_does_not_stand_on_time_that_no_stage_owns(bench, stall, verdict):
    contrast = Contrast("slow", "fast", 1.0)
    arms = [bench.staged("base", **BASE), bench.staged("slow", **BASE), bench.staged("fast", **{**BASE, "step": 0.09, "stall": stall})]
    data = bench.run(*arms, unit="stage", max_blocks=4, compared=[contrast])
    decision = data.contrasts[contrast]
    assert decision.verdict == "pass"
    unowned = find_unowned(data, contrast, decision)
    assert judge_contrast(contrast, "fast", (decision.verdict, decision.interval), data.control, unowned).verdict == verdict
    assert ("no stage owns: whole calls of fast take +15." in unowned) == (stall > 0)
    planned = SimpleNamespace(rows=[SimpleNamespace(setup="fast"), SimpleNamespace(setup="slow")])
    judged = claims._judge_times(planned, data, [contrast])
    assert judged.verdict == verdict
    assert judged.reasons == ((unowned,) if stall else ())


def test_a_claim_that_is_measured_by_calls_needs_no_whole_ones(bench):
    contrast = Contrast("slow", "fast", 1.0)
    data = bench.run(*(bench.staged(name, **BASE) for name in ("base", "slow", "fast")), max_blocks=4, compared=[contrast])
    assert not find_unowned(data, contrast, data.contrasts[contrast])
