"""The wrapper of a UNet: every pass is compiled or captured by itself, and returns results that the caller may keep."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pytest_sdspeed.device.flags import hold
from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import Case
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.unet_wrapper import CudaGraphCall, UNetWrapper, wrap_compiled, wrap_graphed


@pytest.fixture
def captures():
    """Make a capture on the CPU, whose replay does the work again and overwrites its results, as that of a CUDA graph does."""

    class Captures(list):
        def __call__(self, work):
            results = work()
            self.append(results)

            def replay():
                for held, new in zip(results, work(), strict=True):
                    held.copy_(new)

            return results, replay

    return Captures()


@pytest.fixture
def graphs(captures):
    def apply(pipeline, _recipe):
        pipeline.unet = wrap_graphed(pipeline.unet, captures)

    return Optimization(name="graphs", summary="", apply=apply)


def compiles(compiler):
    def apply(pipeline, _recipe):
        pipeline.unet = wrap_compiled(pipeline.unet, compiler)

    return Optimization(name="compiles", summary="", apply=apply)


@pytest.fixture
def short(recipe):
    return replace(recipe, steps=5, height=16, width=16)


@pytest.mark.parametrize("stack", [(), ("feature_cache_2",), ("distilled_unet", "fused_qkv")], ids=str)
def test_a_graph_draws_what_the_unet_draws(stack, graphs, captures, make, short):
    setup = make(*stack, recipe=short, extra=[graphs])
    assert np.array_equal(setup.generate(0), make(*stack, recipe=short).generate(0))
    setup.generate(1)
    assert len(captures) == (2 if stack == ("feature_cache_2",) else 1)
    assert setup.weight_bytes() == make(*stack, recipe=short).weight_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("stack", [(), ("feature_cache_2",)], ids=str)
def test_the_first_generation_captures_all_that_later_seeds_and_prompts_replay(stack, graphs, captures, make, short):
    setup, plain = make(*stack, recipe=short, extra=[graphs]), make(*stack, recipe=short)
    setup.generate(0)
    captured = len(captures)
    for case in (Case(1), Case(0, "a boat"), Case(0)):
        assert np.array_equal(setup.draw(case), plain.draw(case))
    assert len(captures) == captured
    setup.recipe = replace(short, images=2)
    assert setup.generate(0).shape[0] == 2
    assert len(captures) == 2 * captured


def test_setups_that_share_the_unet_are_not_captured(graphs, captures, make, short):
    plain = make(recipe=short)
    before = plain.generate(0)
    setup = make(recipe=short, extra=[graphs])
    setup.generate(1)
    assert setup.pipeline.unet.unet is plain.pipeline.unet
    assert len(captures) == 1
    assert np.array_equal(plain.generate(0), before)
    assert len(captures) == 1


def test_a_capture_that_fails_leaves_nothing_behind(captures):
    def breaks(_work):
        raise RuntimeError("out of memory")

    graph = CudaGraphCall(lambda tensor: (2 * tensor,), breaks)
    with pytest.raises(RuntimeError, match="out of memory"):
        graph(torch.ones(1))
    graph._capture = captures
    assert graph(torch.ones(1))[0].tolist() == [2]


def test_without_guidance_the_scheduler_may_keep_what_it_is_given(graphs, make, short):
    unguided = replace(short, guidance=1.0, scheduler="pndm")
    assert np.array_equal(make(recipe=unguided, extra=[graphs]).generate(0), make(recipe=unguided).generate(0))


def test_results_outlive_the_next_replay_and_shapes_have_graphs_of_their_own(captures):
    doubled = CudaGraphCall(lambda tensor: (2 * tensor,), captures)
    (first,), (second,) = doubled(torch.ones(2)), doubled(torch.full((2,), 5.0))
    assert (first.tolist(), second.tolist()) == ([2, 2], [10, 10])
    assert doubled(torch.ones(1))[0].tolist() == [2]
    assert len(captures) == 2


def test_autocast_is_refused(captures):
    with hold({"torch.autocast('cuda')": True}), pytest.raises(RegistrationError, match="cuda_graphs and autocast exclude each other"):
        CudaGraphCall(lambda tensor: (tensor,), captures)(torch.ones(1))


def test_compiled_results_are_copies(make, short):
    handed_out = []

    def compiler(call):
        def run(*args, **kwargs):
            results = call(*args, **kwargs)
            handed_out.append(results)
            return results

        return run

    setup = make("feature_cache_2", recipe=short, extra=[compiles(compiler)])
    kept = setup.pipeline.unet.passes[0](torch.ones(2, 4, 2, 2), torch.tensor(1), torch.ones(2, 77, 96))
    assert [one.data_ptr() == other.data_ptr() for one, other in zip(kept, handed_out[-1], strict=True)] == [False, False]
    assert np.array_equal(setup.generate(0), make("feature_cache_2", recipe=short).generate(0))


def test_a_plain_unet_is_compiled_as_it_is(make, short):
    asked = []
    setup = make(recipe=short, extra=[compiles(lambda call: asked.append(call) or call)])
    assert np.array_equal(setup.generate(0), make(recipe=short).generate(0))
    assert isinstance(setup.pipeline.unet, UNetWrapper)
    assert asked == [setup.pipeline.unet.unet]


def test_compiling_and_capturing_exclude_each_other(graphs, make):
    lazy = compiles(lambda call: call)
    for extra in ([graphs, lazy], [lazy, graphs]):
        with pytest.raises(RegistrationError, match="compile and cuda_graphs exclude each other"):
            make(extra=extra).build()
