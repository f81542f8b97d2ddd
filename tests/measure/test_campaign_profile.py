"""Profiles: after everything that is timed, of the arms that held out, and never at the cost of a result."""

from __future__ import annotations

from dataclasses import replace

import campaigns
import pytest

from pytest_sdspeed.errors import UnusableDeviceError
from pytest_sdspeed.model import Case, Profile

bench = campaigns.bench
_quick_collector = campaigns.quick_collector

KNOWN = Profile(stages_s={"denoising": 0.9}, flops=10**9)


class Meter:
    """Notes when it is asked."""

    def __init__(self, events):
        self.events = events

    def start(self):
        self.events.append("meter")

    def peak_bytes(self):
        self.events.append("meter")
        return 5

    def shortage(self):
        return ""


def profiling(bench, arm, says=KNOWN):
    """The arm, whose profile takes 1000 seconds; ``says`` is what it returns, raises or does."""

    def profile(case):
        bench.events.append(f"profile:{arm.name}:{case.seed}")
        bench.clock.spend(1000.0)
        if isinstance(says, Exception):
            raise says
        return says() if callable(says) else says

    return replace(arm, profile=profile)


def test_profiles_come_last_once_for_each_arm_and_are_neither_timed_nor_metered(bench):
    plain = [bench.arm("base", 1.0, cv=0.01), bench.arm("quick", 0.5, cv=0.01, floor=1.5)]
    operation = {"matmul": lambda: lambda: bench.clock.spend(0.1)}
    record = bench.run(*(profiling(bench, arm) for arm in plain), memory=Meter(bench.events), canary=lambda: operation, seed=7)
    assert record.profiles == {"base": KNOWN, "quick": KNOWN}
    first = bench.events.index("profile:base:7")
    assert [event for event in bench.events[first:] if event not in ("watch", "synchronize")] == ["profile:base:7", "profile:quick:7"]
    assert [progress.phase for progress in bench.progress[-3:]] == ["canary", "profile", "profile"]
    assert [progress.arm for progress in bench.progress[-2:]] == ["base", "quick"]
    assert record.timed_s < 1000
    assert record.peak_bytes == {"base": 5, "quick": 5}
    assert record.decisions["quick"].verdict == "pass"


def test_a_spent_budget_is_no_reason_to_leave_it_out(bench):
    record = bench.run(profiling(bench, bench.arm("base", 1.0)), profiling(bench, bench.arm("row", 1.0, floor=1.0)), budget_s=20)
    assert record.decisions["row"].verdict == "inconclusive"
    assert set(record.profiles) == {"base", "row"}


def test_an_arm_without_a_profile_costs_no_other_its_own(bench):
    assert bench.run(bench.arm("base", 1.0), profiling(bench, bench.arm("row", 0.5, floor=1.5))).profiles == {"row": KNOWN}


def test_callables_have_none(bench):
    assert bench.run(bench.arm("base", 1.0), bench.arm("row", 0.5, floor=1.5)).profiles == {}


def test_an_arm_that_raised_is_not_profiled(bench):
    def raising(_case):
        if bench.block == 3:
            raise ValueError("a")
        bench.clock.spend(1.0)

    record = bench.run(profiling(bench, bench.arm("base", 1.0)), profiling(bench, bench.calling("row", raising, floor=0.5)))
    assert set(record.profiles) == {"base"}


def test_a_profile_that_raises_is_a_note_and_the_others_go_on(bench):
    broken = profiling(bench, bench.arm("broken", 0.5, floor=1.5), says=RuntimeError("no CUPTI\nand a page"))
    record = bench.run(profiling(bench, bench.arm("base", 1.0)), broken, profiling(bench, bench.arm("good", 0.5, floor=1.5)))
    assert record.errors == {}
    assert record.unusable is None
    assert {record.decisions[name].verdict for name in ("broken", "good")} == {"pass"}
    (note,) = record.profiles["broken"].notes
    assert note.startswith("where a generation's time goes is unknown: broken raised RuntimeError: no CUPTI (")
    assert record.profiles["good"] == KNOWN


@pytest.mark.parametrize("noticed", [True, False])
def test_a_device_that_is_lost_costs_no_result_and_is_asked_nothing_more(bench, noticed):
    def lose():
        def synchronize():
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        bench.clock.synchronize = synchronize
        if noticed:
            synchronize()
        return Profile(notes=("how busy the GPU was is unknown: RuntimeError: CUDA error",))

    lost = profiling(bench, bench.arm("row", 0.5, floor=1.5), says=lose)
    record = bench.run(profiling(bench, bench.arm("base", 1.0)), lost, profiling(bench, bench.arm("last", 0.5, floor=1.5)))
    assert record.errors == {}
    assert {record.decisions[name].verdict for name in ("row", "last")} == {"pass"}
    assert type(record.unusable) is UnusableDeviceError
    assert str(record.unusable) == "the device is unusable since the profile of row: nothing more can be measured in this run"
    assert set(record.profiles) == {"base", "row"}
    assert len(record.profiles["row"].notes) == 1


def test_a_device_that_was_lost_before_is_not_profiled(bench):
    def dying(_case):
        def synchronize():
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

        if bench.block == 5:
            bench.clock.synchronize = synchronize
            synchronize()
        bench.clock.spend(1.0)

    record = bench.run(profiling(bench, bench.arm("base", 1.0)), bench.calling("broken", dying, floor=1.0))
    assert record.unusable is not None
    assert record.profiles == {}


def test_a_case_reaches_the_profile_as_the_slots_drew_it(bench):
    seen = []
    base = replace(bench.arm("base", 1.0), profile=lambda case: seen.append(case) or KNOWN)
    bench.run(base, seed=3)
    assert seen == [Case(3)]
