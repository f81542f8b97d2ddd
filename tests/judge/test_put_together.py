"""A call put together from its first denoising steps, and when they do not stand for the others."""

from __future__ import annotations

import random

import pytest

from pytest_sdspeed.judge.speed.put_together import (
    Sampling,
    choose_sampling,
    cut_short,
    find_other_end,
    keep_faster,
    may_be_disturbed,
    put_together,
)
from pytest_sdspeed.model.stages import DECODING, DENOISING, PRIOR, TEXT_ENCODING, StageTime


def call(steps, *, text=0.1, decode=0.2, work=lambda _at: "w"):
    """The parts of a call whose steps take so long."""
    loop = [StageTime(DENOISING, seconds, work(at)) for at, seconds in enumerate(steps)]
    return [StageTime(TEXT_ENCODING, text), *loop, StageTime(DECODING, decode)]


# How many


@pytest.mark.parametrize(("steps", "sampled"), [(1, 1), (4, 4), (8, 8), (9, 5), (28, 5), (40, 6), (50, 7), (100, 13), (1000, 126)])
def test_the_first_and_an_eighth_of_the_others_are_measured_but_four_at_least(steps, sampled):
    found = choose_sampling(call([0.1] * steps))
    assert found == Sampling(steps, sampled, "its steps are few" if steps < 9 else "")


def test_what_is_known_before_comes_first():
    assert choose_sampling(call([0.1] * 28), "its unet keeps") == Sampling(28, 28, "its unet keeps")
    assert choose_sampling(call([0.1] * 4), "its unet keeps").why == "its steps are few"


@pytest.mark.parametrize(
    "steps",
    [
        [0.3, *[0.1] * 27],
        [*[0.1] * 27, 0.5],
        [*[0.1] * 14, *[0.101] * 14],
        [0.1 + 0.02 * (at % 2) for at in range(50)],
    ],
    ids=["a first one", "a last one", "a drift of 1%", "in turns"],
)
def test_steps_that_predict_the_others_stand_for_them(steps):
    assert choose_sampling(call(steps)).why == ""


@pytest.mark.parametrize(
    "steps",
    [
        [*[0.1] * 14, *[0.2] * 14],
        [*[0.1] * 10, *[0.02] * 18],
        [*[0.1] * 24, *[0.2] * 4],
        [0.1 + 0.4 * (at % 10 == 9) for at in range(50)],
        [0.1 if at % 4 == 0 else 0.01 for at in range(28)],
        [0.1 * 1.01**at for at in range(50)],
        [0.02, *[0.1] * 4, *[0.02] * 45],
    ],
    ids=["later dearer", "later cheaper", "the last dearer", "every tenth", "every fourth", "dearer and dearer", "a dear start"],
)
def test_steps_that_do_not_predict_the_others_do_not(steps):
    found = choose_sampling(call(steps))
    assert found.sampled == found.steps == len(steps)
    assert "s, and they took" in found.why


def test_two_kinds_of_steps_are_no_noise():
    """Half of them dear, half cheap: their spread is large, and it explains nothing."""
    noise = random.Random(1)
    steps = [seconds * noise.gauss(1, 0.01) for seconds in (*[0.1] * 25, *[0.14] * 25)]
    assert choose_sampling(call(steps)).why


def test_noise_alone_seldom_has_all_steps_measured():
    noise = random.Random(1)
    found = [choose_sampling(call([0.1 * noise.gauss(1, 0.03) for _ in range(50)])).why for _ in range(400)]
    assert sum(map(bool, found)) <= 8


@pytest.mark.parametrize(
    ("whole", "said"),
    [
        (call([0.1] * 28, work=lambda at: "one" if at < 20 else "other"), "2 kinds of work"),
        ([*call([0.1] * 14)[:-1], *[StageTime(PRIOR, 0.1, "w")] * 14], "in more than one stage"),
        ([part for _ in range(28) for part in (StageTime(DENOISING, 0.1, "w"), StageTime(DECODING, 0.01))], "decodes between"),
    ],
    ids=["work", "stages", "previews"],
)
def test_steps_of_several_kinds_are_all_measured(whole, said):
    found = choose_sampling(whole)
    assert found.sampled == found.steps == 28
    assert said in found.why


def test_the_first_step_may_do_other_work():
    assert choose_sampling(call([0.1] * 28, work=lambda at: "w" if at else "first")).why == ""


# Put together


def test_a_whole_call_is_its_sum():
    assert put_together(call([0.1, 0.2, 0.4]), 3) == pytest.approx({TEXT_ENCODING: 0.1, DENOISING: 0.7, DECODING: 0.2})


def test_steps_that_were_not_measured_are_as_long_as_those_between_the_first_and_the_last():
    """What follows the loop is done in the last step, and in no other."""
    assert put_together(call([0.5, 0.1, 0.12, 0.9]), 20)[DENOISING] == pytest.approx(0.5 + 18 * 0.11 + 0.9)


@pytest.mark.parametrize(("first", "last"), [(0.1, 0.1), (0.4, 0.1), (0.1, 0.7)])
def test_a_call_cut_short_makes_the_whole_one(first, last):
    whole = call([first, *[0.1] * 38, last])
    sampling = choose_sampling(whole)
    short = cut_short(whole, sampling)
    # Where the loop is ended before, what follows it is in the last step that was taken.
    short[sampling.sampled] = whole[40]
    assert [part.stage for part in short] == [TEXT_ENCODING, *[DENOISING] * 6, DECODING]
    assert sum(put_together(short, 40).values()) == pytest.approx(sum(part.seconds for part in whole))


@pytest.mark.parametrize(
    ("last", "said"),
    [(0.12, ""), (0.14, ""), (0.18, "its last step took 0.18 s"), (0.3, "its last step took 0.3 s, and 0.1 s if"), (0.001, "took 0.001 s")],
)
def test_a_last_step_that_only_whole_calls_have_is_seen(last, said):
    whole = call([*[0.1] * 39, last], text=0.5)
    found = find_other_end(whole, call([0.1] * 6))
    assert said in found
    assert bool(found) == bool(said)


def test_a_first_call_that_was_disturbed_is_told_by_a_second_one():
    even = call([0.1] * 40)
    disturbed = call([*[0.1] * 2, 0.5, *[0.1] * 37])
    assert not may_be_disturbed(even)
    assert may_be_disturbed(disturbed)
    assert keep_faster(disturbed, even) == even
    later = call([*[0.1] * 10, *[0.2] * 30])
    assert may_be_disturbed(later)
    assert choose_sampling(keep_faster(later, later)).sampled == 40


def test_what_is_other_work_is_no_disturbance_and_leaves_the_first_call():
    other = call([0.1] * 40, work=lambda at: str(at % 2))
    assert not may_be_disturbed(other)
    assert keep_faster(call([0.3] * 40), other) == call([0.3] * 40)
    assert not may_be_disturbed(call([0.1, 0.1, 0.4]))


def test_stages_are_in_the_order_in_which_they_run():
    assert list(put_together(call([0.1] * 3), 3)) == [TEXT_ENCODING, DENOISING, DECODING]


@pytest.mark.parametrize("measured", [0, 1, 2])
def test_too_few_steps_say_nothing_of_the_others(measured):
    with pytest.raises(ValueError, match=f"{measured} of 20 steps say nothing"):
        put_together(call([0.1] * measured), 20)
