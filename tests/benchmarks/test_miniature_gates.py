"""The picture gates of the miniature's table on the shipped models: they pass what is good and fail what is planted."""

import io

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from miniature import evaluation
from PIL import Image

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.judge.pictures.gate import judge_images
from pytest_sdspeed.model import Case, ImageGate
from pytest_sdspeed.pipelines.embedded import WEIGHTS
from pytest_sdspeed.pipelines.feature_cache import cache_features
from pytest_sdspeed.pipelines.optimization import find_relation
from pytest_sdspeed.pipelines.optimizations import OPTIMIZATIONS
from pytest_sdspeed.tables import load_tables

pytestmark = pytest.mark.slow

BY_NAME = {one.name: one for one in OPTIMIZATIONS}

PROMPT, OTHER = "a photo of an astronaut riding a horse on mars", "a golden vase with different flowers"
CASES = (Case(0), Case(0, OTHER), Case(1))
ROWS = {
    "feature_cache_2": ("teacher", 2),
    "feature_cache_3": ("teacher", 3),
    "distilled": ("student", 1),
    "distilled_tiny_vae": ("tiny", 1),
    "distilled_feature_cache_2": ("student", 2),
}
"""Row of the table -> whose UNet and autoencoder draw, and at every how many steps the deep features are computed."""
LOST = {
    "feature_cache_2": ["teacher"],
    "feature_cache_3": ["teacher"],
    "distilled": ["teacher"],
    "distilled_tiny_vae": ["student", "teacher"],
    "distilled_feature_cache_2": ["teacher"],
}
"""Row -> whose pictures it draws if what it is made of is lost."""


def table():
    (found,) = (table for table in load_tables(()) if table.name == "miniature")
    return found


def drawn(pipeline, *cases, interval=1):
    """Case -> its picture, (1, 64, 64, 3); they are drawn at once."""
    recipe = table().row("baseline").recipe
    if interval > 1:
        pipeline = type(pipeline)(**pipeline.components, requires_safety_checker=False)
        pipeline.set_progress_bar_config(disable=True)
        cache_features(pipeline, interval)
    latents = [torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(case.seed)) for case in cases]
    with quiet(), torch.no_grad():
        shown = pipeline(
            [case.prompt or PROMPT for case in cases],
            height=recipe.height,
            width=recipe.width,
            num_inference_steps=recipe.steps,
            guidance_scale=recipe.guidance,
            latents=torch.cat(latents),
            output_type="np",
        ).images
    return dict(zip(cases, shown[:, None], strict=True))


@pytest.fixture(scope="module")
def models():
    return evaluation.Models(WEIGHTS)


@pytest.fixture(scope="module")
def pictures(models):
    found = {(name, 1): drawn(getattr(models, name), *CASES) for name in ("teacher", "student", "tiny")}
    found |= {(name, interval): drawn(getattr(models, name), *CASES, interval=interval) for name, interval in ROWS.values() if interval > 1}
    return {name: found[name, 1] for name in ("teacher", "student", "tiny")} | {row: found[made] for row, made in ROWS.items()}


def judged(pictures, row, spoil=None):
    """The judgement of a row's pictures, those of the main case replaced by ``spoil`` of them."""
    candidate = dict(pictures[row])
    if spoil:
        candidate[CASES[0]] = spoil(candidate[CASES[0]])
    optimizations = [BY_NAME[name] for name in table().row(row).optimizations]
    relation = find_relation(tuple(optimizations))
    reference = pictures["student"] if row == "distilled_tiny_vae" else None
    return judge_images(candidate, pictures["teacher"], table().row(row).image, relation, reference)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_passes_a_gate_with_power(pictures, row):
    found = judged(pictures, row)
    assert (found.verdict, found.reasons, found.notes) == ("pass", (), ())
    assert found.control[0] == CASES[0]


def test_every_row_of_the_table_is_tried_here():
    assert {row.setup for row in table().rows} == {"baseline", *ROWS}


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


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails(pictures, row, fault):
    assert judged(pictures, row, FAULTS[fault]).verdict == "fail"


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("other", CASES[1:], ids=["another prompt", "another seed"])
def test_another_case_fails(pictures, row, other):
    assert judged(pictures, row, lambda _: pictures[row][other]).verdict == "fail"


@pytest.mark.parametrize("row", ["distilled", "distilled_feature_cache_2"])
def test_a_student_with_random_weights_fails(models, pictures, row):
    torch.manual_seed(0)
    unet = type(models.student.unet).from_config(models.student.unet.config).eval()
    pipeline = models._with(unet=unet)
    assert judged(pictures, row, lambda _: drawn(pipeline, CASES[0], interval=ROWS[row][1])[CASES[0]]).verdict == "fail"


@pytest.mark.parametrize(("row", "lost"), [(row, lost) for row, several in LOST.items() for lost in several])
def test_a_lost_optimization_fails_whatever_its_speed(pictures, row, lost):
    found = judged(pictures, row, lambda _: pictures[lost][CASES[0]])
    assert found.verdict == "fail"
    assert "the optimization had no effect" in "; ".join(found.reasons)


@pytest.mark.parametrize("fault", [jpeg, lambda shown: np.roll(shown, 2, axis=2)], ids=["JPEG quality 20", "shifted by two pixels"])
def test_small_faults_need_the_bounds_of_equal_weights(pictures, fault):
    """Beside what other weights change, a gate cannot see them: where the weights are equal, it does."""
    assert judged(pictures, "distilled", fault).verdict == "pass"
    spoiled = pictures["teacher"] | {CASES[0]: fault(pictures["teacher"][CASES[0]])}
    for bounds in (ImageGate(psnr=30), ImageGate(psnr=45)):
        assert judge_images(spoiled, pictures["teacher"], bounds, "same_weights").verdict == "fail"


def test_a_pipeline_of_the_shipped_folder_draws_without_a_word_about_types():
    pipeline = StableDiffusionPipeline.from_pretrained(WEIGHTS / "miniature")
    pipeline.set_progress_bar_config(disable=True)
    assert {part.dtype for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder)} == {torch.float32}
    with quiet():
        picture = pipeline("a red ball", num_inference_steps=2, height=64, width=64).images[0]
    assert picture.size == (64, 64)
    assert np.asarray(picture).std() > 10
