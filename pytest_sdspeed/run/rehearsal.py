"""What a rehearsal draws: the recipes of tables at toy size, and the cases that tell them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.model import StackEntry
from pytest_sdspeed.pipelines.embedded import EMBEDDED
from pytest_sdspeed.run.compiling import OTHER_PROMPT, shrink_recipe

if TYPE_CHECKING:
    from pytest_sdspeed.model import Proof, Recipe, Result

SIDE = 64
"""Shorter side of a picture, pixels: autoencoders that halve it three times leave 8, and those that
work in tiles at toy size have several."""
_OF_STEPS = frozenset({"timesteps", "sigmas"})
"""Arguments of a call that say the steps themselves."""


def find_unrehearsed(result: Result) -> str | None:
    """Say what kept a row that passes from being rehearsed, or return None.

    That is so if all that tells its stack from the baseline's cannot act at toy size, or does
    nothing on a CPU: then the pictures are those of the baseline, and show nothing.
    """
    from pytest_sdspeed.pipelines.rehearsing import INERT

    if result.verdict != "pass" or result.is_baseline:
        return None
    stacks = (result.optimizations or (), result.baseline_optimizations or ())
    differing = set(stacks[0]) ^ set(stacks[1])
    proofs = (*result.proofs, *result.baseline_proofs)
    idle = {one.optimization: one for one in proofs if one.finding.excused}
    idle = {label: one for label, one in idle.items() if label in differing}
    acting = {
        label for label in differing - idle.keys() if StackEntry.parse(label).name not in INERT
    }
    return None if acting or not idle else "; ".join(map(describe_idle, idle.values()))


def describe_idle(proof: Proof) -> str:
    """Describe an optimization that may act at full size only."""
    return (
        f"{proof.optimization} did not act at toy size, and may at full size: {proof.finding.text}"
    )


def is_shrunk(recipe: Recipe) -> bool:
    """Tell whether a rehearsal draws a recipe at toy size, and not a model of the package."""
    return recipe.model not in EMBEDDED


def rehearse_recipe(recipe: Recipe) -> Recipe:
    """Return what a rehearsal draws: models that the package brings draw as they always do."""
    return shrink_recipe(recipe, SIDE) if is_shrunk(recipe) else recipe


def choose_cases(recipe: Recipe) -> tuple[tuple[str, ...], int]:
    """Choose what is drawn beside a recipe's own case and another seed's, to tell it from them.

    Args:
        recipe: at toy size.

    Returns:
        Other prompts, one at least if it has one, and another number of steps, 0 for none.
    """
    if not is_shrunk(recipe):
        return recipe.more_prompts, 0
    prompts = recipe.more_prompts or ((OTHER_PROMPT,) if recipe.prompt else ())
    return prompts, 0 if _OF_STEPS & recipe.call.keys() else recipe.steps // 2
