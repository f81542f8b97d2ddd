"""Calls that stop at the borders of their stages draw what plain calls draw, bit by bit, whatever comes between their steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from staged import MAIN, draw, expected, finish, is_equal, stages_of, take_turns
from tiny_pipelines import mark_kinds, tiny_recipe

from pytest_sdspeed.model import Case


@pytest.fixture(scope="module")
def tiny(make, once, tmp_path_factory):
    """Return ``tiny(kind, *stack, **facts)``: a setup of a tiny pipeline of four steps; its folder is saved once."""
    from pytest_sdspeed.pipelines.pool import Pool
    from pytest_sdspeed.pipelines.sources import PretrainedSource

    def setup(kind, *stack, extra=(), **facts):
        recipe = once(kind, lambda: tiny_recipe(kind, tmp_path_factory.mktemp("tiny")))
        pool = once(f"pool of {kind}", lambda: Pool(PretrainedSource("cpu")))
        return make(*stack, recipe=replace(recipe, **{"steps": 4, **facts}), pool=pool, extra=extra)

    return setup


@pytest.mark.parametrize("kind", mark_kinds(("sdxl", "flux", "wan"), ("sdxl", "flux", "wan", "ltx", "sd3", "img2img", "sdxl_img2img")))
def test_whole_calls_by_stages_draw_what_plain_calls_draw(tiny, kind):
    # From a picture half of the four steps are taken, and one of PNDM's twice.
    setup, steps = tiny(kind), {"img2img": 3, "sdxl_img2img": 2}.get(kind, 4)
    stages = setup.open_stages()
    plain = draw(setup)
    alone = stages.call(MAIN, None, 0)
    assert stages_of(finish(setup, alone)) == expected(steps)
    # Another call of the same pipeline, of other noise, comes between the steps; its pictures are its own.
    calls = [stages.call(MAIN, None, 0), stages.call(Case(1), None, 1)]
    assert [stages_of(parts) for parts in take_turns(*((setup, call) for call in calls))] == [expected(steps)] * 2
    assert is_equal(plain, alone.pictures, calls[0].pictures, draw(setup))
    assert is_equal(draw(setup, Case(1)), calls[1].pictures)
    assert not is_equal(*(call.pictures for call in calls))
