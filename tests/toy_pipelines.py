"""Pipelines of diffusers at toy size, with real numbers: a name -> a pipeline and what it is called with.

They run on any version of diffusers that has their classes, and need neither tokenizers nor the network: a prompt is given as its embedding.
"""

import torch

STEPS = 4


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


def hunyuan_video():
    from diffusers import AutoencoderKLHunyuanVideo, HunyuanVideoPipeline, HunyuanVideoTransformer3DModel

    transformer = HunyuanVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=1,
        num_single_layers=1,
        num_refiner_layers=1,
        text_embed_dim=12,
        pooled_projection_dim=6,
        rope_axes_dim=(2, 2, 4),
    )
    vae = AutoencoderKLHunyuanVideo(
        latent_channels=4,
        down_block_types=("HunyuanVideoDownBlock3D",) * 4,
        up_block_types=("HunyuanVideoUpBlock3D",) * 4,
        block_out_channels=(4, 4, 4, 4),
        layers_per_block=1,
        norm_num_groups=2,
    )
    pipeline = HunyuanVideoPipeline(
        transformer=transformer,
        vae=vae,
        scheduler=make_flow_scheduler(shift=7.0),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
    )
    words = make_words(5, 12) | {"pooled_prompt_embeds": torch.randn(1, 6), "prompt_attention_mask": torch.ones(1, 5)}
    return pipeline, words | {"height": 16, "width": 16, "num_frames": 5, "output_type": "pt"}


def mochi():
    from diffusers import AutoencoderKLMochi, MochiPipeline, MochiTransformer3DModel

    transformer = MochiTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        num_layers=2,
        pooled_projection_dim=8,
        in_channels=12,
        text_embed_dim=16,
        time_embed_dim=4,
        max_sequence_length=8,
    )
    vae = AutoencoderKLMochi(
        latent_channels=12,
        encoder_block_out_channels=(32,) * 4,
        decoder_block_out_channels=(32,) * 4,
        layers_per_block=(1,) * 5,
    )
    pipeline = MochiPipeline(transformer=transformer, vae=vae, scheduler=make_flow_scheduler(), text_encoder=None, tokenizer=None)
    masks = {name: torch.ones(1, 8).bool() for name in ("prompt_attention_mask", "negative_prompt_attention_mask")}
    return pipeline, make_words(8, 16, BOTH) | masks | {"height": 16, "width": 16, "num_frames": 7, "output_type": "pt"}


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


class _Words:
    """Stands for a tokenizer, of which the LTX2 pipeline asks for a side and a length."""

    padding_side, model_max_length = "left", 8


def ltx2():
    from diffusers import AutoencoderKLLTX2Audio, AutoencoderKLLTX2Video, LTX2Pipeline, LTX2VideoTransformer3DModel
    from diffusers.pipelines.ltx2 import LTX2TextConnectors, LTX2Vocoder

    transformer = LTX2VideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        audio_in_channels=8,
        audio_out_channels=8,
        audio_num_attention_heads=2,
        audio_attention_head_dim=4,
        audio_cross_attention_dim=8,
        num_layers=1,
        caption_channels=6,
        rope_double_precision=False,
        rope_type="split",
    )
    connectors = LTX2TextConnectors(
        caption_channels=6,
        text_proj_in_factor=3,
        video_connector_num_attention_heads=1,
        video_connector_attention_head_dim=6,
        video_connector_num_layers=1,
        video_connector_num_learnable_registers=4,
        audio_connector_num_attention_heads=1,
        audio_connector_attention_head_dim=6,
        audio_connector_num_layers=1,
        audio_connector_num_learnable_registers=4,
        connector_rope_base_seq_len=16,
        rope_double_precision=False,
        rope_type="split",
    )
    vae = AutoencoderKLLTX2Video(
        latent_channels=4,
        block_out_channels=(8,),
        decoder_block_out_channels=(8,),
        layers_per_block=(1,),
        decoder_layers_per_block=(1, 1),
        spatio_temporal_scaling=(True,),
        decoder_spatio_temporal_scaling=(True,),
        decoder_inject_noise=(False, False),
        downsample_type=("spatial",),
        upsample_residual=(False,),
        upsample_factor=(1,),
        patch_size=1,
    )
    audio_vae = AutoencoderKLLTX2Audio(
        base_channels=8,
        ch_mult=(1,),
        num_res_blocks=1,
        resolution=16,
        latent_channels=4,
        mel_bins=8,
    )
    vocoder = LTX2Vocoder(
        in_channels=16,
        hidden_channels=8,
        upsample_kernel_sizes=[4],
        upsample_factors=[2],
        resnet_kernel_sizes=[3],
        resnet_dilations=[[1, 3]],
        output_sampling_rate=16000,
    )
    pipeline = LTX2Pipeline(
        transformer=transformer,
        connectors=connectors,
        vae=vae,
        audio_vae=audio_vae,
        vocoder=vocoder,
        scheduler=make_flow_scheduler(),
        text_encoder=None,
        tokenizer=_Words(),
    )
    words = make_words(8, 18, BOTH)
    masks = {name: torch.ones(1, 8) for name in ("prompt_attention_mask", "negative_prompt_attention_mask")}
    return pipeline, words | masks | {"height": 32, "width": 32, "num_frames": 5, "output_type": "latent"}


def cogvideox():
    from diffusers import AutoencoderKLCogVideoX, CogVideoXDDIMScheduler, CogVideoXPipeline, CogVideoXTransformer3DModel

    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=4,
        time_embed_dim=4,
        text_embed_dim=12,
        num_layers=1,
        sample_width=2,
        sample_height=2,
        sample_frames=9,
        max_text_seq_length=8,
    )
    vae = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=2,
    )
    pipeline = CogVideoXPipeline(transformer=transformer, vae=vae, scheduler=CogVideoXDDIMScheduler(), tokenizer=None, text_encoder=None)
    call = {"height": 16, "width": 16, "num_frames": 8, "use_dynamic_cfg": True, "max_sequence_length": 8, "output_type": "latent"}
    return pipeline, make_words(8, 12, BOTH) | call


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


def wan():
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel

    transformer = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=4,
        text_dim=12,
        freq_dim=8,
        ffn_dim=16,
        num_layers=1,
    )
    vae = AutoencoderKLWan(base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    pipeline = WanPipeline(
        transformer=transformer,
        vae=vae,
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        text_encoder=None,
        tokenizer=None,
    )
    return pipeline, make_words(5, 12, BOTH) | {"height": 16, "width": 16, "num_frames": 5, "output_type": "pt"}


def ltx():
    from diffusers import AutoencoderKLLTXVideo, LTXPipeline, LTXVideoTransformer3DModel

    transformer = LTXVideoTransformer3DModel(
        in_channels=4,
        out_channels=4,
        num_attention_heads=2,
        attention_head_dim=8,
        cross_attention_dim=16,
        num_layers=1,
        caption_channels=12,
    )
    vae = AutoencoderKLLTXVideo(
        latent_channels=4,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
    )
    pipeline = LTXPipeline(transformer=transformer, vae=vae, scheduler=make_flow_scheduler(), text_encoder=None, tokenizer=None)
    masks = {name: torch.ones(1, 5) for name in ("prompt_attention_mask", "negative_prompt_attention_mask")}
    return pipeline, make_words(5, 12, BOTH) | masks | {"height": 32, "width": 32, "num_frames": 9, "output_type": "latent"}


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
