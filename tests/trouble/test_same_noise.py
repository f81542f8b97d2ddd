"""Every arm draws the same noise, whatever its scheduler draws in its steps, its dtype and the default device."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, EulerAncestralDiscreteScheduler, LCMScheduler
from diffusers.schedulers import scheduling_euler_ancestral_discrete as ancestral_module

from pytest_sdspeed.compatibility import set_default_device
from pytest_sdspeed.device.canary import make_canary
from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.device.seeds import hold_seeds
from pytest_sdspeed.model import Case
from pytest_sdspeed.pipelines.noise import draw_in_float32, make_generator
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.pool import Pool


def scheduled(kind, **fields):
    def apply(pipeline, _recipe):
        pipeline.scheduler = kind.from_config(pipeline.scheduler.config)

    return Optimization(name="scheduled", summary="another scheduler", apply=apply, **fields)


@pytest.mark.parametrize("kind", [EulerAncestralDiscreteScheduler, DDPMScheduler, LCMScheduler])
def test_noise_drawn_in_the_steps_is_the_same_each_time(kind, make):
    row = make(extra=[scheduled(kind)])
    first = row.generate(0)
    assert np.array_equal(row.generate(0), first)
    np.testing.assert_allclose(make("sdpa", extra=[scheduled(kind)]).generate(0), first, atol=1e-3)
    assert not np.array_equal(row.generate(1), first)


class Careless(EulerAncestralDiscreteScheduler):
    """Draws from the process's own generators, whatever it is given."""

    def step(self, *args, generator=None, **kwargs):
        del generator
        stepped = super().step(*args, **kwargs)
        noise = float(np.random.random()) + random.random()  # noqa: NPY002 - what it must not do
        return (stepped[0] + 0.1 * noise, *stepped[1:])


def test_a_scheduler_that_ignores_its_generator_draws_the_same_too(make):
    row = make(extra=[scheduled(Careless)])
    first = row.generate(0)
    torch.randn(3), np.random.random(), random.random()  # noqa: NPY002 - somebody else draws
    assert np.array_equal(row.generate(0), first)
    with quiet(), row.slot():
        timed = row.draw(Case(0))
    assert np.array_equal(timed, first)


def test_the_noise_of_the_steps_is_not_that_of_the_latents(make):
    row = make(extra=[scheduled(EulerAncestralDiscreteScheduler)])
    seen, draw = [], ancestral_module.randn_tensor

    def watch(*args, **kwargs):
        seen.append(draw(*args, **kwargs))
        return seen[-1]

    ancestral_module.randn_tensor = watch
    try:
        row.generate(0)
    finally:
        ancestral_module.randn_tensor = draw
    latents = torch.randn(seen[0].shape, generator=make_generator(0))
    assert seen
    assert not any(torch.equal(noise, latents) for noise in seen)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_step_with_the_noise_of_float32(dtype):
    with draw_in_float32():
        full, half = (
            ancestral_module.randn_tensor((1, 4, 5, 5), generator=make_generator(0), device=torch.device("cpu"), dtype=one)
            for one in (torch.float32, dtype)
        )
    assert half.dtype == dtype
    assert torch.equal(half, full.to(dtype))
    plain = ancestral_module.randn_tensor((1, 4, 5, 5), generator=make_generator(0), device=torch.device("cpu"), dtype=dtype)
    assert not torch.equal(plain, half)


def test_a_scheduler_without_draws_gives_the_pictures_that_it_gave(make, drawn):
    pipeline, recipe = make().pipeline, make().recipe
    alone = pipeline(
        recipe.prompt,
        height=recipe.height,
        width=recipe.width,
        num_inference_steps=recipe.steps,
        guidance_scale=recipe.guidance,
        latents=torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0)),
        output_type="np",
    ).images
    assert np.array_equal(alone, drawn)


def test_a_pipeline_that_takes_no_generator_is_not_given_one(source, make, drawn):
    class Deaf:
        """Gives pipelines whose call takes no generator."""

        @staticmethod
        def load_pipeline(model, dtype, kind):
            pipeline = source.load_pipeline(model, dtype, kind)
            kind = type(pipeline)

            class WithoutGenerator(kind):
                def __call__(self, prompt, *, height, width, num_inference_steps, guidance_scale, num_images_per_prompt, output_type):
                    return kind.__call__(
                        self,
                        prompt,
                        height=height,
                        width=width,
                        num_inference_steps=num_inference_steps,
                        guidance_scale=guidance_scale,
                        num_images_per_prompt=num_images_per_prompt,
                        output_type=output_type,
                    )

            pipeline.__class__ = WithoutGenerator
            return pipeline

    assert np.array_equal(make(pool=Pool(Deaf())).generate(0), drawn)


def draw_and_raise(drawn):
    drawn.append((float(torch.rand(1)), random.random(), float(np.random.random())))  # noqa: NPY002 - the global ones
    raise ValueError("planted")


def test_seeds_are_held_inside_and_put_back_after_an_error():
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the global one
    drawn = []
    for _ in range(2):
        with pytest.raises(ValueError, match="planted"), hold_seeds(2**40):
            draw_and_raise(drawn)
    assert drawn[0] == drawn[1]
    after = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - as above
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


@pytest.fixture
def default_meta():
    torch.set_default_device("meta")
    yield
    set_default_device(torch, None)


def test_latents_are_drawn_on_the_cpu_whatever_the_default_device_is(make, drawn):
    before = make("sdpa", "tiny_vae")
    before.build()
    torch.set_default_device("meta")
    try:
        assert before.generate(0).shape == drawn.shape
        assert torch.get_default_device().type == "meta"
    finally:
        set_default_device(torch, None)


def test_pipelines_are_loaded_and_draw_whatever_the_default_device_is(default_meta, source, make, drawn):
    setup = make("tiny_vae", pool=Pool(source))
    assert setup.generate(0).shape == drawn.shape
    assert setup.reference.generate(0).tobytes() == drawn.tobytes()


def test_a_device_context_around_does_not_matter_either(make, drawn):
    with torch.device("meta"):
        assert np.array_equal(make().generate(0), drawn)
        assert torch.zeros(1).device.type == "meta"


def test_the_canary_works_on_its_own_device(default_meta):
    for name, prepare in make_canary("cpu").items():
        assert prepare()() is None, name


def test_a_default_dtype_does_not_change_the_noise():
    def draw():
        with draw_in_float32():
            return ancestral_module.randn_tensor((1, 4, 5, 5), generator=make_generator(0), dtype=torch.float32)

    expected = draw()
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(draw(), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_nothing_of_this_stays_behind(make):
    before = ancestral_module.randn_tensor
    make(extra=[scheduled(EulerAncestralDiscreteScheduler)]).generate(0)
    assert ancestral_module.randn_tensor is before
    assert "pytest_sdspeed" not in sys.modules[EulerAncestralDiscreteScheduler.__module__].randn_tensor.__code__.co_filename
