"""Videos, arrays, alpha, depth maps and metrics of one's own: each rule with the fault it is there for planted."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image
from scenes import disturbed, scene

from pytest_sdspeed.judge.pictures.gate import judge_images
from pytest_sdspeed.judge.pictures.metrics import PSNR_CAP
from pytest_sdspeed.model import Case, ImageGate, PictureMetric

ZERO, ONE = Case(0), Case(1)


def judge(candidate, baseline, gate=None, relation="same_weights", further=()):
    """Judge what is no mapping of cases as the one case that callables have."""
    ours, theirs = (side if isinstance(side, dict) else {ZERO: side} for side in (candidate, baseline))
    return judge_images(ours, theirs, gate, relation, further={metric.name: metric for metric in further})


# Arrays


def latents(seed, shape=(2, 4, 8, 8)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def rounded(tensor):
    return tensor.bfloat16().float()


BASE = {ZERO: latents(0), ONE: latents(1)}
GATES = [ImageGate(max_abs=0.05), ImageGate(mean_abs=0.01), ImageGate(cosine=0.999)]


@pytest.mark.parametrize("gate", GATES)
def test_arrays_that_differ_by_rounding_pass_and_those_of_another_seed_are_the_control(gate):
    found = judge({case: rounded(one) for case, one in BASE.items()}, BASE, gate)
    assert (found.verdict, found.reasons, found.notes) == ("pass", (), ())
    assert set(found.metrics) == {"max_abs", "mean_abs", "cosine"} | {"control_max_abs", "control_mean_abs", "control_cosine"}
    assert found.control == (ZERO, ONE)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda one: one + 0.5, id="shifted"),
        pytest.param(lambda one: one.flip(0), id="in another order"),
        pytest.param(lambda one: torch.cat([one[:1], latents(7)[:1]]), id="one of the batch is another"),
        pytest.param(lambda one: -one, id="of the other sign"),
    ],
)
def test_arrays_that_are_others_fail(gate, broken):
    found = judge({case: broken(one) for case, one in BASE.items()}, BASE, gate)
    assert found.verdict == "fail"
    assert found.reasons[0].startswith(("greatest difference", "mean difference", "cosine"))


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (lambda one: one * float("nan"), "seed 0: not finite"),
        (torch.zeros_like, "seed 0: zero"),
        (lambda one: one[:1], r"seed 0: an array of another shape: (1, 4, 8, 8), the baseline (2, 4, 8, 8)"),
        (lambda one: scene(0), "seed 0: an array of another shape: (1, 32, 32, 3), the baseline (2, 4, 8, 8)"),
        (lambda one: [layered(255)], "seed 0: returned 1 picture of 32x32 pixels, the baseline an array of shape (2, 4, 8, 8)"),
    ],
)
def test_arrays_have_defects_sizes_and_kinds(broken, word):
    found = judge(broken(BASE[ZERO]), BASE[ZERO], ImageGate(cosine=-1.0))
    assert found.verdict == "fail"
    assert found.reasons[0].startswith(word)


def test_latents_that_fell_into_the_range_of_pictures_are_still_compared_as_latents():
    found = judge(BASE[ZERO].clamp(0, 1), BASE[ZERO], ImageGate(max_abs=0.1))
    (reason,) = found.reasons
    assert reason.startswith("greatest difference")


def test_arrays_that_must_differ_and_do_not_mean_that_the_optimization_was_lost():
    found = judge(BASE, BASE, ImageGate(cosine=-1.0), relation="other_weights")
    assert "bit-identical to the baseline" in found.reasons[0]


def test_a_gate_of_arrays_that_another_seed_passes_is_powerless():
    found = judge({case: rounded(one) for case, one in BASE.items()}, BASE, ImageGate(max_abs=100.0))
    assert found.verdict == "powerless"
    assert "the baseline of seed 1 passes it against seed 0 (greatest difference " in found.reasons[0]


def test_a_gate_of_arrays_with_one_case_says_that_nothing_shows_its_power():
    found = judge(rounded(BASE[ZERO]), BASE[ZERO], ImageGate(cosine=0.99))
    assert found.notes == ("the array gate has no negative control: it takes two cases, both sound and of one size",)


def test_arrays_without_a_bound_are_measured_and_noted():
    found = judge(rounded(BASE[ZERO]), BASE[ZERO])
    assert (found.verdict, set(found.metrics)) == ("pass", {"max_abs", "mean_abs", "cosine"})
    assert found.notes[0].startswith("the baseline returned an array of shape (2, 4, 8, 8) (values in [")


@pytest.mark.parametrize(
    ("value", "gate", "says"),
    [
        (latents(0), ImageGate(psnr=1.0, max_abs=9.0), "bounds on psnr are for pictures, and the baseline returned an array"),
        (latents(0), ImageGate(psnr=1.0, ssim=0.1), "bounds on psnr, ssim are for pictures"),
        (latents(0), ImageGate(clip_drop=0.5), "bounds on clip_drop are for pictures"),
        (latents(0), ImageGate(further=(("mine", 9.0),)), "bounds on mine are for pictures"),
        (scene(0), ImageGate(cosine=-1.0), "bounds on cosine are for arrays, and the baseline returned 1 picture of 32x32 pixels"),
        (scene(0), ImageGate(psnr=1.0, temporal=9.0), "a bound on temporal is for several frames"),
        (scene(0, batch=2)[:, None], ImageGate(temporal=9.0), "the baseline returned 2 videos of 1 frame of 32x32 pixels"),
        (scene(0), ImageGate(psnr=1.0, further=(("other", 9.0),)), "bounds on other were not judged"),
        (scene(0) * 255, ImageGate(psnr=1.0), "(values in ["),
    ],
)
def test_a_bound_that_says_nothing_of_what_was_returned_fails(value, gate, says):
    found = judge(value, value, gate, further=[metric()])
    assert found.verdict == "fail"
    assert any(says in reason for reason in found.reasons)


# Alpha


def layered(alpha):
    picture = Image.fromarray((scene(0)[0] * 255).astype(np.uint8)).convert("RGBA")
    picture.putalpha(alpha)
    return picture


@pytest.mark.parametrize("shade", [0, 255])
def test_a_lost_alpha_is_seen_over_black_and_over_white(shade):
    """A black picture over black, or a white one over white, looks the same whatever its alpha."""
    drawn = Image.new("LA", (32, 32), (shade, 0))
    drawn.paste((shade, 255), (8, 8, 24, 24))
    found = judge(Image.new("LA", (32, 32), (shade, 255)), drawn, ImageGate(psnr=20))
    assert found.verdict == "fail"
    other = drawn.copy()
    other.paste((shade, 128), (8, 8, 24, 24))
    assert judge(other, drawn, ImageGate(psnr=20)).metrics["psnr"] < 20
    assert judge(drawn.copy(), drawn, ImageGate(psnr=20)).verdict == "pass"


@pytest.mark.parametrize(("alpha", "verdict"), [(255, "pass"), (254, "pass"), (128, "fail"), (0, "fail")])
def test_an_opaque_picture_may_have_an_alpha_channel_and_a_transparent_one_is_another(alpha, verdict):
    assert judge(layered(alpha), layered(255), ImageGate(psnr=40)).verdict == verdict
    assert judge(layered(alpha), layered(255).convert("RGB"), ImageGate(psnr=40)).verdict == verdict


# Ranges of their own


DEPTH = scene(3)[0, ..., 0] * 30 + 50


@pytest.mark.parametrize(
    "make", [lambda depth: Image.fromarray(depth.astype(np.float32)), lambda depth: depth[None, ..., None], lambda depth: depth]
)
@pytest.mark.parametrize(("error", "verdict"), [(0.1, "pass"), (5.0, "fail"), (50.0, "fail")])
def test_depth_maps_are_judged_in_the_range_of_the_baseline(make, error, verdict):
    noise = np.random.default_rng(0).uniform(-error, error, DEPTH.shape)
    found = judge(make(DEPTH + noise), make(DEPTH), ImageGate(psnr=35))
    assert found.verdict == verdict


def test_a_depth_map_of_another_scale_is_another_depth_map():
    """Each in its own range, they would be the same picture."""
    found = judge(Image.fromarray((DEPTH * 2).astype(np.float32)), Image.fromarray(DEPTH.astype(np.float32)), ImageGate(psnr=10))
    assert found.verdict == "fail"
    assert found.metrics["mae"] > 1


def test_sixteen_bits_that_use_little_of_their_range_are_judged_by_what_they_use():
    """Millimetres up to 4 m are 6% of 16 bits: by the whole range any error would be small."""
    depth = (scene(0)[0, ..., 0] * 4000).astype(np.uint16)
    noise = np.random.default_rng(0).integers(0, 2000, depth.shape).astype(np.uint16)
    assert judge(Image.fromarray(depth + noise), Image.fromarray(depth), ImageGate(psnr=25)).verdict == "fail"
    assert judge(Image.fromarray(depth + noise // 200), Image.fromarray(depth), ImageGate(psnr=25)).verdict == "pass"


@pytest.mark.parametrize(("ours", "theirs"), [("I;16", "L"), ("L", "I;16"), ("I", "L")])
def test_greys_that_have_no_range_in_common_are_told_apart(ours, theirs):
    levels = scene(0)[0, ..., 0] * 255
    made = {"L": levels.astype(np.uint8), "I;16": levels.astype(np.uint16), "I": levels.astype(np.int32)}
    found = judge(Image.fromarray(made[ours]), Image.fromarray(made[theirs]), ImageGate(psnr=1))
    assert "they have no range in common" in found.reasons[0]


# Videos


def video(count=8, seed=0, speed=1):
    """A texture that moves by ``speed`` pixels a frame, float32 (1, F, 32, 32, 3)."""
    whole = np.kron(np.random.default_rng(seed).random((16, 16, 3)), np.ones((4, 4, 1))).astype(np.float32)
    return np.stack([np.roll(whole, speed * index, axis=1)[:32, :32] for index in range(count)])[None]


def test_the_worst_frame_is_the_figure_and_is_named_for_the_report():
    ours = video()
    ours[0, 5] = disturbed(ours[0, 5], 0.2)
    found = judge(ours, video(), ImageGate(psnr=30))
    assert found.verdict == "fail"
    assert found.worst == {ZERO: 5}
    assert found.metrics["psnr"] == found.worst_metrics[ZERO]["psnr"] < 30


@pytest.mark.parametrize("count", [1, 7, 9])
def test_another_number_of_frames_fails(count):
    found = judge(video(count), video(8), ImageGate(psnr=1))
    assert found.reasons == (
        f"seed 0: pictures of another size: (1, {count}, 32, 32, 3), compared with (1, 8, 32, 32, 3), which is another number of them",
    )


def test_fewer_pictures_than_the_baseline_fail():
    found = judge(scene(0, batch=3), scene(0, batch=4))
    assert found.reasons == (
        "seed 0: pictures of another size: (3, 32, 32, 3), compared with (4, 32, 32, 3), which is another number of them",
    )


def test_a_frozen_video_fails_though_every_frame_is_close():
    """Slow motion: the first frame alone is close to each of them."""
    theirs = 0.5 + 0.02 * (video(speed=1) - 0.5)
    ours = np.repeat(theirs[:, :1], 8, axis=1)
    found = judge(ours, theirs, ImageGate(psnr=30))
    (reason,) = found.reasons
    assert found.metrics["psnr"] > 35
    assert reason.startswith("seed 0: frames stand still: 7 of 7 differ from the one before by less than 10%")


def test_a_video_that_freezes_on_its_way_fails():
    ours = video()
    ours[0, 6:] = ours[0, 5]
    assert any("frames stand still: 2 of 7" in reason and "video 0, frame 6" in reason for reason in judge(ours, video()).reasons)


def test_frames_in_a_plain_list_are_seen_to_repeat_too():
    theirs = list(video()[0])
    assert any("pictures repeat each other: 7 of 7" in reason for reason in judge([theirs[0]] * 8, theirs).reasons)


def test_a_video_that_stands_still_in_the_baseline_too_may_do_so():
    still = np.repeat(video()[:, :1], 8, axis=1)
    assert judge(still, still, ImageGate(psnr=30, temporal=0.1)).verdict == "pass"


def test_the_error_of_motion_is_one_for_a_frozen_step_and_none_for_a_uniform_shift_of_brightness():
    theirs = video() * 0.8
    assert judge(theirs + 0.1, theirs).metrics["temporal"] == pytest.approx(0, abs=1e-5)
    frozen = np.repeat(theirs[:, :1], 8, axis=1)
    assert judge(frozen, theirs).metrics["temporal"] == pytest.approx(1, abs=0.1)


def test_flicker_that_each_frame_hides_breaks_a_bound_on_motion():
    theirs = 0.4 + 0.1 * video()
    ours = theirs + 0.02 * (np.arange(8) % 2).reshape(1, 8, 1, 1, 1).astype(np.float32)
    assert judge(ours, theirs, ImageGate(psnr=30)).verdict == "pass"
    found = judge(ours, theirs, ImageGate(psnr=30, temporal=0.2))
    assert found.reasons[0].startswith("error of motion ")


def test_frames_in_a_plain_list_may_have_a_bound_on_motion():
    theirs = list(video()[0])
    assert "temporal" not in judge(theirs, theirs).metrics
    assert judge(theirs, theirs, ImageGate(temporal=0.5)).metrics["temporal"] == 0


def test_the_frames_of_one_video_do_not_follow_those_of_another():
    """Two videos whose ends and beginnings differ: only steps inside of one are motion."""
    theirs = np.concatenate([np.repeat(video(seed=seed)[:, :1], 3, axis=1) for seed in (0, 1)])
    ours = theirs.copy()
    ours[1] = disturbed(ours[1], 0.01)[:1]
    assert judge(ours, theirs, ImageGate(psnr=30)).metrics["temporal"] < 1e-6


def test_a_long_video_is_compared_a_few_frames_at_a_time():
    theirs = np.random.default_rng(0).integers(0, 255, (1, 40, 96, 96, 3), np.uint8)
    ours = theirs.copy()
    ours[0, 3, :4] ^= 1
    tracemalloc.start()
    try:
        found = judge(ours, theirs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.worst == {ZERO: 3}
    # Both are kept by value, and a metric in float64 has some ten arrays of a frame.
    assert peak < ours.nbytes + theirs.nbytes + 20 * 96 * 96 * 3 * 8


# Metrics of one's own


def metric(function=lambda ours, theirs: float(np.abs(ours - theirs).max()), **facts):
    return PictureMetric(name="mine", function=function, **{"format": "mine {:.2f}", **facts})


def bounded(bound):
    return ImageGate(further=(("mine", bound),))


CLOSE, THEIRS = {case: disturbed(scene(case.seed), 0.01) for case in (ZERO, ONE)}, {case: scene(case.seed) for case in (ZERO, ONE)}


def test_a_metric_of_ones_own_passes_and_fails_by_its_bound():
    found = judge(CLOSE, THEIRS, bounded(0.1), further=[metric()])
    assert (found.verdict, found.notes) == ("pass", ())
    assert found.metrics["mine"] == pytest.approx(0.01, abs=0.001)
    assert found.metrics["control_mine"] > 0.1
    (reason,) = judge(CLOSE, THEIRS, bounded(0.001), further=[metric()]).reasons
    assert reason == "mine 0.01 is over 0.001"


def test_the_worst_picture_counts_in_the_direction_of_the_metric():
    values = iter([0.9, 0.2, 0.7])
    found = judge(scene(0, batch=3), scene(0, batch=3), bounded(0.5), further=[metric(lambda *_: next(values), more_is_better=True)])
    assert found.reasons == ("mine 0.20 is under 0.5",)


def test_a_metric_that_takes_anything_is_powerless():
    found = judge(CLOSE, THEIRS, bounded(1.0), further=[metric(lambda *_: 0.5)])
    assert (found.verdict, found.reasons[0][:18]) == ("powerless", "gate has no power:")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda *_: 1 / 0, "metric 'mine' raised ZeroDivisionError for picture 0: division by zero"),
        (lambda *_: math.nan, "metric 'mine' returned nan for picture 0"),
        (lambda *_: None, "metric 'mine' raised TypeError for picture 0"),
        (lambda *_: "0.1", "metric 'mine' raised TypeError for picture 0: it returned the text '0.1', no number"),
        (lambda *_: __import__("lpips_that_nobody_has"), "metric 'mine' raised ModuleNotFoundError"),
        (lambda *_: (_ for _ in ()).throw(RuntimeError("broken")), "metric 'mine' raised RuntimeError for picture 0: broken"),
    ],
)
def test_a_metric_that_breaks_fails_the_row_by_its_name(function, says):
    found = judge(CLOSE, THEIRS, ImageGate(psnr=20, further=(("mine", 9.0),)), further=[metric(function)])
    assert found.verdict == "fail"
    assert says in found.reasons[0]


def test_a_metric_that_breaks_on_the_negative_control_alone_fails_the_row_too():
    def broken(ours, theirs):
        if np.abs(ours - theirs).max() > 0.5:
            return math.nan
        return 0.0

    found = judge(CLOSE, THEIRS, bounded(1.0), further=[metric(broken)])
    assert found.reasons == ("the negative control: metric 'mine' returned nan for picture 0, which is no number",)


def test_a_metric_gets_pictures_of_its_own_in_float32():
    seen = []

    def spoiling(ours, theirs):
        seen.append((ours.shape, ours.dtype, theirs.dtype, float(ours.min()) >= 0, float(ours.max()) <= 1))
        ours[:] = 0
        theirs[:] = 0
        return 0.0

    depth = Image.fromarray(DEPTH.astype(np.float32))
    assert judge(depth, depth, ImageGate(psnr=90, further=(("mine", 1.0),)), further=[metric(spoiling)]).metrics["psnr"] == PSNR_CAP
    assert seen == [((32, 32, 3), np.float32, np.float32, True, True)]


def test_a_metric_without_a_bound_is_not_computed():
    def unwanted(*_):
        raise AssertionError

    assert "mine" not in judge(CLOSE, THEIRS, ImageGate(psnr=20), further=[metric(unwanted)]).metrics


def test_a_torch_scalar_and_an_infinite_likeness_are_numbers():
    assert judge(CLOSE, THEIRS, bounded(0.5), further=[metric(lambda *_: torch.tensor(0.25))]).metrics["mine"] == 0.25
    found = judge(scene(0), scene(0), bounded(9.0), further=[metric(lambda *_: math.inf, more_is_better=True)])
    assert found.verdict == "pass"
