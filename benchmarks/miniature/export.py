"""Export of the trained models: ``save_pretrained``, float16 safetensors."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

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
    _half(parts.student).save_pretrained(out / "miniature-student" / "unet")
    _half(parts.tiny_vae).save_pretrained(out / "miniature-tiny-vae")


def export_classifier(file: Path, classifier: Classifier) -> None:
    """Write the classifier as float16 safetensors."""
    save_file(
        {name: part.half().contiguous() for name, part in classifier.state_dict().items()}, file
    )


def _half(module: Any) -> Any:
    """Convert a module to float16 in place; what was written still gives it in full precision."""
    return module.to("cpu", torch.float16)
