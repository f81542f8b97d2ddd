"""The picture gates of the miniature's table on the shipped models: they pass what is good and fail what is planted."""

import io

import numpy as np
import pytest
import torch
from diffusers import PNDMScheduler
from miniature import evaluation
from PIL import Image

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.judge.pictures.gate import judge_images
from pytest_sdspeed.model import Case
from pytest_sdspeed.pipelines.embedded import WEIGHTS
from pytest_sdspeed.tables import load_tables

pytestmark = pytest.mark.slow

PROMPT, OTHER = "a photo of an astronaut riding a horse on mars", "a golden vase with different flowers"
CASES = (Case(0), Case(1))
IMAGES, STEPS, GUIDANCE = 2, 25, 2.0


def bound(row):
    (table,) = (table for table in load_tables(()) if table.name == "miniature")
    found = table.row(row)
    assert found.recipe.guidance == GUIDANCE
    assert found.recipe.scheduler == "pndm"
    return found.image


def drawn(pipeline, seed, prompt=PROMPT):
    pipeline.scheduler = PNDMScheduler.from_config(pipeline.scheduler.config)
    latents = torch.randn((IMAGES, 4, 16, 16), generator=torch.Generator().manual_seed(seed))
    with quiet(), torch.no_grad():
        return pipeline(
            prompt, num_inference_steps=STEPS, guidance_scale=GUIDANCE, num_images_per_prompt=IMAGES, latents=latents, output_type="np"
        ).images


@pytest.fixture(scope="module")
def models():
    return evaluation.Models(WEIGHTS)


@pytest.fixture(scope="module")
def pictures(models):
    return {name: {case: drawn(getattr(models, name), case.seed) for case in CASES} for name in ("teacher", "student", "tiny")}


def judged(pictures, row, spoil=None):
    """The judgement of a row's pictures, those of the main case replaced by ``spoil`` of them."""
    candidate = dict(pictures["student" if row == "distilled" else "tiny"])
    if spoil:
        candidate[CASES[0]] = spoil(candidate[CASES[0]])
    reference = None if row == "distilled" else pictures["student"]
    return judge_images(candidate, pictures["teacher"], bound(row), "other_weights", reference)


@pytest.mark.parametrize("row", ["distilled", "distilled_tiny_vae"])
def test_what_was_trained_passes_a_gate_with_power(pictures, row):
    found = judged(pictures, row)
    assert (found.verdict, found.reasons) == ("pass", ())
    assert found.control == CASES


def jpeg(shown, quality=20):
    def again(picture):
        file = io.BytesIO()
        Image.fromarray((picture * 255).round().astype(np.uint8)).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file), dtype=np.float32) / 255

    return np.stack([again(picture) for picture in shown])


FAULTS = {
    "black": lambda shown: shown * 0,
    "nan": lambda shown: shown * np.nan,
    "inverted": lambda shown: 1 - shown,
    "channels swapped": lambda shown: shown[..., [2, 1, 0]],
    "constant": lambda shown: shown * 0 + 0.5,
}


@pytest.mark.parametrize("row", ["distilled", "distilled_tiny_vae"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails(pictures, row, fault):
    assert judged(pictures, row, FAULTS[fault]).verdict == "fail"


@pytest.mark.parametrize("row", ["distilled", "distilled_tiny_vae"])
@pytest.mark.parametrize(("seed", "prompt"), [(1, PROMPT), (0, OTHER)], ids=["another seed", "another prompt"])
def test_another_case_fails(models, pictures, row, seed, prompt):
    pipeline = models.student if row == "distilled" else models.tiny
    assert judged(pictures, row, lambda _: drawn(pipeline, seed, prompt)).verdict == "fail"


def test_a_student_with_random_weights_fails(models, pictures):
    torch.manual_seed(0)
    unet = type(models.student.unet).from_config(models.student.unet.config).eval()
    found = judged(pictures, "distilled", lambda _: drawn(models._with(unet=unet), 0))
    assert found.verdict == "fail"


@pytest.mark.parametrize(("row", "lost"), [("distilled", "teacher"), ("distilled_tiny_vae", "student"), ("distilled_tiny_vae", "teacher")])
def test_a_lost_optimization_fails(pictures, row, lost):
    found = judged(pictures, row, lambda _: pictures[lost][CASES[0]])
    assert found.verdict == "fail"
    assert "the optimization had no effect" in "; ".join(found.reasons)


@pytest.mark.parametrize("fault", [jpeg, lambda shown: np.roll(shown, 2, axis=2)], ids=["JPEG quality 20", "shifted by two pixels"])
def test_small_faults_need_the_bounds_of_equal_weights(pictures, fault):
    """Beside what other weights change, a gate cannot see them: where the weights are equal, it does."""
    assert judged(pictures, "distilled", fault).verdict == "pass"
    spoiled = pictures["teacher"] | {CASES[0]: fault(pictures["teacher"][CASES[0]])}
    (table,) = (table for table in load_tables(()) if table.name == "miniature")
    for row in ("bf16", "channels_last"):
        assert judge_images(spoiled, pictures["teacher"], table.row(row).image, "same_weights").verdict == "fail"
