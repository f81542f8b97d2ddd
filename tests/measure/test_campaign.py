"""Campaigns on a fake clock: the order of a block, the warm-up, what is timed, and the garbage collector."""

from __future__ import annotations

import gc
import random
import statistics
import weakref
from dataclasses import replace

import campaigns
import pytest
from campaigns import durations, tell, undecidable
from fakes import Bench

from pytest_sdspeed.errors import GenerationError
from pytest_sdspeed.measure.campaign_data import CampaignData, Slot
from pytest_sdspeed.measure.clock import WallClock
from pytest_sdspeed.measure.collector import Standing
from pytest_sdspeed.measure.order import Palindromes
from pytest_sdspeed.model import CONTROL, Case

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


@pytest.fixture
def real_collector():
    """Put the collector back as it was; nothing is frozen when a test begins."""
    enabled = gc.isenabled()
    gc.unfreeze()
    yield
    (gc.enable if enabled else gc.disable)()


# The order of a block


@pytest.mark.parametrize("rows", [[], ["a"], ["a", "b"], list("abcdef")])
@pytest.mark.parametrize("seed", range(5))
def test_a_block_is_a_palindrome_with_every_row_twice_and_the_baseline_four_times(rows, seed):
    order = Palindromes("base", random.Random(seed)).draw(rows)
    assert order == order[::-1]
    assert sorted(order) == sorted(["base", "base", CONTROL, CONTROL, *rows, *rows])
    assert order.index("base") < order.index(CONTROL)


@pytest.mark.parametrize("seed", range(5))
def test_linear_drift_cancels_exactly_for_every_arm_and_only_because_of_the_order(seed):
    order = Palindromes("base", random.Random(seed)).draw(list("abcd"))
    positions = {arm: [index for index, label in enumerate(order) if label == arm] for arm in order}
    assert {statistics.mean(found) for found in positions.values()} == {(len(order) - 1) / 2}

    twice = (*order[: len(order) // 2], *order[: len(order) // 2])
    assert len({statistics.mean(index for index, label in enumerate(twice) if label == arm) for arm in twice}) > 1


def test_the_order_is_seeded_and_changes_from_block_to_block():
    def blocks(seed):
        order = Palindromes("base", random.Random(seed))
        return [order.draw(list("abcd")) for _ in range(6)]

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
    assert [(progress.phase, progress.arm) for progress in bench.progress[:8]] == [
        ("build", "base"),
        ("build", "row"),
        ("warm-up", "base"),
        ("warm-up", "base"),
        ("warm-up", "row"),
        ("warm-up", "row"),
        ("plan", ""),
        ("block", bench.progress[7].arm),
    ]
    assert all(set(durations(record, label)) == {1.0} for label in ("base", CONTROL, "row"))
    assert len(record.slots) == 6 * 3
    assert record.warm_up_s == {"base": [100.0, 1.0], "row": [100.0, 1.0]}


def drawing(bench, name, seen, floor=None):
    """An arm whose pictures say who drew what."""

    def generate(case):
        seen.append(case)
        bench.clock.spend(1)
        return campaigns.picture(f"{name}: {case}")

    return bench.calling(name, generate, floor=floor)


def test_pictures_are_kept_for_every_case_and_timed_slots_draw_the_last(bench):
    seen = []
    record = bench.run(drawing(bench, "base", seen), seed=5, prompts=("a vase",))
    expected = {Case(6): "base: seed 6", Case(5, "a vase"): "base: seed 5, 'a vase'", Case(5): "base: seed 5"}
    assert {name: tell(pictures, *expected.values()) for name, pictures in record.pictures.items()} == {"base": expected}
    assert seen[:3] == [Case(6), Case(5, "a vase"), Case(5)]
    assert set(seen[3:]) == {record.case} == {Case(5)}


def test_a_reference_draws_every_case_untimed_before_the_blocks(bench):
    seen = []
    row = replace(bench.arm("row", 1.0, floor=0.5), reference=drawing(bench, "own", seen))
    record = bench.run(bench.arm("base", 1.0), row, seed=5, prompts=("a vase",))
    expected = {Case(6): "own: seed 6", Case(5, "a vase"): "own: seed 5, 'a vase'", Case(5): "own: seed 5"}
    assert {name: tell(pictures, *expected.values()) for name, pictures in record.references.items()} == {"row": expected}
    assert seen == [Case(6), Case(5, "a vase"), Case(5)]
    assert {"base", "row", CONTROL} == {slot.arm for slot in record.slots} == record.samples_s.keys()
    assert bench.events.index("exit:own") < bench.events.index("enter:row", bench.events.index("exit:own"))


@pytest.mark.parametrize("prepare", [True, False])
def test_an_arm_whose_reference_breaks_leaves_and_the_others_go_on(bench, prepare):
    def broken(*_case):
        raise ValueError("boom")

    reference = replace(bench.calling("own", broken), **({"prepare": broken} if prepare else {}))
    record = bench.run(
        bench.arm("base", 1.0), replace(bench.arm("row", 1.0, floor=0.5), reference=reference), bench.arm("good", 1.0, floor=0.5)
    )
    assert isinstance(record.errors["row"], GenerationError)
    assert record.samples_s["row"] == []
    assert set(record.decisions) == {"good"}


def test_the_record_knows_when_every_sample_began(bench):
    record = bench.run(bench.arm("base", 1.0, cv=0.1), bench.arm("row", 0.5, cv=0.1, floor=0.5), max_blocks=6)
    assert {name: len(pairs) for name, pairs in record.starts_s.items()} == {name: len(pairs) for name, pairs in record.samples_s.items()}
    begun = {(slot.arm, slot.start_s): slot.duration_s for slot in record.slots}
    for name, pairs in record.starts_s.items():
        for starts, durations_s in zip(pairs, record.samples_s[name], strict=True):
            assert starts[0] < starts[1]
            assert tuple(begun[name, start] for start in starts) == tuple(durations_s)


def test_short_generations_take_turns_until_a_slot_is_long_enough(bench):
    record = bench.run(bench.arm("base", 0.03, cv=0.1), bench.arm("row", 0.025, cv=0.1, floor=1.2), slot_s=0.1, max_blocks=6)
    turns = 5  # The warm-up's fastest took just above 0.02 s.
    for name, pairs in record.samples_s.items():
        taken = [slot.duration_s for slot in record.slots if slot.arm == name]
        blocks = [taken[start : start + 2 * turns] for start in range(0, len(taken), 2 * turns)]
        assert pairs == [(statistics.median(block[::2]), statistics.median(block[1::2])) for block in blocks]
        starts = [slot.start_s for slot in record.slots if slot.arm == name]
        assert record.starts_s[name] == [(starts[first], starts[first + 1]) for first in range(0, len(starts), 2 * turns)]
    block = [slot.arm for slot in record.slots if slot.block == 1]
    for turn in range(turns):
        palindrome = block[6 * turn :][:6]
        assert sorted(palindrome) == sorted(["base", "base", CONTROL, CONTROL, "row", "row"])
        assert palindrome == palindrome[::-1]


@pytest.mark.parametrize(("budget_s", "turns"), [(1000, 10), (60, 10), (30, 5), (11, 1), (1, 1)])
def test_turns_never_cost_blocks(budget_s, turns):
    def run(slot_s):
        bench = Bench()
        return bench.run(bench.arm("base", 0.01), bench.arm("row", 0.01, floor=1), slot_s=slot_s, max_blocks=100, budget_s=budget_s)

    record = run(0.0995)
    assert sum(slot.block == 1 for slot in record.slots) == 6 * turns
    assert record.planned_blocks == run(0.0).planned_blocks


@pytest.mark.parametrize("slot_s", [0.0, 0.0099])
def test_generations_that_last_long_enough_take_one_turn(bench, slot_s):
    record = bench.run(bench.arm("base", 0.01), bench.arm("row", 0.01, floor=1), slot_s=slot_s)
    assert sum(slot.block == 1 for slot in record.slots) == 6


def test_spikes_in_few_generations_of_a_slot_are_not_in_its_sample(bench):
    spikes = random.Random(5)
    record = bench.run(
        bench.arm("base", 0.01),
        bench.arm("row", 0.01, floor=1, effect=lambda: 3.0 if spikes.random() < 0.1 else 1.0),
        slot_s=0.15,
        max_blocks=20,
    )
    assert max(durations(record, "row")) < 0.011
    assert max(slot.duration_s for slot in record.slots) > 0.029


def test_a_block_that_broke_has_neither_samples_nor_starts(bench):
    def generate(_case):
        bench.clock.spend(1)
        if bench.block == 3 and bench.slot > 2:
            raise ValueError("boom")

    record = bench.run(bench.calling("base", generate), bench.arm("row", 1.0, floor=0.99))
    assert {len(pairs) for pairs in (*record.starts_s.values(), *record.samples_s.values())} == {2}


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
    assert record.timed_s == 12 * 1.25
    assert record.overhead == 0.25


def test_slots_say_when_the_timed_region_began(bench):
    record = bench.run(bench.calling("base", lambda _seed: bench.clock.spend(1.0), overhead=0.125))
    assert [slot.start_s for slot in record.slots] == [0.125 + 1.25 * index for index in range(12)]
    assert [slot.block for slot in record.slots] == [1 + index // 4 for index in range(12)]
    assert [slot.arm for slot in record.slots[:4]] == ["base", CONTROL, CONTROL, "base"]


def test_a_record_without_slots_has_no_overhead():
    empty = {
        "baseline": "base", "samples_s": {}, "slots": (), "pictures": {}, "decisions": {}, "errors": {},
        "peak_bytes": {}, "control": None, "looks": (), "block_s": 0.0,
    }  # fmt: skip
    assert CampaignData(**empty, timed_s=3.0).overhead == 0.0
    assert CampaignData(**{**empty, "slots": (Slot("base", 1, 0.0, 2.0),)}, timed_s=3.0).overhead == 0.5


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
    assert seen == {"warm-up": {(False, True)}, "block": {(False, True)}}
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_what_the_process_has_frozen_itself_stays_so(bench, real_collector):
    gc.freeze()
    count = gc.get_freeze_count()
    bench.run(bench.calling("base", lambda _seed: bench.clock.spend(1.0)))
    assert gc.get_freeze_count() >= count - 100  # what is let go of meanwhile


def test_what_stands_between_campaigns_is_left_out_of_collections_until_it_is_taken_back(real_collector):
    standing = Standing()
    standing.leave_out()
    first = gc.get_freeze_count()
    kept = [[] for _ in range(1000)]
    standing.leave_out()
    assert gc.get_freeze_count() >= first + len(kept) - 100
    standing.take_back()
    assert gc.get_freeze_count() == 0


def test_what_was_frozen_before_is_not_taken_back(real_collector):
    gc.freeze()
    standing = Standing()
    standing.leave_out()
    standing.take_back()
    assert gc.get_freeze_count() > 0


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
