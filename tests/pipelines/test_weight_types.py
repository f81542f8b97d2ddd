"""Saved pipelines have the same weights, in the same types, whether accelerate is installed or not."""

from __future__ import annotations

import json

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.models import modeling_utils
from diffusers.pipelines import pipeline_utils
from tiny_pipelines import save_pipeline

from pytest_sdspeed.errors import ModelUnavailableError
from pytest_sdspeed.pipelines.sources import PretrainedSource
from pytest_sdspeed.pipelines.weight_types import hide_kept


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    return {name: save_pipeline(name, root) for name in ("wan", "sd3", "flux")}


@pytest.fixture
def accelerate(monkeypatch):
    """Return what tells diffusers whether accelerate is installed."""

    def tell(*, there):
        for module in (modeling_utils, pipeline_utils):
            monkeypatch.setattr(module, "is_accelerate_available", lambda: there)

    return tell


def read_tensors(pipeline):
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    return {f"{name}.{key}": tensor for name, part in parts.items() for key, tensor in [*part.named_parameters(), *part.named_buffers()]}


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert {name: one[name].dtype for name in one} == {name: other[name].dtype for name in other}
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["wan", "sd3", "flux"])
def test_without_accelerate_a_pipeline_is_loaded_as_with_it(name, dtype, saved, accelerate):
    pytest.importorskip("accelerate")
    loaded = {}
    for there in (True, False):
        accelerate(there=there)
        loaded[there] = read_tensors(PretrainedSource("cpu").load_pipeline(str(saved[name]), dtype))
    assert_same(loaded[False], loaded[True])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_without_accelerate_weights_are_of_the_type_that_was_asked_for(dtype, saved, accelerate):
    accelerate(there=False)
    transformer = PretrainedSource("cpu").load_pipeline(str(saved["wan"]), dtype).transformer
    own = WanTransformer3DModel.from_config(transformer.config)
    assert own._keep_in_fp32_modules
    for name, weight in transformer.named_parameters():
        kept = set(own._keep_in_fp32_modules) & set(name.split("."))
        assert weight.dtype == (torch.float32 if kept else getattr(torch, dtype)), name


def test_without_accelerate_what_is_kept_in_float32_is_not_rounded(saved, accelerate):
    accelerate(there=False)
    exact, half = (PretrainedSource("cpu").load_pipeline(str(saved["wan"]), dtype).transformer for dtype in ("float32", "bfloat16"))
    found = dict(exact.named_parameters())
    kept = [name for name, weight in half.named_parameters() if weight.dtype == torch.float32]
    assert kept
    assert all(torch.equal(found[name], half.get_parameter(name)) for name in kept)
    assert any(not torch.equal(weight, weight.bfloat16().float()) for weight in map(found.get, kept))


def test_without_accelerate_a_single_part_is_loaded_too(saved, accelerate):
    accelerate(there=False)
    source = PretrainedSource("cpu")
    alone = source.load_part("transformer", str(saved["wan"]), "bfloat16")
    whole = source.load_pipeline(str(saved["wan"]), "bfloat16").transformer
    assert_same(dict(alone.named_parameters()), dict(whole.named_parameters()))


@pytest.mark.parametrize("spoil", [False, True], ids=["loaded", "broken"])
def test_classes_are_as_they_were_after_loading(spoil, saved, accelerate, tmp_path):
    accelerate(there=False)
    folder, before = saved["wan"], WanTransformer3DModel._keep_in_fp32_modules
    if spoil:
        folder = save_pipeline("wan", tmp_path)
        config = json.loads((folder / "transformer" / "config.json").read_text())
        (folder / "transformer" / "config.json").write_text(json.dumps(config | {"ffn_dim": 48}))
        with pytest.raises(ModelUnavailableError):
            PretrainedSource("cpu").load_pipeline(str(folder), "bfloat16")
    else:
        PretrainedSource("cpu").load_pipeline(str(folder), "bfloat16")
    assert before
    assert WanTransformer3DModel._keep_in_fp32_modules is before


def test_what_a_class_inherits_stays_inherited():
    class Base:
        _keep_in_fp32_modules = ("norm",)

    class Heir(Base):
        pass

    with hide_kept([Heir]):
        assert Heir._keep_in_fp32_modules is None
        assert Base._keep_in_fp32_modules == ("norm",)
    assert "_keep_in_fp32_modules" not in vars(Heir)
