"""The values of metrics of arrays and of pictures with alpha."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_judge_comparison import judge

from pytest_sdspeed.model import Case, ImageGate


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
