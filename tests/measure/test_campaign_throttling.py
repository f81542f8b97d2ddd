"""Campaigns on a fake clock and a fake GPU: when it is asked, and what becomes of blocks in which it throttled."""

from __future__ import annotations

import campaigns
import pytest
from campaigns import durations, undecidable

from pytest_sdspeed.errors import ThrottledError
from pytest_sdspeed.judge.speed.throttling import count_exposed, describe_throttling, is_distorted, most_discarded
from pytest_sdspeed.model import CONTROL, Reading

bench = campaigns.bench
_quick_collector = campaigns.quick_collector
HOT = ("HW thermal slowdown",)


class Gpu:
    """A GPU that says what ``reasons()`` does at that moment, draws 100 W, and keeps its slots' energy in a counter."""

    note = ""

    def __init__(self, bench, reasons=tuple):
        self.bench, self.reasons, self.readings = bench, reasons, 0

    def read_energy_j(self):
        self.bench.events.append("energy")
        return 100.0 * self.bench.clock.seconds

    def read(self):
        assert self.bench.inside
        assert self.bench.clock.pending == 0
        self.readings += 1
        self.bench.events.append("read")
        return Reading(sm_clock_mhz=1980.0 - self.readings, energy_j=100.0 * self.bench.clock.seconds, reasons=self.reasons())


def attempts(bench):
    """How many blocks were begun."""
    blocks = [progress for progress in bench.progress if progress.phase == "block"]
    return (len(blocks) + 5) // 6


# When it is asked


def test_the_gpu_is_asked_between_the_waits_and_outside_the_timed_region(bench):
    record = bench.run(bench.arm("base", 1.0), bench.arm("row", 0.5, floor=0.5), telemetry=Gpu(bench))
    for index, event in enumerate(bench.events):
        if event.startswith("generate"):
            name = event.split(":")[1]
            around = [*bench.events[index - 4 : index], *bench.events[index + 1 : index + 5]]
            assert around == [f"enter:{name}", "synchronize", "energy", "now", "synchronize", "now", "read", f"exit:{name}"]
    assert [slot.energy_j for slot in record.slots] == pytest.approx([100.0 * slot.duration_s for slot in record.slots])
    assert all(slot.reading.sm_clock_mhz for slot in record.slots)


def test_asking_takes_no_time_from_any_sample(bench):
    class Slow(Gpu):
        def read_energy_j(self):
            self.bench.clock.spend(7.0)

        def read(self):
            self.bench.clock.spend(7.0)
            return Reading()

    record = bench.run(bench.arm("base", 1.0), bench.arm("row", 0.5, floor=0.5), telemetry=Slow(bench))
    assert set(durations(record, "base")) == {1.0}
    assert set(durations(record, "row")) == {0.5}


# What distorts


@pytest.mark.parametrize("reason", ["HW slowdown", "SW thermal slowdown", "HW thermal slowdown", "HW power brake"])
def test_heat_and_the_power_supply_distort(reason):
    assert is_distorted(("SW power cap", reason))


@pytest.mark.parametrize("reasons", [None, (), ("SW power cap",), ("sync boost",)])
def test_the_power_cap_and_the_unknown_do_not(reasons):
    assert not is_distorted(reasons)


@pytest.mark.parametrize(("planned", "most"), [(2, 1), (3, 1), (6, 2), (20, 6), (200, 66)])
def test_a_third_of_the_blocks_may_go(planned, most):
    assert most_discarded(planned) == most


def test_the_complaint_names_reasons_and_clocks():
    said = describe_throttling(7, 20, 20, {"SW power cap", *HOT, "HW slowdown"}, [345.0, 1980.0, 900.0])
    assert said == (
        "the GPU throttled in 7 blocks, more than a third of the 20 planned (HW slowdown, HW thermal slowdown; SM clock 345 to 1980 MHz)"
    )
    assert describe_throttling(2, 2, 2, HOT, []).endswith("(HW thermal slowdown)")
    assert "more than a third of 20 (HW" in describe_throttling(7, 20, 200, HOT, [])


@pytest.mark.parametrize(
    ("planned", "measured", "exposed"), [(3, 0, 3), (20, 3, 20), (200, 0, 20), (200, 20, 20), (200, 60, 60), (200, 200, 200)]
)
def test_a_plan_of_many_blocks_may_not_discard_many_before_they_are_measured(planned, measured, exposed):
    assert count_exposed(planned, measured) == exposed


# Blocks


def test_a_throttled_block_is_discarded_whole_and_measured_again(bench):
    slots = {"left": 3}

    def once():
        # The third slot of the second block, whose row then takes twice its time.
        slots["left"] -= bench.block == 2
        return HOT if bench.block == 2 and slots["left"] == 0 else ()

    slower = lambda: 2.0 if bench.block == 2 and slots["left"] > 0 else 1.0  # noqa: E731
    record = bench.run(bench.arm("base", 1.0), undecidable(bench, effect=slower), telemetry=Gpu(bench, once))
    assert [len(block) for block in record.discarded] == [6]
    assert {slot.block for slot in record.discarded[0]} == {2}
    assert {len(pairs) for pairs in record.samples_s.values()} == {len(pairs) for pairs in record.starts_s.values()} == {20}
    assert set(durations(record, "row")) == {1.0}
    assert [slot.block for slot in record.slots] == [1 + index // 6 for index in range(120)]
    assert attempts(bench) == 21
    assert record.throttled == ""
    assert record.overhead == pytest.approx(0.0)


def test_only_the_flag_discards_and_never_a_duration(bench):
    stalls = iter(range(10**6))
    record = bench.run(
        bench.arm("base", 1.0), undecidable(bench, effect=lambda: 20.0 if next(stalls) % 7 == 0 else 1.0), telemetry=Gpu(bench)
    )
    assert record.discarded == ()
    record = bench.run(bench.arm("base", 1.0), undecidable(bench), telemetry=Gpu(bench, lambda: HOT if bench.block else ()))
    assert record.throttled


def test_a_power_cap_all_the_time_discards_nothing(bench):
    record = bench.run(bench.arm("base", 1.0), bench.arm("row", 0.5, floor=1.0), telemetry=Gpu(bench, lambda: ("SW power cap",)))
    assert (record.discarded, record.throttled) == ((), "")
    assert record.decisions["row"].verdict == "pass"


def test_warm_up_may_throttle(bench):
    record = bench.run(bench.arm("base", 1.0), bench.arm("row", 0.5, floor=1.0), telemetry=Gpu(bench, lambda: () if bench.block else HOT))
    assert record.discarded == ()


def from_block(bench, first):
    return Gpu(bench, lambda: HOT if bench.block >= first else ())


def test_a_campaign_that_throttles_too_often_ends_and_says_why(bench):
    record = bench.run(bench.arm("base", 1.0), bench.arm("quick", 0.5, floor=1.0), undecidable(bench), telemetry=from_block(bench, 6))
    assert len(record.discarded) == 7
    assert len(record.samples_s["base"]) == len(record.samples_s[CONTROL]) == 5
    assert record.throttled.startswith(
        "the GPU throttled in 7 blocks, more than a third of the 20 planned (HW thermal slowdown; SM clock 18"
    )
    assert record.errors == {}
    assert {name: decision.verdict for name, decision in record.decisions.items()} == {"quick": "pass", "row": "inconclusive"}


@pytest.mark.parametrize("first", [1, 2])
def test_a_campaign_without_blocks_has_errors_in_their_place(bench, first):
    record = bench.run(bench.arm("base", 1.0), undecidable(bench), telemetry=from_block(bench, first))
    assert record.decisions == {}
    assert set(record.errors) == {"base", "row"}
    assert type(record.errors["row"]) is ThrottledError
    assert str(record.errors["row"]).startswith("invalid: the GPU throttled in 7 blocks, more than a third of the 20 planned (HW thermal")


def test_blocks_are_measured_again_within_the_budget(bench):
    # The first of every four blocks throttles, and the budget has room for ten.
    record = bench.run(
        bench.arm("base", 1.0),
        undecidable(bench),
        telemetry=Gpu(bench, lambda: HOT if attempts(bench) % 4 == 1 else ()),
        budget_s=60.0,
    )
    assert len(record.discarded) == 3
    assert (record.timed_s, record.throttled) == (60.0, "")
    assert len(record.samples_s["base"]) == 7


def test_what_a_block_costs_is_told_by_discarded_ones_too(bench):
    record = bench.run(
        bench.arm("base", 1.0), undecidable(bench), telemetry=Gpu(bench, lambda: HOT if attempts(bench) == 1 else ()), budget_s=60.0
    )
    assert record.block_s == pytest.approx(6.0)
    assert record.planned_blocks == 10


def test_an_arm_that_raises_in_a_throttled_block_leaves_all_the_same(bench):
    def generate(_case):
        bench.clock.spend(1.0)
        if bench.block == 2:
            raise ValueError("boom")

    hot = iter([HOT] * 3)
    gpu = Gpu(bench, lambda: next(hot, ()) if bench.block == 2 else ())
    record = bench.run(bench.arm("base", 1.0), bench.calling("broken", generate, floor=0.5), undecidable(bench), telemetry=gpu)
    assert set(record.errors) == {"broken"}
    assert len(record.samples_s["broken"]) == 1
    assert len(record.discarded) == 1
    assert len(record.samples_s["row"]) == 20
