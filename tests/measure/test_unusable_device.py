"""A device that no longer answers after an arm broke it: one cause, said everywhere, and nothing more is asked of it."""

from __future__ import annotations

from dataclasses import replace

import campaigns
import pytest
from campaigns import undecidable

from pytest_sdspeed.errors import UnusableDeviceError

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


class AcceleratorError(RuntimeError):
    """As torch's."""


def poison(bench):
    """What an illegal memory access leaves: every wait for the device raises."""

    def synchronize():
        raise AcceleratorError("CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress'")

    bench.clock.synchronize = synchronize
    synchronize()


def breaking(bench, name, block, floor=0.5):
    def generate(_case):
        bench.clock.spend(1.0)
        if bench.block == block:
            poison(bench)

    return bench.calling(name, generate, floor=floor)


def generated(bench):
    return [event.split(":")[1] for event in bench.events if event.startswith("generate")]


def test_a_device_that_breaks_in_warm_up_ends_the_campaign(bench):
    record = bench.run(bench.arm("base", 1.0), breaking(bench, "broken", 0), bench.arm("good", 1.0, floor=0.5))
    assert set(record.errors) == {"base", "broken", "good"}
    assert len(set(map(id, record.errors.values()))) == 1
    assert record.unusable is record.errors["good"]
    assert type(record.unusable) is UnusableDeviceError
    assert str(record.unusable).startswith(
        "the device is unusable since broken raised AcceleratorError: CUDA error: an illegal memory access was encountered ("
    )
    assert str(record.unusable).endswith("nothing more can be measured in this run")
    assert generated(bench) == ["base", "base"]
    assert record.slots == ()


def test_a_device_that_breaks_in_a_block_leaves_what_was_decided_and_asks_nothing_more(bench):
    timed = []

    def operation():
        timed.append(bench.progress[-1].phase)
        return lambda: bench.clock.spend(1.0)

    record = bench.run(
        bench.arm("base", 1.0),
        bench.arm("quick", 0.5, floor=1.0),
        breaking(bench, "broken", 5, floor=1.0),
        undecidable(bench),
        canary=lambda: {"matmul": operation},
    )
    assert record.decisions["quick"].verdict == "pass"
    assert {name for name, error in record.errors.items() if error is record.unusable} == {"base", "broken", "row"}
    assert {len(record.samples_s[name]) for name in ("base", "broken", "row")} == {4}
    assert [progress.phase for progress in bench.progress].count("canary") == 1
    assert len(timed) == 1
    assert (record.canary_s, record.canary_errors) == ({}, {})


@pytest.mark.parametrize("first", [True, False])
def test_a_device_that_breaks_while_an_arm_is_built_or_draws_references_ends_the_campaign(bench, first):
    def broken(*_case):
        poison(bench)

    row = bench.arm("row", 1.0, floor=0.5)
    reference = bench.calling("own", broken)
    rows = [
        replace(row, prepare=broken) if first else replace(row, reference=reference),
        replace(bench.arm("other", 1.0), reference=reference),
    ]
    record = bench.run(bench.arm("base", 1.0), *rows)
    assert {type(error) for error in record.errors.values()} == {UnusableDeviceError}
    assert set(record.errors) == {"base", "row", "other"}
    assert bench.events.count("enter:own") == (0 if first else 1)
    assert record.slots == ()


def test_a_device_that_answers_is_not_given_up(bench):
    def generate(_case):
        raise AcceleratorError("CUDA error: invalid argument")

    record = bench.run(bench.arm("base", 1.0), bench.calling("broken", generate, floor=0.5), bench.arm("good", 1.0, floor=0.5))
    assert record.unusable is None
    assert set(record.errors) == {"broken"}
    assert record.decisions["good"].verdict == "pass"


# A whole run

DYING = """
@pytest.mark.sd_latency(speedup=1.0)
def test_first(sd_latency):
    def dying():
        def synchronize():
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        builtins.sd_fake_time.synchronize = synchronize
        synchronize()
    sd_latency(dying, baseline=engine(1.0))


@pytest.mark.sd_latency(speedup=1.0)
@pytest.mark.parametrize("number", range(3))
def test_next(sd_latency, number):
    sd_latency(engine(0.5), baseline=engine(1.0))
"""


def test_the_rest_of_a_run_has_one_message(gated):
    result = gated("import builtins\n" + DYING)
    result.assert_outcomes(failed=4)
    said = [
        line
        for line in result.outlines
        if line.startswith("the device is unusable since dying raised RuntimeError: CUDA error: an illegal")
    ]
    assert len(said) == 4
    assert len(set(said)) == 1
