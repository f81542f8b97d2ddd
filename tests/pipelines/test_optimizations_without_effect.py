"""Optimizations that change nothing are found out: each of these raises nothing in its library, and would be timed as x1.00."""

from __future__ import annotations

import pytest
import torch
from optimized import Arms

from pytest_sdspeed.errors import RegistrationError

WITHOUT_EFFECT = {
    "a picture that is smaller than a tile": ("flux", "vae_tiling", {}, "at once: no side is longer than a tile. Draw larger"),
    "latents, which nobody decodes": ("flux", "vae_tiling", {"output_type": "latent"}, "vae neither encoded nor decoded"),
    "one picture, of which there are no slices": ("stable_diffusion", "vae_slicing", {}, "there is nothing to slice"),
    "weights cast to what they are": (
        "flux",
        'layerwise_casting(storage_dtype="float32")',
        {},
        "stored in float32 and computed with in float32",
    ),
    "a threshold that no step is under": (
        "flux",
        "first_block_cache(threshold=0.0)",
        {},
        "none of 4 calls of the denoiser was cut: raise threshold",
    ),
    "fewer steps than it warms up for": ("flux", "taylorseer(disable_cache_before_step=9)", {}, "none of 4 calls"),
    "steps that are all kept": ("flux", "mag_cache(retention_ratio=1.0)", {}, "none of 4 calls"),
    "a range without timesteps": (
        "flux",
        "pyramid_attention_broadcast(spatial_attention_timestep_skip_range=[1, 2])",
        {},
        "none of 4 calls",
    ),
    "an interval of one step": ("stable_diffusion", "deepcache(interval=1)", {}, "an interval of 2 or more"),
    "no share of the tokens": ("stable_diffusion", "tome(ratio=0.0)", {}, "no tokens were merged in 16 calls"),
    "a UNet without attention at its full resolution": ("sdxl", "tome", {}, "no attention at its largest resolution"),
    "offloading to the device that computes": ("flux", "model_offload", {}, "the weights rest on the device that computes, cpu"),
    "linear layers that are left out": ("flux", 'quantize(skip=[""])', {}, "is quantized"),
    "linear layers too small for blocks of 32": ("flux", 'quantize(method="gguf_q8_0", parts=["vae"])', {}, "no linear layer is of a size"),
}
NEEDS = {"deepcache": "DeepCache", "tome": "tomesd", "quantize": "torchao", "model_offload": "accelerate"}


@pytest.mark.parametrize("what", WITHOUT_EFFECT)
def test_it_is_found_out(what):
    name, label, call, said = WITHOUT_EFFECT[what]
    pytest.importorskip(NEEDS.get(label.partition("(")[0], "torch"))
    arms = Arms(name, label, call=call)
    finding = arms.find()
    assert finding.acted is False, finding.text
    assert said in finding.text
    assert torch.equal(arms.draw(), arms.draw_base()), "it has an effect, which its proof does not see"


def test_a_cache_that_is_taken_off_again_is_found_out():
    arms = Arms("flux", "first_block_cache(threshold=0.9)")
    arms.pipeline.transformer.disable_cache()
    assert arms.find().acted is False


def test_tiles_that_are_turned_off_again_are_found_out():
    arms = Arms("flux", "vae_tiling(tile_sample_min_height=8, tile_sample_min_width=8)")
    arms.pipeline.vae.disable_tiling()
    assert arms.find().acted is False


def test_weights_that_did_not_go_back_to_their_small_type_are_found_out():
    arms = Arms("flux", "layerwise_casting")
    for module in arms.pipeline.transformer.modules():
        for hook in getattr(module, "_diffusers_hook", None).hooks.values() if hasattr(module, "_diffusers_hook") else ():
            hook.storage_dtype = torch.float32
    arms.draw()
    assert arms.find().acted is False


def test_group_hooks_that_are_removed_again_are_found_out():
    arms = Arms("flux", "group_offload")
    for module in arms.pipeline.transformer.modules():
        if hasattr(module, "_diffusers_hook"):
            module._diffusers_hook.remove_hook("group_offloading", recurse=False)
    assert arms.find().acted is False


def test_weights_that_are_no_longer_quantized_are_found_out():
    pytest.importorskip("torchao")
    arms = Arms("flux", "quantize")
    arms.pipeline.transformer.load_state_dict(arms.base.pipeline.transformer.state_dict(), assign=True)
    assert arms.find().acted is False


def test_a_part_without_linear_layers_is_refused_though_another_one_can_be_quantized():
    pytest.importorskip("torchao")
    with pytest.raises(RegistrationError, match="quantize: vae, of AutoencoderKLWan, has no linear layer: leave it out of parts"):
        Arms("wan", 'quantize(parts=["transformer", "vae"])')


def test_a_named_part_whose_weights_are_not_small_any_more_is_found_out_though_another_ones_are():
    arms = Arms("flux", 'layerwise_casting(parts=["transformer", "vae"])')
    assert arms.find().acted
    arms.pipeline.vae.to(torch.float32)
    with arms.stack[0].prove(arms.pipeline, **arms.stack[0].options) as answer:
        pass
    assert answer().acted is False
    assert "weights of vae is stored in float8_e4m3fn" in answer().text


def test_sides_that_are_folded_into_channels_are_no_tiles():
    from diffusers import AutoencoderKLWan

    from pytest_sdspeed.pipelines.optimizations.autoencoder import _judge_tiling, _watch

    folded = {"patch_size": 2, "in_channels": 12, "out_channels": 12, "scale_factor_spatial": 16}
    sizes = {"base_dim": 4, "z_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    vae = AutoencoderKLWan(**sizes, **folded, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    vae.enable_tiling()
    with torch.no_grad(), _watch(vae) as seen:
        vae.encode(torch.zeros(1, 3, 1, 32, 32))
    assert _judge_tiling("vae", vae, seen).acted is False
    vae.enable_tiling(tile_sample_min_height=32, tile_sample_min_width=32, tile_sample_stride_height=16, tile_sample_stride_width=16)
    with torch.no_grad(), _watch(vae) as seen:
        vae.encode(torch.zeros(1, 3, 1, 64, 64))
    assert _judge_tiling("vae", vae, seen).acted
