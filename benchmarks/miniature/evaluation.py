"""Figures of the shipped miniature, measured on captions that training never saw."""

from __future__ import annotations

import random
import statistics
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file

from miniature.classifier import Classifier
from miniature.data import as_tensor
from miniature.draw import draw
from miniature.models import LATENT, parameters
from miniature.scenes import Scene, draw_scene, held_out_scene
from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.judge.pictures.metrics import compare_batches
from pytest_sdspeed.measure.campaign import run_campaign
from pytest_sdspeed.measure.campaign_data import Arm, Limits
from pytest_sdspeed.measure.clock import WallClock
from pytest_sdspeed.pipelines.sources import PretrainedSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_sdspeed.model import Case

ASKED = ("subject", "color", "place")
"""What must all be right for a picture to count as recognized; a rider is part of the subject."""

BATCH = 16
STUDENT_SPEEDUP = 1.3
"""Least speed-up of the student's UNet."""


@dataclass(frozen=True)
class Models:
    """The miniature's pipelines: teacher, student, and student with the tiny autoencoder.

    Attributes:
        folder: folder of ``miniature``, ``miniature-student`` and ``miniature-tiny-vae``.
    """

    folder: Path

    @cached_property
    def teacher(self) -> Any:
        """Load the whole pipeline, with DDIM."""
        pipeline = PretrainedSource("cpu").load_pipeline(str(self.folder / "miniature"), "float32")
        pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    @cached_property
    def student(self) -> Any:
        """Make the teacher's pipeline with the student's UNet."""
        return self._with(
            unet=PretrainedSource("cpu").load_part(
                "unet", str(self.folder / "miniature-student"), "float32"
            )
        )

    @cached_property
    def tiny(self) -> Any:
        """Make the student's pipeline with the tiny autoencoder."""
        return self._with(
            unet=self.student.unet,
            vae=PretrainedSource("cpu").load_part(
                "vae", str(self.folder / "miniature-tiny-vae"), "float32"
            ),
        )

    def _with(self, **parts: Any) -> Any:
        with quiet():
            pipeline = StableDiffusionPipeline(
                **{**self.teacher.components, **parts}, requires_safety_checker=False
            )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


def scenes(count: int) -> list[Scene]:
    """Return held-out scenes, always the same, whose captions differ."""
    found: dict[str, Scene] = {}
    rng = random.Random("held out")  # noqa: S311 - pictures, not secrets
    while len(found) < count:
        scene = held_out_scene(rng)
        found.setdefault(scene.caption, scene)
    return list(found.values())


def pictures(
    pipeline: Any, prompts: Sequence[str], steps: int, first_seed: int = 0, guidance: float = 7.5
) -> np.ndarray:
    """Draw one picture for each prompt: float32 (N, 64, 64, 3) in [0, 1].

    Picture ``i`` starts from the noise of seed ``first_seed + i``.
    """
    shape = (1, 4, LATENT, LATENT)
    noise = [
        torch.randn(shape, generator=torch.Generator().manual_seed(first_seed + index))
        for index in range(len(prompts))
    ]
    drawn = []
    with quiet(), torch.no_grad():
        for start in range(0, len(prompts), BATCH):
            batch = slice(start, start + BATCH)
            options = {
                "num_inference_steps": steps,
                "guidance_scale": guidance,
                "latents": torch.cat(noise[batch]),
                "output_type": "np",
            }
            drawn.append(pipeline(list(prompts[batch]), **options).images)
    return np.concatenate(drawn)


def classifier(file: Path) -> Classifier:
    """Load the classifier that was trained on drawn pictures."""
    reader = Classifier()
    reader.load_state_dict({name: part.float() for name, part in load_file(file).items()})
    reader.eval()
    return reader


def recognized(reader: Classifier, shown: np.ndarray, asked: Sequence[Scene]) -> dict[str, float]:
    """Return the shares of pictures in which the classifier finds what was asked for.

    Args:
        reader: the classifier.
        shown: pictures in [0, 1].
        asked: the scene for which each was drawn.

    Returns:
        ``all`` (subject, color and place at once), and each attribute alone, over the scenes that
        have it.
    """
    answers = reader.answers(as_tensor((shown * 255).round().astype(np.uint8)))
    right = [_right(answer, scene) for answer, scene in zip(answers, asked, strict=True)]
    shares = {"all": statistics.mean(all(found[name] for name in ASKED) for found in right)}
    for name in (*ASKED, "bouquet", "count", "position"):
        stated = [
            found[name] for found, scene in zip(right, asked, strict=True) if _stated(name, scene)
        ]
        if stated:
            shares[name] = statistics.mean(stated)
    return shares


def _right(answer: Mapping[str, Any], scene: Scene) -> dict[str, bool]:
    found = {name: answer[name] == getattr(scene, name) for name in answer}
    return {**found, "subject": found["subject"] and found["rider"]}


def _stated(name: str, scene: Scene) -> bool:
    return {
        "bouquet": scene.bouquet is not None,
        "count": scene.count > 1,
        "position": scene.position != "center",
    }.get(name, True)


def near_miss(scene: Scene, seed: int) -> Scene:
    """Return a scene that differs from this one in subject (or rider), color, or place."""
    rng = random.Random(seed)  # noqa: S311 - pictures, not secrets
    changed = rng.choice(ASKED)
    while True:
        other = draw_scene(rng)
        if changed == "subject" and scene.rider and other.rider not in (None, scene.rider):
            return replace(scene, rider=other.rider)
        if (
            changed == "subject"
            and not scene.rider
            and not other.rider
            and other.subject != scene.subject
        ):
            return replace(other, color=scene.color, place=scene.place)
        if changed == "color" and other.color != scene.color:
            return replace(scene, color=other.color)
        if changed == "place" and other.place != scene.place:
            return replace(scene, place=other.place)


def drawn_pictures(asked: Sequence[Scene]) -> np.ndarray:
    """Draw the scenes as the training data is drawn, float32 in [0, 1]."""
    return np.stack(
        [
            np.asarray(draw(scene, 10_000 + index), dtype=np.float32) / 255
            for index, scene in enumerate(asked)
        ]
    )


def likeness(candidate: np.ndarray, baseline: np.ndarray) -> dict[str, float]:
    """Return the medians of PSNR (dB) and SSIM of pictures against the baseline's."""
    each = [
        compare_batches(ours[None], theirs[None])
        for ours, theirs in zip(candidate, baseline, strict=True)
    ]
    return {name: statistics.median(values[name] for values in each) for name in ("psnr", "ssim")}


def autoencoders(models: Models, shown: np.ndarray) -> dict[str, float]:
    """Compare the tiny autoencoder with the autoencoder on the same latents.

    Args:
        models: models with both.
        shown: pictures in [0, 1], of which the autoencoder makes the latents. For the negative
            control the tiny autoencoder gets them without the scaling that it was trained for, as
            from a pipeline that confuses the scaling factors of the two.

    Returns:
        Median PSNR over pictures, dB: of the tiny autoencoder, of the control, and of the
        autoencoder against the pictures.
    """
    vae, tiny = models.teacher.vae, models.tiny.vae
    with torch.no_grad():
        latents = vae.encode(torch.from_numpy(shown).permute(0, 3, 1, 2) * 2 - 1).latent_dist.mean
        theirs = _unit(vae.decode(latents).sample)
        ours = _unit(tiny.decode(latents * vae.config.scaling_factor).sample)
        unscaled = _unit(tiny.decode(latents).sample)
    return {
        "psnr": likeness(ours, theirs)["psnr"],
        "control_psnr": likeness(unscaled, theirs)["psnr"],
        "autoencoder_psnr": likeness(theirs, shown)["psnr"],
    }


def _unit(decoded: torch.Tensor) -> np.ndarray:
    pixels: np.ndarray = (decoded / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    return pixels


def sizes(models: Models) -> dict[str, int]:
    """Count the parameters of every part, and the bytes of everything shipped."""
    parts = {
        "teacher": models.teacher.unet,
        "student": models.student.unet,
        "autoencoder": models.teacher.vae,
        "tiny_autoencoder": models.tiny.vae,
        "text_encoder": models.teacher.text_encoder,
    }
    counted = {f"{name}_parameters": parameters([part]) for name, part in parts.items()}
    return counted | {
        "shipped_bytes": sum(
            file.stat().st_size for file in models.folder.rglob("*") if file.is_file()
        )
    }


def unet_speedup(models: Models, images: int, budget_s: float) -> dict[str, float]:
    """Measure, as the plugin does, how much faster the student's UNet is than the teacher's.

    Args:
        models: models with both.
        images: pictures drawn at once; with guidance a batch has twice as many latents.
        budget_s: seconds that it may take; a slot is one pass of a UNet.

    Returns:
        ``speedup``, ``low`` and ``high``.
    """
    unets = {"teacher": models.teacher.unet, "student": models.student.unet}
    text = torch.randn(2 * images, 77, models.teacher.unet.config.cross_attention_dim)
    latents = torch.randn(2 * images, 4, LATENT, LATENT)

    def arm(name: str, floor: float | None) -> Arm:
        def one_pass(_case: Case) -> None:
            with torch.no_grad():
                unets[name](latents, 500, text)

        return Arm(name=name, generate=one_pass, floor=floor)

    limits = Limits(budget_s=budget_s)
    record = run_campaign(
        arm("teacher", None), [arm("student", STUDENT_SPEEDUP)], limits, WallClock()
    )
    return asdict(record.decisions["student"].interval)
