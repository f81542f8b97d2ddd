"""Toy sizes by a rule: the parts fit each other, and keep their classes and blocks."""

from __future__ import annotations

import pytest

from pytest_sdspeed.pipelines.architectures import ARCHITECTURES, find_architecture
from pytest_sdspeed.pipelines.shrinking import shrink_architecture, shrink_config
from pytest_sdspeed.pipelines.sources import RandomSource, TinySource

SD1 = "stable-diffusion-v1-5/stable-diffusion-v1-5"


def test_what_is_equally_wide_stays_equally_wide():
    toy = shrink_architecture(find_architecture(SD1))
    assert toy.find_config("unet")["cross_attention_dim"] == toy.find_config("text_encoder")["hidden_size"] < 64


@pytest.mark.parametrize("model", [name for name, parts in ARCHITECTURES.items() if parts.find_config("unet")])
def test_every_type_of_block_stays_once_in_its_order(model):
    full, toy = find_architecture(model).find_config("unet"), shrink_architecture(find_architecture(model)).find_config("unet")
    for way in ("down_block_types", "up_block_types"):
        assert tuple(toy[way]) == tuple(dict.fromkeys(full[way]))
    assert len(toy["down_block_types"]) == len(toy["up_block_types"]) == len(toy["block_out_channels"])
    heads = toy["attention_head_dim"]
    heads = heads if isinstance(heads, list) else [heads] * len(toy["block_out_channels"])
    assert all(width % toy["norm_num_groups"] == width % at == 0 for width, at in zip(toy["block_out_channels"], heads, strict=True))


def test_what_is_said_of_each_block_goes_with_its_block():
    toy = shrink_config(
        {
            "down_block_types": ("A", "B", "B"),
            "up_block_types": ("B", "B2", "A"),
            "block_out_channels": (320, 640, 1280),
            "attention_head_dim": (5, 10, 20),
            "up_layers": (1, 2, 3),
        }
    )
    assert toy["down_block_types"] == ("A", "B")
    assert toy["up_block_types"] == ("B2", "A")
    assert toy["block_out_channels"] == (16, 32)
    assert toy["attention_head_dim"] == (4, 8)
    assert toy["up_layers"] == (2, 3)


def test_special_tokens_at_the_end_of_a_vocabulary_stay_at_its_end():
    toy = shrink_config({"vocab_size": 49408, "bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 1})
    assert toy == {"vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 1}


def test_what_no_rule_knows_stays():
    config = {"in_channels": 4, "flip_sin_to_cos": True, "mid_block_type": None, "norm_eps": 1e-5, "sample_size": 64}
    assert shrink_config(config) == config


@pytest.mark.slow
def test_a_toy_pipeline_draws_and_has_the_same_weights_each_time():
    first, second = (TinySource("cpu").load_pipeline(SD1, "float32") for _ in range(2))
    assert sum(weight.numel() for weight in first.unet.parameters()) < 2e6
    assert all((one == other).all() for one, other in zip(first.unet.parameters(), second.unet.parameters(), strict=True))
    assert type(first.unet) is type(RandomSource("cpu").load_part("unet", "nota-ai/bk-sdm-tiny", "float32"))
    first.set_progress_bar_config(disable=True)
    (picture,) = first("a cat", height=16, width=16, num_inference_steps=1, output_type="np").images
    assert picture.shape == (16, 16, 3)
