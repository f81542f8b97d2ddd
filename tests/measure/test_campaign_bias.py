"""What the machine does to slots by their order: balanced away, or weighed against each row before it is decided."""

from __future__ import annotations

import math
import random
from collections import Counter

import campaigns
import pytest
from fakes import Bench

from pytest_sdspeed.measure.contrasts import withstands
from pytest_sdspeed.measure.decisions import Decisions
from pytest_sdspeed.measure.memory import UnknownMemory
from pytest_sdspeed.measure.order import Palindromes
from pytest_sdspeed.measure.roster import Roster
from pytest_sdspeed.model import CONTROL

_quick_collector = campaigns.quick_collector

ENDS = lambda index, length: index in (0, length - 1)  # noqa: E731
FIRST = lambda index, _length: index == 0  # noqa: E731


@pytest.mark.parametrize("rows", [[], ["a"], ["a", "b"], list("abcdef")])
@pytest.mark.parametrize("seed", range(4))
def test_every_arm_begins_at_every_place_equally_often(rows, seed):
    order = Palindromes("base", random.Random(seed))
    size = len(rows) + 2
    for _ in range(3):
        places = Counter((label, place) for _ in range(size) for place, label in enumerate(order.draw(rows)[:size]))
        assert {places[row, place] for row in rows for place in range(size)} <= {1}
        assert {places["base", place] + places[CONTROL, place] for place in range(size)} == {2}


def test_a_row_that_leaves_begins_a_new_square():
    order = Palindromes("base", random.Random(0))
    order.draw(list("abc"))
    places = Counter((label, place) for _ in range(4) for place, label in enumerate(order.draw(list("ab"))[:4]))
    assert {places[row, place] for row in "ab" for place in range(4)} == {1}


def measure(slower, *rows, size=1.05, seed=1, cv=0.001, **limits):
    """A campaign on a machine on which ``slower(index, length)`` says which slots of a block take longer."""
    bench = Bench(seed)
    effect = lambda: size if bench.block and slower(bench.slot, 4 + 2 * len(bench.rows)) else 1.0  # noqa: E731
    bench.rows = rows
    arms = [bench.arm(f"row{index}", 1.0 / speed, cv=cv, floor=1.0, effect=effect) for index, speed in enumerate(rows)]
    return bench.run(bench.arm("base", 1.0, cv=cv, effect=effect), *arms, seed=seed, **limits)


@pytest.mark.parametrize("slower", [FIRST, ENDS])
@pytest.mark.parametrize("seed", range(12))
def test_a_slow_place_decides_no_row_on_its_floor(slower, seed):
    """Shuffled on their own, the first blocks put a row at the slow place always, or never, now and then."""
    assert measure(slower, 1.0, seed=seed, max_blocks=8).decisions["row0"].verdict == "inconclusive"


def test_a_bias_far_from_turning_a_row_costs_no_block_more():
    record = measure(ENDS, 1.5)
    decision = record.decisions["row0"]
    assert decision.verdict == "pass"
    assert decision.blocks <= 5
    assert measure(ENDS, 0.6).decisions["row0"].verdict == "fail"


def test_a_row_that_the_bias_could_turn_is_measured_on_and_never_decided():
    """2% above its floor, where the control shows 5% and more."""
    record = measure(ENDS, 1.02, size=1.1, max_blocks=20)
    decision = record.decisions["row0"]
    assert record.control.excludes_one
    assert (decision.verdict, decision.blocks) == ("inconclusive", 20)
    assert measure(lambda *_: False, 1.02, max_blocks=20).decisions["row0"].verdict == "pass"


def test_a_control_that_broke_by_chance_is_given_more_blocks():
    """In the first five blocks alone the ends are slow; then the control recovers, and so does the row."""
    bench = Bench(3)
    effect = lambda: 1.06 if 0 < bench.block <= 4 and bench.slot in (0, 5) else 1.0  # noqa: E731
    record = bench.run(
        bench.arm("base", 1.0, cv=0.001, effect=effect), bench.arm("row", 1 / 1.03, cv=0.001, floor=1.0, effect=effect), max_blocks=60
    )
    decision = record.decisions["row"]
    assert decision.verdict == "pass"
    assert decision.blocks > 4
    assert abs(math.log(decision.interval.speedup / 1.03)) < 0.01


def test_a_candidate_slow_in_every_fifth_call_does_not_pass_on_its_other_calls():
    bench = Bench(1)
    calls = iter(range(10_000))
    effect = lambda: 20.0 if next(calls) % 5 == 0 else 1.0  # noqa: E731
    record = bench.run(bench.arm("base", 1.0, cv=0.003), bench.arm("row", 0.5, cv=0.003, floor=1.5, effect=effect))
    assert record.decisions["row"].verdict != "pass"
    assert record.decisions["row"].blocks == 20


def test_a_row_that_withstands_every_bias_is_decided_though_one_that_left_no_longer_does():
    """The control breaks once the close row has left: the far one must not stay undecided for it."""
    bench, noise = Bench(), random.Random(1)
    rows = [bench.arm(name, 1.0, floor=1.0) for name in ("close", "far")]
    roster = Roster(bench.arm("base", 1.0), rows, bench.clock, UnknownMemory())
    samples = {"base": [], CONTROL: [], "close": [], "far": []}
    decisions = Decisions(roster, samples, rows=2)

    def add(blocks, control, far):
        pair = lambda seconds: tuple(seconds * noise.gauss(1, 0.001) for _ in range(2))  # noqa: E731
        for _ in range(blocks):
            for name, seconds in (("base", 1.0), (CONTROL, control), ("close", 1 / 1.02), ("far", far())):
                if name in roster.active or name in ("base", CONTROL):
                    samples[name].append(pair(seconds))

    add(3, 1.0, lambda: noise.choice([0.4, 0.9]))
    decisions.look(3, 20)
    assert {name: one.verdict for name, one in decisions.decided.items()} == {"close": "pass"}
    add(9, 1.06, lambda: 0.5)
    decisions.look(12, 20)
    assert decisions._find_control(12).excludes_one
    assert not withstands(decisions.decided["close"], decisions._find_control(12))
    assert decisions.decided["far"].verdict == "pass"
    # It is measured on all the same: more blocks tell whether the control broke by chance.
    assert list(roster.active) == ["far"]
