"""What was generated, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_sdspeed.model import UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.model import Recipe


def describe_recipe(recipe: Recipe | None) -> Mapping[str, str]:
    """Return label -> value of what a recipe says, without what it leaves to the model."""
    if recipe is None:
        return {"generated": "callables, whose recipe is unknown"}
    known = {
        "model": recipe.model,
        "pipeline": recipe.pipeline,
        "prompt": recipe.prompt,
        "size": f"{recipe.width} x {recipe.height}",
        "steps": f"{recipe.steps}, {recipe.scheduler or 'the scheduler of the model'}",
        "pictures per call": str(recipe.images) if recipe.frames is None else None,
        "videos per call": f"{recipe.images} of {recipe.frames} frames" if recipe.frames else None,
        "calls": str(recipe.repeats) if recipe.repeats > 1 else None,
        "guidance": None if recipe.guidance is None else f"{recipe.guidance:g}",
        **{f"call: {name}": json.dumps(value) for name, value in recipe.call.items()},
        "seeded inputs": ", ".join(recipe.inputs),
        "weights before optimizations": recipe.dtype,
        "student": recipe.student,
        "tiny autoencoder": recipe.tiny_vae,
        **{f"part: {role}": model for role, model in recipe.parts.items()},
        "seed": str(recipe.seed),
        "a latency is of": None if recipe.of_call else UNITS[recipe.unit],
    }
    return {label: value for label, value in known.items() if value}
