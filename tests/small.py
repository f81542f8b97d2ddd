"""A Stable Diffusion of a few thousand weights, saved in the layout of the hub's repositories."""

from dataclasses import replace

from diffusers import AutoencoderKL, AutoencoderTiny, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.pipelines.architectures import Architecture
from pytest_sdspeed.pipelines.tokenizer import make_clip_tokenizer

UNET = {
    "sample_size": 8,
    "block_out_channels": (16, 32),
    "layers_per_block": 2,
    "cross_attention_dim": 16,
    "attention_head_dim": 2,
    "norm_num_groups": 8,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
STUDENT = {**UNET, "layers_per_block": 1, "mid_block_type": None}
VAE = {
    "block_out_channels": (16, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "norm_num_groups": 8,
}
TINY_VAE = {
    "encoder_block_out_channels": (8, 8),
    "decoder_block_out_channels": (8, 8),
    "num_encoder_blocks": (1, 1),
    "num_decoder_blocks": (1, 1),
}
TEXT = {
    "vocab_size": 514,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "bos_token_id": 512,
    "eos_token_id": 513,
}
SCHEDULER = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "skip_prk_steps": True, "steps_offset": 1}


def make_architecture(unet=None, vae=None, text_encoder=None, scheduler=None, tiny_vae=None):
    """Make the architecture of a Stable Diffusion, or of a part of one."""
    parts = {
        "unet": ("diffusers", "UNet2DConditionModel", unet),
        "vae": ("diffusers", "AutoencoderKL", vae),
        "text_encoder": ("transformers", "CLIPTextModel", text_encoder),
    }
    files = {f"{name}/config.json": {"_class_name": kind, **config} for name, (_, kind, config) in parts.items() if config}
    if tiny_vae:
        files["config.json"] = {"_class_name": "AutoencoderTiny", **tiny_vae}
    if scheduler:
        files["scheduler/scheduler_config.json"] = scheduler
        files["model_index.json"] = {
            "_class_name": "StableDiffusionPipeline",
            "scheduler": ["diffusers", "PNDMScheduler"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            **{name: [library, kind] for name, (library, kind, _) in parts.items()},
        }
    return Architecture(files=files)


ONE_BLOCK = make_architecture(
    unet={
        **UNET,
        "block_out_channels": (16,),
        "layers_per_block": 1,
        "mid_block_type": None,
        "down_block_types": ("CrossAttnDownBlock2D",),
        "up_block_types": ("CrossAttnUpBlock2D",),
    },
    vae={**VAE, "block_out_channels": (16,), "down_block_types": ("DownEncoderBlock2D",), "up_block_types": ("UpDecoderBlock2D",)},
    text_encoder=TEXT,
    scheduler=SCHEDULER,
)
"""A block on either side, for what takes long for each: to compile it, to trace it, to draw often. It does not halve the sides of pictures."""
ARCHITECTURES = {
    "small": make_architecture(unet=UNET, vae=VAE, text_encoder=TEXT, scheduler=SCHEDULER),
    "small-student": make_architecture(unet=STUDENT),
    "small-tiny-vae": make_architecture(tiny_vae=TINY_VAE),
}


def exchange_unet(architecture, unet):
    """Return an architecture with another configuration of its UNet."""
    return replace(architecture, files={**architecture.files, "unet/config.json": {"_class_name": "UNet2DConditionModel", **unet}})


def save_small_models(folder, base=ARCHITECTURES["small"]):
    """Save pipeline, student and tiny autoencoder.

    Args:
        folder: where to.
        base: architecture of the pipeline.

    Returns:
        The recipe's ``model``, ``student`` and ``tiny_vae``.
    """
    import torch

    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        pipeline = StableDiffusionPipeline(
            vae=AutoencoderKL(**base.find_config("vae")),
            text_encoder=CLIPTextModel(CLIPTextConfig(**TEXT)),
            tokenizer=make_clip_tokenizer(TEXT["vocab_size"]),
            unet=UNet2DConditionModel(**base.find_config("unet")),
            scheduler=PNDMScheduler(**SCHEDULER),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.save_pretrained(folder / "base")
        UNet2DConditionModel(**STUDENT).save_pretrained(folder / "student" / "unet")
        AutoencoderTiny(**TINY_VAE).save_pretrained(folder / "taesd")
    return {"model": str(folder / "base"), "student": str(folder / "student"), "tiny_vae": str(folder / "taesd")}
