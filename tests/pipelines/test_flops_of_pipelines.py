"""FLOPs of pipelines of any kind: those of their accounts, of what caches leave out, and none of a part that no twin stands for."""

from __future__ import annotations

import pytest
import torch
from toy_accounts import count_toy
from toy_pipelines import PIPELINES

from pytest_sdspeed.pipelines.flops import count_generation_flops
from pytest_sdspeed.pipelines.profiling import profile_generation
from pytest_sdspeed.pipelines.recorded_calls import make_call, read_call
from pytest_sdspeed.pipelines.stages import HostTimestamps, StageTimer
from pytest_sdspeed.pipelines.twins import check_twin, count_call_flops, describe_twin

# Schedulers hand tensors to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning", "ignore::FutureWarning")
STEPS = 2


def make_toy(name="flux", **denoiser):
    """Return a toy pipeline and what draws with it; ``denoiser`` changes the configuration of its denoiser."""
    torch.manual_seed(0)
    pipeline, call = PIPELINES[name]()
    if denoiser:
        own = pipeline.transformer
        pipeline.transformer = type(own).from_config({**own.config, **denoiser})
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()

    def draw(steps=STEPS):
        with torch.no_grad():
            pipeline(generator=torch.Generator("cpu").manual_seed(0), num_inference_steps=steps, **call)

    return pipeline, draw


def profile(pipeline, draw, *, partial=False):
    return profile_generation(pipeline, draw, kind="cpu", partial=partial)


def count_directly(draw):
    """Count the FLOPs of a generation while it runs, with attention as products: torch does not count its CPU kernel."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        draw()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", ["flux", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sdxl", "wan", "ltx", "z_image"))])
def test_a_profile_and_an_account_count_the_same(name):
    found = profile(*make_toy(name))
    assert found.flops == count_toy(name, STEPS).flops > 0
    assert found.notes == ()


def test_a_profile_and_an_account_have_the_same_stages():
    found = profile(*make_toy())
    assert list(found.stages_s) == list(count_toy("flux", STEPS).stages) == ["denoising", "decoding"]


# Arguments


@pytest.mark.parametrize(
    "value",
    [
        [torch.ones(2, 3), torch.ones(1)],
        (torch.ones(2), None, 5, "words", True),
        {"text_embeds": torch.ones(1, 6), "time_ids": torch.ones(1, 6).bool(), "nested": [{"deep": torch.ones(2).long()}]},
        torch.ones(2, dtype=torch.complex64),
        torch.Size((2, 3)),
    ],
)
def test_nested_arguments_are_made_alike(value):
    def shape(one):
        if isinstance(one, torch.Tensor):
            return tuple(one.shape), one.dtype
        if isinstance(one, dict):
            return {name: shape(inner) for name, inner in one.items()}
        return [*map(shape, one)] if isinstance(one, (list, tuple)) else one

    read = read_call((value,), {"again": value})
    (first,), named = make_call(read)
    assert shape(first) == shape(named["again"]) == shape(value)
    assert hash(read) == hash(read_call((value,), {"again": value}))


def test_what_nothing_stands_for_is_named():
    with pytest.raises(LookupError, match="nothing stands for a object among its arguments"):
        make_call(read_call((object(),), {}))


def test_a_mask_of_a_text_encoder_does_not_hide_its_products():
    from transformers import T5Config, T5EncoderModel

    encoder = T5EncoderModel(T5Config(vocab_size=99, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)).eval()
    words, mask = torch.zeros(1, 8, dtype=torch.long), torch.ones(1, 8, dtype=torch.long)
    mask[:, 5:] = 0

    def draw():
        with torch.no_grad():
            encoder(words, attention_mask=mask)

    found = count_call_flops(describe_twin(encoder), "__call__", read_call((words,), {"attention_mask": mask}))[""]
    assert found == count_directly(draw) > 0


# Never a wrong number


def unknown(pipeline, draw, *, partial=False):
    found = profile(pipeline, draw, partial=partial)
    assert found.stages_s["denoising"] > 0
    assert found.flops is None
    (note,) = found.notes
    return note.removeprefix("how many FLOPs a generation has is unknown: LookupError: ")


def test_a_twin_of_the_wrong_configuration_gives_no_number():
    pipeline, draw = make_toy()
    pipeline.transformer.register_to_config(num_layers=2)
    assert unknown(pipeline, draw).startswith(
        "transformer: FluxTransformer2DModel is not what its configuration says: transformer_blocks.1."
    )


def test_layers_that_were_added_or_exchanged_give_no_number():
    pipeline, draw = make_toy()
    block = pipeline.transformer.transformer_blocks[0]

    class Merging(type(block)):
        pass

    block.__class__ = Merging
    assert "transformer_blocks.0 is a Merging, and not a FluxTransformerBlock" in unknown(pipeline, draw)
    block.__class__ = Merging.__base__
    block.lora_A = torch.nn.Linear(2, 2)
    assert "transformer_blocks.0.lora_A.bias is in the module alone" in unknown(pipeline, draw)


def test_a_module_without_a_configuration_gives_no_number():
    with pytest.raises(LookupError, match="Linear has no configuration to build a twin from"):
        describe_twin(torch.nn.Linear(2, 2))


def test_a_model_that_asks_for_numbers_gives_none():
    assert unknown(*make_toy("lumina2")).startswith("transformer: ")


def test_tiles_count_as_often_as_they_are_decoded():
    pipeline, draw = make_toy()
    whole = profile(pipeline, draw).flops
    pipeline.vae.enable_tiling()
    pipeline.vae.tile_latent_min_size, pipeline.vae.tile_sample_min_size = 4, 8
    assert profile(pipeline, draw).flops == count_directly(draw) > whole


def test_twins_of_equal_parts_are_equal_whatever_state_they_are_in():
    pipeline, _ = make_toy()
    twin = describe_twin(pipeline.vae)
    check_twin(pipeline.vae, twin)
    pipeline.vae.enable_slicing()
    assert describe_twin(pipeline.vae) != twin


# What caches of diffusers leave out


def first_block(_diffusers):
    return _diffusers.FirstBlockCacheConfig(threshold=0.5)


def broadcast(_diffusers):
    return _diffusers.PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2,
        spatial_attention_timestep_skip_range=(-1, 2000),
        current_timestep_callback=lambda: 500,
        spatial_attention_block_identifiers=["transformer_blocks", "single_transformer_blocks"],
    )


@pytest.mark.parametrize("cache", [first_block, broadcast])
def test_what_a_cache_leaves_out_is_not_counted(cache):
    import diffusers

    pipeline, draw = make_toy(num_layers=2, num_single_layers=2)
    whole = profile(pipeline, draw).flops
    pipeline.transformer.enable_cache(cache(diffusers))
    expected = count_directly(draw)
    pipeline.transformer.disable_cache()
    pipeline.transformer.enable_cache(cache(diffusers))
    before = [module.forward for module in pipeline.transformer.modules()]
    assert profile(pipeline, draw, partial=True).flops == expected < whole
    assert [module.forward for module in pipeline.transformer.modules()] == before


def test_what_is_left_out_of_the_second_denoiser_alone_is_seen():
    pipeline, draw = make_toy(num_layers=2)
    timer = StageTimer(HostTimestamps())
    with timer.watch(pipeline, inside=True):
        draw()
    whole = count_generation_flops(pipeline, timer)
    timer.inner["transformer"] = {
        name: 0 if name.startswith("transformer_blocks.1.") else calls for name, calls in timer.inner["transformer"].items()
    }
    assert 0 < count_generation_flops(pipeline, timer) < whole


def test_compiled_blocks_hide_what_a_cache_leaves_out():
    pipeline, draw = make_toy()
    # As ``compile_repeated_blocks`` leaves a block.
    block = pipeline.transformer.transformer_blocks[0]
    block._compiled_call_impl = block._call_impl
    assert unknown(pipeline, draw, partial=True) == "transformer: the calls inside of it cannot be seen: it is compiled or traced"
    assert profile(pipeline, draw).flops > 0
