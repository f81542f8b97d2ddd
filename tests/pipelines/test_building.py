"""Pipelines of any class built from configurations: random weights, shapes, and one clear line about what is broken."""

from __future__ import annotations

import json
import weakref
from types import MappingProxyType

import pytest
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel, StableDiffusionPipeline
from small import ARCHITECTURES as SMALL
from small import UNET, VAE
from transformers import T5Config, T5EncoderModel

from pytest_sdspeed.errors import ModelUnavailableError, RegistrationError, UnknownNameError
from pytest_sdspeed.pipelines import random_weights
from pytest_sdspeed.pipelines.architectures import find_architecture, make_architecture, read_architecture
from pytest_sdspeed.pipelines.random_weights import draw_network, lay_out_network
from pytest_sdspeed.pipelines.sources import RandomSource, ShapesSource, TinySource
from pytest_sdspeed.setups.registry import Registry

T5 = {"d_model": 32, "d_ff": 64, "d_kv": 8, "num_heads": 4, "num_layers": 2, "vocab_size": 64, "feed_forward_proj": "gated-gelu"}
DEEP = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2, "axes_dims_rope": [4, 6, 6]}


def write_folder(root, files=SMALL["small"].files):
    """Write a configuration folder: what diffusers saves, without weights and without a vocabulary."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(json.dumps(content), encoding="utf-8")
    return root


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "model")


def weights(module):
    return {name: weight.detach().clone() for name, weight in module.named_parameters()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_configuration_folder_is_a_model_of_random_weights(folder):
    pipeline = RandomSource("cpu").load_pipeline(str(folder), "float32")
    assert type(pipeline) is StableDiffusionPipeline
    pipeline.set_progress_bar_config(disable=True)
    (picture,) = pipeline("a cat", height=16, width=16, num_inference_steps=1, output_type="np").images
    assert picture.shape == (16, 16, 3)
    assert picture.std() > 0.05


def test_random_weights_of_a_folder_are_those_of_its_content_wherever_it_lies(folder, tmp_path):
    moved = write_folder(tmp_path / "elsewhere")
    one, two = (RandomSource("cpu").load_part("unet", str(place), "float32") for place in (folder, moved))
    assert same(weights(one), weights(two))
    (moved / "unet" / "config.json").write_text(json.dumps({"_class_name": "UNet2DConditionModel", **UNET, "norm_eps": 1e-4}))
    assert not same(weights(one), weights(RandomSource("cpu").load_part("unet", str(moved), "float32")))


def test_another_pipeline_class_shares_the_configuration(folder):
    pipeline = RandomSource("cpu").load_pipeline(str(folder), "float32", "StableDiffusionImg2ImgPipeline")
    assert type(pipeline).__name__ == "StableDiffusionImg2ImgPipeline"


def replace_in(path, before, after):
    def plant(folder):
        file = folder / path
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))

    return plant


FAULTS = {
    "an unknown pipeline class": (
        replace_in("model_index.json", "StableDiffusionPipeline", "NoSuchPipeline"),
        "names the pipeline 'NoSuchPipeline'",
    ),
    "no pipeline class": (replace_in("model_index.json", '"_class_name"', '"class"'), "'_class_name' must be a string"),
    "an unknown class of a component": (
        replace_in("model_index.json", "UNet2DConditionModel", "UNet9"),
        "gives 'unet' as ['diffusers', 'UNet9'], which this installation does not have",
    ),
    "a class of the folder's own code": (
        replace_in("model_index.json", '["diffusers", "UNet2DConditionModel"]', '["unet_of_mine", "Mine"]'),
        "valid: [library, class] of diffusers or transformers, since code of a model folder is not run",
    ),
    "a component that is no pair": (
        replace_in("model_index.json", '["diffusers", "AutoencoderKL"]', '["diffusers"]'),
        "gives 'vae' as ['diffusers']",
    ),
    "broken JSON": (replace_in("vae/config.json", "{", ""), "vae/config.json cannot be read"),
    "a list as a configuration": (
        lambda folder: (folder / "unet" / "config.json").write_text("[]"),
        "unet/config.json cannot be read: it is no JSON object",
    ),
    "a missing component": (
        lambda folder: (folder / "vae" / "config.json").unlink(),
        "vae cannot be built without weights: its configuration is missing",
    ),
    "a missing schedule": (
        lambda folder: (folder / "scheduler" / "scheduler_config.json").unlink(),
        "scheduler cannot be built without weights: its configuration is missing",
    ),
    "a missing index": (lambda folder: (folder / "model_index.json").unlink(), "no saved pipeline: model_index.json is missing"),
    "contradictory sizes": (replace_in("unet/config.json", "[16, 32]", "[16, 32, 64]"), "unet cannot be built without weights: "),
    "weights saved quantized": (
        replace_in("unet/config.json", "{", '{"quantization_config": {"quant_method": "gguf"}, '),
        "unet is saved quantized",
    ),
}


@pytest.mark.parametrize("source", [RandomSource, TinySource, ShapesSource])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_configuration_folder_is_named_with_its_fault(fault, source, folder):
    plant, said = FAULTS[fault]
    plant(folder)
    if fault == "contradictory sizes" and source is TinySource:
        pytest.skip("a toy keeps fewer blocks")
    with pytest.raises(ModelUnavailableError) as caught:
        source("cpu" if source is not ShapesSource else "meta").load_pipeline(str(folder), "float32")
    assert str(caught.value).startswith(f"{folder}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_code_in_a_configuration_folder_is_never_run(folder, tmp_path):
    (folder / "unet" / "planted.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w').close()")
    replace_in("model_index.json", '["diffusers", "UNet2DConditionModel"]', '["planted", "Planted"]')(folder)
    with pytest.raises(ModelUnavailableError, match="code of a model folder is not run"):
        RandomSource("cpu").load_pipeline(str(folder), "float32")
    assert not (tmp_path / "executed").exists()


def test_a_registered_architecture_is_known_by_its_name_to_every_source(folder):
    registry = Registry()
    registry.add_architecture("mine/from-a-folder", folder)
    registry.register_architecture("mine/from-a-mapping", SMALL["small"].files)
    own = (registry.pipelines, registry.architectures)
    for model in ("mine/from-a-folder", "mine/from-a-mapping"):
        assert RandomSource("cpu", *own).load_part("unet", model, "float32").config.layers_per_block == 2
        assert TinySource("cpu", *own).load_part("unet", model, "float32").config.layers_per_block == 1
        assert ShapesSource("meta", *own).load_part("unet", model, "float32").device.type == "meta"
        with pytest.raises(UnknownNameError):
            RandomSource("cpu").load_pipeline(model, "float32")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "a configuration without any file: model_index.json is missing"),
        ({"unet/config.json": "x"}, "'unet/config.json' is no configuration"),
        ({"unet": {}}, "'unet' is no configuration; valid: the paths of JSON files in a model's folder"),
        ({"model_index.json": {"unet": ["diffusers", "UNet2DConditionModel"]}}, "'_class_name' must be a string"),
    ],
)
def test_what_is_no_configuration_is_refused_when_it_is_registered(files, said):
    with pytest.raises(ModelUnavailableError, match="mine: ") as caught:
        Registry().add_architecture("mine", files)
    assert said in str(caught.value)


def test_a_name_is_registered_once_and_the_known_ones_stay_what_they_are(folder):
    registry = Registry()
    registry.add_architecture("mine", SMALL["small"].files)
    registry.add_architecture("mine", SMALL["small"].files)
    for name, files in (("mine", SMALL["small-student"].files), ("Qwen/Qwen-Image", folder)):
        with pytest.raises(RegistrationError, match="exists already"):
            registry.add_architecture(name, files)


def test_a_class_that_the_configuration_is_too_new_for_is_named():
    known = find_architecture("Tongyi-MAI/Z-Image-Turbo")
    files = {**known.files, "model_index.json": {**known.index, "_class_name": "PipelineOfNextYear"}}
    own = {"next": make_architecture("next", files)}
    with pytest.raises(ModelUnavailableError, match=r"next: model_index\.json names the pipeline 'PipelineOfNextYear', which diffusers"):
        RandomSource("cpu", MappingProxyType({}), own).load_pipeline("next", "float32")


def build_transformer():
    return FluxTransformer2DModel(in_channels=16, joint_attention_dim=32, pooled_projection_dim=16, **DEEP)


def build_text_encoder():
    return T5EncoderModel(T5Config(**T5))


def test_a_weight_is_drawn_by_its_name_whatever_else_the_network_has():
    few, many = (
        draw_network("any", lambda more=more: FluxTransformer2DModel(in_channels=16, **{**DEEP, "num_layers": more}), "float32", "cpu")
        for more in (1, 2)
    )
    few, many = weights(few), weights(many)
    assert few.keys() < many.keys()
    assert all(torch.equal(few[name], many[name]) for name in few)


def test_weights_that_are_tied_stay_tied():
    made = draw_network("any", build_text_encoder, "float32", "cpu")
    assert made.shared.weight is made.encoder.embed_tokens.weight
    assert made.shared.weight.std() > 0.5


def test_no_weight_is_left_without_numbers_and_none_is_constant():
    for build in (build_transformer, build_text_encoder, lambda: AutoencoderKL(**VAE)):
        made = draw_network("any", build, "bfloat16", "cpu")
        for name, tensor in {**dict(made.named_parameters()), **dict(made.named_buffers())}.items():
            assert tensor.device.type == "cpu", name
            assert torch.isfinite(tensor.float()).all(), name
            assert tensor.ndim < 2 or tensor.float().std() > 0, name


def test_computed_buffers_are_those_of_the_library():
    for build in (build_transformer, build_text_encoder):
        drawn, plain = (dict(made.named_buffers()) for made in (draw_network("any", build, "float16", "cpu"), build()))
        saved = build().state_dict().keys()
        assert drawn.keys() == plain.keys()
        assert all(torch.equal(drawn[name], plain[name]) for name in plain.keys() - saved)


def test_what_loading_keeps_in_float32_is_float32(monkeypatch):
    made = draw_network("any", build_text_encoder, "float16", "cpu")
    kept = set(T5EncoderModel._keep_in_fp32_modules)
    found = {name: weight.dtype for name, weight in made.named_parameters()}
    assert kept
    for name, dtype in found.items():
        assert dtype == (torch.float32 if kept & set(name.split(".")) else torch.float16)
    shapes = lay_out_network(build_text_encoder, "float16", "meta")
    assert {name: weight.dtype for name, weight in shapes.named_parameters()} == found


def test_only_one_weight_at_a_time_is_in_float32(monkeypatch):
    drawn, most = [], []
    draw = random_weights._draw

    def watch(*asked):
        numbers = draw(*asked)
        most.append(sum(one() is not None for one in drawn))
        drawn.append(weakref.ref(numbers))
        return numbers

    monkeypatch.setattr(random_weights, "_draw", watch)
    made = draw_network("any", build_transformer, "bfloat16", "cpu")
    assert len(drawn) == len(list(made.parameters()))
    assert {weight.dtype for weight in made.parameters()} == {torch.bfloat16}
    assert max(most) <= 1
    assert not any(one() is not None for one in drawn)


def test_the_hook_of_torch_is_put_back_if_a_constructor_fails():
    before = torch.nn.Module.register_parameter

    def fail():
        raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        draw_network("any", fail, "float32", "cpu")
    assert torch.nn.Module.register_parameter is before


def test_a_folder_with_a_vocabulary_is_read_with_it_and_a_toy_makes_up_a_smaller_one(folder, tmp_path):
    pipeline = RandomSource("cpu").load_pipeline(str(folder), "float32")
    pipeline.tokenizer.add_tokens(["<mine>"])
    pipeline.tokenizer.save_pretrained(folder / "tokenizer")
    assert "<mine>" in RandomSource("cpu").load_pipeline(str(folder), "float32").tokenizer.get_vocab()
    assert "<mine>" not in TinySource("cpu").load_pipeline(str(folder), "float32").tokenizer.get_vocab()
    assert read_architecture(folder).folder == folder
