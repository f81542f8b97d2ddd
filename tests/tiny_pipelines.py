"""Saved pipelines of a few thousand seeded weights, with text encoders and tokenizers: what ``from_pretrained`` finds on a disk.

How to use it::

    from tiny_pipelines import RECIPES, save_pipeline

    folder = save_pipeline("flux", tmp_path_factory.mktemp("tiny"))   # -> tmp/flux, under 2 MB, saved in well under a second
    recipe = Recipe(model=str(folder), **RECIPES["flux"])             # draws in well under a second, on the CPU
    recipe = tiny_recipe("wan", tmp_path)                             # both at once

Names are the keys of ``RECIPES``: ``sdxl``, ``sd3``, ``flux``, ``wan`` and ``ltx`` (videos), ``img2img`` and ``inpaint`` (of Stable
Diffusion), ``sdxl_img2img``. The same name always has the same weights. Pictures show nothing; those of another seed differ by far more
(PSNR under 30) than those of another dtype (over 40), but for what a test finds to be otherwise. ``toml_recipe`` writes a recipe as a table's.
"""

from __future__ import annotations

import json
import os
import zlib

import pytest
import torch
from small import SCHEDULER, TEXT, UNET, VAE
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.model import Recipe
from pytest_sdspeed.pipelines.tokenizer import make_clip_tokenizer

PICTURE = {"prompt": "a horse", "height": 32, "width": 32, "steps": 2, "scheduler": None, "guidance": 5.0}
VIDEO = {**PICTURE, "frames": 9, "guidance": 3.0}
RECIPES = {
    "sdxl": PICTURE,
    "sd3": PICTURE,
    "flux": {**PICTURE, "guidance": 3.5},
    "wan": VIDEO,
    "ltx": VIDEO,
    "img2img": {**PICTURE, "steps": 4, "inputs": ("image",), "call": {"strength": 0.5}},
    "inpaint": {**PICTURE, "inputs": ("image", "mask_image")},
    "sdxl_img2img": {**PICTURE, "steps": 4, "inputs": ("image",), "call": {"strength": 0.5}},
}
"""Name -> the fields of a recipe but for its model."""
_CI = ("sdxl", "wan", "inpaint")
"""Of each kind one: the others ask no other question of this project, and a minute more of a machine."""
BY_REQUEST = pytest.mark.skipif(
    os.environ.get("SDSPEED_TEST_PIPELINES") != "1", reason="as every other pipeline: set SDSPEED_TEST_PIPELINES=1"
)
_CLIP = {**TEXT, "hidden_size": 32, "projection_dim": 32}
_T5 = {"vocab_size": TEXT["vocab_size"], "d_model": 32, "d_ff": 37, "d_kv": 8, "num_layers": 1, "num_heads": 4}
_FLAT_VAE = {
    "block_out_channels": (8,),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
    "shift_factor": 0.06,
}


def mark_kinds(quick, names=tuple(RECIPES)):
    """Return pipelines as parameters: the quick ones, those of a whole run, and those that are tested by request."""
    marks = {name: [pytest.mark.slow] if name in _CI else [pytest.mark.slow, BY_REQUEST] for name in names}
    return [name if name in quick else pytest.param(name, marks=marks[name]) for name in names]


def save_pipeline(name, folder):
    """Save a pipeline in a folder of its name, and return that folder."""
    target = folder / name
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(zlib.crc32(name.encode()))
        _BUILDERS[name]().save_pretrained(target)
    return target


def tiny_recipe(name, folder, **others):
    """Save a pipeline, and return a recipe that draws with it."""
    return Recipe(model=str(save_pipeline(name, folder)), **{**RECIPES[name], **others})


def _clip(kind=CLIPTextModel):
    return kind(CLIPTextConfig(**_CLIP)).eval()


def _t5():
    return T5EncoderModel(T5Config(**_T5)).eval()


def _tokenizer():
    return make_clip_tokenizer(TEXT["vocab_size"])


def _stable_diffusion(kind, channels=4):
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel

    return kind(
        vae=AutoencoderKL(**VAE).eval(),
        text_encoder=CLIPTextModel(CLIPTextConfig(**TEXT)).eval(),
        tokenizer=_tokenizer(),
        unet=UNet2DConditionModel(**UNET, in_channels=channels).eval(),
        scheduler=PNDMScheduler(**SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _img2img():
    from diffusers import StableDiffusionImg2ImgPipeline

    return _stable_diffusion(StableDiffusionImg2ImgPipeline)


def _inpaint():
    from diffusers import StableDiffusionInpaintPipeline

    return _stable_diffusion(StableDiffusionInpaintPipeline, channels=9)


def _sdxl(name="StableDiffusionXLPipeline"):
    import diffusers

    unet = {
        **UNET,
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 64,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 80,
    }
    return getattr(diffusers, name)(
        vae=diffusers.AutoencoderKL(**VAE).eval(),
        text_encoder=_clip(),
        text_encoder_2=_clip(CLIPTextModelWithProjection),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        unet=diffusers.UNet2DConditionModel(**unet).eval(),
        scheduler=diffusers.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1),
    )


def _sd3():
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=32,
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=64,
            pooled_projection_dim=64,
        ).eval(),
        text_encoder=_clip(CLIPTextModelWithProjection),
        text_encoder_2=_clip(CLIPTextModelWithProjection),
        text_encoder_3=T5EncoderModel(T5Config(**{**_T5, "d_model": 64})).eval(),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        tokenizer_3=_tokenizer(),
        vae=AutoencoderKL(**_FLAT_VAE, latent_channels=4).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def _flux():
    from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        text_encoder=_clip(),
        text_encoder_2=_t5(),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=2,
            num_single_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=32,
            axes_dims_rope=[4, 4, 8],
            guidance_embeds=True,
        ).eval(),
        vae=AutoencoderKL(**_FLAT_VAE, latent_channels=4).eval(),
    )


def _wan():
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel

    vae = AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]).eval()
    with torch.no_grad():  # with its first weights all videos are alike
        for part in (vae.decoder.conv_in, vae.decoder.conv_out):
            part.weight *= 6
    return WanPipeline(
        transformer=WanTransformer3DModel(
            patch_size=(1, 2, 2),
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=16,
            out_channels=16,
            text_dim=32,
            freq_dim=32,
            ffn_dim=32,
            num_layers=2,
            cross_attn_norm=True,
            qk_norm="rms_norm_across_heads",
            rope_max_seq_len=32,
        ).eval(),
        vae=vae,
        text_encoder=_t5(),
        tokenizer=_tokenizer(),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
    )


def _ltx():
    from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXPipeline, LTXVideoTransformer3DModel

    return LTXPipeline(
        transformer=LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            patch_size=1,
            patch_size_t=1,
            num_attention_heads=4,
            attention_head_dim=8,
            cross_attention_dim=32,
            num_layers=2,
            caption_channels=32,
        ).eval(),
        vae=AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
            spatio_temporal_scaling=(True, True, False, False),
            decoder_spatio_temporal_scaling=(True, True, False, False),
            decoder_inject_noise=(False,) * 5,
            upsample_residual=(False,) * 4,
            upsample_factor=(1,) * 4,
            patch_size=1,
            patch_size_t=1,
        ).eval(),
        text_encoder=_t5(),
        tokenizer=_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )


_BUILDERS = {
    "sdxl": _sdxl,
    "sd3": _sd3,
    "flux": _flux,
    "wan": _wan,
    "ltx": _ltx,
    "img2img": _img2img,
    "inpaint": _inpaint,
    "sdxl_img2img": lambda: _sdxl("StableDiffusionXLImg2ImgPipeline"),
}


def toml_recipe(name, folder, **others):
    """Return the keys of a recipe as a table of schema 2 has them."""
    facts = {"model": str(folder), **RECIPES[name], **others}
    call = facts.pop("call", {})
    keys = [
        f"{key} = {json.dumps(list(value) if isinstance(value, tuple) else value)}" for key, value in facts.items() if value is not None
    ]
    return "\n".join([*keys, *(["[recipe.call]"] if call else []), *(f"{key} = {json.dumps(value)}" for key, value in call.items())])


TABLE = """\
schema = 2
name = "tiny"
title = "A tiny pipeline"
source = "https://example.org/tiny"
device = "cpu"
[recipe]
{recipe}
[[rows]]
setup = "baseline"
optimizations = []
latency_s = 1.5
speedup = 1
"""
"""A table of schema 2 without any row but its baseline; ``recipe`` is what ``toml_recipe`` returns."""
