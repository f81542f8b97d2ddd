"""A small network, trained on drawn pictures only, that tells what a picture shows."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, cross_entropy, interpolate

from miniature.scenes import (
    BOUQUETS,
    COLORS,
    COUNTED,
    COUNTS,
    MATERIALS,
    MOUNTS,
    PLACED,
    PLACES,
    POSITIONS,
    RIDERS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from miniature.data import Drawn
    from miniature.loop import Run, Trained
    from miniature.scenes import Scene

ANSWERS: Mapping[str, tuple[Any, ...]] = {
    "subject": (*MOUNTS, "vase", *COUNTED, *PLACED),
    "rider": (None, *RIDERS),
    "color": tuple(dict.fromkeys((*COLORS, *MOUNTS.values(), *MATERIALS))),
    "place": tuple(PLACES),
    "bouquet": (None, *BOUQUETS),
    "count": tuple(COUNTS),
    "position": tuple(POSITIONS),
}
"""Attribute of a scene -> the possible answers."""


class Classifier(nn.Module):  # type: ignore[misc]
    """Five strided convolutions and a linear layer for each question."""

    def __init__(self) -> None:
        super().__init__()
        channels = (3, 24, 48, 96, 128, 128)
        layers = [
            nn.Sequential(
                nn.Conv2d(wide, wider, 3, stride=2, padding=1), nn.GroupNorm(8, wider), nn.SiLU()
            )
            for wide, wider in itertools.pairwise(channels)
        ]
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.heads = nn.ModuleDict(
            {name: nn.Linear(128 * 4, len(answers)) for name, answers in ANSWERS.items()}
        )

    def forward(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        """Score every answer.

        Args:
            pictures: (N, 3, 64, 64) in [-1, 1].
        """
        features = self.body(pictures)
        return {name: head(features) for name, head in self.heads.items()}

    def answers(self, pictures: torch.Tensor) -> list[dict[str, Any]]:
        """Tell what each picture shows, by attribute."""
        with torch.no_grad():
            chosen = {name: scores.argmax(1).tolist() for name, scores in self(pictures).items()}
        return [
            {name: ANSWERS[name][indices[row]] for name, indices in chosen.items()}
            for row in range(len(pictures))
        ]


def train_classifier(run: Run, classifier: Classifier, drawn: Drawn, device: str) -> Trained:
    """Train the classifier on drawn pictures, half of them blurred and with noise."""
    truth = {name: _truth(name, drawn.scenes) for name in ANSWERS}

    def losses(size: int, generator: torch.Generator) -> Mapping[str, torch.Tensor]:
        indices = torch.randint(len(drawn), (size,), generator=generator)
        pictures = drawn.pictures(indices)
        worse = _blurred(pictures) + 0.1 * torch.randn(pictures.shape, generator=generator)
        pictures = torch.cat([pictures[: size // 2], worse[size // 2 :]])
        scores = classifier(pictures.to(device))
        return {
            name: cross_entropy(scores[name], truth[name][indices].to(device)) for name in ANSWERS
        }

    return run.train("classifier", [classifier], losses)


def _truth(name: str, scenes: Sequence[Scene]) -> torch.Tensor:
    return torch.tensor([ANSWERS[name].index(getattr(scene, name)) for scene in scenes])


def _blurred(pictures: torch.Tensor) -> torch.Tensor:
    return interpolate(avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
