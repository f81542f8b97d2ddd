"""CLIP scores by a tiny random model on disk, and one clear line about whatever is missing or incomplete."""

from __future__ import annotations

import io
import json
import shutil
import socket
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import CLIPConfig, CLIPModel, CLIPProcessor, CLIPTextConfig, CLIPTextModel
from transformers.utils import logging as transformers_logging

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.errors import ModelUnavailableError
from pytest_sdspeed.pipelines import clip
from pytest_sdspeed.pipelines.clip import ClipScorer
from pytest_sdspeed.pipelines.model_folders import TOKENIZER_FILES
from pytest_sdspeed.pipelines.tokenizer import make_clip_tokenizer

WEIGHTS = "model.safetensors"
SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT = SMALL | {"vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 513}
VISION = SMALL | {"image_size": 32, "patch_size": 8}
MEAN, STD = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
"""Of the pictures that CLIP was trained on (openai/CLIP, ``clip.py``)."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Save a CLIP model of a few thousand weights in a folder."""
    folder = tmp_path_factory.mktemp("clip")
    transformers_logging.disable_progress_bar()
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=8)).save_pretrained(folder)
        make_clip_tokenizer(514).save_pretrained(folder)
        # Its name before transformers 5.4.
        processor = getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
        processor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    transformers_logging.enable_progress_bar()
    return folder


@pytest.fixture(scope="module")
def scorer(saved):
    return ClipScorer(str(saved))


@pytest.fixture
def spoiled(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "spoiled"))


def pictures(count, side=32):
    return np.random.default_rng(0).random((count, side, side, 3), dtype=np.float32)


def test_scores_are_the_cosines_of_the_embeddings(scorer, saved):
    shown, prompt = pictures(3), "a vase"
    with quiet():
        model = CLIPModel.from_pretrained(saved)
    # Byte by byte, as the tokenizer of the tests reads it; at 32 pixels a side nothing is resized or cut.
    vocabulary = make_clip_tokenizer(514).get_vocab()
    tokens = torch.tensor([[512, vocabulary["a</w>"], *(vocabulary[letter] for letter in "vas"), vocabulary["e</w>"], 513]])
    levels = np.round(shown * 255) / 255
    pixels = torch.tensor((levels - MEAN) / STD, dtype=torch.float32).permute(0, 3, 1, 2)
    with torch.no_grad():
        text = model.text_projection(model.text_model(input_ids=tokens).pooler_output)[0].double()
        images = model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output).double()
    by_hand = [float(image @ text / (image.norm() * text.norm())) for image in images]
    found = scorer.score(shown, prompt)
    assert found == pytest.approx(by_hand, abs=1e-5)
    assert all(type(value) is float and -1 <= value <= 1 for value in found)
    assert np.ptp(found) > 0.01


def test_scores_are_the_same_each_time_and_in_any_batch(scorer, saved, monkeypatch):
    shown = pictures(5, side=48)
    found = scorer.score(shown, "a vase")
    assert ClipScorer(str(saved)).score(shown, "a vase") == found
    monkeypatch.setattr(clip, "BATCH", 2)
    assert scorer.score(shown, "a vase") == pytest.approx(found, abs=1e-6)
    assert scorer.score(shown, "a horse") != found
    assert scorer.score(shown[:0], "a vase") == []


def test_pictures_are_scored_as_they_would_be_saved(scorer):
    shown = pictures(1, side=40)
    file = io.BytesIO()
    Image.fromarray(np.round(shown[0] * 255).astype(np.uint8)).save(file, "PNG")
    again = np.asarray(Image.open(file), dtype=np.float32)[None] / np.float32(255)
    assert scorer.score(again, "a vase") == scorer.score(shown, "a vase")


def test_what_exceeds_the_context_is_cut_off(scorer):
    # 77 tokens are 75 letters of one word, and the two that begin and end a text.
    shown = pictures(1)
    assert scorer.score(shown, "v" * 75 + "a") == scorer.score(shown, "v" * 75 + "b")
    assert scorer.score(shown, "v" * 73 + "a") != scorer.score(shown, "v" * 73 + "b")
    assert scorer.score(shown, "")


def test_scoring_leaves_no_gradients_and_no_random_numbers_drawn(saved):
    before = torch.random.get_rng_state()
    scorer = ClipScorer(str(saved))
    scorer.score(pictures(1), "a vase")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.is_grad_enabled()
    assert transformers_logging.is_progress_bar_enabled()


def test_loading_says_nothing(saved, capfd):
    ClipScorer(str(saved)).score(pictures(1), "a vase")
    assert capfd.readouterr() == ("", "")


def test_half_precision_weights_are_computed_with_in_full(saved, spoiled):
    with quiet():
        (spoiled / WEIGHTS).unlink()
        CLIPModel.from_pretrained(saved, dtype=torch.float16).save_pretrained(spoiled)
    assert ClipScorer(str(spoiled))._model.dtype == torch.float32


def as_openai_saved_it(folder):
    kept = {"do_center_crop": True, "do_normalize": True, "do_resize": True, "image_mean": [*MEAN], "image_std": [*STD], "resample": 3}
    old = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 32, "crop_size": 32}
    (folder / "preprocessor_config.json").write_text(json.dumps(kept | old))


def as_a_processor_saves_it(folder):
    with quiet():
        processor = CLIPProcessor.from_pretrained(folder)
        (folder / "preprocessor_config.json").unlink()
        processor.save_pretrained(folder)


@pytest.mark.parametrize("layout", [as_openai_saved_it, as_a_processor_saves_it])
def test_other_layouts_of_the_processor_are_read(layout, scorer, spoiled):
    layout(spoiled)
    assert ClipScorer(str(spoiled)).score(pictures(2, side=40), "a vase") == scorer.score(pictures(2, side=40), "a vase")


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """Set an empty hub cache, and a network that must not be used."""

    def unreachable(*_arguments, **_keywords):
        pytest.fail("asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub" / "models--nobody--clip"


def test_a_model_in_the_hubs_cache_is_found(offline, saved, scorer):
    (offline / "refs").mkdir(parents=True)
    (offline / "refs/main").write_text("0123abc")
    shutil.copytree(saved, offline / "snapshots/0123abc")
    assert ClipScorer("nobody/clip").score(pictures(1), "a vase") == scorer.score(pictures(1), "a vase")
    for name in TOKENIZER_FILES:
        (offline / "snapshots/0123abc" / name).unlink(missing_ok=True)
    assert refused("nobody/clip").endswith(
        "download it while the network is available (hf download nobody/clip), or name a folder that has one"
    )


def refused(model):
    with pytest.raises(ModelUnavailableError) as caught:
        ClipScorer(str(model))
    message = str(caught.value)
    assert "\n" not in message
    assert transformers_logging.is_progress_bar_enabled()
    return message


def test_a_model_that_is_not_in_the_cache_says_how_to_get_it(offline):
    assert refused("nobody/clip") == (
        f"CLIP model 'nobody/clip' is neither a folder nor in the hub's cache {offline.parent}: "
        "download it while the network is available (hf download nobody/clip), or name a folder that has one"
    )


@pytest.mark.parametrize("model", ["/no/such/folder", "a vase"])
def test_what_can_be_no_model_is_named(offline, model):
    assert refused(model).startswith(f"CLIP model {model!r} is neither a folder nor a hub id: download it while ")


def text_encoder_alone(folder):
    with quiet():
        (folder / WEIGHTS).unlink()
        CLIPTextModel(CLIPTextConfig(**TEXT)).save_pretrained(folder)


FAULTS = {
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    "broken configuration": (lambda folder: (folder / "config.json").write_text("{"), "config.json is not JSON"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), "has no *.safetensors weights"),
    "pickled weights": (
        lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin"),
        "pytorch_model.bin is not used: loading a pickle runs the code in it",
    ),
    "truncated weights": (lambda folder: (folder / WEIGHTS).write_text("short"), f"{WEIGHTS} is not a complete safetensors file"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "it has neither tokenizer.json nor vocab.json"),
    "broken tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{"), "tokenizer.json is not JSON"),
    "no image processor": (
        lambda folder: (folder / "preprocessor_config.json").unlink(),
        "it has neither preprocessor_config.json nor processor_config.json",
    ),
    "unknown image processor": (
        lambda folder: (folder / "preprocessor_config.json").write_text('{"image_processor_type": "Nope"}'),
        "Unrecognized image processor",
    ),
    "text encoder alone": (text_encoder_alone, "incomplete CLIP model: its weights lack logit_scale and "),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_folder_is_named_with_its_fault(fault, spoiled):
    plant, said = FAULTS[fault]
    transformers_logging.disable_progress_bar()
    plant(spoiled)
    transformers_logging.enable_progress_bar()
    message = refused(spoiled)
    assert str(spoiled) in message
    assert said in message
    assert message.endswith("; name a folder with a complete one, or a hub id that was downloaded before (hf download OWNER/NAME)")


@pytest.mark.parametrize("error", [MemoryError("planted"), torch.OutOfMemoryError("planted")])
def test_running_out_of_memory_does_not_blame_the_model(error, saved, monkeypatch):
    def exhausted(*_arguments, **_keywords):
        raise error

    monkeypatch.setattr(CLIPModel, "from_pretrained", exhausted)
    with pytest.raises(type(error), match="planted"):
        ClipScorer(str(saved))
