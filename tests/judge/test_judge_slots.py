"""Broken slots in words and shares, and how much an arm differs from itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scenes import disturbed, scene

from pytest_sdspeed.judge.pictures.bounds import Scale
from pytest_sdspeed.judge.pictures.forms import keep
from pytest_sdspeed.judge.pictures.gate import judge_alone, judge_images
from pytest_sdspeed.judge.pictures.metrics import compare_batches, find_ranges
from pytest_sdspeed.judge.pictures.self_difference import (
    describe_self_difference,
    find_coin_tosses,
    measure_distance,
    measure_self_difference,
)
from pytest_sdspeed.judge.pictures.slots import NOTHING, UNREADABLE, ArmPictures, SlotLook, find_broken_slots, list_details
from pytest_sdspeed.model import Case, ImageGate, PictureMetric, SelfDifference

CASE, OTHER = Case(0), Case(1)
GOOD = np.random.default_rng(0).random((1, 16, 16, 3), dtype=np.float32)
SCALE = Scale()


def shifted(amount, seed=1):
    sign = np.random.default_rng(seed).choice([-1.0, 1.0], GOOD.shape)
    return np.clip(GOOD + amount * sign, 0, 1).astype(np.float32)


def looks(pattern):
    """A letter for each slot: b is black, n not finite, 0 nothing, u unreadable, . sound."""
    words = {"b": "black", "n": "not finite", "0": NOTHING, "u": UNREADABLE, ".": ""}
    return ArmPictures(
        tuple(
            SlotLook(CASE, words[letter], (f"{words[letter]}: so",) if letter != "." else (), "" if letter in "0u" else "one")
            for letter in pattern
        )
    )


# Shares


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("......", []),
        ("b.....", ["1 of 6 slots black, the first one"]),
        ("bb....", ["2 of 6 slots black, the first 2"]),
        (".....b", ["1 of 6 slots black, the last one"]),
        ("...bbb", ["3 of 6 slots black, from slot 4 on"]),
        ("..b...", ["1 of 6 slots black"]),
        ("..bb..", ["2 of 6 slots black"]),
        ("bbbbbb", ["6 of 6 slots black"]),
        ("b", ["1 of 1 slot black"]),
        ("n.n.n.", ["3 of 6 slots not finite, every other one"]),
        (".n.n.n", ["3 of 6 slots not finite, every other one"]),
        (".n.n.n.", ["3 of 7 slots not finite, every other one"]),
        (".n.n.n..", ["3 of 8 slots not finite"]),
        ("..n.n.n", ["3 of 7 slots not finite"]),
        ("n..n..n..", ["3 of 9 slots not finite, every third one"]),
        ("...n...n...n", ["3 of 12 slots not finite, every 4th one"]),
        ("n.n...", ["2 of 6 slots not finite"]),
        ("nn.n.n", ["4 of 6 slots not finite"]),
        ("bn.bn.bn.", ["3 of 9 slots black, every third one", "3 of 9 slots not finite, every third one"]),
        ("..0...", ["1 of 6 slots returned nothing"]),
        ("000000", []),
        ("..u...", ["1 of 6 slots returned no picture"]),
        ("00u000", ["5 of 6 slots returned nothing", "1 of 6 slots returned no picture"]),
    ],
)
def test_broken_slots_are_told_with_their_share_and_their_pattern(pattern, said):
    assert find_broken_slots(looks(pattern)) == said
    assert find_broken_slots(looks(pattern), "baseline") == [f"the baseline: {words}" for words in said]


def test_a_size_that_few_slots_have_is_another_one():
    found = ArmPictures(tuple(SlotLook(CASE, form=form) for form in ("1x8", "1x8", "2x8", "1x8")))
    assert find_broken_slots(found) == ["1 of 4 slots of another size: 2x8, not 1x8 (seed 0)"]


def test_another_size_is_told_of_every_case():
    forms = [(CASE, "1x8"), (CASE, "1x8"), (CASE, "2x8"), (OTHER, "3x8"), (OTHER, "3x8"), (OTHER, "4x8")]
    assert find_broken_slots(ArmPictures(tuple(SlotLook(case, form=form) for case, form in forms))) == [
        "1 of 3 slots of another size: 2x8, not 1x8 (seed 0)",
        "1 of 3 slots of another size: 4x8, not 3x8 (seed 1)",
    ]


def test_cases_may_differ_in_size():
    assert find_broken_slots(ArmPictures((SlotLook(CASE, form="1x8"), SlotLook(OTHER, form="2x8")))) == []


def test_what_is_wrong_with_a_first_output_is_left_to_the_gate():
    assert list_details(looks("bbb")) == []
    assert list_details(looks("bbn")) == ["seed 0: not finite: so"]
    assert list_details(looks(".bb")) == ["seed 0: black: so"]
    assert list_details(looks(".u"), "baseline") == [f"seed 0: the baseline {UNREADABLE}: so"]
    assert list_details(looks(".b"), "baseline") == ["seed 0: the baseline's picture is black: so"]


# An arm against itself


def drawn(*values, differing=None):
    outputs = tuple(map(keep, values))
    sound = [SlotLook(CASE, form="one", differs=place > 0) for place in range(len(values) if differing is None else differing + 1)]
    return ArmPictures(tuple(sound), {CASE: outputs})


def test_what_was_drawn_for_one_case_alone():
    other = SlotLook(OTHER, "black", ("black: so",), "one")
    both = ArmPictures((SlotLook(CASE, form="one"), other), {CASE: (keep(GOOD),), OTHER: (keep(shifted(0.1)),)})
    alone = both.only(OTHER)
    assert alone.looks == (other,)
    assert [*alone.outputs] == [OTHER]


def test_an_arm_that_draws_the_same_does_not_differ():
    found = measure_self_difference(drawn(GOOD), None, SCALE)
    assert found == SelfDifference(slots=1, differing=0, metrics={})
    assert describe_self_difference(found, SCALE) == ()


def test_an_arm_that_draws_nothing_is_unknown():
    assert measure_self_difference(ArmPictures(), None, SCALE) is None
    assert describe_self_difference(None, SCALE) == ()


def test_the_worst_against_its_own_first_is_told():
    found = measure_self_difference(drawn(GOOD, shifted(0.2), shifted(0.1)), None, SCALE)
    assert (found.slots, found.differing) == (3, 2)
    expected = compare_batches(shifted(0.2), GOOD)
    assert found.metrics["psnr"] == pytest.approx(expected["psnr"])
    assert found.metrics["mae"] == pytest.approx(expected["mae"])
    (said,) = describe_self_difference(found, SCALE, "baseline")
    assert said.startswith(
        "the baseline does not draw the same each time: 2 of 3 slots differ from the first of their case, at worst by PSNR"
    )


def test_arrays_that_differ_are_told_by_their_own_metrics():
    latents = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)
    found = measure_self_difference(drawn(latents, latents + 0.5), ImageGate(max_abs=0.1), SCALE)
    assert found.metrics["max_abs"] == pytest.approx(0.5, abs=1e-6)
    in_doubt, tosses = find_coin_tosses({"max_abs": 0.05}, ImageGate(max_abs=0.1), SCALE, found)
    assert (in_doubt, tosses) == ([], ["the bound 0.1 is a coin toss: the baseline differs from itself by greatest difference 0.5000"])
    # As many digits as tell it from the bound.
    close = SelfDifference(slots=9, differing=3, metrics={"max_abs": 0.10000001})
    (said,) = find_coin_tosses({"max_abs": 0.05}, ImageGate(max_abs=0.1), SCALE, close)[1]
    assert said.endswith("by greatest difference 0.10000001")


@pytest.mark.parametrize(
    ("own", "measured", "in_doubt", "toss"),
    [
        (None, 20.0, 0, 0),
        (50.0, 20.0, 0, 0),
        (50.0, 40.0, 0, 0),
        (25.0, 20.0, 1, 0),
        (25.0, 40.0, 0, 1),
        (math.nan, 40.0, 0, 1),
        (30.0, 40.0, 0, 0),
    ],
)
def test_a_bound_that_the_baseline_breaks_against_itself_is_in_doubt(own, measured, in_doubt, toss):
    itself = None if own is None else SelfDifference(slots=9, differing=3, metrics={"psnr": own})
    found = find_coin_tosses({"psnr": measured}, ImageGate(psnr=30), SCALE, itself)
    assert tuple(map(len, found)) == (in_doubt, toss)


def test_a_bound_that_was_not_measured_is_no_coin_toss():
    own = SelfDifference(slots=9, differing=3, metrics={"psnr": 10.0})
    assert find_coin_tosses({}, ImageGate(psnr=30), SCALE, own) == ([], [])


def test_distance_is_that_of_the_worst_picture():
    batch = np.concatenate([GOOD, GOOD])
    worse = np.concatenate([GOOD, np.clip(GOOD + 0.1, 0, 1)])
    expected = float(np.square(worse[1] - GOOD[0]).mean())
    assert measure_distance(keep(worse), keep(batch)) == pytest.approx(expected, rel=1e-5)


def test_distance_of_arrays_is_that_of_all_values():
    latents = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float16)
    farther = latents.copy()
    farther[0, 0, 0, 0] += 4
    assert measure_distance(keep(farther), keep(latents)) == pytest.approx(16 / 256, rel=1e-2)


def test_distance_of_a_range_of_its_own_is_a_share_of_the_others_range():
    depth = np.linspace(0, 50, 32 * 32, dtype=np.float32).reshape(1, 32, 32, 1)
    farther = depth + 5
    assert measure_distance(keep(farther), keep(depth)) == pytest.approx(0.1**2, rel=1e-3)


def test_of_several_outputs_only_the_one_that_differs_most_is_compared():
    found = measure_self_difference(drawn(GOOD, shifted(0.1), shifted(0.2)), None, SCALE)
    assert found.metrics["psnr"] == pytest.approx(compare_batches(shifted(0.1), GOOD)["psnr"])


def test_the_worst_of_all_cases_is_told_though_one_is_too_small_to_compare():
    tiny = GOOD[:, :2, :2]
    pairs = {Case(0): (tiny, tiny / 2), Case(1): (GOOD, shifted(0.2)), Case(2): (GOOD, shifted(0.1))}
    arm = ArmPictures(outputs={case: tuple(map(keep, pair)) for case, pair in pairs.items()})
    own = PictureMetric(name="mine", function=lambda ours, theirs: 1 - abs(ours - theirs).mean(), format="{}", more_is_better=True)
    found = measure_self_difference(arm, ImageGate(further=(("mine", 0.5),)), Scale({"mine": own}))
    assert found.metrics["psnr"] == pytest.approx(compare_batches(shifted(0.2), GOOD)["psnr"])
    assert found.metrics["mine"] == pytest.approx(1 - compare_batches(shifted(0.2), GOOD)["mae"])


def test_flip_of_every_picture_is_measured_if_it_is_bounded():
    theirs = scene(0, batch=2)
    ours = np.concatenate([disturbed(theirs[:1], 0.1), (theirs[1:] * [1, 0.9, 0.9]).astype(np.float32)])
    worst, every = (compare_batches(ours, theirs, every_flip=every)["flip"] for every in (False, True))
    assert worst < every
    assert measure_self_difference(drawn(theirs, ours), None, SCALE).metrics["flip"] == worst
    assert measure_self_difference(drawn(theirs, ours), ImageGate(flip=0.5), SCALE).metrics["flip"] == every


@pytest.mark.parametrize(
    ("metrics", "worst"),
    [({}, ""), ({"psnr": 20.0, "ssim": 0.5, "mae": 0.25}, ", at worst by PSNR 20.0 dB, mean difference 0.2500")],
)
def test_a_difference_is_told_by_its_metrics_if_it_has_any(metrics, worst):
    said = f" does not draw the same each time: 1 of 3 slots differ from the first of their case{worst}"
    found = SelfDifference(slots=3, differing=1, metrics=metrics)
    assert describe_self_difference(found, SCALE) == (f"it{said}",)
    assert describe_self_difference(found, SCALE, "baseline") == (f"the baseline{said}",)


# The gate


def test_the_worst_of_all_outputs_counts_and_is_the_one_that_is_shown():
    outputs = [keep(value) for value in (shifted(0.01), shifted(0.02), shifted(0.2), shifted(0.03))]
    gate = ImageGate(psnr=25)
    assert judge_images({CASE: outputs[0]}, {CASE: keep(GOOD)}, gate, "same_weights").verdict == "pass"
    found = judge_images({CASE: outputs[0]}, {CASE: keep(GOOD)}, gate, "same_weights", repeated={CASE: outputs[1:]})
    assert found.verdict == "fail"
    assert found.worst_output == {CASE: 2}
    assert found.metrics["psnr"] == compare_batches(outputs[2].values, GOOD)["psnr"]
    assert found.worst_metrics[CASE]["psnr"] == found.metrics["psnr"] == found.ranges["psnr"].low
    assert found.ranges["psnr"].count == 4
    assert found.ranges["psnr"].high == compare_batches(outputs[0].values, GOOD)["psnr"]


def test_the_judgement_says_which_of_its_bounds_are_coin_tosses():
    restless = SelfDifference(slots=9, differing=3, metrics={"psnr": 25.0})
    gate, good = ImageGate(psnr=30), {CASE: keep(GOOD)}
    near = judge_images({CASE: keep(shifted(0.01))}, good, gate, "same_weights", own=restless)
    assert near.verdict == "pass"
    assert near.notes[0] == "the bound 30 is a coin toss: the baseline differs from itself by PSNR 25.0 dB"
    far = judge_images({CASE: keep(shifted(0.2))}, good, gate, "same_weights", own=restless)
    assert far.verdict == "fail"
    assert far.reasons[-1] == "the baseline differs from itself by PSNR 25.0 dB"


@pytest.mark.parametrize(
    ("value", "faults", "reasons"),
    [
        (GOOD, (), ()),
        (GOOD, ("2 of 12 slots black",), ("2 of 12 slots black",)),
        (GOOD * 0, (), ("seed 0: black: no value exceeds 0.0000 of 1 (picture 0)",)),
    ],
)
def test_what_is_judged_alone_fails_by_its_defects_and_by_those_of_other_slots(value, faults, reasons):
    found = judge_alone({CASE: value}, faults)
    assert (found.verdict, found.reasons, found.metrics) == ("fail" if reasons else "pass", reasons, {})


def test_a_wrong_first_output_is_not_outvoted_by_right_ones():
    bad, good = keep(shifted(0.3)), keep(GOOD)
    found = judge_images({CASE: bad}, {CASE: good}, ImageGate(psnr=25), "same_weights", repeated={CASE: [good] * 3})
    assert (found.verdict, found.worst_output) == ("fail", {CASE: 0})


def test_an_output_that_cannot_be_compared_leaves_the_places_of_others_alone():
    good = keep(GOOD)
    worse, wrong_size = keep(np.clip(GOOD + 0.1, 0, 1)), keep(np.concatenate([GOOD, GOOD]))
    found = judge_images({CASE: good}, {CASE: good}, ImageGate(psnr=5), "same_weights", repeated={CASE: [wrong_size, worse]})
    assert found.worst_output == {CASE: 2}
    assert "another number of them" in found.reasons[-1]


def test_faults_of_slots_fail_what_would_pass():
    found = judge_images({CASE: keep(GOOD)}, {CASE: keep(GOOD)}, None, "same_weights", faults=["2 of 12 slots black"])
    assert (found.verdict, found.reasons, found.metrics["psnr"]) == ("fail", ("2 of 12 slots black",), 100)


def test_ranges_are_of_every_value_and_nan_is_no_range():
    found = find_ranges([{"psnr": 30.0, "ssim": 0.5}, {"psnr": 20.0}, {"psnr": 25.0, "ssim": math.nan}])
    assert (found["psnr"].low, found["psnr"].high, found["psnr"].count) == (20.0, 30.0, 3)
    assert math.isnan(found["ssim"].low)
    assert math.isnan(found["ssim"].high)
    assert find_ranges([]) == {}
