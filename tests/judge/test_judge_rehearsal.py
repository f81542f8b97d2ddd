"""Pictures of a rehearsal are held against the baseline's own pictures of other cases: what is right passes, every kind of wrong picture fails."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_sdspeed.judge.pictures.forms import keep
from pytest_sdspeed.judge.pictures.gate import ImageJudgement, judge_images
from pytest_sdspeed.judge.pictures.rehearsal import ABOVE_UNRELATED_DB, add_power, hold_to_other_cases, judge_own_cases
from pytest_sdspeed.model import Case

MAIN, SEED, PROMPT, STEPS = Case(0), Case(1), Case(0, "a vase"), Case(0, steps=4)
SIDE = 16


def noise(seed, spread):
    return np.random.default_rng(seed).normal(0, spread, (2, SIDE, SIDE, 3)).astype(np.float32)


def clip(pictures):
    return pictures.clip(0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def baseline():
    """As toy pipelines draw: another seed is another picture, another prompt and other steps change it a little (31 and 34 dB)."""
    main = 0.5 + noise(0, 0.15)
    drawn = {MAIN: main, SEED: 0.5 + noise(1, 0.15), PROMPT: main + noise(2, 0.028), STEPS: main + noise(3, 0.02)}
    return {case: clip(pictures) for case, pictures in drawn.items()}


def kept_of(drawn):
    return {case: keep(pictures) for case, pictures in drawn.items()}


def judge(ours, baseline, relation="same_weights", extra=None, *, own_steps=False):
    kept, theirs = kept_of(ours), kept_of(baseline)
    every = {case: (output, *(extra or {}).get(case, ())) for case, output in kept.items()}
    first = judge_images(kept, theirs, None, relation)
    return hold_to_other_cases(first, every, theirs, relation, own_steps=own_steps)


def rounded(baseline, spread):
    return {case: clip(pictures + noise(10 + at, spread)) for at, (case, pictures) in enumerate(baseline.items())}


@pytest.mark.parametrize(
    ("spread", "relation"), [(0.0005, "same_weights"), (0.004, "same_weights"), (0.015, "approximation"), (0.03, "approximation")]
)
def test_errors_without_direction_pass_whether_or_not_they_hide_the_prompt(baseline, spread, relation):
    found = judge(rounded(baseline, spread), baseline, relation)
    assert (found.verdict, found.reasons) == ("pass", ())
    # The nearest of the other cases is the negative control that is shown.
    assert found.control == (MAIN, STEPS)
    assert found.metrics["control_psnr"] == pytest.approx(34, abs=1)


@pytest.mark.parametrize("relation", ABOVE_UNRELATED_DB)
@pytest.mark.parametrize("other", [SEED, PROMPT, STEPS])
def test_a_picture_of_another_case_fails_however_close_the_two_are(baseline, other, relation):
    ours = {**rounded(baseline, 0.004), MAIN: clip(baseline[other] + noise(20, 0.004))}
    found = judge(ours, baseline, relation)
    assert found.verdict == "fail"
    assert found.reasons[0].startswith("seed 0: picture 0 is another case's: PSNR 4")
    assert f" dB to that of {other}, and " in found.reasons[0]


def test_an_approximation_may_lean_towards_fewer_steps_and_rounding_may_not(baseline):
    leaning = {**rounded(baseline, 0.001), MAIN: clip(0.4 * baseline[MAIN] + 0.6 * baseline[STEPS] + noise(20, 0.004))}
    assert judge(leaning, baseline, "approximation").verdict == "pass"
    assert judge(leaning, baseline).verdict == "fail"
    other = {**rounded(baseline, 0.001), MAIN: clip(0.4 * baseline[MAIN] + 0.6 * baseline[PROMPT])}
    assert judge(other, baseline, "approximation").verdict == "fail"


def test_a_stack_with_steps_of_its_own_is_not_held_to_other_steps_and_to_all_else(baseline):
    ours = rounded(baseline, 0.004)
    ours |= {STEPS: ours[MAIN]}
    assert judge(ours, baseline, "approximation").verdict == "fail"
    assert judge(ours, baseline, "approximation", own_steps=True).verdict == "pass"
    for other in (SEED, PROMPT):
        wrong = {**ours, MAIN: clip(baseline[other] + noise(20, 0.004))}
        assert judge(wrong, baseline, "approximation", own_steps=True).verdict == "fail"


def test_an_approximation_may_skip_nothing_of_few_steps_and_must_act_in_all_other_cases(baseline):
    ours = rounded(baseline, 0.001)
    assert judge({**ours, STEPS: baseline[STEPS]}, baseline, "approximation").verdict == "pass"
    for case in (MAIN, SEED, PROMPT):
        found = judge({**ours, case: baseline[case]}, baseline, "approximation")
        assert found.reasons == (f"{case}: bit-identical to the baseline: the optimization had no effect",)
    lost = judge_images(kept_of({**ours, STEPS: baseline[STEPS]}), kept_of(baseline), None, "other_autoencoder")
    assert lost.reasons == (f"{STEPS}: bit-identical to the baseline: the optimization had no effect",)


def test_cases_that_all_draw_one_picture_fail(baseline):
    found = judge(dict.fromkeys(baseline, clip(baseline[MAIN] + noise(20, 0.004))), baseline, "approximation")
    assert found.verdict == "fail"
    assert {reason.split(":")[0] for reason in found.reasons} >= {"seed 1", "seed 0, 'a vase'", "seed 0, 4 steps"}


@pytest.mark.parametrize(
    "change",
    [lambda one: one[..., ::-1], lambda one: one[:, ::-1], lambda one: one[::-1], lambda one: 1 - one, lambda one: np.roll(one, 1, axis=2)],
)
@pytest.mark.parametrize("relation", ABOVE_UNRELATED_DB)
def test_pictures_whose_values_stand_elsewhere_fail(baseline, change, relation):
    found = judge({case: change(pictures).copy() for case, pictures in baseline.items()}, baseline, relation)
    assert found.verdict == "fail"
    assert "above what an unrelated picture has" in " ".join(found.reasons)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: one[:1], "another number of them"),
        (lambda one: 0 * one, "black"),
        (lambda one: np.where(one == one[0, 0, 0, 0], np.nan, one), "not finite"),
        (lambda one: one[:, :8], "of another size"),
    ],
)
def test_what_every_gate_refuses_is_refused_here(baseline, change, said):
    found = judge({**baseline, MAIN: change(baseline[MAIN]).astype(np.float32)}, baseline)
    assert found.verdict == "fail"
    assert said in " ".join(found.reasons)


def test_the_worst_of_several_outputs_of_a_case_counts(baseline):
    found = judge(rounded(baseline, 0.001), baseline, extra={MAIN: (keep(baseline[SEED]),)})
    assert found.verdict == "fail"
    assert f"is another case's: PSNR 100.0 dB to that of {SEED}" in found.reasons[0]


def test_an_approximation_may_be_ten_times_as_far_as_rounding_and_no_further(baseline):
    # 2 * 0.15**2 is what an unrelated picture has: -13.5 dB.
    for spread, relation, verdict in [
        (0.019, "same_weights", "pass"),
        (0.024, "same_weights", "fail"),
        (0.095, "approximation", "pass"),
        (0.12, "approximation", "fail"),
    ]:
        found = judge(rounded({MAIN: baseline[MAIN], SEED: baseline[SEED]}, spread), {MAIN: baseline[MAIN], SEED: baseline[SEED]}, relation)
        assert found.verdict == verdict, (spread, relation, found.reasons)


def test_a_prompt_that_changes_nothing_is_no_other_case(baseline):
    same = {**baseline, PROMPT: baseline[MAIN]}
    assert judge(rounded(same, 0.004), same).verdict == "pass"


def test_seeds_that_draw_the_same_leave_the_rehearsal_without_power(baseline):
    same = {**baseline, SEED: baseline[MAIN]}
    found = judge(same, same)
    assert found.verdict == "powerless"
    assert "seed 0 and seed 1 draw the same picture" in found.reasons[0]
    alone = add_power(ImageJudgement("pass", {}, ()), {case: keep(pictures) for case, pictures in same.items()})
    assert alone.verdict == "powerless"
    assert judge({**same, MAIN: 0 * same[MAIN]}, same).verdict == "fail"


def judge_other_weights(ours, baseline, faults=()):
    kept = {case: (keep(pictures),) for case, pictures in ours.items()}
    return judge_own_cases(kept, {case: keep(pictures) for case, pictures in baseline.items()}, faults)


def test_other_weights_are_held_to_what_they_have_in_common(baseline):
    ours = {case: clip(0.5 + noise(30 + at, 0.1)) for at, case in enumerate(baseline)}
    assert judge_other_weights(ours, baseline).verdict == "pass"
    # A tiny autoencoder may draw larger pictures at toy size, and other weights may take their own number of steps.
    larger = {case: pictures.repeat(2, axis=1).repeat(2, axis=2) for case, pictures in ours.items()}
    assert judge_other_weights({**larger, STEPS: larger[MAIN]}, baseline).verdict == "pass"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ours, _: {**ours, SEED: ours[MAIN]}, "draws the same for seed 0 as for seed 1"),
        (lambda ours, _: {**ours, PROMPT: ours[MAIN]}, "draws the same for seed 0 as for seed 0, 'a vase'"),
        (lambda ours, theirs: {**ours, MAIN: theirs[MAIN]}, "the optimization had no effect"),
        (lambda ours, _: {**ours, MAIN: ours[MAIN][:1]}, "the baseline 2 pictures"),
        (lambda ours, _: {**ours, MAIN: 0 * ours[MAIN]}, "black"),
        (lambda _ours, _theirs: {}, "returned no picture"),
    ],
)
def test_other_weights_do_not_hide_what_is_wrong_in_itself(baseline, change, said):
    ours = {case: clip(0.5 + noise(30 + at, 0.1)) for at, case in enumerate(baseline)}
    found = judge_other_weights(change(ours, baseline), baseline)
    assert found.verdict == "fail"
    assert said in " ".join(found.reasons)
