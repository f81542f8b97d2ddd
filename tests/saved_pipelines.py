"""Saved pipelines of the smallest size, without weights: what a folder of the hub is before it is downloaded."""

from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionImg2ImgPipeline,
)
from small import TEXT, save_small_models
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.pipelines.tokenizer import make_clip_tokenizer

_VAE = {"block_out_channels": (4,), "layers_per_block": 1, "norm_num_groups": 1, "sample_size": 32}


def drop_weights(folder):
    """Delete the weights of a saved pipeline, so that reading them is an error."""
    dropped = [file for pattern in ("*.safetensors", "*.bin") for file in folder.rglob(pattern)]
    assert dropped
    for file in dropped:
        file.unlink()
    return folder


def save_stable_diffusion(folder):
    save_small_models(folder)
    return drop_weights(folder / "base")


def save_from_picture(folder):
    """Save what draws from a picture and a text."""
    with quiet():
        save_small_models(folder)
        StableDiffusionImg2ImgPipeline.from_pretrained(folder / "base").save_pretrained(folder / "from picture")
    return drop_weights(folder / "from picture")


def save_flux(folder):
    with quiet():
        FluxPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            text_encoder=CLIPTextModel(CLIPTextConfig(**{**TEXT, "hidden_size": 32, "projection_dim": 32})),
            text_encoder_2=T5EncoderModel(T5Config(vocab_size=514, d_model=32, d_ff=37, d_kv=8, num_layers=1, num_heads=4)),
            tokenizer=make_clip_tokenizer(TEXT["vocab_size"]),
            tokenizer_2=make_clip_tokenizer(TEXT["vocab_size"]),
            transformer=FluxTransformer2DModel(
                patch_size=1,
                in_channels=4,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=32,
                pooled_projection_dim=32,
                axes_dims_rope=[4, 4, 8],
            ),
            vae=AutoencoderKL(**_VAE, latent_channels=1, use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06),
        ).save_pretrained(folder / "flux")
    return drop_weights(folder / "flux")


def save_of_classes(folder):
    """Save what draws classes of pictures and takes no text."""
    with quiet():
        DiTPipeline(
            transformer=DiTTransformer2DModel(
                sample_size=8, num_layers=1, patch_size=4, attention_head_dim=8, num_attention_heads=2, in_channels=4, out_channels=8
            ),
            vae=AutoencoderKL(**_VAE, latent_channels=4),
            scheduler=DDIMScheduler(),
        ).save_pretrained(folder / "of classes")
    return drop_weights(folder / "of classes")
