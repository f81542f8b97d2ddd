"""The measures of two pictures' likeness, and how broken bounds are worded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import disturbed, scene
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge import images
from pytest_sdspeed.model import ImageGate

# metrics


@pytest.mark.parametrize("side", [8, 32])
def test_metrics_agree_with_scikit_image(side):
    ours, theirs = disturbed(scene(0, side=side), 0.1), scene(0, side=side)
    found = images.metrics(ours, theirs)
    wide = ours[0].astype(np.float64), theirs[0].astype(np.float64)
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(*wide, data_range=1.0))
    assert found["ssim"] == pytest.approx(structural_similarity(*wide, channel_axis=-1, data_range=1.0))
    assert found["mae"] == pytest.approx(np.abs(wide[0] - wide[1]).mean())
    assert all(type(value) is float for value in found.values())


@pytest.mark.parametrize(("shape", "window"), [((6, 9), 5), ((5, 5), 5), ((4, 40), 3), ((3, 3), 3)])
def test_small_pictures_take_the_largest_odd_window(shape, window):
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((2, 1, *shape, 3))
    wanted = structural_similarity(ours[0], theirs[0], win_size=window, channel_axis=-1, data_range=1.0)
    assert images.metrics(ours, theirs)["ssim"] == pytest.approx(wanted)


def test_identical_pictures_are_capped():
    assert images.metrics(scene(0), scene(0)) == {"psnr": images.PSNR_CAP, "ssim": pytest.approx(1.0), "mae": 0.0}
    assert images.metrics(scene(0) + np.float64(1e-9), scene(0))["psnr"] == images.PSNR_CAP


def test_the_worst_picture_of_the_batch_counts():
    theirs = scene(0, batch=3)
    ours = theirs.copy()
    ours[1] = disturbed(ours[1], 0.2)
    assert images.metrics(ours, theirs) == images.metrics(ours[1:2], theirs[1:2])


def test_bytes_do_not_wrap_around():
    ours, theirs = (images.as_pictures(np.full((8, 8, 3), level, dtype=np.uint8)) for level in (5, 250))
    assert images.metrics(ours, theirs)["mae"] == pytest.approx(245 / 255)
    assert images.metrics(ours, theirs)["psnr"] == pytest.approx(-20 * np.log10(245 / 255))


def test_other_shapes_are_named():
    with pytest.raises(PictureError, match=r"pictures of another size: \(1, 32, 32, 3\).*\(1, 16, 16, 3\)"):
        images.metrics(scene(0), scene(0, side=16))
    with pytest.raises(PictureError, match="another size"):
        images.metrics(scene(0, batch=2), scene(0))


def test_pictures_too_small_for_ssim_are_named():
    with pytest.raises(PictureError, match="too small"):
        images.metrics(np.zeros((1, 2, 9, 3)), np.zeros((1, 2, 9, 3)))


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.001, 0.3))
def test_metrics_do_not_care_which_is_which(seed, amount):
    one, other = scene(seed), disturbed(scene(seed), amount)
    assert images.metrics(one, other) == pytest.approx(images.metrics(other, one))


# gates


@pytest.mark.parametrize(
    ("measured", "gate", "broken"),
    [
        ({"psnr": 23.14}, ImageGate(psnr=45.0), ("PSNR 23.1 dB is under 45",)),
        ({"psnr": 44.99}, ImageGate(psnr=45.0), ("PSNR 44.99 dB is under 45",)),
        ({"psnr": 45.0}, ImageGate(psnr=45.0), ()),
        ({"ssim": 0.8123}, ImageGate(ssim=0.85), ("SSIM 0.812 is under 0.85",)),
        ({"mae": 0.0312}, ImageGate(mae=0.01), ("mean difference 0.0312 is over 0.01",)),
        ({"mae": 0.01}, ImageGate(mae=0.01), ()),
        ({"psnr": float("nan")}, ImageGate(psnr=45.0), ("PSNR nan dB is under 45",)),
        ({"psnr": 45 - 1e-12}, ImageGate(psnr=45.0), (f"PSNR {45 - 1e-12!r} dB is under 45",)),
        ({"psnr": 1.0}, ImageGate(), ()),
    ],
)
def test_broken_bounds_are_worded(measured, gate, broken):
    assert images.broken_bounds({"psnr": 50.0, "ssim": 0.99, "mae": 0.001} | measured, gate) == broken


def test_all_bounds_are_reported():
    assert len(images.broken_bounds({"psnr": 5.0, "ssim": 0.1, "mae": 0.5}, ImageGate(psnr=45, ssim=0.9, mae=0.1))) == 3
