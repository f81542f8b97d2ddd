"""Every known model is counted at full size, without weights: a step of it asks for what is published, and nothing crashes."""

from __future__ import annotations

import os

import pytest

from pytest_sdspeed.model import Recipe
from pytest_sdspeed.pipelines.architectures import ARCHITECTURES
from pytest_sdspeed.run.accounting import count_setup
from pytest_sdspeed.setups.catalog import ResolvedSetup
from pytest_sdspeed.setups.registry import Registry

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")]

SIZES = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": (512, 512),
    "stabilityai/stable-diffusion-2-1": (768, 768),
    "stabilityai/stable-diffusion-xl-base-1.0": (1024, 1024),
    "stabilityai/stable-diffusion-3.5-medium": (1024, 1024),
    "stabilityai/stable-diffusion-3.5-large": (1024, 1024),
    "black-forest-labs/FLUX.1-dev": (1024, 1024),
    "black-forest-labs/FLUX.1-schnell": (1024, 1024),
    "Qwen/Qwen-Image": (1024, 1024),
    "Tongyi-MAI/Z-Image-Turbo": (1024, 1024),
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": (480, 832, 81),
    "Lightricks/LTX-Video": (512, 704, 161),
    # Its autoencoder writes a mask row by row, one for each place and frame: a small video.
    "hunyuanvideo-community/HunyuanVideo": (192, 320, 9),
    "zai-org/CogVideoX-2b": (480, 720, 49),
    "zai-org/CogVideoX-5b": (480, 720, 49),
}
"""Model -> height, width and frames, those of its documentation where they can be counted in a moment."""
STEPS = {"Lightricks/LTX-Video": 2}
"""Model -> the fewest steps that its scheduler takes, if one is too few: its schedule is stretched from the first to the last."""

QUICK = ("stabilityai/stable-diffusion-xl-base-1.0", "Tongyi-MAI/Z-Image-Turbo", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
EVERY = pytest.mark.skipif(
    "SDSPEED_TEST_MODELS" not in os.environ, reason="counting every known model takes minutes: set SDSPEED_TEST_MODELS=1"
)


def count(model, size, registry=None, steps=1):
    height, width, *frames = size
    recipe = Recipe(
        model=model,
        prompt="a photo of an astronaut",
        height=height,
        width=width,
        frames=frames[0] if frames else None,
        steps=steps,
        scheduler=None,
        dtype="bfloat16",
    )
    resolved = ResolvedSetup(table=None, setup="tested", optimizations=(), recipe=recipe, row=None, baseline="tested")
    return count_setup(resolved, (), registry)


@pytest.mark.parametrize("model", [model if model in QUICK else pytest.param(model, marks=EVERY) for model in SIZES])
def test_one_step_of_a_known_model_is_counted(model):
    account = count(model, SIZES[model], steps=STEPS.get(model, 1))
    counts = [one for one in ARCHITECTURES[model].parameters.values() if one.number[-1].isdigit()]
    known = sum(int(one.number.replace(",", "")) for one in counts)
    assert account.steps >= 1
    assert account.parameters >= known > 0 or len(counts) < 2
    assert 1 <= account.weight_bytes / account.parameters < 2.6  # two bytes a weight, and some in float32
    assert account.flops > 1e12
    assert account.operations > 500


def test_a_step_of_flux_asks_for_what_diffusers_publishes():
    # 74,395 GFLOP a step: collated_results.csv of diffusers' benchmarks.
    account = count("black-forest-labs/FLUX.1-dev", (1024, 1024), steps=2)
    assert account.per_step.flops == pytest.approx(74.395e12, rel=1e-3)


def test_a_registered_architecture_is_counted_by_its_name():
    registry = Registry()
    registry.add_architecture("mine", ARCHITECTURES["black-forest-labs/FLUX.1-schnell"].files)
    account = count("mine", (256, 256), registry)
    assert account.parameters == 11_891_178_560 + 4_762_310_656 + 123_060_480 + 83_819_683
