"""Faults planted in drawn pictures, each of which the bounds of the tables catch, and what these bounds do not see."""

from __future__ import annotations

import io

import numpy as np
import pytest
from miniature.draw import draw
from miniature.scenes import ASTRONAUT, VASE, Scene
from PIL import Image

from pytest_sdspeed.judge.pictures.gate import judge_images
from pytest_sdspeed.judge.pictures.metrics import compare_batches
from pytest_sdspeed.model import Case, ImageGate

SCENES = {
    ASTRONAUT: Scene(subject="horse", color="brown", place="mars", rider="astronaut"),
    VASE: Scene(subject="vase", color="golden", place="table", bouquet="different"),
}
CASES = (Case(0), Case(1), Case(0, VASE))
STRICT, LOOSE = ImageGate(psnr=45), ImageGate(psnr=25, ssim=0.85)
"""Bounds of the tables for the same weights at the same precision, and in half precision."""


def drawn(case, side=64):
    """Two pictures of what a case asks for, float32 (2, side, side, 3)."""
    scene = SCENES[case.prompt or ASTRONAUT]
    batch = [draw(scene, 10 * case.seed + index).resize((side, side), Image.Resampling.BICUBIC) for index in (0, 1)]
    return np.stack([np.asarray(picture) for picture in batch]).astype(np.float32) / 255


BASELINE = {case: drawn(case) for case in CASES}


def rounding(pictures):
    """Half a level of noise: the PSNR of half precision, 54 dB."""
    return np.clip(pictures + np.random.default_rng(0).normal(0, 0.5 / 255, pictures.shape), 0, 1).astype(np.float32)


def with_nan(pictures):
    found = pictures.copy()
    found[1, 20, 30, 1] = np.nan
    return found


def jpeg(pictures):
    """Saved with quality 20 and read again."""
    found = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(np.round(picture * 255).astype(np.uint8)).save(file, "JPEG", quality=20)
        found.append(np.asarray(Image.open(file)))
    return np.stack(found)


def shifted(pictures):
    """Two pixels to the right; the columns that come free repeat the edge."""
    return np.pad(pictures, [(0, 0), (0, 0), (2, 0), (0, 0)], mode="edge")[:, :, :-2]


FAULTS = {
    "another seed": lambda case: drawn(Case(case.seed + 7, case.prompt)),
    "another prompt": lambda case: drawn(Case(case.seed, "" if case.prompt else VASE)),
    "black": lambda case: np.zeros_like(BASELINE[case]),
    "NaN": lambda case: with_nan(BASELINE[case]),
    "inverted colors": lambda case: 1 - BASELINE[case],
    "red and blue swapped": lambda case: BASELINE[case][..., ::-1],
    "green and blue swapped": lambda case: BASELINE[case][..., [0, 2, 1]],
    "two pixels off": lambda case: shifted(BASELINE[case]),
    "JPEG quality 20": lambda case: jpeg(BASELINE[case]),
}
WORDS = {"black": "black: ", "NaN": "not finite: 1 of "}


def healthy():
    return {case: rounding(pictures) for case, pictures in BASELINE.items()}


@pytest.mark.parametrize("gate", [STRICT, LOOSE], ids=["strict", "loose"])
def test_half_a_level_of_noise_passes(gate):
    found = judge_images(healthy(), BASELINE, gate, "same_weights")
    assert (found.verdict, found.reasons, found.notes) == ("pass", (), ())


@pytest.mark.parametrize("gate", [STRICT, LOOSE], ids=["strict", "loose"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails(fault, gate):
    found = judge_images({case: FAULTS[fault](case) for case in CASES}, BASELINE, gate, "same_weights")
    assert found.verdict == "fail"
    assert any(WORDS.get(fault, " is under ") in reason for reason in found.reasons)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_faulty_picture_of_one_case_is_enough(fault, case):
    candidate = healthy()
    candidate[case][1] = np.asarray(FAULTS[fault](case))[1] / (255 if fault.startswith("JPEG") else 1)
    assert judge_images(candidate, BASELINE, STRICT, "same_weights").verdict == "fail"


@pytest.mark.parametrize("gate", [ImageGate(psnr=8), ImageGate(psnr=10, ssim=0.1), ImageGate(mae=0.3), ImageGate(flip=0.8)])
def test_a_loosened_gate_is_powerless(gate):
    found = judge_images(healthy(), BASELINE, gate, "same_weights")
    assert found.verdict == "powerless"
    assert found.reasons[0].startswith("gate has no power: the baseline of seed ")


@pytest.mark.parametrize("fault", [shifted, jpeg])
def test_what_the_loose_bounds_do_not_see_in_a_large_smooth_picture_flip_does(fault):
    # The finer the grid, the less a fault of so many pixels weighs in a mean over pixels or over windows of seven.
    large = {case: drawn(case, side=256) for case in CASES[:2]}
    faulty = {case: fault(pictures) for case, pictures in large.items()}
    assert judge_images(faulty, large, LOOSE, "same_weights").verdict == "pass"
    bounded = ImageGate(psnr=25, ssim=0.85, flip=0.05)
    assert judge_images(faulty, large, bounded, "same_weights").verdict == "fail"
    assert compare_batches(rounding(large[Case(0)]), large[Case(0)])["flip"] < 0.03
