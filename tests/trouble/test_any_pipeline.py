"""Pipelines of every kind, saved on a disk and loaded by ``from_pretrained``: gated by a table alone, each with the same noise for every arm."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from small_pipelines import maker
from tiny_pipelines import RECIPES, TABLE, mark_kinds, save_pipeline, toml_recipe

from pytest_sdspeed.model import Case, Machine, Recipe
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.sources import PretrainedSource
from pytest_sdspeed.setups.setup import Setup

QUICK = ("flux", "ltx")
"""A picture and a video for every run; the others take as long, each."""
KINDS = mark_kinds(QUICK)
VIDEOS = ("wan", "ltx")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return what saves a pipeline once and gives its folder."""
    root, known = tmp_path_factory.mktemp("tiny"), {}

    def save(name):
        if name not in known:
            known[name] = save_pipeline(name, root)
        return known[name]

    return save


@pytest.fixture(scope="module")
def any_pool():
    return Pool(PretrainedSource("cpu"))


@pytest.fixture(scope="module")
def tiny(saved, any_pool, cpu):
    """Return ``tiny("flux", "bf16", ...)``, which makes a setup of that pipeline and stack."""

    def make(name, *stack, **others):
        recipe = Recipe(model=str(saved(name)), **{**RECIPES[name], **others})
        return maker(recipe, any_pool, cpu)(*stack)

    return make


def psnr(one, other):
    return -10 * np.log10(max(float(np.mean((one - other) ** 2)), 1e-12))


@pytest.mark.parametrize("name", KINDS)
def test_every_arm_draws_from_the_same_noise(name, tiny):
    """The same stack twice is bit-identical, another dtype is close, another seed is not."""
    drawn = tiny(name).generate(0)
    assert drawn.shape == ((1, 9, 32, 32, 3) if name in VIDEOS else (1, 32, 32, 3))
    assert drawn.dtype == np.float32
    assert np.isfinite(drawn).all()
    assert 0 <= drawn.min() < drawn.max() <= 1
    assert np.array_equal(tiny(name).generate(0), drawn)
    close, other = psnr(tiny(name, "bf16").generate(0), drawn), psnr(tiny(name).generate(1), drawn)
    assert close > 40
    assert close > other + 10


ROWS = """\
[[rows]]
setup = "half"
optimizations = ["bf16"]
latency_s = 1.0
speedup = 1.5
image = {psnr = 40}
[[rows]]
setup = "otherwise"
optimizations = ["otherwise"]
latency_s = 1.0
speedup = 1.5
image = {psnr = 40}
"""
OTHERWISE = """
import torch
from pytest_sdspeed import Optimization

def change(pipeline, _recipe):
    '''Draw something else: what an optimization must not do.'''
    denoiser = getattr(pipeline, "transformer", None) or pipeline.unet
    with torch.no_grad():
        for weight in denoiser.parameters():
            weight *= -2

def pytest_sdspeed_register(registry):
    registry.add_optimization(
        Optimization(name="otherwise", summary="made up", rewrites=frozenset({"denoisers"}), apply=change))
"""


@pytest.fixture
def clocked(fake_time, monkeypatch):
    """Have setups take a documented time on the fake clock, whatever they take, on a CPU that knows bfloat16."""
    machine = Machine(kind="cpu", device="test CPU", versions={}, features=frozenset({"avx512_bf16", "amx_bf16"}))
    monkeypatch.setattr("pytest_sdspeed.device.machine.describe_cpu", lambda: machine)
    noise, draw, seconds = random.Random(1), Setup.draw, {"baseline": 1.5, "half": 1.0, "otherwise": 1.0}

    def timed(self, case, *more):
        fake_time.spend(seconds.get(self.name, 1.5) * noise.gauss(1, 0.003))
        return draw(self, case, *more)

    monkeypatch.setattr(Setup, "draw", timed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", KINDS)
def test_a_table_alone_gates_it_and_another_picture_fails(name, saved, gated, clocked, pytester):
    text = TABLE.format(recipe=toml_recipe(name, saved(name))) + ROWS
    (pytester.path / "tiny.toml").write_text(text)
    result = gated("", "tiny.toml", "--sd-max-blocks=3", "--benchmark-json=out.json", conftest=OTHERWISE.replace("\n", "\n" + 12 * " "))
    result.assert_outcomes(passed=2, failed=1)
    out = result.stdout.str()
    assert "PSNR" in out
    records = [one["extra_info"]["sdspeed"] for one in json.loads((pytester.path / "out.json").read_text())["benchmarks"]]
    verdicts = {one["setup"]: (one["verdict"], one["image_verdict"]) for one in records}
    assert verdicts["half"] == ("pass", "pass")
    assert verdicts["otherwise"] == ("fail", "fail")
    (recipe,) = {json.dumps(one["recipe"], sort_keys=True) for one in records}
    assert json.loads(recipe)["model"] == str(saved(name))


@pytest.mark.filterwarnings("ignore")
def test_a_table_that_asks_for_what_the_call_does_not_take_fails_with_what_is_valid(saved, gated, clocked, pytester):
    text = TABLE.format(recipe=toml_recipe("flux", saved("flux"), frames=9)) + ROWS
    (pytester.path / "tiny.toml").write_text(text)
    result = gated("", "tiny.toml", "--sd-max-blocks=3", conftest=OTHERWISE.replace("\n", "\n" + 12 * " "))
    result.assert_outcomes(failed=3)
    assert "FluxPipeline takes no argument num_frames (frames of the recipe); valid: prompt, prompt_2" in result.stdout.str()


@pytest.mark.parametrize("name", QUICK)
def test_pictures_that_are_asked_for_are_those_of_the_pipeline_itself(name, tiny):
    """What a user's script draws with a CPU generator is what the gate draws: nothing is passed by the way."""
    setup = tiny(name)
    call = setup._find_call().fill(Case(3), "np")
    returned = setup.pipeline(**call)
    drawn = getattr(returned, "frames", None)
    assert np.array_equal(returned.images if drawn is None else drawn, setup.generate(3))


def test_more_prompts_and_pictures_per_call(tiny):
    setup = tiny("sdxl", images=2)
    assert setup.generate(0).shape == (2, 32, 32, 3)


def test_two_recipes_of_one_model_share_nothing_but_what_is_the_same(tiny):
    """The class of a pipeline is a part of what it is."""
    plain = tiny("sdxl")
    changed = tiny("sdxl", pipeline="StableDiffusionXLImg2ImgPipeline", inputs=("image",), steps=4)
    assert type(plain.pipeline).__name__ == "StableDiffusionXLPipeline"
    assert type(changed.pipeline).__name__ == "StableDiffusionXLImg2ImgPipeline"
    assert changed.generate(0).shape == (1, 32, 32, 3)


@pytest.mark.parametrize("name", ["sd3", "wan"])
def test_what_a_pipeline_was_made_with_beside_its_components_stays(name, saved, any_pool, cpu):
    folder = saved(name)
    setting = {"wan": {"expand_timesteps": False, "boundary_ratio": None}, "sd3": {}}[name]
    setup = maker(Recipe(model=str(folder), **RECIPES[name]), any_pool, cpu)()
    for key, value in setting.items():
        assert setup.pipeline.config[key] == value


def test_what_measures_a_setup_knows_pipelines_without_a_unet(tiny):
    setup = tiny("flux")
    weights = sum(
        one.numel() * one.element_size()
        for part in setup.pipeline.components.values()
        if hasattr(part, "parameters")
        for one in (*part.parameters(), *part.buffers())
    )
    # The embedding of T5 is there under two names.
    assert 0 < setup.weight_bytes() <= weights
    profile = setup.profile(Case(0))
    assert profile.stages_s or profile.notes
    alone = maker(setup.recipe, Pool(PretrainedSource("cpu")), setup._machine)()
    alone.build()
    alone.keep_alone()
    assert np.array_equal(alone.generate(0), setup.generate(0))
