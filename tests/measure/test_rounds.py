"""Rounds on a fake clock: calls take turns, a step or a few each, and a palindrome of calls is two rounds."""

from __future__ import annotations

from dataclasses import replace

import campaigns
import pytest
from campaigns import durations

from pytest_sdspeed.model import CONTROL, Reading

bench = campaigns.bench
_quick_collector = campaigns.quick_collector
SHORT = {"text": 0.1, "step": 0.1, "decode": 0.2, "steps": 40}
"""Six steps of forty are measured: 1.0 s of a call of 4.3 s."""


def run(bench, *rows, **limits):
    return bench.run(*rows, **{"unit": "stage", "max_blocks": 3, **limits})


def turns(bench):
    """What moved, in the rounds: (arm, number of the call, number of the part)."""
    begun = next(at for at, progress in enumerate(bench.progress) if progress.phase == "block")
    at = [index for index, event in enumerate(bench.events) if event == "watch"][begun]
    moves = [event.split(":")[1:] for event in bench.events[at:] if event.startswith("advance")]
    return [(name, int(number), int(part)) for name, number, part in moves]


@pytest.mark.parametrize(
    ("step_s", "lengths"),
    [(0.1, [2, 1, 1, 1, 1, 2]), (0.02, [4, 4]), (0.009, [8])],
    ids=["long steps", "short steps", "tiny steps"],
)
def test_all_calls_take_each_turn_and_every_other_one_in_reverse_order(bench, step_s, lengths):
    """A turn is a step, or those of the quickest arm that take as long as one should."""
    short = {**SHORT, "text": 0.01, "decode": 0.01, "step": step_s}
    run(bench, bench.staged("base", **{**short, "step": 2 * step_s}), bench.staged("row", floor=0.5, **short))
    moves = turns(bench)
    assert len(moves) == 3 * 2 * 3 * sum(lengths)
    firsts = []
    for at in range(0, len(moves), 3 * sum(lengths)):
        left, orders, begin = moves[at : at + 3 * sum(lengths)], [], 0
        for length in lengths:
            turn, left = left[: 3 * length], left[3 * length :]
            for one in range(0, 3 * length, length):
                assert {move[:2] for move in turn[one : one + length]} == {turn[one][:2]}
                assert [part for _, _, part in turn[one : one + length]] == list(range(begin, begin + length))
            orders.append([turn[one][:2] for one in range(0, 3 * length, length)])
            begin += length
        assert sorted(orders[0]) == [("base", 0), ("base", 1), ("row", 0)]
        assert orders == ([orders[0], orders[0][::-1]] * len(orders))[: len(orders)]
        firsts.append(orders[0])
    # The second round of a block begins in the reversed order of its first.
    assert all(one == other[::-1] for one, other in zip(firsts[::2], firsts[1::2], strict=True))


def test_flags_are_held_while_their_own_arm_moves_and_never_else(bench):
    run(bench, bench.staged("base", **SHORT), bench.staged("row", floor=0.5, **SHORT))
    inside = ""
    for event in bench.events:
        kind, _, name = event.partition(":")
        if kind in ("enter", "exit"):
            assert inside == ("" if kind == "enter" else name)
            inside = name if kind == "enter" else ""
        elif kind == "advance":
            assert inside == name.split(":")[0]


def test_what_slots_cost_around_the_parts_is_in_no_sample(bench):
    row = bench.staged("row", floor=0.5, **SHORT)
    dear = bench.calling("row", row.generate, overhead=50.0)
    record = run(bench, bench.staged("base", **SHORT), replace(row, slot=dear.slot))
    assert durations(record, "row") == pytest.approx([4.3] * 6)
    assert record.overhead > 10


def test_samples_are_calls_put_together_and_slots_say_what_was_measured(bench):
    record = run(bench, bench.staged("base", **SHORT), bench.staged("row", floor=0.5, **{**SHORT, "step": 0.05}))
    assert record.stages.sampling.steps == 40
    assert record.stages.sampling.sampled == 6
    for name, whole_s in (("base", 4.3), (CONTROL, 4.3), ("row", 2.3)):
        assert durations(record, name) == pytest.approx([whole_s] * 6)
    assert {slot.arm: slot.inside_s for slot in record.slots} == pytest.approx({"base": 0.9, CONTROL: 0.9, "row": 0.6})
    assert [second for _, second in record.stages.samples_s["row"]["denoising"]] == pytest.approx([2.0] * 3)
    assert set(record.stages.samples_s["row"]) == {"text_encoder", "denoising", "decoding"}
    assert record.overhead == pytest.approx(0)


def test_the_plan_counts_what_is_measured_of_a_call(bench):
    record = run(bench, bench.staged("base", **SHORT), undecidable_row(bench), budget_s=40.0, max_blocks=200)
    assert record.block_s == pytest.approx(6 * 0.9)
    assert record.planned_blocks == 7


def undecidable_row(bench):
    return bench.staged("row", floor=1.0, **SHORT)


def test_a_block_has_two_rounds_whatever_length_a_slot_should_have(bench):
    record = run(bench, bench.staged("base", **SHORT), undecidable_row(bench), slot_s=2.0, budget_s=1e4)
    assert record.repeats == 1
    assert len(turns(bench)) == 3 * 2 * 3 * 8
    assert [len(pairs) for pairs in record.samples_s.values()] == [3, 3, 3]
    assert [len(pairs) for pairs in record.stages.samples_s["row"].values()] == [3, 3, 3]


@pytest.mark.parametrize("part", [0, 3, 7], ids=["text", "step", "decoding"])
def test_an_arm_that_raises_in_the_middle_leaves_and_the_others_go_on(bench, part):
    def fails(_number, at):
        if bench.block == 2 and at == part:
            raise ValueError("boom")

    stages = {}
    rows = [bench.staged("broken", floor=0.5, fails=fails, **SHORT), bench.staged("row", floor=0.5, **SHORT)]
    stages = {row.name: row.stages() for row in rows}
    record = run(bench, bench.staged("base", **SHORT), *rows)
    assert "boom" in str(record.errors["broken"])
    assert len(record.samples_s["broken"]) == 1
    assert len(record.samples_s["row"]) == len(record.samples_s["base"]) == 3
    assert all(call.closed for one in stages.values() for call in one.calls)
    assert record.decisions["row"].verdict == "pass"


def test_a_baseline_that_raises_ends_the_campaign(bench):
    def fails(number, at):
        if bench.block == 2 and number == 1 and at == 3:
            raise ValueError("boom")

    base, row = bench.staged("base", fails=fails, **SHORT), undecidable_row(bench)
    record = run(bench, base, row)
    assert set(record.errors) >= {"base"}
    assert len(record.samples_s["row"]) == 1
    assert all(call.closed for call in (*base.stages().calls, *row.stages().calls))
    assert not record.stages.whole_s


def test_whoever_interrupts_finds_every_call_closed(bench):
    def fails(_number, at):
        if bench.block == 2 and at == 3:
            raise KeyboardInterrupt

    base, row = bench.staged("base", **SHORT), bench.staged("row", floor=0.5, fails=fails, **SHORT)
    with pytest.raises(KeyboardInterrupt):
        run(bench, base, row)
    assert all(call.closed for call in (*base.stages().calls, *row.stages().calls))
    assert not bench.inside


def test_a_round_in_which_the_gpu_throttled_is_discarded_with_its_block(bench):
    class Gpu:
        note = ""

        def read_energy_j(self):
            return None

        def read(self):
            moved = bench.events[-1].startswith("advance:row:0:3") and bench.block == 2
            hot = moved and not seen
            seen.extend([1] * hot)
            return Reading(reasons=("HW thermal slowdown",) if hot else ())

    seen = []
    record = run(bench, bench.staged("base", **SHORT), bench.staged("row", floor=1.0, **SHORT), telemetry=Gpu())
    assert len(record.discarded) == 1
    assert [len(pairs) for pairs in record.samples_s.values()] == [3, 3, 3]
    assert all(len(pairs) == 3 for pairs in record.stages.samples_s["row"].values())


def test_a_call_that_is_another_one_than_before_takes_its_arm_out(bench):
    """Say, a pipeline that no longer decodes: its sum would be of fewer stages."""
    row = bench.staged("row", floor=0.5, **SHORT)
    stages = row.stages()
    whole, parts = stages.parts, stages.parts

    def change(steps):
        return whole(steps)[:-1] if bench.block == 2 else parts(steps)

    stages.parts = change
    record = run(bench, bench.staged("base", **SHORT), row)
    said = str(record.errors["row"])
    assert "1 text_encoder, 6 denoising instead of 1 text_encoder, 6 denoising, 1 decoding" in said
    assert "--sd-unit=call" in said
    assert len(record.samples_s["row"]) == 1
