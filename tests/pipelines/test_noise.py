"""What draws noise in a slot, and what of it is the same whatever the arm is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_pipelines import maker
from tiny_pipelines import tiny_recipe

from pytest_sdspeed.pipelines.noise import draw_in_float32, make_generator
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.sources import PretrainedSource

ODD = (3, 5, 7)
"""Of such a shape torch draws other numbers in another type."""


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    "draw",
    [
        lambda dtype: torch.randn(ODD, generator=make_generator(0), dtype=dtype),
        lambda dtype: torch.randn(*ODD, generator=make_generator(0), dtype=dtype),
        lambda dtype: torch.rand(ODD, generator=make_generator(0), dtype=dtype),
        lambda dtype: torch.manual_seed(0) and torch.randn_like(torch.empty(ODD, dtype=dtype)),
        lambda dtype: torch.manual_seed(0) and torch.rand_like(torch.empty(ODD), dtype=dtype),
    ],
)
def test_half_types_get_the_noise_of_float32(draw, dtype):
    with torch.random.fork_rng(), draw_in_float32():
        full, half = draw(torch.float32), draw(dtype)
    assert half.dtype == dtype
    assert torch.equal(half, full.to(dtype))
    with torch.random.fork_rng():
        assert torch.equal(draw(torch.float32), full), "the numbers of float32 are torch's own"


def test_other_types_and_arguments_pass_through():
    with draw_in_float32():
        assert torch.randn(2, 3, dtype=torch.float64).dtype == torch.float64
        assert torch.randn(2, requires_grad=True).requires_grad
        assert torch.randn((2, 2), device="meta", generator=None).device.type == "meta"
        out = torch.empty(3)
        assert torch.rand(3, out=out) is out


def test_what_a_generator_of_the_cpu_draws_elsewhere_is_moved_there():
    """Some pipelines ask for noise on their device with whatever generator they are given, which torch refuses."""
    from pytest_sdspeed.dry.run import count

    with count(values_up_to=2**20), draw_in_float32():
        there = torch.randn(ODD, generator=make_generator(0), device="cuda", dtype=torch.float16)
        assert there.device.type == "cuda"
        assert there.dtype == torch.float16


def raise_if(replaced):
    if replaced:
        raise ValueError("planted")


def test_functions_of_torch_are_what_they_were_after_an_error():
    before = torch.randn, torch.rand, torch.randn_like, torch.rand_like
    with pytest.raises(ValueError, match="planted"), draw_in_float32():
        raise_if(torch.randn is not before[0])
    assert (torch.randn, torch.rand, torch.randn_like, torch.rand_like) == before


def test_what_stands_in_is_the_same_in_every_slot():
    """Compiled code looks at the functions that it calls: another one compiles it anew."""
    found = []
    for _ in range(2):
        with draw_in_float32():
            found.append(torch.randn)
    assert found[0] is found[1]


@pytest.fixture
def noises(tmp_path, cpu):
    """Return what draws an image-to-image picture with a stack, and gives the noise that is added to the picture."""
    from small import save_small_models

    recipe = tiny_recipe("img2img", tmp_path, parts={"tiny_vae": save_small_models(tmp_path)["tiny_vae"]})
    make = maker(recipe, Pool(PretrainedSource("cpu")), cpu)

    def draw(*stack):
        setup, seen = make(*stack), []
        scheduler, add = setup.pipeline.scheduler, setup.pipeline.scheduler.add_noise

        def watch(picture, noise, steps):
            seen.append(noise.clone())
            return add(picture, noise, steps)

        scheduler.add_noise = watch
        return setup.generate(0), seen[0]

    return draw


def test_an_autoencoder_that_draws_nothing_leaves_the_noise_what_it_is(noises, monkeypatch):
    own, tiny = noises(), noises("tiny_vae")
    assert torch.equal(own[1], tiny[1])
    assert not np.array_equal(own[0], tiny[0])
    monkeypatch.setattr("pytest_sdspeed.pipelines.noise._ENCODING", "no.such.module")
    assert not torch.equal(noises()[1], noises("tiny_vae")[1]), "the test has to see what it guards against"
