"""Pipelines of diffusers for videos at toy size; see ``toy_pipelines``."""

import torch
from toy_parts import BOTH, make_flow_scheduler, make_words


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
