"""Small pipelines that tests share: building one takes longer than most tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sdspeed.model import Machine, Recipe
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.sources import PretrainedSource
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.setups.setup import Setup


@pytest.fixture(scope="session")
def cpu():
    return Machine(kind="cpu", device="test CPU", versions={})


@pytest.fixture(scope="session")
def recipe():
    return Recipe(
        model="miniature",
        prompt="a photo of an astronaut riding a horse on mars",
        height=32,
        width=32,
        steps=2,
        scheduler="ddim",
        student="miniature-student",
        tiny_vae="miniature-tiny-vae",
    )


@pytest.fixture(scope="session")
def source():
    return PretrainedSource("cpu")


@pytest.fixture(scope="session")
def shared_pool(source):
    return Pool(source)


@pytest.fixture(scope="session")
def make(shared_pool, recipe, cpu):
    """Return ``make("sdpa", ...)``, which makes a setup of that stack, with the shared recipe and pool unless others are given."""
    return maker(recipe, shared_pool, cpu)


@pytest.fixture(scope="session")
def make_small(tmp_path_factory, source, recipe, cpu):
    """Return what ``make`` is with the smallest models and pictures, for what says nothing of pictures but whether they are the same."""
    from small import save_small_models

    return maker(shrink(recipe, save_small_models(tmp_path_factory.mktemp("small"))), Pool(source), cpu)


def first_latents(setup, seed=0):
    """Return what the first step of a Stable Diffusion without guidance begins with: the initial latents, as its scheduler takes them."""
    seen = []

    def watch(_unet, args, kwargs):
        seen.append((args[0] if args else kwargs["sample"]).clone())

    hook = setup.pipeline.unet.register_forward_pre_hook(watch, with_kwargs=True)
    try:
        setup.generate(seed)
    finally:
        hook.remove()
    return seen[0][: setup.recipe.images]


def shrink(recipe, models):
    """Return the recipe with other models, and the smallest pictures that they draw."""
    return replace(recipe, height=16, width=16, **models)


def maker(default, default_pool, cpu):
    """Return what makes setups of a stack, with this recipe and pool unless others are given."""

    def setup(*names, recipe=default, pool=default_pool, machine=cpu, extra=()):
        registry = Registry()
        for optimization in extra:
            registry.add_optimization(optimization)
        stack = registry.stack([*names, *(part.name for part in extra)], "test", recipe)
        return Setup("tested", recipe, stack, machine=machine, pool=pool, resolved=None)

    return setup


@pytest.fixture(scope="session")
def make_one_block(tmp_path_factory, source, recipe, cpu):
    """As ``make``, for what takes long for each block and each pixel: a pipeline with one block on either side, whose pictures mean nothing."""
    from small import ONE_BLOCK, save_small_models

    return maker(shrink(recipe, save_small_models(tmp_path_factory.mktemp("one block"), ONE_BLOCK)), Pool(source), cpu)


@pytest.fixture(scope="session")
def drawn(make):
    """Draw the baseline's pictures at seed 0."""
    return make().generate(0)
