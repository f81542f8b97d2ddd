"""The architectures have the documented sizes, and the tokenizer for random weights reads everything."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from pytest_sdspeed.errors import UnknownNameError
from pytest_sdspeed.pipelines.architectures import ARCHITECTURES, find_architecture
from pytest_sdspeed.pipelines.tokenizer import list_byte_alphabet, make_clip_tokenizer
from pytest_sdspeed.tables import load_tables

SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
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
        assert size(UNet2DConditionModel(**find_architecture(model).unet)) == parameters


def test_autoencoder_sizes():
    with torch.device("meta"):
        vae = AutoencoderKL(**find_architecture(SD15).vae)
        tiny = AutoencoderTiny(**find_architecture("sayakpaul/taesd-diffusers").tiny_vae)
    assert (size(vae.encoder), size(vae.decoder)) == (34_163_592, 49_490_179)
    assert size(vae) == 34_163_592 + 49_490_179 + size(vae.quant_conv) + size(vae.post_quant_conv)
    assert (size(tiny.encoder), size(tiny.decoder)) == (1_222_532, 1_222_531)


def test_text_encoder_size():
    with torch.device("meta"):
        assert size(CLIPTextModel(CLIPTextConfig(**find_architecture(SD15).text_encoder))) == 123_060_480


def test_what_half_precision_pipelines_hold_leaves_room_under_the_bounds_on_memory():
    sd14 = find_architecture("CompVis/stable-diffusion-v1-4")
    with torch.device("meta"):
        text = CLIPTextModel(CLIPTextConfig(**sd14.text_encoder))
        unets = [
            UNet2DConditionModel(**find_architecture(model).unet) for model in ("CompVis/stable-diffusion-v1-4", "nota-ai/bk-sdm-small")
        ]
        vaes = [AutoencoderKL(**sd14.vae), AutoencoderTiny()]
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
    text = find_architecture(SD15).text_encoder
    made = make_clip_tokenizer(text["vocab_size"])
    assert len(made) == text["vocab_size"]
    assert text["max_position_embeddings"] == made.model_max_length
