"""Export of the trained models: ``save_pretrained``, float16 safetensors."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from pytest_sdspeed.pipelines.embedded import EMBEDDED

if TYPE_CHECKING:
    from pathlib import Path

    from miniature.classifier import Classifier
    from miniature.models import Miniature


def export(out: Path, parts: Miniature) -> None:
    """Write the embedded models into a folder, and replace what is there.

    Args:
        out: the folder.
        parts: the trained parts; their modules are float16 afterwards.
    """
    for name in EMBEDDED:
        shutil.rmtree(out / name, ignore_errors=True)
    pipeline = StableDiffusionPipeline(
        vae=_half(parts.vae),
        text_encoder=_half(parts.text_encoder),
        tokenizer=parts.tokenizer,
        unet=_half(parts.unet),
        scheduler=parts.scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(out / "miniature")
    _load_in_float32(out / "miniature" / "text_encoder" / "config.json")
    prefix_weights(out / "miniature" / "text_encoder" / "model.safetensors", "text_model.")
    write_slow_tokenizer(out / "miniature" / "tokenizer")
    _half(parts.student).save_pretrained(out / "miniature-student" / "unet")
    _half(parts.tiny_vae).save_pretrained(out / "miniature-tiny-vae")


def export_classifier(file: Path, classifier: Classifier) -> None:
    """Write the classifier as float16 safetensors."""
    save_file(
        {name: part.half().contiguous() for name, part in classifier.state_dict().items()}, file
    )


def prefix_weights(file: Path, prefix: str) -> None:
    """Name a text encoder's weights as every CLIP checkpoint does.

    Transformers from 5 on writes them without the prefix and reads them with it; before, it finds
    none without it.
    """
    weights = {f"{prefix}{name.removeprefix(prefix)}": one for name, one in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})


def write_slow_tokenizer(folder: Path) -> None:
    """Write ``vocab.json`` and ``merges.txt`` beside ``tokenizer.json``.

    Before transformers 5 ``CLIPTokenizer`` reads no other files.
    """
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    vocabulary = json.dumps(model["vocab"], ensure_ascii=False, indent=1)
    (folder / "vocab.json").write_text(f"{vocabulary}\n", encoding="utf-8")
    merges = ["#version: 0.2", *(" ".join(pair) for pair in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")


def _load_in_float32(config: Path) -> None:
    """Say in a model's configuration that it is loaded in float32, whatever it is stored in.

    Transformers loads a model in the type that its configuration names, diffusers in float32: with
    both parts of a pipeline in one type, ``from_pretrained`` needs no ``torch_dtype``.
    """
    facts = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(facts | {"dtype": "float32"}, indent=2) + "\n", encoding="utf-8")


def _half(module: Any) -> Any:
    """Convert a module to float16 in place; what was written still gives it in full precision."""
    return module.to("cpu", torch.float16)
