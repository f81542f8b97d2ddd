"""The judgement of pictures, each rule with the fault it is there for planted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scenes import disturbed, planted, scene

from pytest_sdspeed.judge.pictures.gate import ImageJudgement, judge_images
from pytest_sdspeed.judge.pictures.metrics import PSNR_CAP, compare_batches
from pytest_sdspeed.model import Case, ImageGate

GATE = ImageGate(psnr=30.0, ssim=0.85)
ZERO, ONE, VASE = Case(0), Case(1), Case(0, "a golden vase")
BASELINE = {ZERO: scene(0), ONE: scene(1)}
CLOSE = {case: disturbed(picture, 0.01) for case, picture in BASELINE.items()}
COMPARED = {"psnr", "ssim", "mae", "flip"}
NO_CONTROL = ("the picture gate has no negative control: it takes two cases, both sound and of one size",)


def judge(candidate, baseline=BASELINE, gate=GATE, relation="same_weights", reference=None):
    return judge_images(candidate, baseline, gate, relation, reference)


def test_close_pictures_pass_and_carry_their_control():
    found = judge(CLOSE)
    assert (found.verdict, found.reasons, found.notes) == ("pass", (), ())
    assert set(found.metrics) == COMPARED | {f"control_{name}" for name in COMPARED}
    assert found.metrics["control_psnr"] < GATE.psnr < found.metrics["psnr"]
    assert all(type(value) is float for value in found.metrics.values())


def test_a_judgement_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        judge(BASELINE).verdict = "fail"


# Cases


def test_the_worst_case_counts_and_each_has_its_own_metrics():
    found = judge({ZERO: BASELINE[ZERO], ONE: disturbed(BASELINE[ONE], 0.4)})
    assert found.verdict == "fail"
    assert found.by_case[ONE] == compare_batches(disturbed(BASELINE[ONE], 0.4), BASELINE[ONE])
    assert found.by_case[ZERO]["psnr"] == PSNR_CAP
    assert {name: found.metrics[name] for name in COMPARED} == found.by_case[ONE]


def test_the_worst_picture_of_each_batch_is_named_with_its_metrics():
    theirs = {ZERO: scene(0, batch=3), ONE: scene(1, batch=3)}
    ours = {case: disturbed(pictures, 0.01) for case, pictures in theirs.items()}
    ours[ZERO][2] = disturbed(ours[ZERO][2], 0.1)
    ours[ONE][1] = disturbed(ours[ONE][1], 0.2)
    found = judge(ours, theirs)
    assert found.worst == {ZERO: 2, ONE: 1}
    assert found.worst_metrics[ONE] == pytest.approx(compare_batches(ours[ONE][1:2], theirs[ONE][1:2]))
    assert found.by_case[ONE]["psnr"] == found.worst_metrics[ONE]["psnr"]


def test_pictures_of_another_seed_fail():
    found = judge({ZERO: BASELINE[ONE], ONE: BASELINE[ZERO]})
    assert found.verdict == "fail"
    assert any(reason.startswith("PSNR ") for reason in found.reasons)


@pytest.mark.parametrize("candidate", [{}, {Case(7): scene(7)}])
def test_no_common_case_fails(candidate):
    assert judge(candidate) == ImageJudgement("fail", {}, ("returned no picture",))


def test_a_side_without_any_picture_is_named():
    assert judge(BASELINE, {}).reasons == ("the baseline returned no picture",)
    assert judge(BASELINE, BASELINE, reference={}).reasons == ("the reference returned no picture",)
    assert judge({}, {}).reasons == ("returned no picture",)


def test_cases_of_one_side_alone_are_not_compared():
    found = judge({ZERO: CLOSE[ZERO], VASE: scene(5)})
    assert (found.verdict, set(found.by_case)) == ("pass", {ZERO})


def test_bytes_and_floats_are_judged_alike():
    as_bytes = {case: np.round(picture * 255).astype(np.uint8) for case, picture in BASELINE.items()}
    found = judge(as_bytes)
    assert found.verdict == "pass"
    assert found.metrics["psnr"] > 50


# Defects


@pytest.mark.parametrize(("kind", "word"), [("nan", "not finite"), ("black", "black"), ("grey", "constant")])
@pytest.mark.parametrize("relation", ["same_weights", "other_weights", "other_autoencoder"])
@pytest.mark.parametrize("gate", [GATE, None])
def test_a_defective_candidate_fails_with_the_word(kind, word, relation, gate):
    found = judge({ZERO: planted(kind), ONE: CLOSE[ONE]}, gate=gate, relation=relation)
    assert (found.verdict, len(found.reasons)) == ("fail", 1)
    assert f"seed 0: {word}" in found.reasons[0]
    assert set(found.worst) == {ONE}


@pytest.mark.parametrize(
    ("baseline", "reference", "said"),
    [
        (planted("black"), None, "seed 0: the baseline's picture is black"),
        (scene(0), planted("black"), "seed 0: the reference's picture is black"),
        (planted("black"), scene(1), "seed 0: the baseline's picture is black"),
        (1.0, None, "seed 0: the baseline returned an object of type float"),
        (scene(0), 1.0, "seed 0: the reference returned an object of type float"),
    ],
)
def test_a_defect_of_the_other_side_is_said_to_be_its_own(baseline, reference, said):
    found = judge({ZERO: CLOSE[ZERO]}, {ZERO: baseline}, gate=None, reference=None if reference is None else {ZERO: reference})
    assert (found.verdict, len(found.reasons)) == ("fail", 1)
    assert found.reasons[0].startswith(said)


def test_a_case_with_a_prompt_is_named_with_it():
    found = judge({VASE: planted("black")}, {VASE: scene(0)})
    assert found.reasons[0].startswith("seed 0, 'a golden vase': black")


def test_equal_blackness_is_no_agreement():
    assert len(judge({ZERO: planted("black")}, {ZERO: planted("black")}).reasons) == 2


def test_another_size_fails():
    found = judge({ZERO: scene(0, side=16)}, {ZERO: scene(0)})
    assert (found.verdict, found.metrics, found.worst) == ("fail", {}, {})
    assert found.reasons == ("seed 0: pictures of another size: (1, 16, 16, 3), compared with (1, 32, 32, 3)",)


def test_pictures_too_small_to_compare_fail_without_raising():
    small = {case: picture[:, 7:9, 7:9] for case, picture in BASELINE.items()}
    found = judge(small, small)
    assert (found.verdict, found.notes) == ("fail", NO_CONTROL)
    assert all("too small to compare" in reason for reason in found.reasons)


def test_what_is_no_picture_fails_without_raising():
    assert judge({ZERO: "a.png"}, {ZERO: scene(0)}).reasons[0].startswith("seed 0: returned an object of type str")
    assert "returned no picture" in judge({ZERO: None}, {ZERO: scene(0)}).reasons[0]


# References and lost optimizations


def test_a_reference_takes_the_baselines_place():
    reference = {ZERO: scene(5), ONE: scene(6)}
    near = {case: disturbed(picture, 0.01) for case, picture in reference.items()}
    found = judge(near, relation="other_autoencoder", reference=reference)
    assert found.verdict == "pass"
    assert found.by_case[ZERO] == compare_batches(near[ZERO], reference[ZERO], every_flip=False)
    assert found.metrics["control_psnr"] == compare_batches(reference[ONE], reference[ZERO])["psnr"]
    assert judge(near, relation="other_autoencoder").verdict == "fail"


@pytest.mark.parametrize("relation", ["other_weights", "other_autoencoder"])
def test_pictures_of_the_baseline_itself_mean_a_lost_optimization(relation):
    found = judge(BASELINE, gate=None, relation=relation)
    lost = "bit-identical to the baseline: the optimization had no effect"
    assert found.reasons == (f"seed 0: {lost}", f"seed 1: {lost}")


@pytest.mark.parametrize(
    ("candidate", "reference", "whose"),
    [
        (scene(0), scene(5), "the baseline"),
        (scene(5), scene(5), "the reference"),
        (scene(0), scene(0), "the reference and the baseline"),
    ],
)
def test_a_lost_optimization_says_whose_pictures_it_found(candidate, reference, whose):
    found = judge({ZERO: candidate}, gate=None, relation="other_autoencoder", reference={ZERO: reference})
    assert found.reasons == (f"seed 0: bit-identical to {whose}: the optimization had no effect",)


def test_pictures_of_another_size_are_not_identical():
    assert judge({ZERO: scene(0)[:, :16]}, gate=None, relation="other_weights").reasons[0].startswith("seed 0: pictures of another size")


def test_other_weights_may_look_otherwise():
    assert judge({ZERO: scene(5), ONE: scene(6)}, gate=None, relation="other_weights").verdict == "pass"


def test_the_same_weights_may_agree_to_the_bit():
    assert judge(BASELINE).verdict == "pass"


# The negative control


@pytest.mark.parametrize("gate", [ImageGate(psnr=1.0), ImageGate(mae=0.9), ImageGate(psnr=2.0, ssim=-1.0), ImageGate(flip=0.99)])
def test_a_gate_that_another_case_passes_is_powerless(gate):
    found = judge(CLOSE, gate=gate)
    assert (found.verdict, found.control, found.notes) == ("powerless", (ZERO, ONE), ())
    assert found.reasons[0].startswith("gate has no power: the baseline of seed 1 passes it against seed 0 (PSNR ")
    assert found.reasons[0].endswith("): tighten its bounds")


def test_a_powerless_gate_on_a_reference_says_so():
    found = judge(CLOSE, {ZERO: scene(7)}, gate=ImageGate(psnr=1.0), reference=BASELINE)
    assert "the reference of seed 1 passes it" in found.reasons[0]


def test_a_baseline_that_ignores_its_seed_leaves_the_gate_powerless():
    same = {ZERO: scene(0), ONE: scene(0)}
    found = judge(same, same)
    assert found.verdict == "powerless"
    assert found.metrics["control_psnr"] == PSNR_CAP


def test_a_baseline_that_ignores_its_prompt_leaves_the_gate_powerless():
    same = BASELINE | {VASE: scene(0)}
    found = judge(same, same)
    assert found.reasons[0].startswith("gate has no power: the baseline of seed 0, 'a golden vase' passes it against seed 0 (")


@pytest.mark.parametrize("close", [ONE, Case(2), VASE, Case(-1, "a golden vase")])
def test_every_case_is_held_against_the_smallest_seed_without_a_prompt(close):
    cases = {ZERO: scene(0), ONE: scene(1), Case(2): scene(2), VASE: scene(3), Case(-1, "a golden vase"): scene(4)}
    cases[close] = disturbed(cases[ZERO], 0.001)
    found = judge(cases, cases)
    assert (found.verdict, found.control) == ("powerless", (ZERO, close))


def test_the_control_shown_is_the_closest_that_breaks_the_gate():
    cases = {ZERO: scene(0), ONE: scene(1), Case(2): disturbed(scene(0), 0.3), Case(3): scene(3)}
    found = judge(cases, cases)
    assert (found.verdict, found.control) == ("pass", (ZERO, Case(2)))
    shown = compare_batches(cases[Case(2)], cases[ZERO])
    assert {name: found.metrics[f"control_{name}"] for name in COMPARED} == shown


def test_a_control_that_passes_is_shown_before_a_closer_one_that_does_not():
    cases = {ZERO: scene(0), ONE: disturbed(scene(0), 0.2), Case(2): np.clip(scene(0) + 0.2, 0, 1)}
    closer, other = (compare_batches(cases[case], cases[ZERO]) for case in (ONE, Case(2)))
    assert closer["psnr"] > other["psnr"]
    assert closer["ssim"] < 0.85 < other["ssim"]
    assert judge(cases, cases, gate=ImageGate(ssim=0.85)).control == (ZERO, Case(2))


def test_failing_outweighs_powerless():
    found = judge({ZERO: planted("nan")}, gate=ImageGate(psnr=1.0))
    assert found.verdict == "fail"
    assert not any("no power" in reason for reason in found.reasons)


@pytest.mark.parametrize("gate", [None, ImageGate()])
def test_without_bounds_there_is_no_control(gate):
    found = judge(BASELINE, gate=gate)
    assert (found.verdict, set(found.metrics), found.control, found.notes) == ("pass", COMPARED, None, ())


def test_a_single_case_has_no_control_and_the_notes_say_so():
    found = judge({ZERO: scene(0)}, {ZERO: scene(0)})
    assert (found.verdict, set(found.metrics), found.reasons) == ("pass", COMPARED, ())
    assert (found.control, found.notes) == (None, NO_CONTROL)


def test_the_control_takes_every_case_of_the_baseline():
    assert judge({ZERO: scene(0)}).control == (ZERO, ONE)


def test_cases_of_differing_sizes_form_no_control():
    mixed = {ZERO: scene(0), ONE: scene(1, side=16)}
    found = judge(mixed, mixed)
    assert (set(found.metrics), found.notes) == (COMPARED, NO_CONTROL)


# FLIP


def test_flip_is_of_the_worst_picture_by_psnr_unless_it_is_bounded():
    theirs = {ZERO: scene(0, batch=2), ONE: scene(1, batch=2)}
    noise, tint = disturbed(scene(0, batch=2)[:1], 0.1), scene(0, batch=2)[1:] * [1, 0.9, 0.9]
    ours = {ZERO: np.concatenate([noise, tint.astype(np.float32)])}
    noisy, tinted = (compare_batches(ours[ZERO][index : index + 1], theirs[ZERO][index : index + 1]) for index in (0, 1))
    assert noisy["psnr"] < tinted["psnr"]
    assert noisy["flip"] < tinted["flip"]
    assert judge(ours, theirs, gate=ImageGate(psnr=20)).metrics["flip"] == noisy["flip"]
    between = ImageGate(flip=(noisy["flip"] + tinted["flip"]) / 2)
    found = judge(ours, theirs, gate=between)
    assert found.metrics["flip"] == tinted["flip"]
    assert found.reasons[0].startswith("FLIP 0.")


def test_a_control_is_not_called_powerless_by_its_worst_picture_by_psnr_alone():
    main = scene(0, batch=2)
    noise, tint = disturbed(main[:1], 0.1), (main[1:] * [1, 0.9, 0.9]).astype(np.float32)
    theirs = {ZERO: main, ONE: np.concatenate([noise, tint])}
    least, most = (compare_batches(theirs[ONE], main, every_flip=every)["flip"] for every in (False, True))
    assert judge(theirs, theirs, gate=ImageGate(flip=(least + most) / 2)).verdict == "pass"
