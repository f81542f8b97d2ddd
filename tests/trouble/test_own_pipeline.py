"""A pipeline of one's own, which diffusers does not have, gated as any other: the example of the guide, word by word."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from diffusers import DDPMScheduler, DiffusionPipeline, FluxPipeline, ModelMixin, StableDiffusionPipeline
from small import ARCHITECTURES as SMALL

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.pipelines.architectures import ARCHITECTURES
from pytest_sdspeed.pipelines.sources import RandomSource
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.setups.setup import Setup

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "extend.md"


def example(name):
    """Return the block of code of the guide that is to be a file of that name."""
    return re.search(rf"```\w+ title=\"{re.escape(name)}\"\n# of your own\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[1]


_LOADED = (DDPMScheduler, DiffusionPipeline, ModelMixin)
"""What the runs inside import: they would import it anew, each, which torch refuses."""
SAVE = """
from conftest import MyDenoiser, MyPipeline
from diffusers import DDPMScheduler

def test_save():
    MyPipeline(MyDenoiser(), DDPMScheduler()).save_pretrained("my-model")
"""
OTHERWISE = """

import torch
from pytest_sdspeed import Optimization

def change(pipeline, _recipe):
    with torch.no_grad():
        for weight in pipeline.denoiser.parameters():
            weight *= -2

REGISTER = pytest_sdspeed_register

def pytest_sdspeed_register(registry):
    REGISTER(registry)
    registry.add_optimization(Optimization(name="otherwise", summary="made up", rewrites=frozenset({"denoisers"}), apply=change))
"""
ROW = """
[[rows]]
setup = "otherwise"
optimizations = ["otherwise"]
speedup = 1.0
image = {psnr = 35}
"""


@pytest.fixture
def mine(pytester, fake_time, monkeypatch):
    """Write the guide's example, and save the pipeline that it draws with."""
    noise, draw = random.Random(1), Setup.draw

    def timed(self, case, *more):
        fake_time.spend(noise.gauss(1, 0.003))
        return draw(self, case, *more)

    monkeypatch.setattr(Setup, "draw", timed)
    pytester.makeconftest(example("conftest.py") + OTHERWISE)
    pytester.makefile(".toml", mine=example("mine.toml") + ROW)
    pytester.makepyfile(test_save=SAVE)
    run = lambda *arguments: pytester.runpytest_inprocess("-p", "no:randomly", "-p", "no:cacheprovider", "-W", "default", *arguments)  # noqa: E731
    run("test_save.py").assert_outcomes(passed=1)
    return run


def test_the_example_of_the_guide_has_twenty_lines_of_registration_and_table():
    assert len([line for line in example("mine.toml").splitlines() if line.strip()]) <= 20
    assert "registry.add_pipeline(MyPipeline)" in example("conftest.py")


@pytest.mark.filterwarnings("ignore")
def test_a_class_in_a_conftest_is_gated_by_a_table(mine):
    result = mine("mine.toml", "--sd-max-blocks=3")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*otherwise * x1.00*PSNR*fail*"])


@pytest.mark.filterwarnings("ignore")
def test_without_its_registration_the_class_is_named(mine, pytester):
    conftest = pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace("registry.add_pipeline(MyPipeline)", "pass"))
    result = mine("mine.toml", "--sd-max-blocks=3")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["*MyPipeline*registry.add_pipeline*"])


def test_random_weights_take_the_registered_class(monkeypatch):
    kind = type("Mine", (StableDiffusionPipeline,), {"__init__": StableDiffusionPipeline.__init__})
    monkeypatch.setitem(ARCHITECTURES, "small", SMALL["small"])
    source = RandomSource("cpu", {"Mine": kind})
    assert type(source.load_pipeline("small", "float32", "Mine")) is kind
    assert type(source.load_pipeline("small", "float32")) is StableDiffusionPipeline
    with pytest.raises(RegistrationError, match="pipeline 'Other' is no class of diffusers"):
        source.load_pipeline("small", "float32", "Other")


class MyPipeline:
    """Lacks what a pipeline has."""


def test_what_is_no_pipeline_is_not_registered():
    registry = Registry()
    with pytest.raises(RegistrationError, match="it has no from_pretrained, components, config"):
        registry.add_pipeline(MyPipeline)
    with pytest.raises(RegistrationError, match="valid: a class"):
        registry.add_pipeline("FluxPipeline")
    registry.add_pipeline(FluxPipeline)
    registry.add_pipeline(FluxPipeline)
    assert registry.pipelines == {"FluxPipeline": FluxPipeline}
    other = type("FluxPipeline", (FluxPipeline,), {})
    with pytest.raises(RegistrationError, match="'FluxPipeline' is registered already, as another class"):
        registry.add_pipeline(other)
