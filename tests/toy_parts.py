"""What toy pipelines are made of."""

import torch


def make_vae(**options):
    from diffusers import AutoencoderKL

    default = {
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "latent_channels": 4,
        "norm_num_groups": 2,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "scaling_factor": 0.36,
        "shift_factor": 0.11,
    }
    return AutoencoderKL(**default | options)


def make_flow_scheduler(**options):
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(**options)


def make_words(tokens, channels, names=("prompt_embeds",)):
    return {name: torch.randn(1, tokens, channels) for name in names}


BOTH = ("prompt_embeds", "negative_prompt_embeds")
