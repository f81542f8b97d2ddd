"""Campaigns on a fake clock: when a row is decided, and what noise, drift and load do to it."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import campaigns
import pytest
from campaigns import durations, undecidable
from fakes import Bench

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.measure import decisions
from pytest_sdspeed.measure.campaign_data import Decision
from pytest_sdspeed.model import CONTROL, Interval

bench = campaigns.bench
_quick_collector = campaigns.quick_collector

EXPECTED, TOLERANCE = 1.5, 0.05
FLOOR = EXPECTED * (1 - TOLERANCE)
LOOKS = tuple(range(3, 21))


def ratios(record, row):
    """The row's log speed-up in every block."""
    blocks = len(record.samples_s[row])
    return intervals.log_ratios([record.samples_s[arm][:blocks] for arm in (record.baseline, CONTROL)], [record.samples_s[row]])


# Deciding


def test_the_documented_ratio_passes_and_ten_percent_short_of_the_floor_fails(bench):
    good = bench.arm("good", 1 / EXPECTED, cv=0.01, floor=FLOOR)
    bad = bench.arm("bad", 1 / (FLOOR * 0.9), cv=0.01, floor=FLOOR)
    record = bench.run(bench.arm("base", 1.0, cv=0.01), good, bad)
    assert {name: decision.verdict for name, decision in record.decisions.items()} == {"good": "pass", "bad": "fail"}
    passed, failed = record.decisions["good"].interval, record.decisions["bad"].interval
    assert failed.high < FLOOR < passed.low < EXPECTED < passed.high
    assert record.decisions["good"].more_blocks is None
    assert not record.errors
    assert not record.control.excludes_one


def test_a_row_on_its_floor_mostly_stays_inconclusive_and_is_wrong_as_rarely_as_promised():
    verdicts = []
    for seed in range(60):
        bench = Bench(seed)
        record = bench.run(bench.arm("base", 1.0, cv=0.02), bench.arm("row", 1 / FLOOR, cv=0.02, floor=FLOOR), seed=seed)
        verdicts.append(record.decisions["row"].verdict)
        if verdicts[-1] == "inconclusive":
            assert record.decisions["row"].blocks == 20
    assert verdicts.count("inconclusive") >= 54


def test_verdicts_hold_over_many_seeds():
    for seed in range(30):
        bench = Bench(seed)
        good, bad = bench.arm("good", 1 / EXPECTED, cv=0.01, floor=FLOOR), bench.arm("bad", 1 / (FLOOR * 0.9), cv=0.01, floor=FLOOR)
        record = bench.run(bench.arm("base", 1.0, cv=0.01), good, bad, seed=seed)
        assert (record.decisions["good"].verdict, record.decisions["bad"].verdict) == ("pass", "fail")


def test_decided_rows_leave_and_the_baseline_stays(bench):
    record = bench.run(bench.arm("base", 1.0), bench.arm("quick", 0.5, floor=1.0), undecidable(bench))
    assert record.looks == LOOKS
    assert record.decisions["quick"].blocks == len(record.samples_s["quick"]) == 3
    assert record.decisions["row"].blocks == len(record.samples_s["row"]) == 20
    assert len(record.samples_s["base"]) == len(record.samples_s[CONTROL]) == 20
    assert {slot.arm for slot in record.slots if slot.block == 3} == {"base", CONTROL, "quick", "row"}
    assert {slot.arm for slot in record.slots if slot.block == 4} == {"base", CONTROL, "row"}


def from_eight_blocks(decision):
    return decision.blocks >= 8


@pytest.mark.parametrize(("seconds", "verdict"), [(0.5, "pass"), (1.2, "fail")])
def test_a_decided_row_stays_until_it_is_settled(bench, seconds, verdict):
    row = bench.arm("row", seconds, cv=0.005, floor=1.0)
    early = bench.run(bench.arm("base", 1.0, cv=0.005), row).decisions["row"]
    late = bench.run(bench.arm("base", 1.0, cv=0.005), replace(row, may_stop=from_eight_blocks))
    assert (early.blocks, early.verdict) == (3, verdict)
    found = late.decisions["row"]
    assert (found.blocks, found.verdict, len(late.samples_s["row"])) == (8, verdict, 8)
    assert found.interval.high / found.interval.low < early.interval.high / early.interval.low


def test_a_decided_row_that_never_settles_keeps_its_verdict_and_the_error_it_left(bench):
    rows = [bench.arm(name, 1.2, cv=0.005, floor=1.0) for name in ("settled", "unsettled")]
    rows[1] = replace(rows[1], may_stop=lambda _decision: False)
    record = bench.run(bench.arm("base", 1.0, cv=0.005), *rows, max_blocks=6, rows=3)
    assert {name: (found.verdict, found.blocks) for name, found in record.decisions.items()} == {
        "settled": ("fail", 3),
        "unsettled": ("fail", 6),
    }


def test_the_campaign_ends_when_all_rows_are_decided(bench):
    record = bench.run(bench.arm("base", 1.0), bench.arm("a", 0.5, floor=1.0), bench.arm("b", 2.0, floor=1.0))
    assert (record.decisions["a"].verdict, record.decisions["b"].verdict) == ("pass", "fail")
    assert len(record.samples_s["base"]) == 3


def test_rows_are_only_decided_at_looks():
    # Beyond twenty blocks not every block is followed by a look.
    found = set()
    for seed in range(12):
        bench = Bench(seed)
        record = bench.run(bench.arm("base", 1.0, cv=0.06), bench.arm("row", 1 / EXPECTED, cv=0.06, floor=FLOOR), max_blocks=60, seed=seed)
        assert record.decisions["row"].verdict == "pass"
        found.add(record.decisions["row"].blocks)
    assert found <= set(stopping.looks(60))
    assert max(found) > 20


def test_the_baseline_alone_runs_the_blocks_of_the_first_look(bench):
    record = bench.run(bench.arm("base", 1.0))
    assert len(record.samples_s["base"]) == len(record.samples_s[CONTROL]) == 3 == record.looks[0]
    assert record.decisions == {}
    assert not record.control.excludes_one


@pytest.mark.parametrize(("budget_s", "max_blocks", "blocks"), [(62.0, 20, 12), (1e6, 6, 6), (0.0, 20, 2), (22.0, 20, 4), (1e6, 27, 25)])
def test_looks_are_fixed_by_what_the_warm_up_costs(bench, budget_s, max_blocks, blocks):
    # The first generation compiles; the second tells what a slot costs: 4 x 1 s + 2 x 0.5 s.
    compiling = [100.0]
    base = bench.arm("base", 1.0, effect=lambda: compiling.pop() if compiling else 1.0)
    record = bench.run(base, bench.arm("row", 0.5, floor=2.0), budget_s=budget_s, max_blocks=max_blocks)
    assert record.block_s == 5.0
    assert record.looks == stopping.looks(blocks)
    assert len(record.samples_s["base"]) == record.planned_blocks == blocks
    assert record.decisions["row"].verdict == "inconclusive"


@pytest.mark.parametrize("budget_s", [5.0, 90.0])
def test_a_slow_warm_up_does_not_shorten_the_plan(bench, budget_s):
    """Ten times slower, every arm of it: what the first two blocks cost is known before the first look, and counts."""
    slower = lambda: 1.0 if bench.block else 10.0  # noqa: E731
    record = bench.run(bench.arm("base", 0.1, effect=slower), bench.arm("row", 0.1, effect=slower, floor=1.0), budget_s=budget_s)
    assert record.block_s == pytest.approx(0.6)
    assert record.planned_blocks == len(record.samples_s["base"]) == min(20, int(budget_s / 0.6))
    assert record.decisions["row"].verdict == "inconclusive"


def test_two_slow_blocks_do_not_shorten_the_plan(bench):
    slower = lambda: 10.0 if 0 < bench.block < 3 else 1.0  # noqa: E731
    record = bench.run(bench.arm("base", 0.1, effect=slower), undecidable(bench, effect=lambda: 0.1 * slower()), budget_s=20.0)
    assert record.planned_blocks == 20
    assert len(record.samples_s["base"]) == 2 + round((20 - 12) / 0.6 + 0.5)


@pytest.mark.parametrize("stalled", [0, 1])
def test_a_stall_in_the_warm_up_does_not_shorten_the_plan(bench, stalled):
    durations = iter([20.0 if index == stalled else 1.0 for index in range(2)])
    base = bench.arm("base", 1.0, effect=lambda: next(durations, 1.0))
    record = bench.run(base, undecidable(bench), budget_s=90.0)
    assert (record.block_s, record.planned_blocks) == (6.0, 15)


def test_a_machine_that_turns_faster_gets_no_more_looks(bench):
    faster = lambda: 1.0 if bench.block < 3 else 0.1  # noqa: E731
    record = bench.run(bench.arm("base", 1.0, effect=faster), undecidable(bench, effect=faster), budget_s=45.0)
    assert record.looks[-1] == len(record.samples_s["base"]) == 7


def test_a_machine_that_turns_ten_times_slower_stops_at_the_budget_and_keeps_its_samples(bench):
    slower = lambda: 1.0 if bench.block < 5 else 10.0  # noqa: E731
    block_s = 6.0
    record = bench.run(bench.arm("base", 1.0, effect=slower), undecidable(bench, effect=slower), budget_s=20 * block_s)
    blocks = len(record.samples_s["row"])
    assert record.looks == LOOKS
    # 4 blocks, then as many slow ones as the other 16 pay for, the last of them started within the budget.
    assert blocks == len(record.samples_s["base"]) == len(record.samples_s[CONTROL]) == 4 + 2
    assert 20 * block_s <= record.timed_s < 20 * block_s + 10 * block_s
    decision = record.decisions["row"]
    assert (decision.verdict, decision.blocks) == ("inconclusive", blocks)


def test_a_row_that_looks_decided_where_no_look_was_planned_stays_inconclusive(bench):
    # Twice as fast without noise: any look would decide, but the budget is spent before the first.
    slower = lambda: 100.0 if bench.block else 1.0  # noqa: E731
    record = bench.run(bench.arm("base", 1.0, effect=slower), bench.arm("row", 0.5, floor=1.0, effect=slower), budget_s=100.0)
    decision = record.decisions["row"]
    assert decision.blocks == len(record.samples_s["row"]) == 2 < record.looks[0]
    assert decision.interval.low > 1.0
    assert (decision.verdict, decision.more_blocks) == ("inconclusive", 1)


def test_a_row_that_ran_out_of_budget_between_looks_has_the_interval_of_the_look_it_was_bound_for(bench):
    slower = lambda: 100.0 if bench.block > 22 else 1.0  # noqa: E731
    arms = [bench.arm("base", 1.0, cv=0.02, effect=slower), bench.arm("row", 1 / FLOOR, cv=0.02, floor=FLOOR, effect=slower)]
    record = bench.run(*arms, budget_s=200.0, max_blocks=25)
    decision = record.decisions["row"]
    assert (decision.verdict, decision.blocks, record.planned_blocks) == ("inconclusive", 23, 25)
    assert 23 not in record.looks
    assert decision.interval == intervals.interval(ratios(record, "row"), stopping.critical_value(25))
    assert decision.minimum_detectable_effect == intervals.minimum_detectable_effect(ratios(record, "row"), 25)


def test_an_inconclusive_row_says_how_many_more_blocks_would_decide():
    bench = Bench(3)
    record = bench.run(bench.arm("base", 1.0, cv=0.05), bench.arm("row", 1 / 1.5, cv=0.05, floor=1.47), max_blocks=4)
    decision = record.decisions["row"]
    assert decision.verdict == "inconclusive"
    assert decision.more_blocks == intervals.blocks_to_decide(ratios(record, "row"), 1.47) - 4 > 0
    assert decision.minimum_detectable_effect == intervals.minimum_detectable_effect(ratios(record, "row"), 4)


@pytest.mark.parametrize(("blocks", "more"), [(2, 1), (19, 1), (23, 2), (200, None)])
def test_a_row_that_seems_decided_where_no_look_was_needs_the_next_one(blocks, more):
    seeming = Decision(verdict="pass", interval=Interval(2.0, 1.9, 2.1), blocks=blocks, more_blocks=None, minimum_detectable_effect=0.01)
    found = decisions.as_undecided(seeming)
    assert (found.verdict, found.more_blocks) == ("inconclusive", more)


def test_no_number_of_blocks_is_promised_to_a_row_that_sits_on_its_floor(bench):
    record = bench.run(bench.arm("base", 1.0), bench.arm("row", 1.0, floor=1.0))
    assert record.decisions["row"].verdict == "inconclusive"
    assert record.decisions["row"].more_blocks is None


def test_an_arm_without_a_floor_is_measured_and_passes(bench):
    record = bench.run(bench.arm("base", 1.0), bench.arm("row", 2.0))
    assert record.decisions["row"].verdict == "pass"
    assert record.decisions["row"].interval.speedup == pytest.approx(0.5)


def test_an_arm_without_a_floor_passes_where_the_budget_allowed_no_look(bench):
    slower = lambda: 1.0 if bench.block < 1 else 100.0  # noqa: E731
    record = bench.run(bench.arm("base", 1.0, effect=slower), bench.arm("row", 2.0, effect=slower), budget_s=40.0)
    assert record.decisions["row"].blocks < record.looks[0]
    assert record.decisions["row"].verdict == "pass"


# Noise and load


def drifting(bench, total):
    """20% slower, steadily, over ``total`` slots."""
    counted = iter(range(total * 10))
    return lambda: 1 + 0.2 * next(counted) / total if bench.block else 1.0


def test_drift_over_the_campaign_does_not_change_the_estimate(bench):
    effect = drifting(bench, 20 * 8)
    rows = [bench.arm("row", 1 / FLOOR, cv=0.002, floor=FLOOR, effect=effect), bench.arm("other", 1.0, cv=0.002, floor=1.0, effect=effect)]
    record = bench.run(bench.arm("base", 1.0, cv=0.002, effect=effect), *rows)
    assert len(record.samples_s["row"]) == len(record.samples_s["other"]) == 20
    assert record.decisions["row"].interval.speedup == pytest.approx(FLOOR, rel=1e-3)
    assert record.decisions["other"].interval.speedup == pytest.approx(1.0, rel=1e-3)
    assert not record.control.excludes_one
    assert statistics.mean(record.samples_s["base"][-1]) > 1.18 * statistics.mean(record.samples_s["base"][0])


def test_the_same_drift_misleads_whoever_measures_one_arm_after_the_other(bench):
    effect = drifting(bench, 40)
    bench.progress.append(type("Now", (), {"block": 1}))
    first, second = ([effect() for _ in range(20)] for _ in range(2))
    assert statistics.mean(map(math.log, first)) - statistics.mean(map(math.log, second)) < -0.08


@pytest.mark.parametrize("stall", [3.0, 20.0])
def test_a_stalled_slot_costs_nothing_and_a_stalled_block_costs_its_own_row_alone(stall):
    def run(spike, *, whole_block=False):
        bench = Bench(3)
        hits = lambda: spike if bench.block == 2 and (whole_block or bench.slot < 4) else 1.0  # noqa: E731
        rows = [
            bench.arm(name, 1 / EXPECTED, cv=0.01, floor=FLOOR, effect=hits if name == "loaded" else lambda: 1.0)
            for name in ("loaded", "calm")
        ]
        return bench.run(bench.arm("base", 1.0, cv=0.01), *rows)

    quiet, slot, block = run(1.0), run(stall), run(stall, whole_block=True)
    assert quiet.decisions["loaded"].verdict == quiet.decisions["calm"].verdict == "pass"
    assert slot.decisions["loaded"].verdict == slot.decisions["calm"].verdict == block.decisions["calm"].verdict == "pass"
    # In the eighth block one slow pair, of the candidate alone, is rare enough to be chance.
    assert slot.decisions["loaded"].blocks <= 8
    assert block.decisions["loaded"].verdict == "inconclusive"
    assert block.decisions["loaded"].minimum_detectable_effect > 3 * quiet.decisions["loaded"].minimum_detectable_effect
    assert max(durations(slot, "loaded")) > 1.5


def test_load_on_every_slot_of_one_arm_is_its_own_slowness():
    bench = Bench(4)
    rows = [bench.arm("loaded", 1.3 / EXPECTED, cv=0.01, floor=FLOOR), bench.arm("calm", 1 / EXPECTED, cv=0.01, floor=FLOOR)]
    record = bench.run(bench.arm("base", 1.0, cv=0.01), *rows)
    assert (record.decisions["loaded"].verdict, record.decisions["calm"].verdict) == ("fail", "pass")
    assert not record.control.excludes_one


def positioned(slower, seed=1, rows=1):
    """A campaign on a machine where ``slower(index, length)`` says which slots of a block take 20% longer."""
    bench = Bench(seed)
    effect = lambda: 1.2 if bench.block and slower(bench.slot, 4 + 2 * rows) else 1.0  # noqa: E731
    arms = [bench.arm(f"row{index}", 1 / FLOOR, cv=0.005, floor=FLOOR, effect=effect) for index in range(rows)]
    return bench.run(bench.arm("base", 1.0, cv=0.005, effect=effect), *arms, seed=seed)


FIRST = lambda index, _length: index == 0  # noqa: E731
ENDS = lambda index, length: index in (0, length - 1)  # noqa: E731
OUTER = lambda index, length: not 2 <= index < length - 2  # noqa: E731


@pytest.mark.parametrize(("slower", "rows"), [(FIRST, 0), (FIRST, 1), (FIRST, 2), (ENDS, 0), (ENDS, 1), (ENDS, 2), (OUTER, 1), (OUTER, 2)])
def test_a_slot_position_effect_breaks_the_control(slower, rows):
    control = positioned(slower, rows=rows).control
    assert control.excludes_one
    assert control.speedup > 1


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_the_control_holds_without_a_position_effect(rows):
    assert not positioned(lambda _index, _length: False, rows=rows).control.excludes_one


def test_an_effect_on_the_first_slot_of_each_half_reaches_no_estimate():
    """Outer and inner pair share the first slots of the halves, so that the control is blind to them; so is the comparison, on average."""
    found = [positioned(lambda index, length: index in (0, length // 2), seed=seed) for seed in range(12)]
    shifts = [math.log(record.decisions["row0"].interval.speedup / FLOOR) for record in found]
    assert abs(statistics.mean(shifts)) < 3 * statistics.stdev(shifts) / math.sqrt(len(shifts))
    assert abs(statistics.mean(shifts)) < 0.02
