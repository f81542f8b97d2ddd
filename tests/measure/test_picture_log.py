"""What a slot returned is looked at right after it, outside of its time, kept by value, and not without bound."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import campaigns
import numpy as np
import pytest

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures.forms import keep
from pytest_sdspeed.judge.pictures.metrics import compare_batches
from pytest_sdspeed.judge.pictures.slots import NOTHING, UNREADABLE, ArmPictures
from pytest_sdspeed.measure import picture_log
from pytest_sdspeed.measure.picture_log import MOST_OUTPUTS, PictureLog
from pytest_sdspeed.model import Case

bench = campaigns.bench
_quick_collector = campaigns.quick_collector
CASE, OTHER = Case(0), Case(1)
RANDOM = np.random.default_rng(0)
GOOD = RANDOM.random((1, 16, 16, 3), dtype=np.float32)


def noisy(amount, seed=0):
    """The good picture with a known mean squared difference."""
    sign = np.random.default_rng(seed).choice([-1.0, 1.0], GOOD.shape)
    return (0.5 + 0.2 * (GOOD - 0.5) + sign * amount).astype(np.float32)


def log(*returned, case=CASE):
    found = PictureLog()
    for value in returned:
        found.look(case, value)
    return found.close()


def test_what_returned_nothing_is_noted_with_its_case_and_takes_no_memory():
    found = PictureLog()
    for case in (CASE, OTHER, CASE):
        found.look(case, None)
    first, other, again = found.close().looks
    assert (first.case, first.word, other.case, other.word) == (CASE, NOTHING, OTHER, NOTHING)
    assert again is first


def test_the_form_is_said_with_all_of_its_sides():
    (look,) = log(GOOD).looks
    assert look.form == "pictures of shape 1x16x16"


@pytest.mark.parametrize("returned", [object(), PictureError("returned a rabbit")])
def test_what_cannot_be_read_is_noted_with_its_case(returned):
    (look,) = log(returned, case=OTHER).looks
    assert (look.case, look.word) == (OTHER, UNREADABLE)


def test_an_object_that_raises_when_it_is_read_is_named_by_what_it_raised():
    def read():
        raise RuntimeError("gone")

    (look,) = log(Shown(read), case=OTHER).looks
    assert (look.case, look.word) == (OTHER, UNREADABLE)
    assert look.details[0].startswith("returned what cannot be read: it raised RuntimeError: gone")


class Shown:
    """What a pipeline returns, which is read as late as it is looked at."""

    def __init__(self, read):
        self.read = read

    @property
    def images(self):
        return self.read()


def test_what_equals_the_first_output_is_seen_as_the_first_was():
    first, again = log(GOOD, GOOD.copy()).looks
    assert (again, again.word) == (first, "")


# When


def test_it_is_looked_at_after_the_slot_and_outside_of_its_time_before_another_arm_runs(bench):
    def arm(name, floor=None):
        def read():
            assert not bench.inside
            bench.events.append(f"look:{name}")
            bench.clock.spend(1000.0)
            return GOOD

        def generate(_case):
            bench.events.append(f"generate:{name}")
            bench.clock.spend(1.0)
            return Shown(read)

        return bench.calling(name, generate, floor=floor)

    record = bench.run(arm("base"), arm("row", floor=0.5), max_blocks=3)
    seen = [event for event in bench.events if event.startswith(("generate", "look"))]
    # An attribute is asked for more than once; what counts is that no other arm comes between.
    for place, event in enumerate(seen):
        if event.startswith("generate"):
            assert seen[place + 1] == event.replace("generate", "look")
    assert all(slot.duration_s == 1.0 for slot in record.slots)
    assert len(record.pictures["base"].looks) == 2 + sum(slot.arm != "row" for slot in record.slots)
    assert len(record.pictures["row"].looks) == 2 + sum(slot.arm == "row" for slot in record.slots)


def test_memory_that_looking_takes_is_no_part_of_a_generation(bench):
    class Meter:
        def __init__(self):
            self.peak = 0

        def start(self):
            self.peak = 0

        def peak_bytes(self):
            return self.peak

    meter = Meter()

    def generate(_case):
        bench.clock.spend(1.0)
        meter.peak = max(meter.peak, 30)
        return Shown(lambda: setattr(meter, "peak", 1000) or GOOD)

    assert bench.run(bench.calling("base", generate), memory=meter).peak_bytes == {"base": 30}


def test_a_callable_cannot_be_asked_for_a_case_so_that_all_its_slots_are_of_one(bench):
    pictures = iter([GOOD, *[GOOD * 0.5] * 100])
    base = replace(bench.calling("base", lambda _case: bench.clock.spend(1.0) or next(pictures)), draws_cases=False)
    found = bench.run(base, max_blocks=3, seed=3).pictures["base"]
    assert {look.case for look in found.looks} == {Case(3)}
    assert found.differing == len(found.looks) - 1


def test_what_raises_when_it_is_read_ends_no_campaign(bench):
    def broken():
        raise RuntimeError("read once")

    record = bench.run(bench.calling("base", lambda _case: bench.clock.spend(1.0) or Shown(broken)), max_blocks=3)
    assert record.errors == {}
    assert {look.word for look in record.pictures["base"].looks} == {UNREADABLE}
    assert "read once" in record.pictures["base"].looks[0].details[0]


# What


@pytest.mark.parametrize("last", [GOOD, GOOD * np.nan, None, "no picture"])
def test_every_slot_counts_and_not_the_last_one_alone(last):
    found = log(GOOD, GOOD * np.nan, None, object(), GOOD * 0, last)
    assert [look.word for look in found.looks][:5] == ["", "not finite", NOTHING, UNREADABLE, "black"]


def test_of_several_pictures_the_gravest_word_is_the_slots():
    batch = np.concatenate([GOOD * 0 + 0.5, GOOD * 0, GOOD * np.nan])
    (look,) = log(batch).looks
    assert look.word == "not finite"
    assert len(look.details) == 3


def test_what_is_written_afterwards_changes_nothing():
    buffer = GOOD.copy()
    found = PictureLog()
    found.look(CASE, buffer)
    buffer[:] = 0
    found.look(CASE, buffer)
    seen = found.close()
    assert [look.word for look in seen.looks] == ["", "black"]
    assert np.array_equal(seen.outputs[CASE][0].values, GOOD)


def test_the_first_sound_output_is_the_one_that_others_are_compared_with():
    found = log(GOOD * np.nan, GOOD, GOOD * 0, GOOD)
    assert np.array_equal(found.first[CASE].values, GOOD)
    assert len(found.outputs[CASE]) == 1
    assert found.differing == 0


def test_if_none_is_sound_the_first_one_is_kept_to_be_shown():
    found = log(None, GOOD * 0, GOOD * np.nan)
    assert found.first[CASE].defects()[0].startswith("black")


def test_cases_are_kept_apart():
    found = PictureLog()
    for case, value in ((CASE, GOOD), (OTHER, noisy(0.1)), (CASE, GOOD), (OTHER, noisy(0.1))):
        found.look(case, value)
    seen = found.close()
    assert seen.differing == 0
    assert seen.only(OTHER).first.keys() == {OTHER}
    assert len(seen.only(OTHER).looks) == 2


def test_what_another_process_kept_is_taken_as_it_is():
    output = keep(GOOD)
    found = log(output, PictureError("returned a rabbit"))
    assert found.first[CASE] is output
    assert (found.looks[1].word, found.looks[1].details) == (UNREADABLE, ("returned a rabbit",))


def test_nothing_at_all_is_no_picture():
    assert not log(None, None).returned
    assert log(None, None).outputs == {}
    assert not ArmPictures().returned


# How much


def test_of_many_distinct_outputs_those_that_differ_most_are_kept():
    amounts = [0.01 * (1 + index * 7 % 30) for index in range(30)]
    found = log(noisy(0.0), *(noisy(amount, seed) for seed, amount in enumerate(amounts)))
    outputs = found.outputs[CASE]
    assert len(outputs) == MOST_OUTPUTS
    assert found.differing == 30
    first = outputs[0].values
    kept = [float(np.abs(output.values - first).mean()) for output in outputs[1:]]
    assert kept == pytest.approx(sorted(amounts, reverse=True)[: MOST_OUTPUTS - 1], rel=0.01)


def test_the_worst_of_all_slots_is_never_dropped():
    rng = np.random.default_rng(3)
    values = [np.clip(GOOD + rng.normal(0, rng.uniform(0.001, 0.1), GOOD.shape), 0, 1).astype(np.float32) for _ in range(60)]
    found = log(GOOD, *values)
    worst = min(compare_batches(value, GOOD)["psnr"] for value in values)
    assert compare_batches(found.outputs[CASE][1].values, GOOD)["psnr"] == worst


def test_two_outputs_in_turns_are_two_and_no_more():
    found = log(*[GOOD, noisy(0.1)] * 20)
    assert len(found.outputs[CASE]) == 2
    assert found.differing == 20


def test_broken_outputs_of_many_kinds_are_counted_and_not_kept():
    broken = []
    for place in range(20):
        value = GOOD.copy()
        value[0, 0, place % 16, 0] = np.nan
        broken.append(value)
    found = log(GOOD, *broken)
    assert len(found.outputs[CASE]) == 1
    assert [look.word for look in found.looks].count("not finite") == 20


@pytest.fixture
def most_bytes(monkeypatch):
    """A budget that takes no time to fill."""
    monkeypatch.setattr(picture_log, "MOST_BYTES", 3 * 2**18)
    return 3 * 2**18


def squares(side, count):
    return [np.random.default_rng(seed).integers(0, 255, (1, side, side, 3), dtype=np.uint8) for seed in range(count)]


def test_large_outputs_that_all_differ_are_two_at_most(most_bytes):
    frames = squares(600, 6)
    assert frames[0].nbytes > most_bytes
    tracemalloc.start()
    try:
        found = PictureLog()
        for frame in frames:
            found.look(CASE, frame)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.close().outputs[CASE]) == 2
    assert held < 2.2 * frames[0].nbytes


def test_small_ones_share_the_bytes(most_bytes):
    # Three of these exceed the bytes, two do not.
    found = log(*squares(360, 5))
    assert len(found.outputs[CASE]) == 3
    assert sum(output.nbytes for output in found.outputs[CASE][1:]) <= most_bytes
