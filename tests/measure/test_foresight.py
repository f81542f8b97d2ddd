"""What a campaign says of its cost before its first block, by calls and by stages; and which of both ``auto`` takes."""

from __future__ import annotations

from dataclasses import replace

import campaigns
import pytest
from stage_bench import staged_arm

from pytest_sdspeed.judge.speed import intervals
from pytest_sdspeed.model import CONTROL, Profile

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


def plan_of(bench):
    """The plan that was announced: once, after the warm-up, before the first block."""
    (at,) = (at for at, progress in enumerate(bench.progress) if progress.plan is not None)
    assert all(progress.block == 0 for progress in bench.progress[:at])
    assert bench.progress[at + 1].block == 1
    assert bench.progress[at].phase == "plan"
    return bench.progress[at].plan


def test_calls_are_counted_and_timed_by_the_warm_up(bench):
    bench.run(bench.arm("base", 2.0), bench.arm("row", 1.0, floor=0.5), bench.arm("other", 0.5, floor=0.5), budget_s=100.0)
    plan = plan_of(bench)
    assert (plan.call_s, plan.calls, plan.first_look) == (2.0, 8, 3)
    # Four calls of the baseline, two of each row.
    assert plan.rows_s["row"] == 2.0
    assert plan.block_s == plan.by_calls_s == pytest.approx(8.0 + sum(plan.rows_s.values()))
    assert plan.blocks == int(100 / plan.block_s)
    assert (plan.steps, plan.whole_calls, plan.whole_s, plan.why) == (0, 0, 0.0, "")
    assert plan.most_s == plan.blocks * plan.block_s
    assert plan.least_s == 3 * plan.block_s


def test_stages_cost_the_steps_that_are_measured_and_whole_calls_in_the_end(bench):
    base, row = staged_arm(bench, "base", 0.04), staged_arm(bench, "row", 0.02, floor=1.5)
    record = bench.run(base, row, unit="stage", budget_s=30.0)
    plan = plan_of(bench)
    assert (plan.steps, plan.sampled_steps, plan.why) == (50, 7, "")
    # Text, 7 steps and decoding of four calls of the baseline, and of two of the row.
    assert plan.call_s == pytest.approx(2.3)
    assert plan.rows_s == {"row": pytest.approx(2 * (0.3 + 7 * 0.02))}
    assert plan.block_s == pytest.approx(4 * (0.3 + 7 * 0.04) + 2 * (0.3 + 7 * 0.02))
    assert plan.by_calls_s == pytest.approx(4 * 2.3 + 2 * 1.3)
    assert (plan.whole_calls, plan.whole_s) == (4, pytest.approx(2 * (2.3 + 1.3)))
    assert plan.blocks == record.planned_blocks == 9
    assert plan.most_s == pytest.approx(9 * plan.block_s + 3 * 7.2)
    # What was foreseen is what it took.
    blocks = len(record.samples_s["base"])
    assert record.timed_s == pytest.approx(blocks * plan.block_s)
    assert len(record.stages.whole_s["row"]) + len(record.stages.whole_s["base"]) == plan.whole_calls


def test_profiles_cost_up_to_two_calls_of_each_arm_that_has_one(bench):
    base, row = bench.arm("base", 2.0), bench.arm("row", 1.0, floor=0.5)
    bench.run(base, replace(row, profile=lambda _case: Profile()))
    assert plan_of(bench).profiles_s == 2.0


def test_what_the_blocks_resolve_is_told_for_one_percent_of_noise(bench):
    bench.run(bench.arm("base", 1.0), bench.arm("row", 1.0, floor=0.5), max_blocks=20)
    assert plan_of(bench).resolves == intervals.find_resolution(0.01, 20) == pytest.approx(0.01, rel=0.5)


def test_more_rows_that_share_the_error_resolve_less(bench):
    bench.run(bench.arm("base", 1.0), bench.arm("row", 1.0, floor=0.5), max_blocks=20, rows=8)
    assert plan_of(bench).resolves == intervals.find_resolution(0.01, 20, 8) > intervals.find_resolution(0.01, 20)


def test_a_budget_without_a_look_resolves_nothing(bench):
    bench.run(bench.arm("base", 1.0), bench.arm("row", 1.0, floor=0.5), max_blocks=2)
    plan = plan_of(bench)
    assert (plan.blocks, plan.resolves) == (2, None)


@pytest.mark.parametrize("noise", [0.001, 0.02])
def test_the_resolution_at_a_noise_is_that_of_blocks_which_have_it(noise):
    ratios = [noise, -noise] * 5
    found = intervals.minimum_detectable_effect(ratios, 12, 4)
    assert found == pytest.approx(intervals.find_resolution(noise * (10 / 9) ** 0.5, 12, 4))
    assert intervals.find_resolution(noise, 2) is None


def test_arms_without_stages_are_measured_by_calls_and_the_plan_says_why(bench):
    base = staged_arm(bench, "base", 0.04)
    record = bench.run(base, bench.arm("row", 1.0, floor=0.5), unit="stage")
    plan = plan_of(bench)
    assert plan.steps == 0
    assert plan.why == record.unstaged == "row is no pipeline whose stages are known"
    assert plan.block_s == plan.by_calls_s


def test_without_blocks_nothing_is_foreseen(bench):
    bench.run(bench.arm("base", 1.0), bench.arm("row", 1.0, floor=0.5), timed=False)
    assert not any(progress.plan for progress in bench.progress)


@pytest.mark.parametrize(("call_s", "unit"), [(0.998, "call"), (1.0, "stage"), (1.002, "stage")])
def test_auto_measures_by_stages_from_a_second_on(bench, call_s, unit):
    # 50 steps, and 0.3 s for text and decoding.
    step_s = (call_s - 0.25) / 50
    base = staged_arm(bench, "base", step_s, text_s=0.125, decode_s=0.125)
    row = staged_arm(bench, "row", step_s, floor=0.5)
    record = bench.run(base, row, unit="auto")
    assert bool(record.stages) == (unit == "stage")
    assert record.unstaged == ""
    assert bool(plan_of(bench).steps) == (unit == "stage")


def test_auto_asks_the_baseline_and_no_row(bench):
    quick, slow = staged_arm(bench, "base", 0.01), staged_arm(bench, "row", 0.1, floor=0.1)
    assert bench.run(quick, slow, unit="auto").stages is None
    slow, quick = staged_arm(bench, "base", 0.1), staged_arm(bench, "row", 0.01, floor=0.1)
    record = bench.run(slow, quick, unit="auto")
    assert record.stages is not None
    assert {"base", "row", CONTROL} == record.stages.samples_s.keys()
