"""Pipelines that somebody saved, drawn by setups: optimizations act, draw the same each time, and the setups beside them draw what they did."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_pipelines import tiny_recipe

from pytest_sdspeed.errors import ChangedPartError, RegistrationError
from pytest_sdspeed.model import Case, Machine
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.sources import PretrainedSource
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.setups.setup import Setup

CPU = Machine(kind="cpu", device="test CPU", versions={})
STACKS = {
    "flux": ["first_block_cache(threshold=0.9)", "vae_tiling(tile_sample_min_height=16, tile_sample_min_width=16)", "group_offload"],
    "sdxl": ["layerwise_casting", 'group_offload(offload_type="block_level", parts=["text_encoders"])'],
    "wan": ["taylorseer(use_lite_mode=true, cache_interval=2, disable_cache_before_step=1)", "layerwise_casting"],
}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Return ``make(pipeline, stack)``, which makes setups that share their modules."""
    pool, recipes = Pool(PretrainedSource("cpu")), {}

    def setup(name, *labels, own=()):
        recipes[name] = recipes.get(name) or tiny_recipe(name, tmp_path_factory.mktemp(name))
        registry = Registry()
        for optimization in own:
            registry.add_optimization(optimization)
        stack = registry.stack(labels, "a test", recipes[name])
        return Setup(f"{name} {labels}", recipes[name], stack, machine=CPU, pool=pool, resolved=None)

    return setup


@pytest.mark.slow
@pytest.mark.parametrize("name", STACKS)
def test_a_stack_acts_beside_a_baseline_that_stays_as_it_was(make, name):
    base, setup = make(name), make(name, *STACKS[name])
    before = base.generate(1)
    pictures = setup.generate(1)
    proofs = setup.prove(Case(1))
    assert [proof.finding.acted for proof in proofs] == [True] * len(proofs), proofs
    assert np.array_equal(setup.generate(1), pictures)
    assert not np.array_equal(pictures, before)
    assert np.array_equal(base.generate(1), before)
    base.check()
    setup.check()


def test_a_row_of_another_kind_of_model_is_refused_when_it_is_built(make):
    with pytest.raises(RegistrationError, match="feature_cache_2, deepcache and tome are for UNets"):
        make("sdxl", "first_block_cache").build()


@pytest.mark.parametrize("name", ["flux", "ltx"])
def test_what_a_call_leaves_in_a_shared_denoiser_is_not_blamed_on_an_optimization_of_ones_own(make, name):
    own = Optimization(name="own", summary="changes nothing")
    setup = make(name, "own", own=[own])
    assert np.array_equal(setup.generate(1), setup.generate(1))
    make(name).generate(1)
    setup.check()


def test_a_hook_that_an_optimization_of_ones_own_puts_into_a_shared_denoiser_is_found(make):
    def apply(pipeline, _recipe):
        from diffusers import FirstBlockCacheConfig

        pipeline.transformer.enable_cache(FirstBlockCacheConfig(threshold=0.9))

    own = Optimization(name="own", summary="a cache in what setups share", apply=apply)
    with pytest.raises(ChangedPartError, match="changed what setups share: transformer"):
        make("flux", "own", own=[own]).build()
