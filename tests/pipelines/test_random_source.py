"""Random weights: the same every time, in every type, and one clear line about a model that nobody knows."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL
from small import ARCHITECTURES as SMALL

from pytest_sdspeed.errors import ModelUnavailableError, UnknownNameError
from pytest_sdspeed.pipelines.architectures import ARCHITECTURES
from pytest_sdspeed.pipelines.sources import RandomSource

pytestmark = pytest.mark.slow


def load(source, give, model):
    if give == "pipeline":
        return source.load_pipeline(model, "float32")
    return source.load_part(give, model, "float32")


def same(one, other):
    return all(torch.equal(*pair) for pair in zip(one.parameters(), other.parameters(), strict=True))


@pytest.fixture
def random_source(monkeypatch):
    for name, small in SMALL.items():
        monkeypatch.setitem(ARCHITECTURES, name, small)
    return RandomSource("cpu")


def test_random_weights_do_not_depend_on_what_was_built_before(random_source):
    first = RandomSource("cpu").load_pipeline("small", "float32")
    torch.rand(3)
    random_source.load_part("vae", "small-tiny-vae", "float32")
    again = random_source.load_pipeline("small", "float32")
    assert all(same(getattr(first, part), getattr(again, part)) for part in ("unet", "vae", "text_encoder"))
    student = random_source.load_part("unet", "small-student", "float32")
    assert not torch.equal(student.conv_in.weight, first.unet.conv_in.weight)


def test_drawing_weights_leaves_the_global_random_state(random_source):
    before = torch.random.get_rng_state()
    random_source.load_pipeline("small", "float32")
    random_source.load_part("unet", "small-student", "float32")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_float16_is_the_rounded_float32(random_source):
    full, half = (random_source.load_part("vae", "small-tiny-vae", dtype) for dtype in ("float32", "float16"))
    pairs = list(zip(full.parameters(), half.parameters(), strict=True))
    assert all(torch.equal(one.to(torch.float16), other) for one, other in pairs)
    assert not all(torch.equal(one, other.float()) for one, other in pairs)


@pytest.mark.parametrize("give", ["pipeline", "unet", "vae"])
def test_an_unknown_model_has_no_random_weights(give, random_source):
    with pytest.raises(UnknownNameError, match=r"unknown architecture for random weights 'nobody/nothing'; valid: .*small, "):
        load(random_source, give, "nobody/nothing")


def test_a_part_that_a_model_lacks_is_named(random_source):
    for give in ("pipeline", "text_encoder"):
        with pytest.raises(ModelUnavailableError, match="'small-student' has no text encoder to give random weights to"):
            load(random_source, give, "small-student")
    assert type(random_source.load_part("vae", "small", "float32")) is AutoencoderKL
