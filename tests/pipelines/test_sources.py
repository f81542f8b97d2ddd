"""Weights from folders: the same pictures as were saved, and one clear line about whatever is missing, broken or dangerous."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from safetensors.torch import load_file, save_file
from small import ARCHITECTURES as SMALL
from small import ONE_BLOCK, save_small_models
from transformers.utils import logging as transformers_logging

from pytest_sdspeed.errors import ModelUnavailableError, UnknownNameError
from pytest_sdspeed.pipelines.architectures import ARCHITECTURES
from pytest_sdspeed.pipelines.embedded import EMBEDDED, locate
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.sources import EmbeddedFirst, PretrainedSource, RandomSource

pytestmark = pytest.mark.slow

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory, source):
    """Save the miniature, its student and its tiny autoencoder in folders."""
    root = tmp_path_factory.mktemp("saved")
    transformers_logging.disable_progress_bar()
    source.load_pipeline("miniature", "float32").save_pretrained(root / "base")
    source.load_part("unet", "miniature-student", "float32").save_pretrained(root / "student" / "unet")
    source.load_part("vae", "miniature-tiny-vae", "float32").save_pretrained(root / "tiny")
    transformers_logging.enable_progress_bar()
    return root


@pytest.fixture
def spoiled(saved, tmp_path):
    """Copy all saved folders; the files are links: replace them, never write into them."""
    return Path(shutil.copytree(saved, tmp_path / "spoiled", copy_function=os.link))


def replaced(path, content):
    path.unlink(missing_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def truncated(path):
    replaced(path, path.read_bytes()[:-1000])


def index_with(folder, **entries):
    index = json.loads((folder / "model_index.json").read_text())
    replaced(folder / "model_index.json", json.dumps(index | entries))


def load(source, give, model):
    if give == "pipeline":
        return source.load_pipeline(model, "float32")
    return source.load_part(give, model, "float32")


def refused(model, give="pipeline"):
    with pytest.raises(ModelUnavailableError) as caught:
        load(PretrainedSource("cpu"), give, str(model))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.fixture
def loaded(saved, make, recipe):
    pool = Pool(PretrainedSource("cpu"))
    base, student, tiny = (str(saved / name) for name in ("base", "student", "tiny"))
    return lambda *names: make(*names, pool=pool, recipe=replace(recipe, model=base, student=student, tiny_vae=tiny))


def test_loaded_draws_what_was_saved(loaded, drawn):
    assert np.array_equal(loaded().generate(0), drawn)


def test_loaded_replacements_draw_what_was_saved(loaded, make):
    stack = ("distilled_unet", "tiny_vae")
    assert np.array_equal(loaded(*stack).generate(0), make(*stack).generate(0))


def test_loading_in_another_dtype(saved, source):
    unet = PretrainedSource("cpu").load_pipeline(str(saved / "base"), "float16").unet
    own = source.load_pipeline("miniature", "float16").unet
    assert unet.dtype == torch.float16
    assert all(torch.equal(*pair) for pair in zip(unet.parameters(), own.parameters(), strict=True))


FIRST_USE = """
import json
import sys
from pytest_sdspeed.model import Machine, Recipe
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.setups.registry import Registry
from pytest_sdspeed.setups.setup import Setup
from pytest_sdspeed.pipelines.sources import PretrainedSource

recipe = Recipe(**json.loads(sys.argv[1]), prompt="a horse", height=16, width=16, steps=1, scheduler="ddim")
stack = Registry().stack(["distilled_unet", "tiny_vae", "traced_unet"], "test", recipe)
machine = Machine(kind="cpu", device="CPU", versions={})
Setup("tested", recipe, stack, machine=machine, pool=Pool(PretrainedSource("cpu")), resolved=None).generate()
"""


def test_the_first_use_of_the_libraries_prints_nothing(tmp_path):
    # In a process of its own: the first import, load and generation print most.
    names = json.dumps(save_small_models(tmp_path, ONE_BLOCK))
    command = [sys.executable, "-W", "error::UserWarning", "-c", FIRST_USE, names]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize("enabled", [True, False])
def test_progress_bars_are_silent_while_loading_and_then_as_they_were(enabled, saved, capfd):
    libraries = (diffusers_logging, transformers_logging)
    for library in libraries:
        (library.enable_progress_bar if enabled else library.disable_progress_bar)()
    try:
        PretrainedSource("cpu").load_pipeline(str(saved / "base"), "float32")
        refused(saved)
        assert [library.is_progress_bar_enabled() for library in libraries] == [enabled] * 2
    finally:
        for library in libraries:
            library.enable_progress_bar()
    assert capfd.readouterr() == ("", "")


def without(path, name):
    weights = load_file(path)
    # Transformers 4 writes a text encoder's names with a prefix.
    del weights[name if name in weights else f"text_model.{name}"]
    path.unlink()
    save_file(weights, path, metadata={"format": "pt"})


FAULTS = {
    "a weight missing": (
        lambda base: without(base / "unet" / WEIGHTS, "conv_norm_out.weight"),
        "UNet2DConditionModel would get conv_norm_out.weight at random, since its files lack it",
    ),
    "weights of the decoder missing": (
        lambda base: [without(base / "vae" / WEIGHTS, f"decoder.conv_norm_out.{name}") for name in ("bias", "weight")],
        "decoder.conv_norm_out.bias and 1 other at random",
    ),
    "a text weight missing": (
        lambda base: without(base / "text_encoder/model.safetensors", "encoder.layers.0.layer_norm2.weight"),
        "encoder.layers.0.layer_norm2.weight at random",
    ),
    "missing weights": (lambda base: (base / "unet" / WEIGHTS).unlink(), "unet has no *.safetensors weights"),
    "missing text weights": (lambda base: (base / "text_encoder/model.safetensors").unlink(), "text_encoder has no *.safetensors weights"),
    "garbage weights": (lambda base: replaced(base / "vae" / WEIGHTS, "garbage" * 99), f"vae/{WEIGHTS} is not a complete safetensors file"),
    "truncated weights": (lambda base: truncated(base / "unet" / WEIGHTS), f"unet/{WEIGHTS} is not a complete safetensors file"),
    "empty weights": (lambda base: replaced(base / "unet" / WEIGHTS, ""), f"unet/{WEIGHTS} is not a complete safetensors file"),
    "missing unet": (lambda base: shutil.rmtree(base / "unet"), "model_index.json names 'unet', but that folder is missing"),
    "missing scheduler": (lambda base: shutil.rmtree(base / "scheduler"), "names 'scheduler', but that folder is missing"),
    "missing index": (lambda base: (base / "model_index.json").unlink(), "model_index.json is missing"),
    "index not JSON": (lambda base: replaced(base / "model_index.json", "{nope"), "model_index.json is not JSON"),
    "index not UTF-8": (lambda base: replaced(base / "model_index.json", b"\xff\xfe"), "model_index.json is not JSON"),
    "index a list": (lambda base: replaced(base / "model_index.json", "[]"), "names no pipeline class"),
    "index without class": (lambda base: replaced(base / "model_index.json", "{}"), "'_class_name' must be a string"),
    "index nested too deep": (lambda base: replaced(base / "model_index.json", "[" * 100_000), "model_index.json is not JSON"),
    "index a folder": (lambda base: (base / "model_index.json").unlink() or (base / "model_index.json").mkdir(), "cannot be read"),
    "part without class": (lambda base: index_with(base, unet=["diffusers"]), "gives 'unet' as ['diffusers']; valid: [library, class]"),
    "part empty": (lambda base: index_with(base, unet=[]), "gives 'unet' as []"),
    "unknown class": (lambda base: index_with(base, _class_name="Nope"), "Nope"),
    "unknown part class": (lambda base: index_with(base, unet=["diffusers", "Nope"]), "Nope"),
    "missing tokenizer": (lambda base: shutil.rmtree(base / "tokenizer"), "names 'tokenizer', but that folder is missing"),
    "empty tokenizer": (
        lambda base: shutil.rmtree(base / "tokenizer") or (base / "tokenizer").mkdir(),
        "tokenizer has neither tokenizer.json nor vocab.json",
    ),
    "broken tokenizer": (lambda base: replaced(base / "tokenizer/tokenizer.json", "{"), "tokenizer/tokenizer.json is not JSON"),
    "broken config": (lambda base: replaced(base / "unet/config.json", "{"), "unet/config.json is not JSON"),
    "missing config": (lambda base: (base / "unet/config.json").unlink(), "unet/config.json is missing"),
    "missing text config": (lambda base: (base / "text_encoder/config.json").unlink(), "text_encoder/config.json is missing"),
    "missing scheduler config": (lambda base: (base / "scheduler/scheduler_config.json").unlink(), "scheduler_config.json"),
    "contradictory config": (lambda base: replaced(base / "unet/config.json", '{"block_out_channels": [64]}'), "block_out_channels"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_folder_is_named_with_its_fault(fault, spoiled):
    plant, said = FAULTS[fault]
    base = spoiled / "base"
    plant(base)
    message = refused(base)
    assert message.startswith(f"{base}: ")
    assert said in message


@pytest.mark.parametrize("silence", [lambda: logging.disable(logging.CRITICAL), diffusers_logging.set_verbosity_error])
def test_a_missing_weight_is_noticed_if_nothing_is_logged(silence, spoiled):
    without(spoiled / "student" / "unet" / WEIGHTS, "conv_norm_out.weight")
    level = diffusers_logging.get_verbosity()
    silence()
    try:
        assert "would get conv_norm_out.weight at random" in refused(spoiled / "student", "unet")
    finally:
        logging.disable(logging.NOTSET)
        diffusers_logging.set_verbosity(level)


@pytest.mark.parametrize(
    ("give", "model", "plant", "said"),
    [
        (
            "vae",
            "tiny",
            lambda model: without(model / WEIGHTS, "decoder.layers.0.weight"),
            "AutoencoderTiny would get decoder.layers.0.weight at random",
        ),
        ("unet", "student", lambda model: shutil.rmtree(model / "unet"), "folder 'unet' is missing"),
        ("unet", "student", lambda model: (model / "unet" / WEIGHTS).unlink(), "unet has no *.safetensors weights"),
        ("unet", "student", lambda model: truncated(model / "unet" / WEIGHTS), f"unet/{WEIGHTS} is not a complete safetensors file"),
        ("vae", "tiny", lambda model: (model / WEIGHTS).unlink(), "the folder has no *.safetensors weights"),
        ("vae", "tiny", lambda model: replaced(model / "config.json", "{"), "config.json is not JSON"),
    ],
)
def test_a_broken_replacement_is_named_with_its_fault(give, model, plant, said, spoiled):
    plant(spoiled / model)
    message = refused(spoiled / model, give)
    assert message.startswith(f"{spoiled / model}: ")
    assert said in message


class Planted:
    """Writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return Path.touch, (Path(self.target),)


def test_a_pickle_is_never_loaded(spoiled, tmp_path):
    pickled = pickle.dumps(Planted(tmp_path / "executed"))
    base = spoiled / "base"
    for file in (
        base / "unet/diffusion_pytorch_model.bin",
        base / "vae/diffusion_pytorch_model.bin",
        base / "text_encoder/pytorch_model.bin",
    ):
        file.write_bytes(pickled)
    PretrainedSource("cpu").load_pipeline(str(base), "float32")
    (base / "unet" / WEIGHTS).unlink()
    said = "unet has no *.safetensors weights (diffusion_pytorch_model.bin is not used: loading a pickle runs the code in it)"
    assert said in refused(base)
    assert not (tmp_path / "executed").exists()
    pickle.loads(pickled)
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("place", ["pipeline", "part", "text encoder"])
def test_code_in_a_model_folder_is_never_run(place, spoiled, tmp_path):
    code = f"open({str(tmp_path / 'executed')!r}, 'w').close()\nclass Planted: pass\n"
    base = spoiled / "base"
    if place == "pipeline":
        (base / "pipeline.py").write_text(code)
        index_with(base, _class_name=["pipeline", "Planted"])
    elif place == "part":
        (base / "unet/planted.py").write_text(code)
        index_with(base, unet=["planted", "Planted"])
    else:
        (base / "text_encoder/planted.py").write_text(code)
        config = {"model_type": "planted", "auto_map": {"AutoConfig": "planted.Planted", "AutoModel": "planted.Planted"}}
        replaced(base / "text_encoder/config.json", json.dumps(config))
        index_with(base, text_encoder=["transformers", "AutoModel"])
    assert refused(base).startswith(f"{base}: ")
    assert not (tmp_path / "executed").exists()
    exec(code)
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("give", ["pipeline", "unet", "vae"])
@pytest.mark.parametrize("offline", [True, False])
def test_a_hub_model_without_cache_and_network(give, offline, monkeypatch):
    def unreachable(*_arguments, **_keywords):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    message = refused("sdspeed-tests/no-such-model", give)
    assert message.startswith("cannot load 'sdspeed-tests/no-such-model': ")
    assert all(help_ in message for help_ in ("not in the hub's cache", "hf download", "local folder", "--sd-weights=random"))


def test_a_folder_that_is_not_there():
    assert refused("/no/such/folder").startswith("cannot load '/no/such/folder': ")


@pytest.mark.parametrize("error", [MemoryError("planted"), torch.OutOfMemoryError("planted")])
def test_running_out_of_memory_does_not_blame_the_model(error, saved, monkeypatch):
    def exhausted(*_arguments, **_keywords):
        raise error

    monkeypatch.setattr(DiffusionPipeline, "from_pretrained", exhausted)
    with pytest.raises(type(error), match="planted"):
        PretrainedSource("cpu").load_pipeline(str(saved / "base"), "float32")


def same(one, other):
    return all(torch.equal(*pair) for pair in zip(one.parameters(), other.parameters(), strict=True))


@pytest.fixture
def random_source(monkeypatch):
    for name, small in SMALL.items():
        monkeypatch.setitem(ARCHITECTURES, name, small)
    return RandomSource("cpu")


def test_random_weights_do_not_depend_on_what_was_built_before(random_source):
    first = RandomSource("cpu").load_pipeline("small", "float32")
    torch.rand(3)
    random_source.load_part("vae", "small-tiny-vae", "float32")
    again = random_source.load_pipeline("small", "float32")
    assert all(same(getattr(first, part), getattr(again, part)) for part in ("unet", "vae", "text_encoder"))
    student = random_source.load_part("unet", "small-student", "float32")
    assert not torch.equal(student.conv_in.weight, first.unet.conv_in.weight)


def test_drawing_weights_leaves_the_global_random_state(random_source):
    before = torch.random.get_rng_state()
    random_source.load_pipeline("small", "float32")
    random_source.load_part("unet", "small-student", "float32")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_float16_is_the_rounded_float32(random_source):
    full, half = (random_source.load_part("vae", "small-tiny-vae", dtype) for dtype in ("float32", "float16"))
    pairs = list(zip(full.parameters(), half.parameters(), strict=True))
    assert all(torch.equal(one.to(torch.float16), other) for one, other in pairs)
    assert not all(torch.equal(one, other.float()) for one, other in pairs)


@pytest.mark.parametrize("give", ["pipeline", "unet", "vae"])
def test_an_unknown_model_has_no_random_weights(give, random_source):
    with pytest.raises(UnknownNameError, match=r"unknown architecture for random weights 'nobody/nothing'; valid: .*small, "):
        load(random_source, give, "nobody/nothing")


def test_a_part_that_a_model_lacks_is_named(random_source):
    with pytest.raises(ModelUnavailableError, match="'small-student' has no text encoder to give random weights to"):
        random_source.load_pipeline("small-student", "float32")
    with pytest.raises(ModelUnavailableError, match="'small-student' has no text encoder to give random weights to"):
        random_source.load_part("text_encoder", "small-student", "float32")
    assert type(random_source.load_part("vae", "small", "float32")) is AutoencoderKL


def test_embedded_models_come_with_the_package():
    class Named:
        def __init__(self, name):
            self.name = name

        def __getattr__(self, kind):
            return lambda *asked: (self.name, kind, *asked)

    first = EmbeddedFirst(Named("embedded"), Named("other"))
    assert first.load_pipeline("miniature", "float32") == ("embedded", "load_pipeline", "miniature", "float32", None)
    assert first.load_part("unet", "miniature-student", "float16") == (
        "embedded",
        "load_part",
        "unet",
        "miniature-student",
        "float16",
        None,
    )
    assert first.load_part("vae", "somebody/else", "float32") == ("other", "load_part", "vae", "somebody/else", "float32", None)


def test_embedded_models_are_folders_of_the_package(source):
    assert {Path(locate(model)).is_dir() for model in EMBEDDED} == {True}
    assert locate("somebody/else") == "somebody/else"
    unet = source.load_part("unet", "miniature-student", "float32")
    assert unet.dtype == torch.float32
    assert torch.equal(unet.conv_in.weight, unet.conv_in.weight.half().float())


def test_an_embedded_model_that_is_missing_or_damaged_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("pytest_sdspeed.pipelines.embedded.WEIGHTS", tmp_path)
    with pytest.raises(ModelUnavailableError, match="miniature is missing: the installation of pytest-sdspeed is incomplete"):
        PretrainedSource("cpu").load_pipeline("miniature", "float32")
    (tmp_path / "miniature").mkdir()
    with pytest.raises(ModelUnavailableError, match=r"miniature: no saved pipeline: model_index.json is missing"):
        PretrainedSource("cpu").load_pipeline("miniature", "float32")
