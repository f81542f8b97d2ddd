"""The canary: fixed work beside a campaign. A slower machine is seen, what breaks is left out and named, and no arm is affected."""

from __future__ import annotations

import gc
import json
import textwrap
import weakref

import campaigns
import pytest
import torch
from children import PLUGINS
from fakes import FakeClock, failed

from pytest_sdspeed.device.canary import make_canary
from pytest_sdspeed.device.flags import snapshot
from pytest_sdspeed.measure.canary import CanaryTimes, pair_times, time_canary
from pytest_sdspeed.measure.clock import WallClock
from pytest_sdspeed.plugin.confirm import combine
from pytest_sdspeed.report.text import format_progress
from pytest_sdspeed.store.records import from_json, to_json

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


@pytest.fixture
def real_collector():
    """Put the collector back as it was."""
    enabled = gc.isenabled()
    yield
    (gc.enable if enabled else gc.disable)()


def lasting(clock, *seconds, name="work"):
    """Make an operation whose calls take these seconds in turn, the last for ever."""
    left = list(seconds)

    def work():
        clock.events.append(name)
        clock.spend(left.pop(0) if len(left) > 1 else left[0])

    return lambda: work


def broken(*_arguments):
    raise MemoryError("tried 3 GiB")


# One timing


def test_the_median_of_the_repeats_counts_and_the_warm_up_does_not():
    clock = FakeClock()
    assert time_canary({"a": lasting(clock, 100, 1, 2, 30)}, clock, repeats=3) == CanaryTimes({"a": 2}, {})


def test_operations_take_turns_each_synchronized_before_and_after():
    clock = FakeClock()
    time_canary({name: lasting(clock, 1, name=name) for name in "ab"}, clock, repeats=2)
    one = ["synchronize", "now", None, "synchronize", "now"]
    assert clock.events == [event or name for name in "ababab" for event in one]


def test_what_the_device_still_owes_counts_for_the_operation_that_asked_for_it():
    clock = FakeClock()
    clock.submit(64)
    assert time_canary({"a": lambda: lambda: clock.submit(2)}, clock).seconds == {"a": 2}


def test_every_use_makes_its_inputs_and_lets_them_go():
    class Inputs:
        pass

    clock, alive = FakeClock(), []

    def make():
        inputs = Inputs()
        alive.append(weakref.ref(inputs))
        return lambda: clock.spend(isinstance(inputs, Inputs))

    for _ in range(2):
        assert time_canary({"a": make}, clock).seconds == {"a": 1}
    assert [reference() for reference in alive] == [None, None]


def breaking_at(clock, call):
    calls = iter(range(100))
    return lambda: lambda: broken() if next(calls) == call else clock.spend(1)


@pytest.mark.parametrize("call", [None, 0, 1, 3])
def test_an_operation_that_raises_is_left_out_and_the_others_are_timed(call):
    clock = FakeClock()
    bad = broken if call is None else breaking_at(clock, call)
    seconds, errors = time_canary({"bad": bad, "good": lasting(clock, 5)}, clock, repeats=3)
    assert seconds == {"good": 5}
    assert str(errors["bad"]).startswith("bad ran out of memory: tried 3 GiB (")
    assert time_canary({"bad": breaking_at(clock, 4)}, clock, repeats=3).seconds == {"bad": 1}


def test_a_time_that_the_clock_cannot_tell_is_unknown():
    seconds, errors = time_canary({"idle": lambda: lambda: None}, FakeClock())
    assert seconds == {}
    assert str(errors["idle"]) == "idle took no time that the clock can tell"


def test_only_what_was_timed_twice_is_kept():
    assert pair_times(CanaryTimes({"a": 1.0, "b": 2.0}, {}), CanaryTimes({"b": 3.0, "c": 4.0}, {})) == {"b": (2.0, 3.0)}


# In a campaign


def arms(bench):
    return bench.arm("base", 1.0), bench.arm("row", 1.0, floor=0.5)


def test_it_is_timed_right_before_the_first_slot_and_right_after_the_last(bench):
    found = bench.run(*arms(bench), canary=lambda: {"a": lasting(bench.clock, 1)})
    seen = ["work" if event == "work" else "slot" for event in bench.events if event == "work" or event.startswith("generate")]
    assert seen == ["slot"] * 4 + ["work"] * 8 + ["slot"] * len(found.slots) + ["work"] * 8
    assert [progress.phase for progress in bench.progress] == [
        *["build"] * 2,
        *["warm-up"] * 4,
        "canary",
        "plan",
        *["block"] * len(found.slots),
        "canary",
    ]
    assert found.canary_s == {"a": (1, 1)}


def test_the_timed_part_is_the_same_with_it_and_without(bench):
    without = bench.run(*arms(bench), budget_s=20)
    found = bench.run(*arms(bench), budget_s=20, canary=lambda: {"a": lasting(bench.clock, 100)})
    assert (found.slots, found.timed_s, found.planned_blocks) == (without.slots, without.timed_s, without.planned_blocks)
    assert (without.canary_s, without.canary_errors) == ({}, {})


def test_a_machine_that_slows_during_the_campaign_is_seen(bench):
    slowed = False

    def slowing(_case):
        nonlocal slowed
        slowed = slowed or bench.block == 2
        bench.clock.spend(1.25 if slowed else 1.0)

    def work():
        bench.clock.spend(1.25 if slowed else 1.0)

    assert bench.run(bench.calling("base", slowing), canary=lambda: {"a": lambda: work}).canary_s == {"a": (1.0, 1.25)}


def test_the_operations_are_asked_for_once_after_warm_up(bench):
    asked = []

    def operations():
        asked.append(sum(event.startswith("generate") for event in bench.events))
        return {"a": lasting(bench.clock, 1)}

    bench.run(*arms(bench), canary=operations)
    assert asked == [4]


def test_a_baseline_that_breaks_in_warm_up_has_no_canary(bench):
    found = bench.run(bench.calling("base", broken), bench.arm("row", 1.0, floor=0.5), canary=broken)
    assert (found.canary_s, found.canary_errors) == ({}, {})


def test_a_baseline_that_breaks_later_has_both_times(bench):
    def generate(_case):
        bench.clock.spend(1)
        if bench.block == 3:
            raise ValueError("boom")

    found = bench.run(bench.calling("base", generate), canary=lambda: {"a": lasting(bench.clock, 1)})
    assert "base" in found.errors
    assert found.canary_s == {"a": (1, 1)}


def test_an_operation_that_breaks_afterwards_is_unknown(bench):
    operations = {"good": lasting(bench.clock, 1), "bad": breaking_at(bench.clock, 8)}
    found = bench.run(*arms(bench), canary=lambda: operations)
    assert found.canary_s == {"good": (1, 1)}
    assert set(found.canary_errors) == {"bad"}
    assert found.errors == {}


def test_no_collection_while_it_is_timed_and_collecting_is_back_afterwards(bench, real_collector):
    gc.enable()
    seen = set()

    def work():
        seen.add(gc.isenabled())
        bench.clock.spend(1)

    bench.run(*arms(bench), canary=lambda: {"a": lambda: work})
    assert seen == {False}
    assert gc.isenabled()


def test_the_progress_line_names_no_arm():
    assert format_progress("inference", "canary", "", block=0, blocks=0, left_s=None) == "inference: canary"


# In the record

GATE = """
@pytest.mark.sd_latency(speedup=1.0)
def test_engine(sd_latency):
    sd_latency(engine(1.0), baseline=engine(1.0))
"""


def test_a_result_keeps_it_stores_it_and_says_what_is_unknown(gated, fake_time, monkeypatch, pytester):
    operations = {"good": lasting(fake_time, 1), "bad": broken}
    monkeypatch.setattr("pytest_sdspeed.device.canary.make_canary", lambda kind, _capability: operations if kind == "cpu" else {})
    outcome = gated(GATE, "--benchmark-json=out.json")
    outcome.assert_outcomes(passed=1)
    outcome.stdout.fnmatch_lines(["note: candidate: the canary is partly unknown: bad ran out of memory: tried 3 GiB (*)"])
    (bench,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    stored = bench["extra_info"]["sdspeed"]
    assert stored["canary_s"] == {"good": [1, 1]}
    assert from_json(stored, pytester.path).canary_s == stored["canary_s"]


def test_nothing_is_said_where_nothing_broke(gated, fake_time, monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.device.canary.make_canary", lambda *_machine: {"good": lasting(fake_time, 1)})
    gated(GATE).stdout.no_fnmatch_line("*canary*")


@pytest.mark.parametrize(("verdict", "own"), [("pass", [3.0, 4.0]), ("fail", [1.0, 2.0]), ("inconclusive", [1.0, 2.0])])
def test_figures_and_canary_of_a_confirmed_row_are_of_the_same_process(verdict, own):
    second = to_json(failed(verdict=verdict, canary_s={"a": (3.0, 4.0)}))
    found = combine(failed(canary_s={"a": (1.0, 2.0)}), second)
    assert [found.canary_s["a"], found.confirmation["canary_s"]["a"]] == [
        pytest.approx(own),
        [1.0, 2.0] if own == [3.0, 4.0] else [3.0, 4.0],
    ]


# The work itself

KINDS = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"))]


@pytest.mark.parametrize("kind", KINDS)
def test_every_operation_runs_and_takes_time(kind):
    clock = WallClock(torch.cuda.synchronize) if kind == "cuda" else WallClock()
    operations = make_canary(kind)
    seconds, errors = time_canary(operations, clock, repeats=1)
    assert errors == {}
    assert seconds.keys() == operations.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_it_leaves_flags_and_random_numbers_as_they_were(kind):
    flags, numbers = snapshot(), torch.random.get_rng_state()
    # What a test may do around its gate.
    with torch.autocast(kind, dtype=torch.bfloat16), torch.device("meta"):
        _, errors = time_canary(make_canary(kind), WallClock(), repeats=1)
    assert errors == {}
    assert snapshot() == flags
    assert torch.equal(torch.random.get_rng_state(), numbers)


def test_the_names_of_the_kinds_say_what_they_are():
    assert list(make_canary("cpu")) == ["matmul_float32_512", "conv2d_float32_1x64x64x64", "copy_48mib", "dispatch_1000"]
    assert list(make_canary("cuda")) == [
        "matmul_float16_4096_x8",
        "conv2d_float16_16x320x64x64_x8",
        "copy_128mib_x16",
        "dispatch_1000",
    ]


@pytest.mark.slow
def test_callables_without_torch_have_none_and_do_not_pay_for_its_import(pytester):
    source = """
        import sys
        import time
        import pytest

        @pytest.mark.sd_latency(speedup=1.0, tolerance=0.9)
        @pytest.mark.parametrize("loaded", [False, True])
        def test_engine(sd_latency, loaded):
            if loaded:
                import torch
            result = sd_latency(lambda: time.sleep(0.01), baseline=lambda: time.sleep(0.01))
            assert (bool(result.canary_s), "torch" in sys.modules) == (loaded, loaded)
    """
    pytester.makepyfile(textwrap.dedent(source))
    # A process of its own: this one has imported torch.
    pytester.runpytest_subprocess(*PLUGINS, "-W", "default").assert_outcomes(passed=2)
