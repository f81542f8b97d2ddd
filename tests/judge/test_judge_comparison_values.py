"""The values of metrics: of arrays, with alpha, of motion, of ranges of their own, and of the negative control."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from PIL import Image
from scenes import disturbed, scene
from test_judge_comparison import judge

from pytest_sdspeed.judge.pictures.forms import keep
from pytest_sdspeed.judge.pictures.gate import judge_images
from pytest_sdspeed.judge.pictures.metrics import compare_batches
from pytest_sdspeed.model import Case, ImageGate, PictureMetric


def test_the_cosine_is_that_of_vectors_of_any_length():
    ours, theirs = np.zeros((1, 4, 8, 8), np.float32), np.zeros((1, 4, 8, 8), np.float32)
    ours[0, 0, 0, :2], theirs[0, 0, 0, 0] = (3, 4), 10
    found = judge(ours, theirs, ImageGate(cosine=0.5))
    assert found.metrics["cosine"] == pytest.approx(0.6)
    assert judge(theirs, theirs * 3, ImageGate(cosine=0.5)).metrics["cosine"] <= 1


def test_of_arrays_of_two_axes_all_values_count_together_and_of_batches_the_worst():
    theirs = np.ones((4, 8), np.float32)
    theirs[:, 0] = 3
    ours = theirs.copy()
    ours[1] += 2
    assert judge(ours, theirs, ImageGate(mean_abs=1.0)).metrics["mean_abs"] == pytest.approx(0.5)
    assert judge(ours[:, None], theirs[:, None], ImageGate(mean_abs=3.0)).metrics["mean_abs"] == pytest.approx(2)


def test_what_alpha_hides_is_compared_over_black_and_over_white():
    colors = np.random.default_rng(0).random((1, 32, 32, 3), dtype=np.float32) ** 2
    theirs, ours = (np.concatenate([colors, np.full((1, 32, 32, 1), alpha, np.float32)], axis=-1) for alpha in (1.0, 0.5))
    # Over white it differs by half of what is missing to white.
    worst = 0.25 * float(np.square(1 - colors.astype(np.float64)).mean())
    found = judge(ours, theirs, ImageGate(psnr=1.0))
    assert found.metrics["psnr"] == pytest.approx(-10 * math.log10(worst), abs=1e-3)


def test_of_several_other_cases_the_closest_array_is_the_control():
    far, near = np.zeros((1, 4, 8, 8), np.float32), np.zeros((1, 4, 8, 8), np.float32)
    far[..., 0], near[..., 0] = 9, 2
    main = near + 0.5
    theirs = {Case(0): main, Case(1): far, Case(2): near}
    found = judge(theirs, theirs, ImageGate(max_abs=0.1))
    assert found.control == (Case(0), Case(2))


# Arrays


def test_whole_numbers_without_a_sign_do_not_wrap_around():
    ours, theirs = (np.full(12, level, np.uint8) + np.arange(12, dtype=np.uint8) for level in (100, 102))
    found = judge(ours, theirs, ImageGate(max_abs=5))
    assert (found.metrics["max_abs"], found.metrics["mean_abs"]) == (2, 2)
    assert found.metrics["cosine"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("ours", "theirs", "cosine"), [(0, 0, 1), (0, 5, 0), (5, 0, 0), (1, -1, -1), (1, 1, 1)])
def test_the_cosine_of_nothing_is_one_with_nothing_and_else_none(ours, theirs, cosine):
    """In an array of which another part is equal: of zeros alone it would have a defect."""
    pair = []
    for level in (ours, theirs):
        made = np.full((2, 5, 8, 8), -3, np.float32)
        made[0], made[0, 0, 0, 0] = 0, level
        pair.append(made)
    assert judge(*pair, ImageGate(max_abs=99)).metrics["cosine"] == pytest.approx(cosine)


def test_the_note_of_arrays_without_a_bound_names_those_that_there_are():
    (note,) = judge(np.full(12, 7.0) + np.arange(12), np.full(12, 7.5) + np.arange(12)).notes
    assert note.endswith("on which image={...} may have bounds: max_abs, mean_abs, cosine")


# Alpha


def white(alpha, mode="RGBA"):
    """A white picture with a black square; the white around it has this alpha."""
    picture = Image.new("RGBA", (32, 32), (255, 255, 255, alpha))
    picture.paste((0, 0, 0, 255), (8, 8, 24, 24))
    return picture.convert(mode)


@pytest.mark.parametrize("swapped", [False, True])
def test_alpha_of_one_side_alone_is_seen_over_black(swapped):
    pair = [white(0), white(255, "RGB")]
    found = judge(*(reversed(pair) if swapped else pair), ImageGate(psnr=30))
    assert found.metrics["psnr"] < 10


def test_flip_of_the_worst_picture_is_taken_over_black_too():
    assert judge(white(0), white(255)).metrics["flip"] > 0.3


@pytest.mark.parametrize(("more_is_better", "worst"), [(True, 0.25), (False, 0.75)])
def test_of_both_backgrounds_outputs_and_cases_the_worse_by_ones_own_metric_counts(more_is_better, worst):
    gate = ImageGate(further=(("mine", 0.5),))
    own = {"mine": PictureMetric(name="mine", function=lambda ours, _: float(ours.mean()), format="{}", more_is_better=more_is_better)}

    def grey(level):
        picture = np.full((1, 8, 8, 3), level, np.float32)
        picture[:, ::2] += 0.125
        picture[:, 1::2] -= 0.125
        return picture

    layered = np.concatenate([np.full((1, 8, 8, 3), 0.5, np.float32), np.full((1, 8, 8, 1), 0.5, np.float32)], axis=-1)
    layered[0, ::2, :, :3], layered[0, 1::2, :, :3] = 0.25, 0.75
    many = {
        "backgrounds": ({Case(0): layered}, {}),
        "outputs": ({Case(0): grey(0.25)}, {Case(0): [keep(grey(0.75))]}),
        "cases": ({Case(0): grey(0.25), Case(1): grey(0.75)}, {}),
    }
    for ours, repeated in many.values():
        found = judge_images(ours, dict.fromkeys(ours, layered), gate, "same_weights", further=own, repeated=repeated)
        assert found.metrics["mine"] == worst


# Ranges of their own


def test_ones_own_metric_and_flip_see_depth_in_the_range_of_the_baseline():
    depth = scene(0)[..., :1] * 30 + 50
    seen = []

    def look(*pair):
        seen.extend((float(side.min()), float(side.max())) for side in pair)
        return 0.0

    further = PictureMetric(name="mine", function=look, format="{}")
    found = judge((depth - 60) * 3 + 60, depth, ImageGate(further=(("mine", 1.0),)), further=[further])
    assert seen == [(0, 1), (0, 1)]
    # Each in its own range, they would be one picture.
    assert found.metrics["flip"] > 0.1


# Motion


def moving(steps):
    """Frames of which each is brighter than the one before by these amounts, (1, F, 8, 8, 3)."""
    texture = np.random.default_rng(0).random((8, 8, 3)) * 0.1
    return np.stack([texture + level for level in np.cumsum([0.1, *steps])])[None].astype(np.float32)


def test_the_error_of_motion_is_a_share_of_the_mean_motion_of_its_own_video():
    theirs = np.concatenate([moving([0.3, 0.1]), moving([0.02, 0.02])])
    ours = np.concatenate([moving([0.3, 0.08]), moving([0.02, 0.02])])
    assert judge(ours, theirs).metrics["temporal"] == pytest.approx(0.1, abs=1e-4)
    ours = np.concatenate([moving([0.3, 0.1]), moving([0.02, 0.03])])
    assert judge(ours, theirs).metrics["temporal"] == pytest.approx(0.5, abs=1e-3)
    assert judge(moving([0.35, 0.1]), moving([0.3, 0.1])).metrics["temporal"] == pytest.approx(0.25, abs=1e-4)


# Metrics of one's own


def test_a_metric_that_raises_without_a_message_is_named():
    def broken(*_):
        raise ValueError

    own = PictureMetric(name="mine", function=broken, format="{}")
    found = judge(scene(0), scene(0), ImageGate(further=(("mine", 1.0),)), further=[own])
    assert "metric 'mine' raised ValueError for picture 0: no message" in found.reasons[0]


# The negative control


def test_without_a_bound_on_flip_the_control_has_that_of_its_worst_picture_alone():
    main = scene(0, batch=2)
    noise, tint = disturbed(main[:1], 0.1), (main[1:] * [1, 0.9, 0.9]).astype(np.float32)
    theirs = {Case(0): main, Case(1): np.concatenate([noise, tint])}
    least, most = (compare_batches(theirs[Case(1)], main, every_flip=every)["flip"] for every in (False, True))
    assert least < most == compare_batches(theirs[Case(1)], main)["flip"]
    for psnr in (10, 60):
        assert judge(theirs, theirs, ImageGate(psnr=psnr)).metrics["control_flip"] == least
    assert judge(theirs, theirs, ImageGate(flip=least / 2)).metrics["control_flip"] == least
    assert judge(theirs, theirs, ImageGate(flip=0.9)).metrics["control_flip"] == most


def test_a_control_that_breaks_the_bound_on_ones_own_metric_proves_the_gate_beside_flip():
    theirs = {Case(0): scene(0), Case(1): scene(1)}
    own = PictureMetric(name="mine", function=lambda ours, theirs: float(abs(ours - theirs).mean()), format="mine {:.2f}")
    found = judge(theirs, theirs, ImageGate(flip=0.99, further=(("mine", 0.1),)), further=[own])
    assert (found.verdict, found.control) == ("pass", (Case(0), Case(1)))
    assert found.metrics["control_mine"] > 0.1


def test_a_powerless_gate_lists_all_metrics_that_the_control_has():
    theirs = {Case(0): scene(0), Case(1): scene(1)}
    (said,) = judge(theirs, theirs, ImageGate(psnr=1)).reasons
    assert re.search(r"\(PSNR \S+ dB, SSIM \S+, mean difference \S+, FLIP \S+\): tighten its bounds", said)
