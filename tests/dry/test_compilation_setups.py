"""What setups compile: they are counted at full size without compiling, and what they compile at toy size."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest
from small import ONE_BLOCK, STUDENT, make_architecture

from pytest_sdspeed.model import Recipe
from pytest_sdspeed.pipelines.architectures import ARCHITECTURES
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.run.accounting import count_setup, describe_counting_device
from pytest_sdspeed.run.compiling import SIDE, STEPS, count_setup_compilation, shrink_recipe
from pytest_sdspeed.setups.catalog import ResolvedSetup
from pytest_sdspeed.setups.registry import Registry

RECIPE = Recipe(model="one-block", prompt="a cat", height=16, width=16, steps=2, scheduler="ddim")


@pytest.fixture(autouse=True)
def one_block(monkeypatch):
    monkeypatch.setattr(
        "pytest_sdspeed.pipelines.architectures.ARCHITECTURES", {"one-block": ONE_BLOCK, "student": make_architecture(unet=STUDENT)}
    )


def resolve(*names, extra=()):
    registry = Registry()
    for optimization in extra:
        registry.add_optimization(optimization)
    stack = registry.stack([*(part.name for part in extra), *names], "test", RECIPE)
    return ResolvedSetup(table=None, setup="tested", optimizations=names, recipe=RECIPE, row=None, baseline="tested"), stack


class ReadsItem:
    """The attention of diffusers, with the planted fault of a debugging session."""

    def __init__(self):
        from diffusers.models.attention_processor import AttnProcessor2_0

        self.usual = AttnProcessor2_0()

    def __call__(self, attn, hidden_states, *args, **kwargs):
        if hidden_states.abs().max().item() > 1e4:
            raise ValueError
        return self.usual(attn, hidden_states, *args, **kwargs)


PLANTED = Optimization(
    name="planted",
    summary="an attention processor that reads a value",
    changes=frozenset({"unet"}),
    apply=lambda pipeline, _recipe: pipeline.unet.set_attn_processor(ReadsItem()),
)


@pytest.mark.slow
def test_a_compiled_setup_has_two_graphs_no_breaks_and_compiles_again_for_other_shapes_alone():
    account = count_setup(*resolve("sdpa", "compile"))
    assert account.operations > 100
    assert (account.graph_breaks, account.recompilations) == (0, 0)
    found = account.compilation
    assert found.graphs == 2  # the UNet and the decoder
    assert {cause: found.count(cause) for cause in found.recompiled} == {
        "steps": 0,
        "second_call": 0,
        "prompt": 0,
        "batch": 2,
        "resolution": 2,
    }
    assert "size mismatch" in found.recompiled["batch"][0].reason


@pytest.mark.slow
def test_a_setup_that_compiles_nothing_has_no_such_counts():
    account = count_setup(*resolve("sdpa"))
    assert (account.graph_breaks, account.recompilations, account.compilation) == (None, None, None)


@pytest.mark.slow
def test_a_value_read_in_an_attention_processor_breaks_the_graph_at_its_line():
    found = count_setup_compilation(*resolve("compile", extra=[PLANTED]), others=False)
    (place,) = found.breaks
    assert place.file == "tests/dry/test_compilation_setups.py"
    assert place.code == "if hidden_states.abs().max().item() > 1e4:"
    assert "Tensor.item" in place.reason
    assert found.graphs > 2


def test_rows_that_compile_can_be_counted_without_triton_and_others_say_why_not():
    machine = describe_counting_device()
    named = {part.name: part for part in resolve("compile", "xformers")[1]}
    assert named["compile"].supported(machine) is None
    assert named["compile"].supported(replace(machine, features=frozenset())) is None or not find_spec("triton")
    if not find_spec("xformers"):
        assert "pip install xformers" in named["xformers"].supported(machine)


def test_a_toy_recipe_is_small_and_as_square_as_before():
    full = replace(RECIPE, model="stable-diffusion-v1-5/stable-diffusion-v1-5", height=512, width=768, steps=50, images=16)
    small = shrink_recipe(full)
    assert (small.height, small.width, small.steps, small.images) == (SIDE, 2 * SIDE, STEPS, 2)
    assert shrink_recipe(replace(full, width=512)).width == SIDE
    own = replace(full, model="miniature", height=64, width=64)
    assert shrink_recipe(own) == replace(own, steps=STEPS)


def test_all_documented_architectures_are_still_those_of_the_package():
    assert "one-block" not in ARCHITECTURES
