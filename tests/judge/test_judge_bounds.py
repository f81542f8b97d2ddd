"""What is said of bounds: of those that suit nothing, that nothing measured, and that a metric of one's own breaks."""

from __future__ import annotations

import numpy as np
import pytest
from scenes import scene

from pytest_sdspeed.judge.pictures.bounds import Scale, find_broken_bounds, find_unjudged_bounds, find_unsuitable_bounds
from pytest_sdspeed.judge.pictures.forms import keep
from pytest_sdspeed.model import ImageGate, PictureMetric

LATENTS = np.random.default_rng(0).normal(size=(1, 4, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(
    ("gate", "value", "start", "end"),
    [
        (ImageGate(psnr=30, max_abs=1), LATENTS, "bounds on psnr are for pictures", ": bound it by max_abs, mean_abs, cosine"),
        (
            ImageGate(psnr=30, max_abs=1),
            scene(0),
            "bounds on max_abs are for arrays",
            ": bound it by psnr, ssim, mae, flip, temporal, or return it flat (reshape(-1)) to compare it as an array",
        ),
        (ImageGate(psnr=30), scene(0), "", ""),
        (ImageGate(max_abs=1), LATENTS, "", ""),
    ],
)
def test_a_bound_that_says_nothing_is_told_with_those_that_would(gate, value, start, end):
    said = find_unsuitable_bounds(gate, keep(value))
    assert said.startswith(start)
    assert said.endswith(end)
    assert bool(said) == bool(start)


def test_all_bounds_that_nothing_measured_are_named():
    gate = ImageGate(psnr=30, ssim=0.9, clip_drop=0.1, further=(("mine", 1.0),))
    assert find_unjudged_bounds({"psnr": 40.0}, gate) == ("bounds on ssim, mine were not judged: nothing measured them",)
    assert find_unjudged_bounds({"psnr": 40.0, "ssim": 1.0, "mine": 0.0}, gate) == ()


@pytest.mark.parametrize(("value", "said"), [(0.504, "mine 0.50 (0.504) is over 0.5"), (0.51, "mine 0.51 is over 0.5")])
def test_a_value_of_ones_own_metric_that_reads_like_its_bound_is_given_in_full(value, said):
    scale = Scale({"mine": PictureMetric(name="mine", function=max, format="mine {:.2f}")})
    assert find_broken_bounds({"mine": value}, ImageGate(further=(("mine", 0.5),)), scale) == (said,)
