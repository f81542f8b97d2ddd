"""Pipelines of diffusers at toy size, with real numbers: a name -> a pipeline and what it is called with.

They run on any version of diffusers that has their classes, and need neither tokenizers nor the network: a prompt is given as its embedding.
"""

import torch
from toy_parts import BOTH, make_flow_scheduler, make_vae, make_words
from toy_videos import cogvideox, hunyuan_video, ltx, ltx2, mochi, wan

STEPS = 4


def stable_diffusion(scheduler=None):
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
        sample_size=8,
    )
    pipeline = StableDiffusionPipeline(
        unet=unet,
        vae=make_vae(shift_factor=None, scaling_factor=0.18),
        scheduler=scheduler or DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        text_encoder=None,
        tokenizer=None,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return pipeline, make_words(5, 8, BOTH) | {"output_type": "pt"}


def stable_diffusion_euler():
    from diffusers import EulerDiscreteScheduler

    return stable_diffusion(EulerDiscreteScheduler(steps_offset=1))


def flux():
    from diffusers import FluxPipeline, FluxTransformer2DModel

    transformer = FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=12,
        pooled_projection_dim=6,
        axes_dims_rope=(2, 2, 4),
        guidance_embeds=True,
    )
    pipeline = FluxPipeline(
        transformer=transformer,
        vae=make_vae(),
        scheduler=make_flow_scheduler(use_dynamic_shifting=True),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
    )
    words = make_words(5, 12) | {"pooled_prompt_embeds": torch.randn(1, 6)}
    return pipeline, words | {"height": 16, "width": 16, "output_type": "pt"}


def chroma():
    from diffusers import ChromaPipeline, ChromaTransformer2DModel

    transformer = ChromaTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=12,
        axes_dims_rope=(2, 2, 4),
        approximator_num_channels=8,
        approximator_hidden_dim=8,
        approximator_layers=1,
    )
    pipeline = ChromaPipeline(transformer=transformer, vae=make_vae(), scheduler=make_flow_scheduler(), text_encoder=None, tokenizer=None)
    masks = {name: torch.ones(1, 5) for name in ("prompt_attention_mask", "negative_prompt_attention_mask")}
    return pipeline, make_words(5, 12, BOTH) | masks | {"height": 16, "width": 16, "output_type": "pt"}


def lumina2():
    from diffusers import Lumina2Pipeline, Lumina2Transformer2DModel

    transformer = Lumina2Transformer2DModel(
        sample_size=8,
        in_channels=4,
        hidden_size=16,
        num_layers=1,
        num_refiner_layers=1,
        num_attention_heads=2,
        num_kv_heads=1,
        multiple_of=8,
        axes_dim_rope=(4, 2, 2),
        axes_lens=(32, 32, 32),
        cap_feat_dim=12,
    )
    pipeline = Lumina2Pipeline(transformer=transformer, vae=make_vae(), scheduler=make_flow_scheduler(), text_encoder=None, tokenizer=None)
    masks = {name: torch.ones(1, 5).long() for name in ("prompt_attention_mask", "negative_prompt_attention_mask")}
    return pipeline, make_words(5, 12, BOTH) | masks | {"height": 32, "width": 32, "output_type": "pt"}


def aura_flow():
    from diffusers import AuraFlowPipeline, AuraFlowTransformer2DModel

    transformer = AuraFlowTransformer2DModel(
        sample_size=8,
        in_channels=4,
        num_mmdit_layers=1,
        num_single_dit_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=12,
        caption_projection_dim=16,
        pos_embed_max_size=64,
    )
    pipeline = AuraFlowPipeline(
        transformer=transformer,
        vae=make_vae(shift_factor=None),
        scheduler=make_flow_scheduler(),
        text_encoder=None,
        tokenizer=None,
    )
    masks = {name: torch.ones(1, 5) for name in ("prompt_attention_mask", "negative_prompt_attention_mask")}
    return pipeline, make_words(5, 12, BOTH) | masks | {"height": 16, "width": 16, "output_type": "pt"}


def z_image():
    from diffusers import ZImagePipeline, ZImageTransformer2DModel

    transformer = ZImageTransformer2DModel(
        in_channels=4,
        dim=16,
        n_layers=1,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=12,
        axes_dims=[4, 2, 2],
        axes_lens=[256, 32, 32],
    )
    with torch.no_grad():
        for token in (transformer.x_pad_token, transformer.cap_pad_token):
            token.zero_()
    pipeline = ZImagePipeline(transformer=transformer, vae=make_vae(), scheduler=make_flow_scheduler(), text_encoder=None, tokenizer=None)
    words = {name: [torch.randn(5, 12)] for name in BOTH}
    return pipeline, words | {"height": 32, "width": 32, "guidance_scale": 3.0, "output_type": "pt"}


def sdxl():
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        transformer_layers_per_block=(1, 2),
        cross_attention_dim=8,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=30,
        norm_num_groups=4,
        sample_size=8,
    )
    pipeline = StableDiffusionXLPipeline(
        unet=unet,
        vae=make_vae(shift_factor=None, scaling_factor=0.13, force_upcast=False),
        scheduler=EulerDiscreteScheduler(),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        add_watermarker=False,
    )
    pooled = {name: torch.randn(1, 6) for name in ("pooled_prompt_embeds", "negative_pooled_prompt_embeds")}
    return pipeline, make_words(5, 8, BOTH) | pooled | {"output_type": "pt"}


def stable_diffusion_3():
    from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline

    transformer = SD3Transformer2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=12,
        caption_projection_dim=16,
        pooled_projection_dim=6,
        pos_embed_max_size=16,
    )
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer,
        vae=make_vae(),
        scheduler=make_flow_scheduler(),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        text_encoder_3=None,
        tokenizer_3=None,
    )
    pooled = {name: torch.randn(1, 6) for name in ("pooled_prompt_embeds", "negative_pooled_prompt_embeds")}
    return pipeline, make_words(5, 12, BOTH) | pooled | {"height": 16, "width": 16, "output_type": "pt"}


PIPELINES = {
    make.__name__: make
    for make in (
        stable_diffusion,
        stable_diffusion_euler,
        sdxl,
        stable_diffusion_3,
        flux,
        chroma,
        hunyuan_video,
        mochi,
        lumina2,
        aura_flow,
        z_image,
        ltx2,
        cogvideox,
        wan,
        ltx,
    )
}
