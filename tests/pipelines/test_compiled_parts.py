"""Parts of any pipeline compiled, or replayed from graphs: seen to be so, or without effect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_pipelines import maker
from tiny_pipelines import tiny_recipe

from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.model import Case
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations import OPTIMIZATIONS
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.proving import prove_stack

BY_NAME = {part.name: part for part in OPTIMIZATIONS}


# Compiling, in the same way as torch's own compiler and in a small part of its time


def eager(name="compile", **options):
    return BY_NAME[name].with_options({"backend": "eager", **options}, "a test")


def proven(pipeline, *stack, **call):
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        for part in stack:
            part.apply(pipeline, None, **part.options)
        pipeline(num_inference_steps=1, **call)
        return [
            (one.finding.acted, one.finding.text) for one in prove_stack(stack, pipeline, lambda: pipeline(num_inference_steps=1, **call))
        ]


@pytest.fixture
def toy():
    from toy_pipelines import PIPELINES

    def make(name):
        torch.manual_seed(0)
        return PIPELINES[name]()

    torch._dynamo.reset()
    yield make
    torch._dynamo.reset()


def test_compiled_parts_are_seen_to_run_compiled_code_and_draw_the_same(toy):
    pipeline, call = toy("flux")
    pipeline.set_progress_bar_config(disable=True)
    call |= {"latents": torch.randn(1, 16, 16)}
    with torch.no_grad():
        before = pipeline(num_inference_steps=1, **call).images
    ((acted, text),) = proven(pipeline, eager(), **call)
    assert acted is True
    assert text == "a call of transformer ran compiled code once; a call of vae.decode ran compiled code once"
    with torch.no_grad():
        assert torch.allclose(pipeline(num_inference_steps=1, **call).images, before, atol=1e-5)


def test_a_compiled_part_that_is_never_called_has_no_effect(toy):
    pipeline, call = toy("stable_diffusion_3")
    ((acted, text),) = proven(pipeline, eager(parts=["vae"]), **{**call, "output_type": "latent"})
    assert (acted, text) == (False, "vae.decode was never called")


def test_what_falls_back_to_eager_has_no_effect(toy):
    def broken(_graph, _inputs):
        raise RuntimeError("no such kernel")

    pipeline, call = toy("stable_diffusion_3")
    torch._dynamo.register_backend(broken, name="broken")
    with torch._dynamo.config.patch(suppress_errors=True):
        ((acted, text),) = proven(pipeline, eager(backend="broken", parts="transformer"), **call)
    assert (acted, text) == (False, "a call of transformer ran no compiled code: torch fell back to eager")


def test_what_torch_is_told_not_to_compile_has_no_effect(toy):
    pipeline, call = toy("stable_diffusion_3")
    with torch._dynamo.config.patch(disable=True):
        ((acted, text),) = proven(pipeline, eager(parts=["transformer"]), **call)
    assert acted is False
    assert "ran no compiled code" in text


def test_parts_that_the_pipeline_does_not_have_are_named(toy):
    pipeline, _ = toy("stable_diffusion_3")
    with pytest.raises(RegistrationError, match=r"no 'unet'.*transformer.*denoisers"):
        eager(parts=["unet"]).apply(pipeline, None, **eager(parts=["unet"]).options)


def test_blocks_are_compiled_by_the_call_of_diffusers_and_a_model_that_names_none_says_so(toy):
    from pytest_sdspeed.pipelines.compiled import compile_blocks, prove_compiled

    pipeline, call = toy("flux")
    blocks = Optimization(
        name="blocks",
        summary="with a backend that takes no time",
        apply=lambda pipeline, _: compile_blocks(pipeline.transformer, "transformer", backend="eager"),
        prove=lambda pipeline: prove_compiled(pipeline, ["denoisers"]),
    )
    assert proven(pipeline, blocks, **call) == [(True, "a call of transformer ran compiled code 2 times")]
    pipeline, _ = toy("stable_diffusion_3")
    kind = BY_NAME["compile_repeated_blocks"]
    with pytest.raises(RegistrationError, match=r"SD3Transformer2DModel .transformer. names no repeated blocks"):
        kind.apply(pipeline, None, **kind.options)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_blocks_of_a_setup_draw_the_same_picture(tmp_path, source, cpu):
    """With a quick backend: what torch's own compiler makes of a setup's blocks is gated in the tests of stacks."""
    kind = BY_NAME["compile_repeated_blocks"]
    quick = replace(kind, name="quick_blocks", options={**kind.options, "backend": "eager"})
    make = maker(tiny_recipe("flux", tmp_path), Pool(source), cpu)
    setup = make(extra=[quick])
    pictures = setup.generate(0)
    (proof,) = setup.prove(Case(0))
    assert proof.finding.acted is True, proof
    assert np.abs(pictures - make().generate(0)).max() < 0.01
    torch._dynamo.reset()


# Graphs


def capture(work):
    """Replay by doing the work again, and overwrite the results, as a CUDA graph does."""
    results = work()

    def replay():
        for held, new in zip(results, work(), strict=True):
            held.copy_(new)

    return results, replay


def test_denoisers_of_any_kind_are_replayed_and_draw_the_same(toy):
    from pytest_sdspeed.pipelines.graphed import graph_denoisers

    pipeline, call = toy("flux")
    call |= {"latents": torch.randn(1, 16, 16)}
    pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        before = pipeline(num_inference_steps=3, **call).images
        graph_denoisers(pipeline, capture)
        assert torch.equal(pipeline(num_inference_steps=3, **call).images, before)
        (proof,) = prove_stack((BY_NAME["cuda_graphs"],), pipeline, lambda: pipeline(num_inference_steps=3, **call))
    assert str(proof) == "cuda_graphs acted: 3 calls were replayed from graphs"


def test_calls_of_too_many_kinds_are_refused():
    from pytest_sdspeed.pipelines.graphed import GraphedForward

    graphed = GraphedForward("dit", lambda sample, time: (sample * time,), capture)
    assert graphed(torch.ones(2), time=2)[0].tolist() == [2, 2]
    first = graphed(torch.ones(2), time=3)[0]
    assert graphed(torch.zeros(2), time=3)[0].tolist() == [0, 0]
    assert first.tolist() == [3, 3]
    with pytest.raises(RegistrationError, match="dit is called in more than 8 ways"):
        [graphed(torch.ones(2), time=time) for time in range(9)]
