"""The measures of two pictures' likeness, checked against the libraries that define them, and how broken bounds are worded."""

from __future__ import annotations

import flip_evaluator
import matplotlib as mpl
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_msssim import ssim as gaussian_ssim
from scenes import disturbed, planted, scene
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures.conversion import as_pictures
from pytest_sdspeed.judge.pictures.gate import find_broken_bounds
from pytest_sdspeed.judge.pictures.metrics import (
    NOT_FINITE,
    PSNR_CAP,
    compare_batches,
    compare_pictures,
    draw_error_map,
    find_extremes,
    find_worst_picture,
)
from pytest_sdspeed.model import ImageGate

# Metrics


@pytest.mark.parametrize("side", [8, 32])
def test_metrics_agree_with_scikit_image_and_flip_evaluator(side):
    ours, theirs = disturbed(scene(0, side=side), 0.1), scene(0, side=side)
    found = compare_batches(ours, theirs)
    wide = ours[0].astype(np.float64), theirs[0].astype(np.float64)
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(*wide, data_range=1.0))
    assert found["ssim"] == pytest.approx(structural_similarity(*wide, channel_axis=-1, data_range=1.0))
    assert found["mae"] == pytest.approx(np.abs(wide[0] - wide[1]).mean())
    assert found["flip"] == pytest.approx(flip_evaluator.evaluate(theirs[0], ours[0], "LDR")[1])
    assert all(type(value) is float for value in found.values())


def torch_ssim(ours, theirs, **window):
    """pytorch-msssim's SSIM of two pictures (1, H, W, 3)."""
    return float(gaussian_ssim(*(torch.from_numpy(picture).permute(0, 3, 1, 2) for picture in (ours, theirs)), data_range=1.0, **window))


@pytest.mark.parametrize("amount", [0.02, 0.1, 0.4])
def test_ssim_is_pytorch_msssims_with_a_uniform_window(amount):
    # It takes the population covariance: over 49 pixels that is 2% less, in numerator and denominator alike.
    ours, theirs = disturbed(scene(0), amount), scene(0)
    uniform = torch.full((3, 1, 1, 7), 1 / 7)
    assert compare_batches(ours, theirs)["ssim"] == pytest.approx(torch_ssim(ours, theirs, win=uniform), abs=0.003)


@pytest.mark.parametrize("amount", [0.02, 0.1, 0.4])
def test_with_a_gaussian_window_ssim_is_another_number_on_which_both_libraries_agree(amount):
    # The settings of Wang et al. 2004: sigma 1.5, cut off to 11 pixels, population covariance. SSIM figures of papers are mostly these.
    ours, theirs = disturbed(scene(0), amount), scene(0)
    settings_of_paper = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    gaussian = structural_similarity(ours[0], theirs[0], channel_axis=-1, data_range=1.0, **settings_of_paper)
    assert gaussian == pytest.approx(torch_ssim(ours, theirs, win_size=11, win_sigma=1.5), abs=1e-4)
    assert compare_batches(ours, theirs)["ssim"] != pytest.approx(gaussian, abs=1e-3)


@pytest.mark.parametrize(("shape", "window"), [((6, 9), 5), ((5, 5), 5), ((4, 40), 3), ((3, 3), 3)])
def test_small_pictures_take_the_largest_odd_window(shape, window):
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((2, 1, *shape, 3))
    wanted = structural_similarity(ours[0], theirs[0], win_size=window, channel_axis=-1, data_range=1.0)
    assert compare_batches(ours, theirs)["ssim"] == pytest.approx(wanted)


def test_identical_pictures_are_capped():
    assert compare_batches(scene(0), scene(0)) == {"psnr": PSNR_CAP, "ssim": pytest.approx(1.0), "mae": 0.0, "flip": 0.0}
    assert compare_batches(scene(0) + np.float64(1e-9), scene(0))["psnr"] == PSNR_CAP


def test_black_against_white_is_nearly_the_most_that_flip_tells():
    black, white = np.zeros((1, 8, 8, 3)), np.ones((1, 8, 8, 3))
    assert compare_batches(black, white)["flip"] == pytest.approx(0.967, abs=0.001)
    assert compare_batches(white, black)["flip"] == compare_batches(black, white)["flip"]


def test_the_worst_picture_of_the_batch_counts():
    theirs = scene(0, batch=3)
    ours = theirs.copy()
    ours[1] = disturbed(ours[1], 0.2)
    assert compare_batches(ours, theirs) == compare_batches(ours[1:2], theirs[1:2])
    assert find_worst_picture(compare_pictures(ours, theirs)) == 1


def test_without_every_flip_only_the_worst_picture_by_psnr_has_one():
    theirs = scene(0, batch=3)
    ours = disturbed(theirs, 0.01)
    ours[2] = disturbed(ours[2], 0.1)
    each = compare_pictures(ours, theirs, every_flip=False)
    assert ["flip" in values for values in each] == [False, False, True]
    assert each[2] == compare_pictures(ours, theirs)[2]
    assert compare_batches(ours, theirs, every_flip=False)["flip"] == each[2]["flip"]
    assert all("flip" in values for values in compare_pictures(ours, theirs))


@pytest.mark.parametrize("kind", ["nan", "inf"])
def test_what_is_not_finite_has_no_metric_and_is_the_worst(kind):
    theirs = scene(0, batch=2)
    ours = np.concatenate([theirs[:1], planted(kind)])
    with np.errstate(invalid="ignore"):
        each, found = compare_pictures(ours, theirs, every_flip=False), compare_batches(ours, theirs)
    assert find_worst_picture(each) == 1
    assert len(find_broken_bounds(found, ImageGate(psnr=1, ssim=-1, mae=0.99, flip=0.99))) == 4


def test_the_worst_of_several():
    assert find_extremes([{"psnr": 30.0, "flip": 0.1}, {"psnr": 40.0, "flip": 0.2}]) == {"psnr": 30.0, "flip": 0.2}
    assert find_extremes([{"psnr": 30.0}, {"psnr": 40.0, "flip": 0.2}]) == {"psnr": 30.0, "flip": 0.2}
    assert find_extremes([]) == {}
    assert all(np.isnan(find_extremes([{"psnr": one, "mae": one} for one in pair])["psnr"]) for pair in [(1.0, np.nan), (np.nan, 1.0)])


def test_bytes_do_not_wrap_around():
    ours, theirs = (as_pictures(np.full((8, 8, 3), level, dtype=np.uint8)) for level in (5, 250))
    assert compare_batches(ours, theirs)["mae"] == pytest.approx(245 / 255)
    assert compare_batches(ours, theirs)["psnr"] == pytest.approx(-20 * np.log10(245 / 255))


def test_other_shapes_are_named():
    with pytest.raises(PictureError, match=r"pictures of another size: \(1, 32, 32, 3\), compared with \(1, 16, 16, 3\)"):
        compare_batches(scene(0), scene(0, side=16))
    with pytest.raises(PictureError, match="another size"):
        compare_batches(scene(0, batch=2), scene(0))


def test_pictures_too_small_for_ssim_are_named():
    for sides in ((2, 9), (9, 2)):
        with pytest.raises(PictureError, match="too small"):
            compare_batches(np.zeros((1, *sides, 3)), np.zeros((1, *sides, 3)))


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.001, 0.3))
def test_metrics_do_not_care_which_is_which(seed, amount):
    one, other = scene(seed), disturbed(scene(seed), amount)
    assert compare_batches(one, other) == pytest.approx(compare_batches(other, one), rel=1e-4)


# The error map

MAGMA = np.round(np.array(mpl.colormaps["magma"].colors) * 255)


def test_the_error_map_is_flips_in_the_magma_colors():
    ours, theirs = disturbed(scene(0), 0.2)[0], scene(0)[0]
    errors, mean, _ = flip_evaluator.evaluate(theirs, ours, "LDR", applyMagma=False)
    found = draw_error_map(ours, theirs)
    assert (found.shape, found.dtype) == (ours.shape, np.uint8)
    assert np.array_equal(found, MAGMA[np.floor(errors[..., 0] * 255 + 0.5).astype(int)])
    assert compare_batches(ours[None], theirs[None])["flip"] == pytest.approx(mean)


def test_equal_pictures_map_to_black_and_opposite_ones_to_light_yellow():
    assert np.array_equal(np.unique(draw_error_map(scene(0)[0], scene(0)[0]).reshape(-1, 3), axis=0), MAGMA[:1])
    assert draw_error_map(np.zeros((4, 4, 3)), np.ones((4, 4, 3)))[0, 0].min() > 170


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("swapped", [True, False])
def test_what_is_not_finite_is_magenta_and_leaves_its_neighbors_alone(value, swapped):
    ours, theirs = disturbed(scene(0), 0.2)[0], scene(0)[0]
    ours[10:12, 20, 1] = value
    pair = (theirs, ours) if swapped else (ours, theirs)
    found = draw_error_map(*pair)
    spots = (found == NOT_FINITE).all(axis=-1)
    assert np.argwhere(spots).tolist() == [[10, 20], [11, 20]]
    ours[10:12, 20] = theirs[10:12, 20] = 0
    assert np.array_equal(draw_error_map(*pair)[~spots], found[~spots])


def test_nothing_finite_is_all_magenta():
    assert (draw_error_map(np.full((4, 4, 3), np.nan), scene(0)[0, :4, :4]) == NOT_FINITE).all()


def test_maps_of_other_shapes_are_refused():
    with pytest.raises(PictureError, match="another size"):
        draw_error_map(scene(0)[0], scene(0)[0, :16])


# Gates


@pytest.mark.parametrize(
    ("measured", "gate", "broken"),
    [
        ({"psnr": 23.14}, ImageGate(psnr=45.0), ("PSNR 23.1 dB is under 45",)),
        ({"psnr": 44.99}, ImageGate(psnr=45.0), ("PSNR 44.99 dB is under 45",)),
        ({"psnr": 45.0}, ImageGate(psnr=45.0), ()),
        ({"ssim": 0.8123}, ImageGate(ssim=0.85), ("SSIM 0.812 is under 0.85",)),
        ({"mae": 0.0312}, ImageGate(mae=0.01), ("mean difference 0.0312 is over 0.01",)),
        ({"mae": 0.01}, ImageGate(mae=0.01), ()),
        ({"flip": 0.0512}, ImageGate(flip=0.05), ("FLIP 0.051 is over 0.05",)),
        ({"flip": float("nan")}, ImageGate(flip=0.05), ("FLIP nan is over 0.05",)),
        ({"flip": 0.05}, ImageGate(flip=0.05), ()),
        ({"clip_drop": 0.0304}, ImageGate(clip_drop=0.03), ("CLIP score drop 0.0304 is over 0.03",)),
        ({"clip_drop": -0.1}, ImageGate(clip_drop=0.03), ()),
        ({}, ImageGate(clip_drop=0.03), ()),
        ({"psnr": float("nan")}, ImageGate(psnr=45.0), ("PSNR nan dB is under 45",)),
        ({"psnr": 45 - 1e-12}, ImageGate(psnr=45.0), (f"PSNR {45 - 1e-12!r} dB is under 45",)),
        ({"psnr": 1.0}, ImageGate(), ()),
    ],
)
def test_broken_bounds_are_worded(measured, gate, broken):
    assert find_broken_bounds({"psnr": 50.0, "ssim": 0.99, "mae": 0.001, "flip": 0.01} | measured, gate) == broken


def test_all_bounds_are_reported():
    measured = {"psnr": 5.0, "ssim": 0.1, "mae": 0.5, "flip": 0.5, "clip_drop": 0.1}
    assert len(find_broken_bounds(measured, ImageGate(psnr=45, ssim=0.9, mae=0.1, flip=0.1, clip_drop=0.03))) == 5
