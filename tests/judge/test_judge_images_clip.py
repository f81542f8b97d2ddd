"""The bound on the CLIP score: how scores are put together, and a gate that must tell other prompts."""

from __future__ import annotations

import numpy as np
import pytest
from scenes import disturbed, planted, scene

from pytest_sdspeed.judge.pictures.clip import ClipScores, score_by_clip
from pytest_sdspeed.judge.pictures.gate import judge_images
from pytest_sdspeed.model import Case, ImageGate

ZERO, ONE, VASE = Case(0), Case(1), Case(0, "a vase")
BASELINE = {ZERO: scene(0), ONE: scene(1), VASE: scene(2)}
OURS = {case: disturbed(picture, 0.01) for case, picture in BASELINE.items()}
GATE = ImageGate(clip_drop=0.03)


def scored(ours, theirs=(0.30, 0.28, 0.32), mismatched=(0.20, 0.19, 0.18)):
    return ClipScores(
        candidate=dict(zip(BASELINE, ours, strict=True)),
        baseline=dict(zip(BASELINE, theirs, strict=True)),
        mismatched=dict(zip(BASELINE, mismatched, strict=False)),
    )


def judge(scores, gate=GATE, candidate=OURS):
    return judge_images(candidate, BASELINE, gate, "other_weights", scores=scores)


def test_a_drop_within_the_bound_passes():
    found = judge(scored((0.28, 0.27, 0.33)))
    assert (found.verdict, found.reasons, found.notes) == ("pass", (), ())
    wanted = {"clip": 0.88 / 3, "clip_baseline": 0.3, "clip_drop": 0.02 / 3, "control_clip_drop": 0.11}
    assert {name: found.metrics[name] for name in wanted} == pytest.approx(wanted)
    assert found.by_case[ONE]["clip"] == 0.27
    assert found.by_case[VASE]["clip_drop"] == pytest.approx(-0.01)
    assert "psnr" in found.by_case[VASE]


def test_the_mean_over_the_cases_decides():
    assert judge(scored((0.22, 0.28, 0.33))).verdict == "pass"
    found = judge(scored((0.22, 0.25, 0.30)))
    assert (found.verdict, found.reasons) == ("fail", ("CLIP score drop 0.043 is over 0.03",))


def test_a_score_that_is_not_a_number_fails():
    assert judge(scored((0.3, float("nan"), 0.3))).reasons == ("CLIP score drop nan is over 0.03",)


def test_a_bound_that_other_prompts_pass_is_powerless():
    found = judge(scored((0.30, 0.28, 0.32), mismatched=(0.29, 0.27, 0.29)))
    assert (found.verdict, len(found.reasons)) == ("powerless", 1)
    assert found.reasons[0].startswith(
        "gate has no power: with the prompt of another case the baseline's CLIP score drops by 0.017, which 0.03 allows"
    )


@pytest.mark.parametrize("mismatched", [(float("nan"),) * 3, (0.27, 0.25, 0.29)])
def test_a_control_that_is_no_number_or_reaches_the_bound_proves_nothing(mismatched):
    exact = ImageGate(clip_drop=0.05)
    assert judge(scored((0.3, 0.28, 0.32), mismatched=mismatched), exact).verdict == "powerless"


def test_powerless_on_pictures_and_on_prompts_says_both():
    found = judge(scored((0.3, 0.28, 0.32), mismatched=(0.3, 0.28, 0.32)), ImageGate(psnr=1, clip_drop=0.03))
    assert (found.verdict, len(found.reasons)) == ("powerless", 2)


def test_one_prompt_has_no_control_and_the_notes_say_so():
    found = judge(scored((0.30, 0.28, 0.32), mismatched=()))
    assert found.verdict == "pass"
    assert found.notes == ("the bound on the CLIP score has no negative control: it takes two prompts",)


@pytest.mark.parametrize("scores", [None, ClipScores()])
def test_without_scores_the_bound_claims_neither_failure_nor_power(scores):
    found = judge(scores)
    assert (found.verdict, found.reasons, found.notes, found.control) == ("pass", (), (), None)
    assert set(found.metrics) == {"psnr", "ssim", "mae", "flip"}


@pytest.mark.parametrize("gate", [None, ImageGate(psnr=20)])
def test_scores_without_a_bound_are_reported_and_not_judged(gate):
    found = judge(scored((0.1, 0.1, 0.1)), gate)
    assert (found.verdict, found.notes) == ("pass", ())
    assert found.metrics["clip_drop"] == pytest.approx(0.2)


def brightness(pictures, text):
    """A stand-in for CLIP: how bright the channel is that the text names."""
    return [float(picture[..., "rgb".index(text[0])].mean()) for picture in pictures]


def tinted(color, batch=2):
    return (scene(0, batch=batch) * color).astype(np.float32)


def test_scores_are_means_over_the_batch_for_each_cases_own_prompt():
    green, blue = Case(0, "green"), Case(0, "blue")
    ours = {ZERO: tinted([0.9, 0.1, 0.1]), green: tinted([0.1, 0.8, 0.1])}
    theirs = {ZERO: tinted([1, 0.1, 0.2]), green: tinted([0.3, 1, 0.1]), blue: tinted([0, 0, 1])}
    found = score_by_clip(brightness, ours, theirs, "red")
    light = scene(0, batch=2).mean(axis=(0, 1, 2))
    assert found.candidate == pytest.approx({ZERO: 0.9 * light[0], green: 0.8 * light[1]})
    assert found.baseline == pytest.approx({ZERO: light[0], green: light[1]})
    assert found.mismatched == pytest.approx({ZERO: 0.1 * light[1], green: 0.3 * light[0]})


def test_the_control_is_the_closest_of_the_other_prompts():
    cases = {ZERO: tinted([1, 0.1, 0.4]), Case(0, "green"): tinted([0, 1, 0]), Case(0, "blue"): tinted([0, 0, 1])}
    found = score_by_clip(brightness, cases, cases, "red")
    assert found.mismatched[ZERO] == pytest.approx(np.mean(brightness(cases[ZERO], "blue")))


@pytest.mark.parametrize("others", [[ONE], [ONE, Case(0, "red")], []])
def test_cases_of_one_prompt_are_no_control(others):
    cases = dict.fromkeys([ZERO, *others], tinted([1, 0.2, 0.2]))
    found = score_by_clip(brightness, cases, cases, "red")
    assert found.candidate.keys() == cases.keys()
    assert found.mismatched == {}


@pytest.mark.parametrize("fault", [planted("black"), planted("nan"), "a.png", None])
def test_pictures_with_a_defect_are_not_scored(fault):
    cases = {ZERO: tinted([1, 0.2, 0.2]), ONE: tinted([1, 0.3, 0.2])}
    assert score_by_clip(brightness, cases | {ONE: fault}, cases, "red").candidate.keys() == {ZERO}
    assert score_by_clip(brightness, cases, cases | {ONE: fault}, "red").baseline.keys() == {ZERO}
    assert score_by_clip(brightness, {ONE: fault}, cases, "red").metrics() == {}


@pytest.mark.parametrize(("bound", "verdict"), [(0.25, "powerless"), (0.249, "pass"), (0.2504, "powerless")])
def test_a_control_that_reaches_the_bound_passes_it_and_does_not_read_like_it(bound, verdict):
    found = judge(scored((0.5,) * 3, theirs=(0.5,) * 3, mismatched=(0.25,) * 3), ImageGate(clip_drop=bound))
    assert found.verdict == verdict
    assert verdict == "pass" or f"which {bound:g} allows" in found.reasons[0]


def test_a_drop_of_the_control_is_given_with_as_many_digits_as_tell_it_from_the_bound():
    found = judge(scored((0.5,) * 3, theirs=(0.5,) * 3, mismatched=(0.2501,) * 3), ImageGate(clip_drop=0.25))
    assert "drops by 0.2499, which 0.25 allows" in found.reasons[0]


def test_scores_of_one_case_are_their_own_means():
    found = ClipScores(candidate={ZERO: 0.25}, baseline={ZERO: 0.5}).metrics()
    assert found == {"clip": 0.25, "clip_baseline": 0.5, "clip_drop": 0.25}


def test_arrays_are_not_scored_and_many_pictures_a_few_at_a_time():
    seen = []

    def score(pictures, _text):
        seen.append((len(pictures), pictures.dtype))
        return [0.5] * len(pictures)

    cases = {ZERO: scene(0, batch=20), ONE: np.random.default_rng(0).normal(size=(1, 4, 8, 8))}
    assert score_by_clip(score, cases, cases, "red").candidate == {ZERO: 0.5}
    assert seen == [(8, np.float32), (8, np.float32), (4, np.float32)] * 2
