"""The architectures have the documented sizes, and the tokenizer for random weights reads everything."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from pytest_sdspeed.errors import UnknownNameError
from pytest_sdspeed.pipelines.architectures import ARCHITECTURES, Architecture, PublishedCount, find_architecture
from pytest_sdspeed.pipelines.building import build_part
from pytest_sdspeed.pipelines.tokenizer import list_byte_alphabet, make_clip_tokenizer
from pytest_sdspeed.tables import load_tables

SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
DISTINCT = {id(known): model for model, known in reversed(ARCHITECTURES.items())}
DISTINCT = {model: ARCHITECTURES[model] for model in sorted(DISTINCT.values())}
"""One id of each architecture -> the architecture."""
TEXTS = ["a photo of an astronaut", "Ünïcödé, 日本語, 😀, \u0000 tab\t newline\n", "x" * 1000, ""]


def size(module):
    return sum(tensor.numel() for tensor in module.parameters())


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (SD15, 859_520_964),
        ("CompVis/stable-diffusion-v1-4", 859_520_964),
        ("nota-ai/bk-sdm-base", 579_384_964),
        ("nota-ai/bk-sdm-small", 482_346_884),
        ("nota-ai/bk-sdm-tiny", 323_384_964),
    ],
)
def test_unet_sizes(model, parameters):
    with torch.device("meta"):
        assert size(UNet2DConditionModel(**find_architecture(model).find_config("unet"))) == parameters


def test_autoencoder_sizes():
    with torch.device("meta"):
        vae = AutoencoderKL(**find_architecture(SD15).find_config("vae"))
        tiny = AutoencoderTiny(**find_architecture("sayakpaul/taesd-diffusers").find_part("vae"))
    assert (size(vae.encoder), size(vae.decoder)) == (34_163_592, 49_490_179)
    assert size(vae) == 34_163_592 + 49_490_179 + size(vae.quant_conv) + size(vae.post_quant_conv)
    assert (size(tiny.encoder), size(tiny.decoder)) == (1_222_532, 1_222_531)


def test_text_encoder_size():
    with torch.device("meta"):
        assert size(CLIPTextModel(CLIPTextConfig(**find_architecture(SD15).find_config("text_encoder")))) == 123_060_480


def list_published():
    """List the components whose number of parameters is published, each once though models share it."""
    return [(model, part) for model, known in DISTINCT.items() for part in known.parameters]


@cache
def count_part(kind, library, config):
    """Count a component's parameters by its class and configuration, which several models share."""
    files = {"part/config.json": json.loads(config), "model_index.json": {"_class_name": "Any", "part": [library, kind]}}

    def make(_name, build):
        with torch.device("meta"):
            return build()

    return size(build_part("any", "part", Architecture(files=files), make))


def count_component(known, part):
    config = known.find_part(part)
    library, kind = known.index.get(part) or ("diffusers", config["_class_name"])
    return count_part(kind, library, json.dumps(config))


@pytest.mark.parametrize(("model", "part"), list_published())
def test_every_architecture_has_as_many_parameters_as_are_published(model, part):
    known = ARCHITECTURES[model]
    counted, published = count_component(known, part), known.parameters[part]
    assert published.agrees(counted), f"{counted:,} counted, {published.number} published"
    assert published.source


def test_the_models_that_are_asked_for_are_known_and_say_where_they_are_from():
    asked = (
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "CompVis/stable-diffusion-v1-4",
        "stabilityai/stable-diffusion-2-1",
        "stabilityai/stable-diffusion-xl-base-1.0",
        "stabilityai/stable-diffusion-3.5-medium",
        "stabilityai/stable-diffusion-3.5-large",
        "black-forest-labs/FLUX.1-dev",
        "black-forest-labs/FLUX.1-schnell",
        "Qwen/Qwen-Image",
        "Tongyi-MAI/Z-Image-Turbo",
        "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        "Lightricks/LTX-Video",
        "hunyuanvideo-community/HunyuanVideo",
        "zai-org/CogVideoX-2b",
        "zai-org/CogVideoX-5b",
    )
    assert all(ARCHITECTURES[model].source and ARCHITECTURES[model].index for model in asked)
    denoisers = [set(ARCHITECTURES[model].parameters) & {"unet", "transformer"} for model in asked]
    assert all(denoisers)


def test_the_embedding_of_the_guidance_is_what_flux_dev_has_more_than_schnell():
    dev, schnell = (count_component(ARCHITECTURES[f"black-forest-labs/FLUX.1-{name}"], "transformer") for name in ("dev", "schnell"))
    assert dev - schnell == 256 * 3072 + 3072 + 3072 * 3072 + 3072


@pytest.mark.parametrize(
    ("key", "value"), [("num_layers", 18), ("guidance_embeds", False), ("joint_attention_dim", 4095), ("num_attention_heads", 25)]
)
def test_a_wrong_configuration_has_another_number_than_the_published_one(key, value):
    known = ARCHITECTURES["black-forest-labs/FLUX.1-dev"]
    wrong = {**known.files, "transformer/config.json": {**known.find_config("transformer"), key: value}}
    assert not known.parameters["transformer"].agrees(count_component(replace(known, files=wrong), "transformer"))


@pytest.mark.parametrize(
    ("number", "counted", "agrees"),
    [
        ("11,901,408,320", 11_901_408_320, True),
        ("11,901,408,320", 11_901_408_321, False),
        ("12.8B", 12_821_012_544, True),
        ("12.8B", 12_860_000_000, False),
        ("12.8B", 12_749_999_999, False),
        ("246M", 246_478_803, True),
        ("246M", 246_678_803, False),
        ("2.4M", 2_445_063, True),
    ],
)
def test_a_published_number_counts_to_its_last_digit(number, counted, agrees):
    assert PublishedCount(number=number, source="a card").agrees(counted) is agrees


def test_what_half_precision_pipelines_hold_leaves_room_under_the_bounds_on_memory():
    sd14 = find_architecture("CompVis/stable-diffusion-v1-4")
    with torch.device("meta"):
        text = CLIPTextModel(CLIPTextConfig(**sd14.find_config("text_encoder")))
        unets = [
            UNet2DConditionModel(**find_architecture(model).find_config("unet"))
            for model in ("CompVis/stable-diffusion-v1-4", "nota-ai/bk-sdm-small")
        ]
        vaes = [AutoencoderKL(**sd14.find_config("vae")), AutoencoderTiny()]
    held = [
        2 * (size(text) + size(unet) + size(vae)) / 2**30 for unet, vae in zip([unets[0], *unets[1:] * 2], [vaes[0], *vaes], strict=True)
    ]
    assert held == pytest.approx([1.986, 1.283, 1.132], abs=1e-3)
    table = next(table for table in load_tables(()) if table.name == "distillation")
    assert all(share in " ".join(table.notes) for share in ("1.99 GiB", "1.28", "1.13"))
    # A pipeline without the student has a share of 1, which exceeds the bound, even without a byte for activations.
    assert held[1] / held[0] < table.row("distilled").memory < 1
    assert held[2] / held[0] < table.row("distilled_tiny_vae").memory < 1


def test_an_unknown_model_names_the_valid_ones():
    with pytest.raises(UnknownNameError) as caught:
        find_architecture("nobody/nothing")
    assert "unknown architecture for random weights 'nobody/nothing'" in str(caught.value)
    assert all(model in str(caught.value) for model in ARCHITECTURES)


def test_the_alphabet_is_that_of_byte_level_encoding():
    assert len(list_byte_alphabet()) == len(set(list_byte_alphabet())) == 256
    assert list_byte_alphabet()[:3] == ["!", '"', "#"]


@pytest.fixture(scope="module", params=[514, 49408])
def tokenizer(request):
    return request.param, make_clip_tokenizer(request.param)


def test_tokenizer_entries(tokenizer):
    entries, made = tokenizer
    assert len(made) == made.vocab_size == entries
    assert made.model_max_length == 77
    assert sorted(made.get_vocab().values()) == list(range(entries))
    assert {made.bos_token_id, made.eos_token_id, made.pad_token_id} <= set(range(entries))
    assert made.bos_token_id != made.eos_token_id


@pytest.mark.parametrize("text", TEXTS)
def test_tokenizer_reads_any_text(tokenizer, text):
    entries, made = tokenizer
    tokens = made(text, add_special_tokens=False).input_ids
    assert made.unk_token_id not in tokens
    assert all(0 <= token < entries for token in tokens)
    padded = made(text, padding="max_length", truncation=True).input_ids
    assert len(padded) == 77
    assert padded[0] == made.bos_token_id
    assert made.eos_token_id in padded[1:]


def test_tokenizer_tells_texts_apart(tokenizer):
    made = tokenizer[1]
    assert len({tuple(made(text, add_special_tokens=False).input_ids) for text in ["ab", "ba", "a b", "日本"]}) == 4


def test_the_text_encoder_has_a_row_for_every_token():
    text = find_architecture(SD15).find_config("text_encoder")
    made = make_clip_tokenizer(text["vocab_size"])
    assert len(made) == text["vocab_size"]
    assert text["max_position_embeddings"] == made.model_max_length
