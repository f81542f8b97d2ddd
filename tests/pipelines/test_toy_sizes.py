"""Every known pipeline at toy size: it draws in a moment, and its pictures tell seeds, prompts and types apart."""

from __future__ import annotations

import inspect
import time

import numpy as np
import pytest
import torch

from pytest_sdspeed.pipelines.architectures import ARCHITECTURES
from pytest_sdspeed.pipelines.calls import make_arguments
from pytest_sdspeed.pipelines.shrinking import shrink_architecture, shrink_config
from pytest_sdspeed.pipelines.sources import TinySource
from pytest_sdspeed.pipelines.tokenizer import make_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' Euler, with numpy 2
MODELS = sorted({id(known): model for model, known in ARCHITECTURES.items() if known.index}.values())
PROMPT = "a photo of an astronaut riding a horse on mars"
QWEN = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial relationships of the"
    " objects and background:<|im_end|>\n<|im_start|>user\n"
)
LLAMA = (
    "<|start_header_id|>system<|end_header_id|>\n\nDescribe the video by detailing the following aspects: 1. The main content and theme of"
    " the video.2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects.3. Actions, events, behaviors"
    " temporal relationships, physical movement changes of the objects.4. background environment, light, style and atmosphere.5. camera"
    " angles, movements, and transitions used in the video:<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
)


def draw(pipeline, seed=0, prompt=PROMPT):
    pipeline.set_progress_bar_config(disable=True)
    taken = inspect.signature(type(pipeline).__call__).parameters
    frames = {"num_frames": 9} if "num_frames" in taken else {}
    common = {"height": 64, "width": 64, "num_inference_steps": 2, "prompt": prompt, **frames}
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        made = pipeline(**make_arguments(pipeline, {**common, "generator": generator}, seed=0))
    return (made.frames if frames else made.images).float().numpy()


def psnr(one, other):
    return -10 * np.log10(np.mean((one - other) ** 2) + 1e-12)


SATURATED = {"THUDM/CogVideoX-5b": 0.55}
"""Model -> most of its values that may be black or white; 0.52 are."""


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_a_toy_tells_seeds_and_prompts_apart_and_forgives_a_type(model):
    source = TinySource("cpu")
    full = source.load_pipeline(model, "float32")
    draw(full)
    before = time.process_time()
    picture = draw(full)
    assert time.process_time() - before < 5  # a tenth of that on a quiet core
    assert picture.shape[-2:] == (64, 64)
    assert np.isfinite(picture).all()
    assert picture.std() > 0.05
    assert 0 < (picture == 0).mean() + (picture == 1).mean() < SATURATED.get(model, 0.5) or picture.std() < 0.3
    assert np.array_equal(picture, draw(source.load_pipeline(model, "float32")))
    rounded = psnr(picture, draw(source.load_pipeline(model, "bfloat16")))
    seed, prompt = psnr(picture, draw(full, seed=1)), psnr(picture, draw(full, prompt="two cats on a red sofa"))
    assert rounded > 30
    assert seed < 20 < rounded - 10
    assert prompt < min(45, rounded - 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "tiny"),
    [
        ("CompVis/stable-diffusion-v1-4", "sayakpaul/taesd-diffusers"),
        ("stabilityai/stable-diffusion-xl-base-1.0", "madebyollin/taesdxl"),
        ("stabilityai/stable-diffusion-3.5-medium", "madebyollin/taesd3"),
        ("black-forest-labs/FLUX.1-schnell", "madebyollin/taef1"),
    ],
)
def test_toy_autoencoders_fit_the_toy_pipelines(model, tiny):
    source = TinySource("cpu")
    pipeline = source.load_pipeline(model, "float32")
    plain = draw(pipeline)
    components = {**pipeline.components, "vae": source.load_part("vae", tiny, "float32")}
    checker = {"requires_safety_checker": False} if "safety_checker" in components else {}
    pipeline = type(pipeline)(**components, **checker)
    with_tiny = draw(pipeline)
    assert with_tiny.shape == plain.shape
    assert with_tiny.std() > 0.05
    assert psnr(with_tiny, draw(pipeline, seed=1)) < 30


@pytest.mark.slow
@pytest.mark.parametrize("student", ["nota-ai/bk-sdm-base", "nota-ai/bk-sdm-small", "nota-ai/bk-sdm-tiny"])
def test_toy_students_fit_the_toy_pipelines(student):
    source = TinySource("cpu")
    pipeline = source.load_pipeline("CompVis/stable-diffusion-v1-4", "float32")
    plain = draw(pipeline)
    pipeline.unet = source.load_part("unet", student, "float32")
    assert psnr(plain, draw(pipeline)) < 20


@pytest.mark.parametrize("model", MODELS)
def test_what_is_equally_wide_at_full_size_is_equally_wide_at_toy_size(model):
    known = ARCHITECTURES[model]
    toy = shrink_architecture(known)
    text = {name: known.find_config(name) for name in known.index if name.startswith("text_encoder")}
    denoiser = "unet" if "unet" in known.index else "transformer"
    for key in ("joint_attention_dim", "cap_feat_dim", "text_dim", "text_embed_dim", "caption_channels"):
        if key not in known.find_config(denoiser):
            continue
        wide = known.find_config(denoiser)[key]
        (owner, name), *_ = [
            (owner, name)
            for owner, config in text.items()
            for name in ("d_model", "hidden_size")
            if {**config, **config.get("text_config", {})}.get(name) == wide
        ]
        small = toy.find_config(owner)
        assert {**small, **small.get("text_config", {})}[name] == toy.find_config(denoiser)[key] < wide / 10


@pytest.mark.parametrize("model", MODELS)
def test_a_toy_keeps_its_classes_its_channels_and_how_far_it_compresses(model):
    known = ARCHITECTURES[model]
    toy = shrink_architecture(known)
    assert toy.index == known.index
    full, small = known.find_config("vae"), toy.find_config("vae")
    kept = (
        "latent_channels",
        "z_dim",
        "dim_mult",
        "temperal_downsample",
        "patch_size",
        "scaling_factor",
        "latents_mean",
        "down_block_types",
    )
    assert {key: full.get(key) for key in kept} == {key: small.get(key) for key in kept}
    assert known.find_config("scheduler") == toy.find_config("scheduler")


def test_parts_of_a_head_that_turn_fill_it():
    flux = shrink_config({"num_attention_heads": 24, "attention_head_dim": 128, "axes_dims_rope": [16, 56, 56]})
    assert flux == {"num_attention_heads": 2, "attention_head_dim": 16, "axes_dims_rope": (2, 6, 8)}
    qwen = shrink_config(
        {
            "hidden_size": 3584,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "rope_scaling": {"mrope_section": [16, 24, 24], "type": "mrope"},
        }
    )
    assert sum(qwen["rope_scaling"]["mrope_section"]) * 2 == qwen["hidden_size"] // qwen["num_attention_heads"]
    assert qwen["num_attention_heads"] % qwen["num_key_value_heads"] == 0


def test_as_large_a_part_of_the_blocks_attends_twice():
    assert shrink_config({"num_attention_heads": 24, "attention_head_dim": 64, "num_layers": 24, "dual_attention_layers": [*range(13)]})[
        "dual_attention_layers"
    ] == (0,)


@pytest.mark.parametrize(("kind", "template", "tokens"), [("Qwen2Tokenizer", QWEN, 34), ("LlamaTokenizerFast", LLAMA, 95)])
def test_made_up_words_are_about_as_many_as_the_models_own(kind, template, tokens):
    # As many as the pipelines of Qwen-Image and HunyuanVideo cut off: what is left is the prompt.
    config = {"vocab_size": 4096, "bos_token_id": 4000, "eos_token_id": 4001}
    assert len(make_tokenizer(kind, config)(template).input_ids) == tokens


@pytest.mark.parametrize("kind", ["T5Tokenizer", "T5TokenizerFast", "Qwen2Tokenizer", "LlamaTokenizerFast", "GemmaTokenizer"])
@pytest.mark.parametrize("text", ["a photo of an astronaut", "Ünïcödé, 日本語, 😀, \u0000 tab\t newline\n", "x" * 1000, "", "<|im_start|>"])
def test_made_up_words_read_any_text(kind, text):
    made = make_tokenizer(kind, {"vocab_size": 32128, "eos_token_id": 1, "pad_token_id": 0})
    tokens = made(text).input_ids
    assert all(0 <= token < 32128 for token in tokens)
    assert (tokens[-1:] == [1]) is kind.startswith("T5")
    padded = made([text, "a b"], padding="max_length", max_length=16, truncation=True, return_tensors="pt")
    assert padded.input_ids.shape == padded.attention_mask.shape == (2, 16)
    assert len(made) == made.vocab_size == len(made.get_vocab()) == 32128
    assert isinstance(made.decode(tokens), str)


def test_made_up_words_tell_texts_apart_and_know_a_conversation():
    made = make_tokenizer("Qwen2Tokenizer", {"text_config": {"vocab_size": 151936, "eos_token_id": 151645}})
    texts = ("a horse", "horse a", "hors e", "a horsé", "日本", "日 本", "1 2", "12")
    assert len({tuple(made(text).input_ids) for text in texts}) == len(texts)
    said = made.apply_chat_template([{"role": "user", "content": "a cat"}], tokenize=False, add_generation_prompt=True)
    assert said == "<|im_start|>user\na cat<|im_end|>\n<|im_start|>assistant\n"
