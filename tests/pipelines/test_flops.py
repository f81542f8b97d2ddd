"""FLOPs on the meta device: of the published architectures, and of the calls of a pipeline."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextModel

from pytest_sdspeed.pipelines.architectures import find_architecture
from pytest_sdspeed.pipelines.flops import count_generation_flops
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.stages import HostTimestamps, StageTimer
from pytest_sdspeed.pipelines.twins import Twin, count_call_flops, describe_twin
from pytest_sdspeed.pipelines.unet_wrapper import wrap_graphed

pytestmark = pytest.mark.slow

SD14 = "CompVis/stable-diffusion-v1-4"
LATENTS = (1, 4, 64, 64)
UNET_CALL = ((0, LATENTS, True), (1, (), False), ("encoder_hidden_states", (1, 77, 768), True))


@pytest.mark.parametrize(
    ("model", "macs"),
    [
        (SD14, 401_636_720_640),
        ("nota-ai/bk-sdm-base", 261_496_995_840),
        ("nota-ai/bk-sdm-small", 255_447_203_840),
        ("nota-ai/bk-sdm-tiny", 242_754_519_040),
    ],
)
def test_flops_of_the_published_unets(model, macs):
    twin = Twin(UNet2DConditionModel, json.dumps(find_architecture(model).find_config("unet")))
    assert count_call_flops(twin, "__call__", UNET_CALL)[""] == 2 * macs


@pytest.mark.parametrize(
    ("kind", "config", "macs"),
    [
        (AutoencoderKL, find_architecture(SD14).find_config("vae"), 1_257_259_466_752),
        (AutoencoderTiny, find_architecture("sayakpaul/taesd-diffusers").find_part("vae"), 70_675_070_976),
    ],
)
def test_flops_of_the_published_decoders(kind, config, macs):
    assert count_call_flops(Twin(kind, json.dumps(config)), "decode", ((0, LATENTS, True),))[""] == 2 * macs


def test_flops_of_the_published_text_encoder():
    twin = Twin(CLIPTextModel, json.dumps(find_architecture(SD14).find_config("text_encoder")))
    assert count_call_flops(twin, "__call__", ((0, (1, 77), False),))[""] == 2 * 6_649_251_840


def test_a_call_is_counted_once_for_all_rows(make, monkeypatch):
    shapes = ((0, (1, 4, 4, 4), True),)
    found = count_call_flops(describe_twin(make().pipeline.vae), "decode", shapes)
    monkeypatch.setattr("pytest_sdspeed.pipelines.twins._build", None)
    assert count_call_flops(describe_twin(make("sdpa").pipeline.vae), "decode", shapes) is found


# A generation


def watched(setup, *, inside=False):
    timer = StageTimer(HostTimestamps())
    with timer.watch(setup.pipeline, inside=inside):
        setup.generate(0)
    return timer


def flops_of(setup, *, inside=False):
    return count_generation_flops(setup.pipeline, watched(setup, inside=inside))


def directly(setup):
    """Count the FLOPs of one generation while it runs, with attention as products: torch does not count its CPU kernel."""
    _ = setup.pipeline
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        setup.generate(0)
    return counter.get_total_flops()


@pytest.fixture(scope="module")
def baseline_flops(make):
    return flops_of(make())


def test_twins_count_what_a_generation_does(make, baseline_flops):
    assert baseline_flops == directly(make()) > 0


@pytest.mark.parametrize("stack", [("distilled_unet",), ("distilled_unet", "tiny_vae"), ("tiny_vae",)])
def test_other_models_have_other_flops(stack, make, baseline_flops):
    setup = make(*stack)
    assert flops_of(setup) == directly(setup) < baseline_flops


@pytest.mark.parametrize("name", ["sdpa", "vanilla_attention", "fused_qkv", "channels_last", "bf16"])
def test_the_same_architecture_has_the_same_flops_whatever_computes_it(name, make, baseline_flops):
    assert flops_of(make(name)) == baseline_flops


def test_a_traced_pipeline_has_the_same_flops_and_is_not_seen_inside(make_one_block):
    setup = make_one_block("traced_unet")
    assert flops_of(setup) == flops_of(make_one_block())
    with pytest.raises(LookupError, match="cannot be seen: it is compiled or traced"):
        flops_of(setup, inside=True)


def compiled(pipeline, _recipe):
    pipeline.unet = torch.compile(pipeline.unet, backend="eager")
    pipeline.vae.decode = torch.compile(pipeline.vae.decode, backend="eager")


COMPILED = Optimization(name="compiled", summary="wrappers alone", changes=frozenset({"unet", "vae"}), apply=compiled)


def count_graphs():
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def test_a_compiled_pipeline_has_the_same_flops_and_is_not_compiled_again(make_one_block):
    setup = make_one_block(extra=[COMPILED])
    setup.generate(0)
    graphs = count_graphs()
    assert flops_of(setup) == flops_of(make_one_block())
    assert count_graphs() == graphs > 0
    with pytest.raises(LookupError, match="cannot be seen: it is compiled or traced"):
        flops_of(setup, inside=True)


def replayed(work):
    """Capture as ``unet_wrapper.capture_graph`` does, on the CPU."""
    results = work()

    def replay():
        for result, again in zip(results, work(), strict=True):
            result.copy_(again)

    return results, replay


def captured(pipeline, _recipe):
    pipeline.unet = wrap_graphed(pipeline.unet, replayed)


CAPTURED = Optimization(name="captured", summary="replayed", changes=frozenset({"unet"}), apply=captured)


# A UNet that leaves modules out


def now_and_then(pipeline, _recipe):
    """Make the middle block skip its work at every second call."""
    block, calls = pipeline.unet.mid_block, []
    whole = block.forward

    def forward(hidden_states, *args, **kwargs):
        calls.append(0)
        return hidden_states if len(calls) % 2 == 0 else whole(hidden_states, *args, **kwargs)

    block.forward = forward


LAZY = Optimization(name="lazy", summary="less work", changes=frozenset({"unet"}), apply=now_and_then, partial=True)


def test_modules_that_are_left_out_are_not_counted(make, baseline_flops):
    middle = count_call_flops(describe_twin(make().pipeline.unet), "__call__", next(iter(watched(make()).calls["unet"])))["mid_block"]
    assert middle > 0
    # Two steps: the second one skips the middle block.
    assert flops_of(make(extra=[LAZY]), inside=True) == baseline_flops - middle
    assert flops_of(make(), inside=True) == baseline_flops


def test_calls_of_several_shapes_cannot_be_told_apart_inside(make):
    timer = watched(make(), inside=True)
    timer.calls["unet"][((0, (1, 4, 8, 8), True),)] += 1
    with pytest.raises(LookupError, match="several shapes"):
        count_generation_flops(make().pipeline, timer)


def test_what_a_feature_cache_leaves_out_is_not_counted(make, baseline_flops):
    setup = make("feature_cache_2")
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        setup.generate(0)
    assert flops_of(setup) == counter.get_total_flops() < baseline_flops
    assert flops_of(make("feature_cache_2", extra=[CAPTURED])) == counter.get_total_flops()


def test_shapes_that_change_within_a_generation_tell_nothing_of_a_cache(make):
    setup = make("feature_cache_2")
    timer = watched(setup)
    timer.calls["unet"][((0, (1, 4, 8, 8), True),)] += 1
    with pytest.raises(LookupError, match="several shapes"):
        count_generation_flops(setup.pipeline, timer)


def test_a_captured_pipeline_has_the_same_flops(make, baseline_flops):
    assert flops_of(make(extra=[CAPTURED])) == baseline_flops
