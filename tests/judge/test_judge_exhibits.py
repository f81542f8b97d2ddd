"""Pictures to look at: every case's worst one of each side, its error map, its metrics, and the negative control."""

from __future__ import annotations

import io

import numpy as np
import pytest
from fakes import exhibit, result
from PIL import Image
from scenes import disturbed, planted, scene

from pytest_sdspeed.judge.pictures.exhibits import LARGEST, Drawn, add_error_maps, encode_error_map, encode_png
from pytest_sdspeed.judge.pictures.gate import ImageJudgement
from pytest_sdspeed.judge.pictures.metrics import draw_error_map
from pytest_sdspeed.model import Case

OTHER, PROMPTED, MAIN = Case(1), Case(0, "a vase"), Case(0)
"""In the order of the warm-up: the case that the timed slots draw is the last."""


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def shows(png, picture):
    return np.array_equal(pixels(png), np.round(picture * 255).astype(np.uint8))


def judged(**facts):
    return ImageJudgement(**{"verdict": "pass", "metrics": {}, "reasons": (), **facts})


def drawn(**facts):
    sides = {
        side: {case: scene(10 * place + number, batch=2) for number, case in enumerate((OTHER, PROMPTED, MAIN))}
        for place, side in enumerate(("baseline", "candidate"))
    }
    return Drawn(**{"reference": None, "prompt": "a cat", **sides, **facts})


def test_the_case_of_the_timed_slots_comes_first_then_the_others_as_they_were_drawn():
    made = drawn()
    shown = made.exhibits(judged())
    assert [(one.seed, one.prompt, one.index, one.control) for one in shown] == [
        (0, "a cat", 0, False),
        (1, "a cat", 0, False),
        (0, "a vase", 0, False),
    ]
    for one, case in zip(shown, (MAIN, OTHER, PROMPTED), strict=True):
        assert list(one.pictures) == ["baseline", "candidate", "error_map"]
        assert shows(one.pictures["baseline"], made.baseline[case][0])
        assert shows(one.pictures["candidate"], made.candidate[case][0])
        assert one.metrics == {}


def test_the_worst_picture_of_a_case_is_shown_with_its_own_metrics_and_the_cases_clip_scores():
    made = drawn()
    found = judged(
        worst={MAIN: 1},
        worst_metrics={MAIN: {"psnr": 31.0}},
        by_case={MAIN: {"psnr": 30.0, "clip": 0.3, "clip_drop": 0.01}, OTHER: {"ssim": 0.9, "clip": 0.2}},
    )
    main, other, prompted = made.exhibits(found)
    assert (main.index, other.index) == (1, 0)
    assert shows(main.pictures["baseline"], made.baseline[MAIN][1])
    assert shows(main.pictures["candidate"], made.candidate[MAIN][1])
    assert main.metrics == {"psnr": 31.0, "clip": 0.3, "clip_drop": 0.01}
    assert (other.metrics, prompted.metrics) == ({"clip": 0.2}, {})


def test_what_a_row_is_compared_with_in_the_baselines_place_is_shown_and_mapped():
    reference = {case: scene(50 + number, batch=2) for number, case in enumerate((OTHER, PROMPTED, MAIN))}
    made = drawn(reference=reference)
    (main, *_) = made.exhibits(judged())
    assert list(main.pictures) == ["baseline", "reference", "candidate", "error_map"]
    assert shows(main.pictures["reference"], reference[MAIN][0])
    assert main.pictures["error_map"] == encode_error_map(main.pictures["candidate"], main.pictures["reference"])


def test_the_negative_control_is_the_baseline_of_another_case_beside_that_of_the_main_one():
    made = drawn()
    metrics = {"psnr": 40.0, "control_psnr": 12.0, "control_ssim": 0.2, "control_mae": 0.3, "control_flip": 0.4, "control_other": 1.0}
    control = made.exhibits(judged(control=(MAIN, OTHER), metrics=metrics))[-1]
    assert (control.seed, control.prompt, control.index, control.control) == (0, "a cat", 0, True)
    assert shows(control.pictures["baseline"], made.baseline[MAIN][0])
    assert shows(control.pictures["candidate"], made.baseline[OTHER][0])
    assert list(control.pictures) == ["baseline", "candidate", "error_map"]
    assert control.metrics == {"psnr": 12.0, "ssim": 0.2, "mae": 0.3, "flip": 0.4}


def test_the_negative_control_of_a_reference_is_the_references():
    reference = {OTHER: scene(50), MAIN: scene(51)}
    control = drawn(reference=reference).exhibits(judged(control=(MAIN, OTHER)))[-1]
    assert list(control.pictures) == ["reference", "candidate", "error_map"]
    assert shows(control.pictures["reference"], reference[MAIN][0])
    assert shows(control.pictures["candidate"], reference[OTHER][0])


def test_a_side_that_drew_nothing_is_left_out_and_a_case_without_pictures_too():
    baseline_only = drawn(candidate={}).exhibits(judged())
    assert [list(one.pictures) for one in baseline_only] == [["baseline"]] * 3
    made = drawn(candidate={MAIN: None, OTHER: "no picture", PROMPTED: scene(3, batch=1)}, baseline={MAIN: scene(1)})
    shown = made.exhibits(judged(worst={PROMPTED: 1}))
    assert [(one.seed, list(one.pictures)) for one in shown] == [(0, ["baseline"])]
    # A case that only one side drew is a case.
    assert len(drawn(baseline={}).exhibits(judged())) == 3


def test_pictures_of_other_sizes_have_no_error_map():
    made = drawn(candidate={MAIN: scene(1, side=16)}, baseline={MAIN: scene(2)})
    assert [list(one.pictures) for one in made.exhibits(judged())] == [["baseline", "candidate"]]
    assert encode_error_map(encode_png(scene(1, side=16)[0]), encode_png(scene(2)[0])) is None


def test_the_error_map_is_that_of_the_shown_pictures_candidate_first():
    one, other = encode_png(scene(1)[0]), encode_png(disturbed(scene(1), 0.2)[0])
    expected = draw_error_map(*(pixels(png).astype(np.float32) / 255 for png in (one, other)))
    assert np.array_equal(pixels(encode_error_map(one, other)), expected)


def test_a_stored_result_gets_its_error_maps_back():
    stored = result(exhibits=(exhibit(1, error_map=None), exhibit(2, error_map=None, candidate=None)))
    whole, half = add_error_maps(stored).exhibits
    assert whole.pictures["error_map"] == encode_error_map(whole.pictures["candidate"], whole.pictures["baseline"])
    assert list(half.pictures) == ["baseline"]


def test_what_lies_outside_of_the_range_is_black_or_white():
    picture = np.full((4, 4, 3), [-0.5, 0.2, 1.5], dtype=np.float32)
    assert np.array_equal(np.unique(pixels(encode_png(picture)).reshape(-1, 3), axis=0), [[0, 51, 255]])


def test_a_pixel_of_which_one_color_is_not_finite_is_magenta_alone():
    picture = scene(0)[0]
    expected = np.round(picture * 255)
    picture[3, 5, 1], expected[3, 5] = np.inf, (255, 0, 255)
    assert np.array_equal(pixels(encode_png(picture)), expected)


DEPTH, FARTHER = scene(0)[..., :1] * 30 + 10, scene(1)[..., :1] * 90


def in_range(depth, of):
    """Depth as it is shown in the range of another one."""
    return np.repeat(((depth - of.min()) / (of.max() - of.min())).clip(0, 1), 3, axis=-1)[0]


def test_all_sides_are_shown_in_the_range_of_the_comparison():
    made = drawn(baseline={OTHER: FARTHER, MAIN: DEPTH}, candidate={MAIN: FARTHER})
    _, main, control = made.exhibits(judged(control=(MAIN, OTHER)))
    for shown in (main, control):
        assert shows(shown.pictures["baseline"], in_range(DEPTH, of=DEPTH))
        assert shows(shown.pictures["candidate"], in_range(FARTHER, of=DEPTH))
    (main,) = drawn(baseline={MAIN: FARTHER}, candidate={MAIN: DEPTH}, reference={MAIN: DEPTH / 2}).exhibits(judged())
    for role, depth in (("baseline", FARTHER), ("candidate", DEPTH), ("reference", DEPTH / 2)):
        assert shows(main.pictures[role], in_range(depth, of=DEPTH / 2))


def test_arrays_are_not_shown_and_leave_what_is_shown_its_own_range():
    latents = np.random.default_rng(0).normal(size=(1, 4, 8, 8))
    assert drawn(baseline={MAIN: latents}, candidate={MAIN: latents}).exhibits(judged()) == ()
    (main,) = drawn(baseline={MAIN: latents}, candidate={MAIN: DEPTH}).exhibits(judged())
    assert list(main.pictures) == ["candidate"]
    assert shows(main.pictures["candidate"], in_range(DEPTH, of=DEPTH))


def test_pictures_that_only_look_equally_large_when_reduced_have_no_error_map():
    large, small = (np.random.default_rng(0).random((1, side, side * LARGEST // 4, 3)) for side in (8, 4))
    (main,) = drawn(baseline={MAIN: large}, candidate={MAIN: small}).exhibits(judged())
    assert {pixels(png).shape for png in main.pictures.values()} == {(4, LARGEST, 3)}
    assert list(main.pictures) == ["baseline", "candidate"]


def test_levels_are_rounded_and_what_is_not_finite_is_magenta():
    picture = np.full((4, 4, 3), [0.0, 0.5 / 255 + 0.001, 1.0], dtype=np.float32)
    assert np.array_equal(np.unique(pixels(encode_png(picture)).reshape(-1, 3), axis=0), [[0, 1, 255]])
    spoiled = pixels(encode_png(planted("nan")[0]))
    assert np.array_equal(np.unique(spoiled[:2, :2].reshape(-1, 3), axis=0), [[255, 0, 255]])
    assert np.array_equal(spoiled[2:], np.round(scene(0)[0][2:] * 255))


@pytest.mark.parametrize(
    ("shape", "shown"), [((8, LARGEST), (8, LARGEST)), ((64, 2 * LARGEST), (32, LARGEST)), ((LARGEST * 4, 64), (LARGEST, 16))]
)
def test_a_large_picture_is_reduced_in_its_proportions_and_a_small_one_stays(shape, shown):
    assert pixels(encode_png(np.zeros((*shape, 3), dtype=np.float32))).shape[:2] == shown


def test_a_reduced_pixel_is_the_mean_of_what_it_stands_for():
    stripes = np.zeros((2 * LARGEST, 2 * LARGEST, 3), dtype=np.float32)
    stripes[:, ::2] = 1
    assert np.array_equal(np.unique(pixels(encode_png(stripes))), [128])
