"""Autoencoders of videos keep what they count in attributes of their own from their first call on: that is no fault of an optimization of users."""

from __future__ import annotations

import pytest
from small_pipelines import maker
from tiny_pipelines import tiny_recipe

from pytest_sdspeed.errors import ChangedPartError
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.pool import Pool

pytestmark = pytest.mark.slow


def leave(name, value):
    """An optimization that sets an attribute of the autoencoder once its pipeline draws."""

    def apply(pipeline, _recipe):
        plain = pipeline.scheduler.set_timesteps

        def set_timesteps(*args, **kwargs):
            setattr(pipeline.vae, name, value)
            return plain(*args, **kwargs)

        pipeline.scheduler.set_timesteps = set_timesteps

    return Optimization(name="own", summary="", apply=apply)


@pytest.fixture
def make(tmp_path, source, cpu):
    return maker(tiny_recipe("wan", tmp_path), Pool(source), cpu)


def test_an_optimization_of_users_that_is_the_first_to_draw_a_video_is_not_blamed_for_the_autoencoder(make):
    setup = make(extra=(Optimization(name="own", summary="", apply=lambda pipeline, recipe: None),))
    first = setup.generate(0)
    assert hasattr(setup.pipeline.vae, "_feat_map")
    assert (setup.generate(0) == first).all()
    setup.check()


@pytest.mark.parametrize("name", ["_own", "use_tiling", "_compiled_call_impl", "_hf_hook"])
def test_what_the_autoencoder_does_not_leave_by_itself_is_still_named(make, name):
    setup = make(extra=(leave(name, 1),))
    with pytest.raises(ChangedPartError, match=rf"vae attribute {name} is "):
        setup.generate(0)
