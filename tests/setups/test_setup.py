"""What a setup draws: the same for the same seed, and nothing else changes."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler
from small_pipelines import first_latents

from pytest_sdspeed.device.flags import hold, snapshot
from pytest_sdspeed.errors import LeakedFlagError
from pytest_sdspeed.pipelines.optimization import Optimization


def unet_calls(setup, seed=0):
    calls = []
    hook = setup.pipeline.unet.register_forward_hook(lambda *_: calls.append(1))
    try:
        return setup.generate(seed), len(calls)
    finally:
        hook.remove()


def test_the_same_seed_draws_the_same_picture(make, drawn):
    setup = make()
    assert np.array_equal(setup.generate(0), drawn)
    assert np.array_equal(setup.generate(0), drawn)
    assert not np.array_equal(setup.generate(1), drawn)


def test_without_a_seed_the_recipes_is_taken(make, recipe, drawn):
    seeded = make(recipe=replace(recipe, seed=5))
    assert np.array_equal(seeded.generate(), seeded.generate(5))
    assert not np.array_equal(seeded.generate(), drawn)


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("scheduler", ["ddim", "pndm"])
def test_pictures_are_what_they_are_promised_to_be(images, scheduler, make, recipe):
    pictures = make(recipe=replace(recipe, images=images, scheduler=scheduler, height=40, steps=1)).generate(0)
    assert pictures.shape == (images, 40, 32, 3)
    assert pictures.dtype == np.float32
    assert np.isfinite(pictures).all()
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert (pictures.std(axis=(1, 2, 3)) > 0.01).all()
    assert len({picture.tobytes() for picture in pictures}) == images


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "calls"), [(("pndm", PNDMScheduler, 25), 26), (("ddim", DDIMScheduler, 3), 3)])
def test_the_scheduler_decides_the_number_of_unet_calls(asked, calls, make, recipe):
    scheduler, kind, steps = asked
    setup = make(recipe=replace(recipe, scheduler=scheduler, steps=steps, height=16, width=16))
    assert type(setup.pipeline.scheduler) is kind
    assert setup.pipeline.scheduler.config.clip_sample is False
    assert unet_calls(setup)[1] == calls


def test_pndm_draws_the_same_picture_twice(make, recipe):
    setup = make(recipe=replace(recipe, scheduler="pndm"))
    assert np.array_equal(setup.generate(0), setup.generate(0))


def test_global_random_states_are_left_alone(make):
    setup = make("distilled_unet")
    _ = setup.pipeline
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the legacy state is the global one
    setup.generate(3)
    after = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - as above
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_global_random_states_do_not_matter(make, drawn):
    with torch.random.fork_rng():
        torch.manual_seed(12345)
        assert np.array_equal(make().generate(0), drawn)


def test_every_dtype_starts_from_the_same_noise(make):
    full, half = first_latents(make(), 7), first_latents(make("bf16"), 7)
    assert full.dtype == torch.float32
    assert full.shape == (1, 4, 8, 8)
    assert torch.equal(half, full.to(torch.bfloat16))
    assert not torch.equal(full, first_latents(make(), 8))


def test_more_pictures_start_with_the_first(make, recipe):
    three = first_latents(make(recipe=replace(recipe, images=3)), 7)
    assert torch.equal(three[:1], first_latents(make(), 7))


@pytest.mark.parametrize(("stack", "images"), [((), 1), ((), 3), (("bf16",), 2), (("fp16",), 1)])
def test_stable_diffusion_starts_from_the_latents_that_it_was_given_before(stack, images, make, recipe):
    """What drew them by itself, and gave them to the pipeline, is the oracle: a history goes on."""
    setup = make(*stack, recipe=replace(recipe, images=images, height=40))
    drawn = torch.randn((images, 4, 10, 8), generator=torch.Generator("cpu").manual_seed(7), device="cpu", dtype=torch.float32)
    assert torch.equal(first_latents(setup, 7), drawn.to(setup.pipeline.unet.dtype))


def test_slots_are_held_while_drawing_and_only_then(make):
    seen = []
    watching = Optimization(name="watching", summary="looks", slot=lambda: hold({"torch.backends.cudnn.benchmark": True}))
    setup = make(extra=[watching])
    hook = setup.pipeline.unet.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.benchmark))
    before = snapshot()
    setup.generate(0)
    hook.remove()
    assert set(seen) == {True}
    assert snapshot() == before


def test_a_leaking_slot_names_the_setup(make):
    class Leaky:
        def __enter__(self):
            torch.backends.cudnn.benchmark = True

        def __exit__(self, *_):
            return None

    before = snapshot()
    setup = make(extra=[Optimization(name="leaky", summary="leaks", slot=Leaky)])
    with pytest.raises(LeakedFlagError, match=r"setup 'tested' left .*cudnn\.benchmark"):
        setup.generate(0)
    assert snapshot() == before


def test_release_lets_go_of_the_pipeline(make, drawn):
    setup = make()
    first = setup.pipeline
    assert setup.pipeline is first
    setup.release()
    assert setup.pipeline is not first
    assert np.array_equal(setup.generate(0), drawn)


def test_what_a_user_reads(make):
    setup = make("distilled_unet", "tiny_vae")
    assert setup.optimizations == ("distilled_unet", "tiny_vae")
    assert repr(setup) == "Setup('tested', optimizations=['distilled_unet', 'tiny_vae'], model='miniature')"
