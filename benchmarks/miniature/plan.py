"""The plan of the training, which takes under three hours on two slow cores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from miniature.loop import Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

PICTURES = 40_000
"""Number of pictures that are drawn."""

STAGES: Mapping[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(name="autoencoder", steps=6000, batch=8, learning_rate=2e-3),
        Stage(name="teacher", steps=6500, batch=32, learning_rate=1e-3),
        Stage(name="student", steps=2500, batch=32, learning_rate=5e-4, ema_decay=0.998),
        Stage(name="tiny-autoencoder", steps=2000, batch=8, learning_rate=2e-3),
        Stage(name="classifier", steps=2000, batch=64, learning_rate=2e-3, ema_decay=0.998),
    )
}


def scaled(share: float, batch: int | None = None) -> tuple[int, dict[str, Stage]]:
    """Return a share of the pictures and of every stage's steps, at least two of each.

    Args:
        share: share of the plan, above 0 and at most 1.
        batch: pictures per step, or None for the plan's.
    """

    def short(stage: Stage) -> Stage:
        return replace(stage, steps=_part(stage.steps, share), batch=batch or stage.batch)

    return _part(PICTURES, share), {name: short(stage) for name, stage in STAGES.items()}


def _part(number: int, share: float) -> int:
    return max(2, round(number * share))
