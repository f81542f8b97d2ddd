"""Campaigns by stages on a fake clock: the same ratios as by calls, what falls back to calls, and what only whole calls have."""

from __future__ import annotations

from dataclasses import replace

import campaigns
import pytest
from campaigns import durations

from pytest_sdspeed.errors import UnstageableError
from pytest_sdspeed.measure.time_limit import TimeLimit
from pytest_sdspeed.model import CONTROL, Contrast

bench = campaigns.bench
_quick_collector = campaigns.quick_collector
SHORT = {"text": 0.1, "step": 0.1, "decode": 0.2, "steps": 40}


def run(bench, *arms, **limits):
    return bench.run(*arms, **{"unit": "stage", "max_blocks": 6, **limits})


def phases(bench, phase):
    return [progress.arm for progress in bench.progress if progress.phase == phase]


# The same ratios


@pytest.mark.parametrize("cv", [0.0, 0.02])
@pytest.mark.parametrize(
    "facts",
    [
        {"step": 0.05},
        {"decode": 0.9},
        {"text": 1.3},
        {"step": lambda at: 0.3 if at == 0 else 0.08},
        {"step": lambda at: 0.02 if at % 3 else 0.1},
        {"step": lambda at: 0.1 if at < 20 else 0.15},
        {"step": lambda at: 0.1 if at < 10 else 0.02},
        {"step": lambda at: 0.05 if at < 36 else 0.4},
        {"step": 0.05, "heeds": False},
    ],
    ids=["steps", "decoding", "text", "first step", "cache", "later steps", "cache after the tenth", "last steps", "takes all"],
)
def test_a_ratio_by_stages_is_that_by_calls(bench, facts, cv):
    row = {**SHORT, **facts, "cv": cv}
    record = run(bench, bench.staged("base", cv=cv, **SHORT), bench.staged("row", floor=0.1, **row))
    whole = bench.staged("row", **{**row, "cv": 0.0}).stages().parts(None)
    expected = 4.3 / sum(seconds for _, seconds, _ in whole)
    interval = record.decisions["row"].interval
    assert record.stages is not None
    assert interval.low <= expected <= interval.high or interval.speedup == pytest.approx(expected)
    assert interval.speedup == pytest.approx(expected, rel=0.02 if cv else 1e-6)


# How many steps


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"step": lambda at: 0.1 if at < 20 else 0.2}, "by its first 5 steps and its last one all would take 4.1 s, and they took 6 s"),
        ({"step": lambda at: 0.1 if at < 10 else 0.01}, "all would take 3.91 s, and they took 1.3 s"),
        ({"step": lambda at: 0.2 if at % 5 == 0 else 0.01}, "by its first 5 steps"),
        ({"work": lambda at: "whole" if at < 20 else "half"}, "its denoisers are asked for 2 kinds of work"),
        ({"uneven": "its unet keeps"}, "its unet keeps"),
        ({"step": lambda at: 0.5 if at == 39 else 0.1}, "row: its last step took 0.5 s, and 0.1 s if the call was cut short"),
        ({"heeds": False}, "a call of row that ends after 6 of 40 steps has other stages"),
    ],
    ids=["later steps", "a late cache", "every fifth", "guidance interval", "cached", "the last one", "takes all"],
)
def test_steps_that_are_not_alike_are_all_measured(bench, facts, why):
    record = run(bench, bench.staged("base", **SHORT), bench.staged("row", floor=0.1, **{**SHORT, **facts}))
    assert (record.stages.sampling.steps, record.stages.sampling.sampled) == (40, 40)
    assert why in record.stages.sampling.why
    assert all(slot.inside_s == pytest.approx(4.3) for slot in record.slots if slot.arm == "base")


def test_calls_that_do_not_decode_when_they_are_cut_short_are_measured_whole_step_by_step(bench):
    """Their sum would lack a stage: one that is three times as slow in the row."""
    base, row = (bench.staged(name, floor=0.95, **{**SHORT, "decode": decode}) for name, decode in (("base", 0.3), ("row", 0.9)))
    for stages in (base.stages(), row.stages()):
        stages.parts = lambda steps, parts=stages.parts: parts(steps) if steps is None else parts(steps)[:-1]
    record = run(bench, replace(base, floor=None), row)
    assert record.stages.sampling.sampled == 40
    assert record.decisions["row"].verdict == "fail"


def test_alike_steps_are_measured_in_part_though_the_first_differs(bench):
    record = run(bench, bench.staged("base", **{**SHORT, "step": lambda at: 0.1 if at else 0.3}), bench.staged("row", floor=0.1, **SHORT))
    assert record.stages.sampling == (40, 6, "")


@pytest.mark.parametrize(("slow", "sampled"), [({2}, 6), ({2, 3}, 40)], ids=["once", "twice"])
def test_a_last_step_that_only_the_machine_slowed_is_measured_again(bench, slow, sampled):
    """The sixth step of the row, for the second time: the first call that is cut short."""
    visits, now = [], [0]

    def note(_number, part):
        now[:] = [part]
        visits.extend([part] * (part == 6))

    row = bench.staged("row", floor=0.1, fails=note, effect=lambda: 6.0 if now == [6] and len(visits) in slow else 1.0, **SHORT)
    record = run(bench, bench.staged("base", **SHORT), row)
    assert not record.errors
    assert record.stages.sampling.sampled == sampled


@pytest.mark.parametrize(("slow", "sampled"), [({1, 2}, 6), ({1, 2, 3}, 40)], ids=["twice", "thrice"])
def test_whole_calls_that_only_the_machine_slowed_are_drawn_again(bench, slow, sampled):
    """From the twentieth step on, which no call that is cut short has."""
    visits, now = [], [0]

    def note(_number, part):
        now[:] = [part]
        visits.extend([part] * (part == 20))

    row = bench.staged("row", floor=0.1, fails=note, effect=lambda: 2.0 if now[0] >= 20 and len(visits) in slow else 1.0, **SHORT)
    record = run(bench, bench.staged("base", **SHORT), row)
    assert not record.errors
    assert record.stages.sampling.sampled == sampled


# Whole calls instead


def whole(bench, *arms, **limits):
    """Run a campaign that falls back to calls, and return why."""
    record = run(bench, *arms, **limits)
    assert record.stages is None
    assert {slot.inside_s for slot in record.slots} == {None}
    assert record.decisions["row"].verdict == "pass"
    assert not record.errors
    return record.unstaged


def test_callables_are_measured_whole(bench):
    assert "row is no pipeline" in whole(bench, bench.staged("base", **SHORT), bench.arm("row", 1.0, floor=0.5))
    assert "base is no pipeline" in whole(bench, bench.arm("base", 1.0), bench.staged("row", floor=0.1, **SHORT))


def test_arms_of_other_numbers_of_steps_are_measured_whole(bench):
    said = whole(bench, bench.staged("base", **SHORT), bench.staged("row", floor=0.5, **{**SHORT, "steps": 20}))
    assert said == "denoising steps cannot be paired: base takes 40, row takes 20"


def test_a_baseline_of_which_no_two_calls_take_turns_is_measured_whole(bench):
    said = whole(bench, bench.staged("base", **SHORT, alone="its unet keeps"), bench.staged("row", floor=0.5, **SHORT))
    assert said == "two calls of base cannot take turns: its unet keeps"


def test_two_rows_under_autocast_are_measured_whole_and_one_is_not(bench):
    rows = [bench.staged(name, floor=0.5, casts=True, **SHORT) for name in ("row", "other")]
    assert "row and other cannot take turns: torch keeps what autocast" in whole(bench, bench.staged("base", **SHORT), *rows)
    assert run(bench, bench.staged("base", **SHORT), rows[0]).stages is not None


@pytest.mark.parametrize("error", [UnstageableError("row has no steps"), ValueError("row and the greenlet")], ids=["refused", "raises"])
@pytest.mark.parametrize("when", ["warm-up", "in turns"])
def test_what_raises_by_stages_alone_is_measured_whole(bench, error, when):
    def fails(_number, at):
        moved = [event for event in bench.events if event.startswith("advance:row:0:1")]
        if at == 3 and len(moved) > (when == "in turns"):
            raise error

    row = bench.staged("row", floor=0.5, fails=fails, **SHORT)
    assert str(error) in whole(bench, bench.staged("base", **SHORT), row)
    assert all(call.closed for call in row.stages().calls)


def test_what_raises_in_either_way_leaves_and_the_others_go_on_by_stages(bench):
    def fails(*_):
        raise ValueError("boom")

    broken = bench.staged("broken", floor=0.5, fails=fails, **SHORT)

    def generate(_case):
        raise ValueError("boom as well")

    broken = replace(broken, generate=generate)
    record = run(bench, bench.staged("base", **SHORT), broken, bench.staged("row", floor=0.5, **SHORT))
    assert "boom" in str(record.errors["broken"])
    assert record.stages is not None
    assert not record.unstaged
    assert record.decisions["row"].verdict == "pass"


@pytest.mark.parametrize(("scale", "by_stages"), [(0.2, False), (0.3, True)])
def test_auto_measures_by_stages_from_a_second_a_call_on(bench, scale, by_stages):
    facts = {**SHORT, "text": 0.1 * scale, "step": 0.1 * scale, "decode": 0.2 * scale}
    record = run(bench, bench.staged("base", **facts), bench.staged("row", floor=0.5, **facts), unit="auto")
    assert (record.stages is not None) == by_stages
    assert not record.unstaged


def test_by_calls_nothing_is_called_by_stages(bench):
    base = bench.staged("base", **SHORT)
    record = run(bench, base, bench.staged("row", floor=0.5, **SHORT), unit="call")
    assert record.stages is None
    assert not record.unstaged
    assert not base.stages().calls


# Whole calls afterwards


def test_whole_calls_follow_in_a_palindrome(bench):
    record = run(bench, bench.staged("base", **SHORT), bench.staged("row", floor=0.5, **SHORT))
    assert phases(bench, "whole call") == ["base", "row", "row", "base"]
    assert record.stages.whole_s == {"base": pytest.approx([4.3] * 2), "row": pytest.approx([4.3] * 2)}


def test_two_more_palindromes_follow_if_a_verdict_may_not_be_that_of_whole_calls(bench):
    record = run(bench, bench.staged("base", **SHORT), bench.staged("row", floor=0.98, stall=0.26, **SHORT))
    assert record.decisions["row"].verdict == "pass"
    assert phases(bench, "whole call") == ["base", "row", "row", "base"] * 3
    assert record.stages.whole_s["row"] == pytest.approx([4.56] * 6)


def test_noise_of_whole_calls_that_may_hide_a_stall_is_met_with_more_of_them(bench):
    """The first two calls of the row are 6% and 12% slower than its stages, and no other one is."""
    stalls = iter([0.26, 0.52, 0.0, 0.0, 0.0, 0.0])
    row = bench.staged("row", floor=0.98, **SHORT)
    generate, stages = row.generate, row.stages()

    def noisy(case):
        if bench.progress[-1].phase == "whole call":
            stages.stall = next(stalls)
        return generate(case)

    record = run(bench, bench.staged("base", **SHORT), replace(row, generate=noisy))
    assert len(record.stages.whole_s["row"]) == 6
    assert min(record.stages.whole_s["row"]) == pytest.approx(4.3)


def test_what_took_many_blocks_to_decide_is_held_against_more_whole_calls(bench):
    noisy = {**SHORT, "cv": 0.2}
    record = run(bench, bench.staged("base", **noisy), bench.staged("row", floor=0.95, **noisy), max_blocks=200)
    decision = record.decisions["row"]
    assert decision.verdict == "pass"
    assert 10 <= decision.blocks < 200
    assert len(record.stages.whole_s["row"]) >= 2 * (1 + decision.blocks // 10)


def test_an_undecided_row_is_held_against_few_whole_calls(bench):
    record = run(bench, bench.staged("base", **SHORT), bench.staged("row", floor=1.0, **SHORT), max_blocks=40)
    assert record.decisions["row"].verdict == "inconclusive"
    assert record.decisions["row"].blocks == 39
    assert len(record.stages.whole_s["row"]) == 2


def test_a_control_without_a_floor_asks_for_no_more_whole_calls(bench):
    """Another process of the other version, say: it always passes, at the last look."""
    control = replace(bench.staged("control_process", **SHORT), may_stop=lambda _decided: False)
    record = run(bench, bench.staged("base", **SHORT), control, bench.staged("row", floor=1.0, **SHORT), max_blocks=40)
    assert record.decisions["control_process"].blocks == 39
    assert len(record.stages.whole_s["row"]) == 2


def test_a_contrast_that_took_many_blocks_is_held_against_more_whole_calls(bench):
    noisy = {**SHORT, "cv": 0.2}
    rows = [bench.staged(name, floor=0.5, **noisy) for name in ("fast", "slow")]
    contrast = Contrast("fast", "slow", 0.95)
    record = run(bench, bench.staged("base", **noisy), *rows, compared=[contrast], max_blocks=200)
    assert record.decisions["fast"].blocks < 10 <= record.contrasts[contrast].blocks
    assert record.contrasts[contrast].verdict == "pass"
    assert len(record.stages.whole_s["fast"]) >= 2 * (1 + record.contrasts[contrast].blocks // 10)


def test_more_whole_calls_follow_only_while_there_is_time(bench):
    """A palindrome of them takes 17.7 s."""
    arms = [bench.staged("base", **SHORT), bench.staged("row", floor=0.98, stall=0.26, **SHORT)]
    drawn = {}
    for left_s in (60.0, 80.0, 300.0):
        limit = TimeLimit(seconds=300.0, left_s=left_s, name="--timeout")
        drawn[left_s] = len(run(bench, *arms, time_limit=limit).stages.whole_s["row"])
    assert drawn == {60.0: 2, 80.0: 4, 300.0: 6}


def test_the_canary_has_its_time_after_more_whole_calls(bench):
    arms = [bench.staged("base", **SHORT), bench.staged("row", floor=0.98, stall=0.26, **SHORT)]
    for left_s in range(70, 110, 4):
        begun = bench.clock.now()
        run(
            bench,
            *arms,
            time_limit=TimeLimit(seconds=300.0, left_s=left_s, name="--timeout"),
            canary=lambda: {"mm": lambda: bench.clock.spend(1.0)},
        )
        assert bench.clock.now() - begun <= left_s


def test_a_row_that_raises_in_its_whole_call_keeps_its_error_and_the_others_are_checked(bench):
    row = bench.staged("row", floor=0.5, **SHORT)
    generate = row.generate

    def fails(case):
        if bench.progress[-1].phase == "whole call":
            raise ValueError("boom")
        return generate(case)

    record = run(bench, bench.staged("base", **SHORT), replace(row, generate=fails), bench.staged("other", floor=0.5, **SHORT))
    assert "boom" in str(record.errors["row"])
    assert record.stages.whole_s.keys() == {"base", "other"}


# The judge is the one of calls


def test_an_unlike_control_is_seen_by_stages_too(bench):
    """The second call of the baseline is slower than the first one, as if it were cut short."""
    base = bench.staged("base", **SHORT)
    stages = base.stages()
    call = stages.call

    def slow(case, steps, number):
        stages.step = 0.11 if number else 0.1
        return call(case, steps, number)

    stages.call = slow
    record = run(bench, base, bench.staged("row", floor=1.0, **SHORT))
    assert record.control.high < 0.95
    assert durations(record, CONTROL) == pytest.approx([4.7] * 12)
