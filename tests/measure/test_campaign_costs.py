"""What a campaign tells of an arm's costs: memory after loading, what it holds, what compiles in which generation."""

from __future__ import annotations

from dataclasses import replace

import campaigns

from pytest_sdspeed.errors import WorkerLostError
from pytest_sdspeed.model.costs import Loaded

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


class Meter:
    def __init__(self, peak=5):
        self.peak = peak

    def start(self):
        pass

    def peak_bytes(self):
        return self.peak


def test_memory_after_loading_is_taken_before_anything_is_generated(bench):
    events = []

    def load():
        events.append(list(bench.events))
        return Loaded(7, 9)

    row = replace(bench.arm("row", 1.0, floor=0.5), loaded=load)
    found = bench.run(bench.arm("base", 1.0), row)
    assert found.loaded == {"row": Loaded(7, 9)}
    assert not any(event.startswith("generate") for event in events[0])


def test_memory_after_loading_that_cannot_be_told_ends_that_arm_alone(bench):
    def load():
        raise OSError("gone")

    found = bench.run(bench.arm("base", 1.0), replace(bench.arm("row", 1.0, floor=0.5), loaded=load), bench.arm("other", 1.0, floor=0.5))
    assert list(found.errors) == ["row"]
    assert found.decisions["other"].verdict == "pass"


def test_what_an_arm_offloads_in_its_generation_is_not_held_beside_its_peak(bench):
    held = iter([100, 10, 10, 10])
    row = replace(bench.arm("row", 1.0, floor=0.5), held_bytes=lambda: next(held))
    assert bench.run(bench.arm("base", 1.0), row, memory=Meter()).peak_bytes["row"] == 15


def test_a_lost_process_that_cannot_tell_what_it_holds_ends_that_arm_alone(bench):
    def lost():
        raise WorkerLostError("invalid: the process ended")

    row = replace(bench.arm("row", 1.0, floor=0.5), held_bytes=lost)
    found = bench.run(bench.arm("base", 1.0), row, bench.arm("other", 1.0, floor=0.5))
    assert type(found.errors["row"]) is WorkerLostError
    assert found.decisions["other"].verdict == "pass"


def test_graphs_are_counted_for_each_generation_of_the_warm_up(bench):
    compiled = {"count": 3}

    def compiling(*graphs):
        left = list(graphs)

        def generate(_case):
            bench.clock.spend(1.0)
            compiled["count"] += left.pop(0) if left else 0

        return generate

    arms = [
        replace(bench.calling(name, compiling(*graphs), floor=floor), count_compiled=lambda: compiled["count"])
        for name, graphs, floor in (("base", (), None), ("steady", (2, 0), 0.5), ("again", (2, 1), 0.5))
    ]
    assert bench.run(*arms).compiled == {"base": [0, 0], "steady": [2, 0], "again": [2, 1]}


def test_an_arm_that_does_not_tell_has_no_counts(bench):
    assert bench.run(bench.arm("base", 1.0), bench.arm("row", 1.0, floor=0.5)).compiled == {}


def test_a_count_that_was_set_back_is_unknown(bench):
    counts = iter([5, 0, 1, 1])
    row = replace(bench.arm("row", 1.0, floor=0.5), count_compiled=lambda: next(counts))
    assert bench.run(bench.arm("base", 1.0), row).compiled == {"row": [0]}
