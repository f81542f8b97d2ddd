"""Campaigns on a fake clock: what is timed, what is kept, when a row is decided, and what happens when an arm or the machine breaks."""

from __future__ import annotations

import gc
import math
import random
import statistics
import weakref

import pytest
from fakes import Bench

from pytest_sdspeed.errors import GenerationError, LeakedFlagError, OutOfMemoryError
from pytest_sdspeed.judge import speed
from pytest_sdspeed.measure import campaign
from pytest_sdspeed.measure.campaign import explained, palindrome
from pytest_sdspeed.measure.clock import WallClock
from pytest_sdspeed.measure.facts import CampaignRecord, Limits, Slot
from pytest_sdspeed.model import CONTROL

EXPECTED, TOLERANCE = 1.5, 0.05
FLOOR = EXPECTED * (1 - TOLERANCE)
LOOKS = (4, 6, 8, 12, 16, 20)


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def real_collector():
    """Put the collector back as it was."""
    enabled = gc.isenabled()
    yield
    (gc.enable if enabled else gc.disable)()


@pytest.fixture(autouse=True)
def _quick_collector(request, monkeypatch):
    """Thousands of collections of a test process's heap, of which only the tests of the collector ask anything."""
    if "real_collector" not in request.fixturenames:
        monkeypatch.setattr(campaign.gc, "collect", lambda: 0)


def durations(record, label):
    return [duration for pair in record.samples_s[label] for duration in pair]


def ratios(record, row):
    """The row's log speed-up in every block."""
    both = zip(record.samples_s[record.baseline], record.samples_s[CONTROL], strict=True)
    return speed.log_ratios([(*outer, *inner) for outer, inner in both], record.samples_s[row])


def undecidable(bench, **facts):
    """A row on its floor, exactly, as long as nothing but the clock decides: no look ever does."""
    return bench.arm("row", 1.0, floor=1.0, **facts)


# The order of a block


@pytest.mark.parametrize("rows", [[], ["a"], ["a", "b"], list("abcdef")])
@pytest.mark.parametrize("seed", range(5))
def test_a_block_is_a_palindrome_with_every_row_twice_and_the_baseline_four_times(rows, seed):
    order = palindrome("base", rows, random.Random(seed))
    assert order == order[::-1]
    assert sorted(order) == sorted(["base", "base", CONTROL, CONTROL, *rows, *rows])
    assert order.index("base") < order.index(CONTROL)


@pytest.mark.parametrize("seed", range(5))
def test_linear_drift_cancels_exactly_for_every_arm_and_only_because_of_the_order(seed):
    order = palindrome("base", list("abcd"), random.Random(seed))
    positions = {arm: [index for index, label in enumerate(order) if label == arm] for arm in order}
    assert {statistics.mean(found) for found in positions.values()} == {(len(order) - 1) / 2}

    twice = (*order[: len(order) // 2], *order[: len(order) // 2])
    assert len({statistics.mean(index for index, label in enumerate(twice) if label == arm) for arm in twice}) > 1


def test_the_order_is_seeded_and_changes_from_block_to_block():
    def blocks(seed):
        order = random.Random(seed)
        return [palindrome("base", list("abcd"), order) for _ in range(6)]

    assert blocks(3) == blocks(3)
    assert blocks(3) != blocks(4)
    assert len(set(blocks(3))) > 1


@pytest.mark.parametrize("seed", [0, 7])
def test_a_campaign_takes_its_order_from_its_seed(seed):
    def orders(seed):
        bench = Bench()
        record = bench.run(bench.arm("base", 1), undecidable(bench), bench.arm("other", 1, floor=1.0), seed=seed)
        return [slot.arm for slot in record.slots]

    assert orders(seed) == orders(seed)
    assert orders(seed) != orders(seed + 1)


# Warm-up


def test_warm_up_is_the_same_for_every_arm_and_never_in_the_samples(bench):
    # Compiling takes 100 s; nothing in the timed part does.
    first = {"base": 100.0, "row": 100.0}
    arms = [
        bench.arm(name, 1.0, floor=floor, effect=lambda name=name: first.pop(name, 1.0)) for name, floor in (("base", None), ("row", 0.5))
    ]
    record = bench.run(*arms, seed=7)
    warm_up = [event for event in bench.events if event.startswith("generate")][:4]
    assert warm_up == ["generate:base:8", "generate:base:7", "generate:row:8", "generate:row:7"]
    assert [(progress.phase, progress.arm) for progress in bench.progress[:5]] == [
        ("warm-up", "base"),
        ("warm-up", "base"),
        ("warm-up", "row"),
        ("warm-up", "row"),
        ("block", bench.progress[4].arm),
    ]
    assert all(set(durations(record, label)) == {1.0} for label in ("base", CONTROL, "row"))
    assert len(record.slots) == 6 * 4


def test_pictures_are_kept_for_both_seeds_and_timed_slots_use_the_last(bench):
    seen = []

    def generate(seed):
        seen.append(seed)
        bench.clock.spend(1)
        return f"picture {seed}"

    record = bench.run(bench.calling("base", generate), seed=5)
    assert record.pictures == {"base": {6: "picture 6", 5: "picture 5"}}
    assert seen[:2] == [6, 5]
    assert set(seen[2:]) == {5}


# What is timed


def test_every_slot_is_entered_synchronized_timed_and_left_in_that_order(bench):
    record = bench.run(bench.arm("base", 1.0), bench.arm("row", 1.0, floor=0.5))
    found = 0
    for index, event in enumerate(bench.events):
        if event.startswith("generate"):
            name = event.split(":")[1]
            around = [*bench.events[index - 3 : index], *bench.events[index + 1 : index + 4]]
            assert around == [f"enter:{name}", "synchronize", "now", "synchronize", "now", f"exit:{name}"]
            found += 1
    assert found == len(record.slots) + 4
    assert bench.events.count("synchronize") == 2 * found


def test_work_the_device_still_owes_counts_for_the_arm_that_asked_for_it(bench):
    base = bench.calling("base", lambda _seed: bench.clock.submit(4.0))
    record = bench.run(base, bench.calling("row", lambda _seed: bench.clock.submit(1.0), floor=2.0))
    assert set(durations(record, "base")) == {4.0}
    assert set(durations(record, "row")) == {1.0}


def test_work_left_over_by_others_counts_for_nobody(bench):
    # Whoever watches leaves the device 64 s of work before every slot.
    def watch(_progress):
        bench.clock.submit(64.0)

    record = bench.run(bench.arm("base", 4.0), bench.arm("row", 1.0, floor=2.0), watch=watch)
    assert set(durations(record, "base")) == {4.0}
    assert set(durations(record, "row")) == {1.0}


def test_entering_and_leaving_a_slot_is_not_timed_but_is_overhead(bench):
    def generate(_seed):
        assert bench.inside
        bench.clock.spend(1.0)

    record = bench.run(bench.calling("base", generate, overhead=0.125))
    assert set(durations(record, "base") + durations(record, CONTROL)) == {1.0}
    assert record.timed_s == 16 * 1.25
    assert record.overhead == 0.25


def test_slots_say_when_the_timed_region_began(bench):
    record = bench.run(bench.calling("base", lambda _seed: bench.clock.spend(1.0), overhead=0.125))
    assert [slot.start_s for slot in record.slots] == [0.125 + 1.25 * index for index in range(16)]
    assert [slot.block for slot in record.slots] == [1 + index // 4 for index in range(16)]
    assert [slot.arm for slot in record.slots[:4]] == ["base", CONTROL, CONTROL, "base"]


def test_a_record_without_slots_has_no_overhead():
    empty = {
        "baseline": "base", "samples_s": {}, "slots": (), "pictures": {}, "decisions": {}, "errors": {},
        "peak_bytes": {}, "control": None, "looks": (), "block_s": 0.0,
    }  # fmt: skip
    assert CampaignRecord(**empty, timed_s=3.0).overhead == 0.0
    assert CampaignRecord(**{**empty, "slots": (Slot("base", 1, 0.0, 2.0),)}, timed_s=3.0).overhead == 0.5


def test_the_wall_clock_runs_forward_and_synchronizes_its_device():
    calls = []
    clock = WallClock(lambda: calls.append("device"))
    before = clock.now()
    clock.synchronize()
    WallClock().synchronize()
    assert clock.now() >= before
    assert calls == ["device"]


# Garbage collection


def test_no_collection_inside_slots_and_collecting_is_back_afterwards(bench, real_collector):
    gc.enable()
    seen = {"warm-up": set(), "block": set()}

    def generate(_seed):
        seen[bench.progress[-1].phase].add((gc.isenabled(), gc.get_freeze_count() > 0))
        bench.clock.spend(1.0)

    bench.run(bench.calling("base", generate))
    assert seen == {"warm-up": {(True, False)}, "block": {(False, True)}}
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_collecting_stays_off_where_it_was_off(bench, real_collector):
    gc.disable()
    bench.run(bench.arm("base", 1.0))
    assert not gc.isenabled()


@pytest.mark.parametrize("name", ["base", "row"])
def test_collecting_is_back_after_an_arm_raised(bench, real_collector, name):
    gc.enable()
    arms = [
        bench.arm(arm, 1.0, floor=floor, effect=lambda arm=arm: 1 / (arm != name or bench.block < 2))
        for arm, floor in (("base", None), ("row", 0.5))
    ]
    record = bench.run(*arms)
    assert name in record.errors
    assert gc.isenabled()


def test_garbage_of_a_slot_is_collected_before_the_next(bench, real_collector):
    alive = []

    class Cycle:
        def __init__(self):
            self.myself = self

    def generate(_seed):
        assert not any(reference() for reference in alive)
        alive.append(weakref.ref(Cycle()))
        bench.clock.spend(1.0)

    assert not bench.run(bench.calling("base", generate)).errors


@pytest.mark.parametrize("block", [0, 3])
def test_an_interrupt_goes_through_with_everything_restored(bench, real_collector, block):
    gc.enable()

    def interrupted(_seed):
        bench.clock.spend(1.0)
        if bench.block == block:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.run(bench.arm("base", 1.0), bench.calling("row", interrupted, floor=0.5))
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert bench.events[-1] == "exit:row"


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
    assert record.decisions["quick"].blocks == len(record.samples_s["quick"]) == 4
    assert record.decisions["row"].blocks == len(record.samples_s["row"]) == 20
    assert len(record.samples_s["base"]) == len(record.samples_s[CONTROL]) == 20
    assert {slot.arm for slot in record.slots if slot.block == 4} == {"base", CONTROL, "quick", "row"}
    assert {slot.arm for slot in record.slots if slot.block == 5} == {"base", CONTROL, "row"}


def test_the_campaign_ends_when_all_rows_are_decided(bench):
    record = bench.run(bench.arm("base", 1.0), bench.arm("a", 0.5, floor=1.0), bench.arm("b", 2.0, floor=1.0))
    assert (record.decisions["a"].verdict, record.decisions["b"].verdict) == ("pass", "fail")
    assert len(record.samples_s["base"]) == 4


def test_rows_are_only_decided_at_looks(bench):
    # Undecidable until block 5, then so fast that any interval would decide.
    row = bench.arm("row", 1.0, floor=1.0, effect=lambda: 1.0 if bench.block < 5 else 0.9 if bench.block == 5 else 0.25)
    record = bench.run(bench.arm("base", 1.0), row)
    assert record.decisions["row"].blocks in LOOKS[1:]


def test_the_baseline_alone_runs_the_blocks_of_the_first_look(bench):
    record = bench.run(bench.arm("base", 1.0))
    assert len(record.samples_s["base"]) == len(record.samples_s[CONTROL]) == 4 == record.looks[0]
    assert record.decisions == {}
    assert not record.control.excludes_one


@pytest.mark.parametrize(
    ("budget_s", "max_blocks", "looks"), [(62.0, 20, (4, 6, 8, 12)), (1e6, 6, (4, 6)), (0.0, 20, (2,)), (22.0, 20, (4,))]
)
def test_looks_are_fixed_by_what_the_warm_up_costs(bench, budget_s, max_blocks, looks):
    # The first generation compiles; the second tells what a slot costs: 4 x 1 s + 2 x 0.5 s.
    compiling = [100.0]
    base = bench.arm("base", 1.0, effect=lambda: compiling.pop() if compiling else 1.0)
    record = bench.run(base, bench.arm("row", 0.5, floor=2.0), budget_s=budget_s, max_blocks=max_blocks)
    assert record.block_s == 5.0
    assert record.looks == looks == speed.affordable_looks(max_blocks, 5.0, budget_s)
    assert len(record.samples_s["base"]) == looks[-1]
    assert record.decisions["row"].verdict == "inconclusive"


def test_a_machine_that_turns_faster_gets_no_more_looks(bench):
    faster = lambda: 1.0 if bench.block < 2 else 0.1  # noqa: E731
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
    slower = lambda: 10.0 if bench.block > 5 else 1.0  # noqa: E731
    arms = [bench.arm("base", 1.0, cv=0.02, effect=slower), bench.arm("row", 1 / FLOOR, cv=0.02, floor=FLOOR, effect=slower)]
    record = bench.run(*arms, budget_s=130.0)
    decision, critical = record.decisions["row"], speed.boundaries(record.looks)[record.looks.index(8)]
    assert (decision.verdict, decision.blocks) == ("inconclusive", 7)
    assert decision.interval == speed.interval(ratios(record, "row"), critical)


def test_an_inconclusive_row_says_how_many_more_blocks_would_decide():
    bench = Bench(2)
    record = bench.run(bench.arm("base", 1.0, cv=0.05), bench.arm("row", 1 / 1.5, cv=0.05, floor=1.47), max_blocks=4)
    decision = record.decisions["row"]
    critical = speed.boundaries(record.looks)[-1]
    assert decision.verdict == "inconclusive"
    assert decision.more_blocks == speed.blocks_to_decide(ratios(record, "row"), 1.47, critical) - 4 > 0
    assert decision.resolves == pytest.approx(speed.resolvable(statistics.stdev(ratios(record, "row")), 4, critical))


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


def test_one_loaded_slot_widens_its_own_row_and_touches_no_other():
    def run(spike):
        bench = Bench(3)
        hits = lambda: spike if bench.block == 2 and bench.slot < 4 else 1.0  # noqa: E731
        rows = [
            bench.arm(name, 1 / EXPECTED, cv=0.01, floor=FLOOR, effect=hits if name == "loaded" else lambda: 1.0)
            for name in ("loaded", "calm")
        ]
        return bench.run(bench.arm("base", 1.0, cv=0.01), *rows)

    quiet, loaded = run(1.0), run(3.0)
    assert quiet.decisions["loaded"].verdict == quiet.decisions["calm"].verdict == "pass"
    assert loaded.decisions["calm"].verdict == "pass"
    assert loaded.decisions["loaded"].verdict == "inconclusive"
    assert loaded.decisions["loaded"].resolves > 3 * quiet.decisions["loaded"].resolves
    assert max(durations(loaded, "loaded")) > 1.5


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


# Arms that raise


def failing(bench, name, when, error=None, floor=0.5):
    """An arm that raises where ``when()`` holds."""

    def generate(_seed):
        bench.clock.spend(1.0)
        if when():
            raise error or ValueError("boom")
        return name

    return bench.calling(name, generate, floor=floor)


def test_an_arm_that_raises_in_warm_up_leaves_and_the_others_go_on(bench):
    record = bench.run(bench.arm("base", 1.0), failing(bench, "broken", lambda: True), bench.arm("good", 1.0, floor=0.5))
    assert set(record.errors) == {"broken"}
    assert record.samples_s["broken"] == []
    assert record.pictures["broken"] == {}
    assert set(record.decisions) == {"good"}
    assert record.decisions["good"].verdict == "pass"
    assert [progress.arm for progress in bench.progress].count("broken") == 1


def test_an_arm_that_raises_at_its_second_seed_leaves_before_anything_is_timed(bench):
    calls = iter([False, True])
    record = bench.run(bench.arm("base", 1.0), failing(bench, "broken", lambda: next(calls)), seed=3)
    assert isinstance(record.errors["broken"], GenerationError)
    assert record.pictures["broken"] == {4: "broken"}
    assert record.block_s == 4.0


def test_an_arm_that_raises_in_a_block_keeps_its_whole_blocks_and_loses_the_part(bench):
    broken = failing(bench, "broken", lambda: bench.block == 3, floor=None)
    record = bench.run(bench.arm("base", 1.0), broken, undecidable(bench))
    assert len(record.samples_s["broken"]) == 2
    assert len(record.samples_s["row"]) == len(record.samples_s["base"]) == 20
    assert "broken" not in record.decisions
    assert [slot.block for slot in record.slots if slot.arm == "broken"] == [1, 1, 2, 2]


def test_an_arm_that_raised_is_not_called_again(bench):
    calls = []

    def generate(_seed):
        calls.append(bench.block)
        bench.clock.spend(1.0)
        if bench.block:
            raise ValueError

    bench.run(bench.arm("base", 1.0), bench.calling("broken", generate, floor=0.5), undecidable(bench))
    assert calls == [0, 0, 1]


def test_an_arm_that_raises_only_in_its_second_slot_adds_no_half_sample(bench):
    calls = []
    broken = failing(bench, "broken", lambda: bench.block == 2 and calls.append(0) is None and len(calls) == 2)
    record = bench.run(bench.arm("base", 1.0), broken, undecidable(bench))
    assert [len(pair) for pair in record.samples_s["broken"]] == [2]
    assert [slot.block for slot in record.slots if slot.arm == "broken"] == [1, 1, 2]
    assert isinstance(record.errors["broken"], GenerationError)


def test_when_every_row_has_raised_the_campaign_ends(bench):
    record = bench.run(bench.arm("base", 1.0), failing(bench, "broken", lambda: bench.block == 2))
    assert len(record.samples_s["base"]) == 2
    assert record.decisions == {}


def test_when_every_row_raises_in_warm_up_the_baseline_is_measured_all_the_same(bench):
    record = bench.run(bench.arm("base", 1.0), failing(bench, "broken", lambda: True))
    assert len(record.samples_s["base"]) == 4


def test_the_error_names_arm_type_first_line_and_the_place_it_was_raised_at(bench):
    def deep():
        raise ValueError("boom\nsecond line " + "x" * 1000)

    error = bench.run(bench.arm("base", 1.0), bench.calling("broken", lambda _seed: deep(), floor=0.5)).errors["broken"]
    assert type(error) is GenerationError
    assert str(error) == f"broken raised ValueError: boom ({__file__}:{deep.__code__.co_firstlineno + 1})"


@pytest.mark.parametrize(("text", "said"), [("", "no message"), ("\n\n", "no message"), ("x" * 1000, "x" * 300), ("  a\r\nb", "a")])
def test_an_error_that_was_never_raised_has_no_place(text, said):
    assert str(explained("arm", RuntimeError(text))) == f"arm raised RuntimeError: {said}"


class TorchOutOfMemoryError(RuntimeError):
    """As torch's: no MemoryError."""


TorchOutOfMemoryError.__name__ = "OutOfMemoryError"


@pytest.mark.parametrize("error", [MemoryError("tried 3 GiB"), TorchOutOfMemoryError("tried 3 GiB\nof 2")])
def test_out_of_memory_is_told_apart(bench, error):
    found = bench.run(bench.arm("base", 1.0), failing(bench, "big", lambda: True, error)).errors["big"]
    assert type(found) is OutOfMemoryError
    assert str(found).startswith(f"big ran out of memory: tried 3 GiB ({__file__}:")


def test_other_errors_are_not_taken_for_out_of_memory():
    assert type(explained("arm", RuntimeError("out of memory"))) is GenerationError


@pytest.mark.parametrize("kind", [LeakedFlagError, MemoryError, ValueError])
def test_an_error_lets_go_of_what_the_arm_had_allocated(bench, kind):
    class Weights:
        pass

    held = []

    def generate(_seed):
        weights = Weights()
        held.append(weakref.ref(weights))
        raise kind("what went wrong")

    record = bench.run(bench.arm("base", 1.0), bench.calling("big", generate, floor=0.5))
    assert "big" in record.errors
    assert [reference() for reference in held] == [None]


@pytest.mark.parametrize("when", [0, 2])
def test_a_leaked_flag_passes_unchanged_and_its_slot_is_no_sample(bench, when):
    leak = LeakedFlagError("setup 'leaky' left process-global flags behind")

    class Leaky:
        def __enter__(self):
            pass

        def __exit__(self, *_error):
            if bench.block == when:
                raise leak

    arm = type(bench.arm("x", 1.0))(name="leaky", generate=lambda _seed: bench.clock.spend(1.0), slot=Leaky, floor=0.5)
    record = bench.run(bench.arm("base", 1.0), arm, undecidable(bench))
    assert record.errors == {"leaky": leak}
    assert record.errors["leaky"] is leak
    assert len(record.samples_s["leaky"]) == max(0, when - 1)
    assert record.decisions["row"].blocks == 20


def test_an_arm_that_takes_no_time_is_an_error_and_not_the_end(bench):
    record = bench.run(bench.arm("base", 1.0), bench.calling("instant", lambda _seed: None, floor=0.5), bench.arm("good", 1.0, floor=0.5))
    assert "took no time" in str(record.errors["instant"])
    assert record.decisions["good"].verdict == "pass"


def test_a_baseline_that_raises_in_warm_up_ends_the_campaign_before_the_rows(bench):
    record = bench.run(failing(bench, "base", lambda: True, floor=None), bench.arm("row", 1.0, floor=0.5))
    assert type(record.errors["base"]) is GenerationError
    assert record.errors["row"] is record.errors["base"]
    assert (record.looks, record.slots, record.control, record.timed_s) == ((), (), None, 0.0)
    assert not any(progress.arm == "row" for progress in bench.progress)


def test_a_baseline_that_raises_in_a_block_leaves_what_was_decided_and_measured(bench):
    base = failing(bench, "base", lambda: bench.block == 7, floor=None)
    record = bench.run(base, bench.arm("quick", 0.5, floor=1.0), bench.arm("row", 1.0, floor=1.0))
    assert record.decisions.keys() == {"quick"}
    assert record.decisions["quick"].verdict == "pass"
    assert record.errors == {"base": record.errors["base"], "row": record.errors["base"]}
    assert [len(record.samples_s[label]) for label in ("base", CONTROL, "row", "quick")] == [6, 6, 6, 4]
    assert record.control is not None


@pytest.mark.parametrize("names", [("base", "base"), ("base", "row", "row"), ("base", CONTROL), (CONTROL, "row")])
def test_arms_need_names_of_their_own(bench, names):
    with pytest.raises(ValueError, match="distinct names other than 'control'"):
        bench.run(*(bench.arm(name, 1.0) for name in names))
    assert bench.events == []


# Memory


class Meter:
    def __init__(self):
        self.calls, self.peak = [], 0

    def start(self):
        self.calls.append("start")
        self.peak = 0

    def peak_bytes(self):
        self.calls.append("peak")
        return self.peak


def test_peak_memory_is_that_of_a_warm_up_generation(bench):
    meter = Meter()

    def using(size):
        def generate(_seed):
            bench.clock.spend(1.0)
            meter.peak = max(meter.peak, size)

        return generate

    record = bench.run(bench.calling("base", using(70)), bench.calling("row", using(30), floor=0.5), memory=meter)
    assert record.peak_bytes == {"base": 70, "row": 30}
    assert meter.calls == ["start", "peak"] * 4


def test_peak_memory_is_unknown_without_a_meter(bench):
    assert bench.run(bench.arm("base", 1.0)).peak_bytes == {"base": None}


# Whoever watches


def test_progress_names_phase_arm_and_block_and_counts_down(bench):
    record = bench.run(bench.arm("base", 1.0), undecidable(bench))
    blocks = [progress for progress in bench.progress if progress.phase == "block"]
    assert [progress.phase for progress in bench.progress[:4]] == ["warm-up"] * 4
    assert all((progress.block, progress.blocks, progress.left_s) == (0, 0, None) for progress in bench.progress[:4])
    assert [progress.block for progress in blocks] == [slot.block for slot in record.slots]
    assert [progress.arm for progress in blocks] == ["base" if slot.arm == CONTROL else slot.arm for slot in record.slots]
    assert {progress.blocks for progress in blocks} == {20}
    # Nothing is decided and nothing is noisy: the plan is exactly what happens.
    assert [progress.left_s for progress in blocks] == pytest.approx([record.timed_s - slot.start_s for slot in record.slots])


def test_no_more_time_is_left_than_the_budget_has_and_never_less_than_none(bench):
    slower = lambda: 1.0 if bench.block < 3 else 5.0  # noqa: E731
    record = bench.run(bench.arm("base", 1.0, effect=slower), undecidable(bench, effect=slower), budget_s=60.0)
    left = [progress.left_s for progress in bench.progress if progress.phase == "block"]
    assert record.timed_s > 60.0
    assert all(0 <= seconds <= 60.0 - slot.start_s or seconds == 0 for seconds, slot in zip(left, record.slots, strict=True))
    assert left[-1] == 0


def test_watching_takes_no_time_from_any_sample():
    # Whole 1/1024 s, so that sums are exact whatever stands before them.
    def run(watching_s):
        bench = Bench()

        def watch(progress):
            assert not bench.inside
            bench.watch(progress)
            bench.clock.spend(watching_s)

        def generate(_seed):
            bench.clock.spend(bench.noise.randrange(1000, 1100) / 1024)

        return bench.run(bench.calling("base", generate), bench.calling("row", generate, floor=1.0), watch=watch)

    quiet, watched = run(0.0), run(0.5)
    assert watched.samples_s == quiet.samples_s
    assert watched.decisions == quiet.decisions
    assert watched.timed_s == quiet.timed_s + 0.5 * len(quiet.slots)
    assert watched.overhead > 0 == quiet.overhead


def test_limits_give_two_seeds_of_pictures():
    assert Limits(seed=9).picture_seeds == (10, 9)
