"""A floor that depends on the baseline's latency: each look asks for it anew, by the blocks that the row took part in."""

from __future__ import annotations

import statistics
from dataclasses import replace

import campaigns
import pytest
from campaigns import durations
from fakes import Bench

from pytest_sdspeed.model import CONTROL

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


@pytest.fixture
def asked():
    """The latencies that the floor was asked for."""
    return []


def held(bench, asked, mean, floor, *, plain=0.5):
    """A row whose floor is a function of the baseline's latency, in place of a plain one."""

    def floor_at(baseline_s):
        asked.append(baseline_s)
        return floor(baseline_s)

    return replace(bench.arm("row", mean, cv=0.01, floor=plain), floor_at=floor_at)


@pytest.mark.parametrize(("floor", "verdict"), [(1.2, "pass"), (1.6, "fail")])
def test_the_floor_of_the_function_counts_and_is_kept_with_the_decision(bench, asked, floor, verdict):
    record = bench.run(bench.arm("base", 1.5, cv=0.01), held(bench, asked, 1.0, lambda _: floor, plain=1.4))
    assert (record.decisions["row"].verdict, record.decisions["row"].floor) == (verdict, floor)


def test_it_is_asked_for_the_median_of_all_the_baselines_slots_in_the_blocks_of_the_row(bench, asked):
    """Another row stays: the baseline goes on, and what it takes then is not of the row that has left."""
    slow = bench.arm("other", 1.5, floor=1.0)
    record = bench.run(bench.arm("base", 1.5, cv=0.01), held(bench, asked, 1.0, lambda baseline_s: baseline_s / 1.25), slow)
    blocks = record.decisions["row"].blocks
    assert (blocks, len(record.samples_s["base"])) == (3, 20)
    pairs = [*record.samples_s["base"][:blocks], *record.samples_s[CONTROL][:blocks]]
    median = statistics.median(slot for pair in pairs for slot in pair)
    assert asked[-1] == median
    assert median != statistics.median([*durations(record, "base"), *durations(record, CONTROL)])
    assert record.decisions["row"].floor == median / 1.25


def test_each_look_asks_anew(bench, asked):
    record = bench.run(bench.arm("base", 1.0, cv=0.02), held(bench, asked, 1.0, lambda _: 1.0))
    assert record.decisions["row"].verdict == "inconclusive"
    assert len(asked) >= len(record.looks) == 18
    assert len(set(asked)) > 5


@pytest.mark.parametrize(("floor", "verdict"), [(1.0, "inconclusive"), (0.7, "pass"), (1.5, "fail")])
def test_a_bias_is_held_against_the_floor_that_the_look_found(asked, floor, verdict):
    """The ends of a block take 10% longer: a row 2% above its floor is not decided by that, whatever its plain floor."""
    bench = Bench(1)
    effect = lambda: 1.1 if bench.block and bench.slot in (0, 5) else 1.0  # noqa: E731
    base, row = (bench.arm(name, mean, cv=0.001, effect=effect, floor=0.1) for name, mean in (("base", 1.0), ("row", 1 / 1.02)))
    record = bench.run(replace(base, floor=None), replace(row, floor_at=lambda _: floor), seed=1)
    assert record.decisions["row"].verdict == verdict
    assert record.control.excludes_one or verdict != "inconclusive"


def test_without_a_plain_floor_there_is_none(bench, asked):
    arm = replace(held(bench, asked, 1.0, lambda _: 9.0), floor=None)
    record = bench.run(bench.arm("base", 1.0, cv=0.01), arm)
    assert (record.decisions["row"].floor, asked) == (None, [])


def test_a_plain_floor_is_kept_as_it_is(bench):
    record = bench.run(bench.arm("base", 1.5, cv=0.01), bench.arm("row", 1.0, cv=0.01, floor=1.2))
    assert record.decisions["row"].floor == 1.2
