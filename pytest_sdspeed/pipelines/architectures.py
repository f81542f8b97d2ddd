"""Architectures by model name: the configurations that random weights are put into.

Sources: the ``config.json`` files of the hub repositories named below; BK-SDM
(Nota-NetsPresso/BK-SDM) for the students.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_sdspeed.errors import UnknownNameError

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Configuration of every part of a Stable Diffusion pipeline; None if a repository lacks it."""

    unet: Config | None = None
    vae: Config | None = None
    tiny_vae: Config | None = None
    text_encoder: Config | None = None
    scheduler: Config | None = None


def _make_unet(channels: tuple[int, ...], layers: int, **extra: Any) -> Config:
    plain_last = len(channels) - 1
    return {
        "sample_size": 64,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": channels,
        "layers_per_block": layers,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
        "down_block_types": ("CrossAttnDownBlock2D",) * plain_last + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * plain_last,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "downsample_padding": 1,
        "norm_eps": 1e-5,
        **extra,
    }


_SD1_VAE: Config = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "sample_size": 512,
    "scaling_factor": 0.18215,
}

SCHEDULER: Config = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
}
"""Noise schedule of Stable Diffusion 1; PNDM and DDIM are both made from it."""

_SD1_TEXT: Config = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
}

_SD1_CHANNELS = (320, 640, 1280, 1280)
_SD1 = Architecture(
    unet=_make_unet(_SD1_CHANNELS, 2),
    vae=_SD1_VAE,
    text_encoder=_SD1_TEXT,
    scheduler=SCHEDULER,
)
_BK_TINY: Config = {
    **_make_unet(_SD1_CHANNELS[:3], 1, mid_block_type=None),
    "down_block_types": ("CrossAttnDownBlock2D",) * 3,
    "up_block_types": ("CrossAttnUpBlock2D",) * 3,
}

ARCHITECTURES: Mapping[str, Architecture] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": _SD1,
    "CompVis/stable-diffusion-v1-4": _SD1,
    "nota-ai/bk-sdm-base": Architecture(unet=_make_unet(_SD1_CHANNELS, 1)),
    "nota-ai/bk-sdm-small": Architecture(unet=_make_unet(_SD1_CHANNELS, 1, mid_block_type=None)),
    "nota-ai/bk-sdm-tiny": Architecture(unet=_BK_TINY),
    "sayakpaul/taesd-diffusers": Architecture(tiny_vae={}),
}


def find_architecture(model: str) -> Architecture:
    """Return the architecture of a model by its hub id.

    Raises:
        UnknownNameError: this project knows no configuration of that model.
    """
    if model not in ARCHITECTURES:
        raise UnknownNameError("architecture for random weights", model, ARCHITECTURES)
    return ARCHITECTURES[model]
