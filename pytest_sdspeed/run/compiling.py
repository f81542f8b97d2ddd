"""What setups and callables compile, counted by running them on the CPU."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import read_first_line
from pytest_sdspeed.model import Case
from pytest_sdspeed.model.accounts import add_compilation
from pytest_sdspeed.pipelines.embedded import EMBEDDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_sdspeed.model import Recipe
    from pytest_sdspeed.model.accounts import Account, Compilation
    from pytest_sdspeed.pipelines.optimization import Optimization
    from pytest_sdspeed.setups.catalog import ResolvedSetup
    from pytest_sdspeed.setups.setup import Setup

SIDE = 16
"""Shorter side of a picture at toy size, pixels: a tiny autoencoder halves it three times, and the
toy UNet once."""
STEPS = 10
"""Most denoising steps: more than the times that torch compiles a frame before it gives up."""
FRAMES = 9
"""Most frames of a video: one more than autoencoders of videos take together."""
_FEW_STEPS = 2
"""Steps of calls that differ from the first."""
OTHER_PROMPT = "another prompt, of more words than most others have: a lighthouse in a storm"


def add_setup_compilation(
    account: Account,
    resolved: ResolvedSetup,
    stack: tuple[Optimization, ...],
    own: tuple[Mapping[str, Any], ...] = (),
) -> Account:
    """Return a setup's account with what it compiles; a note says why if that cannot be counted."""
    return _add(account, lambda: count_setup_compilation(resolved, stack, own=own))


def add_callable_compilation(account: Account, draw: Callable[[str], Any]) -> Account:
    """Return a callable's account with what it compiles, see ``add_setup_compilation``."""
    return _add(account, lambda: count_callable_compilation(draw))


def _add(account: Account, find: Callable[[], Compilation | None]) -> Account:
    try:
        found = find()
    except Exception as error:  # noqa: BLE001 - whatever it raises there, it was counted here
        said = read_first_line(error, "no message")[:300]
        note = (
            "graph breaks and recompilations are unknown: on the CPU, on which they are counted, it"
            f" raised {type(error).__name__}: {said}"
        )
        return replace(account, notes=(*account.notes, note))
    return add_compilation(account, found) if found else account


def count_setup_compilation(
    resolved: ResolvedSetup,
    stack: tuple[Optimization, ...],
    *,
    others: bool = True,
    own: tuple[Mapping[str, Any], ...] = (),
) -> Compilation | None:
    """Count what a setup compiles, or return None if that is nothing.

    Its models are of the same classes and blocks at toy size, with random weights, and draw small
    pictures in few steps; the models that the package brings are small as they are. After the first
    call there is an equal one, then one with another prompt, one with one more picture, and one
    with larger pictures.

    Args:
        resolved: what the setup's name means.
        stack: its optimizations in order.
        others: whether to draw another prompt, batch and resolution at all.
        own: classes of pipelines and architectures that users registered, by name.

    Raises:
        SdSpeedError: it cannot be built.
    """
    import torch

    from pytest_sdspeed.device.machine import describe_cpu
    from pytest_sdspeed.dry.compilation import record_compilation
    from pytest_sdspeed.pipelines.pool import Pool
    from pytest_sdspeed.pipelines.sources import EmbeddedFirst, PretrainedSource, TinySource
    from pytest_sdspeed.setups.setup import Setup

    recipe = shrink_recipe(resolved.recipe)
    few = replace(recipe, steps=min(recipe.steps, _FEW_STEPS))
    with torch.no_grad(), record_compilation() as recorder:
        setup = Setup(
            resolved.setup,
            recipe,
            stack,
            machine=describe_cpu(),
            pool=Pool(EmbeddedFirst(PretrainedSource("cpu", *own[:1]), TinySource("cpu", *own))),
            resolved=resolved,
        )
        _draw(setup, recipe)
        recorder.cause = "second_call"
        _draw(setup, recipe)
        if not others:
            return recorder.sum_up(("steps", "second_call"))
        recorder.cause = "prompt"
        _draw(setup, few, OTHER_PROMPT)
        recorder.cause = "batch"
        _draw(setup, replace(few, images=few.images + 1))
        recorder.cause = "resolution"
        _draw(setup, replace(few, height=few.height + SIDE, width=few.width + SIDE))
        return recorder.sum_up(("steps", "second_call", "prompt", "batch", "resolution"))


def shrink_recipe(recipe: Recipe, side: int = SIDE) -> Recipe:
    """Return what is drawn at toy size: few steps and frames, small pictures, square or not.

    Models that the package brings draw the pictures that they are made for.

    Args:
        recipe: at full size.
        side: shorter side of a picture, pixels.
    """
    short = replace(recipe, steps=min(recipe.steps, STEPS))
    if recipe.model in EMBEDDED:
        return short
    least = min(recipe.height, recipe.width)
    return replace(
        short,
        height=side if recipe.height == least else 2 * side,
        width=side if recipe.width == least else 2 * side,
        images=min(recipe.images, 2),
        frames=None if recipe.frames is None else min(recipe.frames, FRAMES),
    )


def _draw(setup: Setup, recipe: Recipe, prompt: str = "") -> None:
    """Draw what a recipe says with the pipeline that the setup has."""
    with _hold_recipe(setup, recipe), setup.slot():
        setup.draw(Case(recipe.seed, prompt), "pt")


@contextmanager
def _hold_recipe(setup: Setup, recipe: Recipe) -> Iterator[None]:
    before, setup.recipe = setup.recipe, recipe
    try:
        yield
    finally:
        setup.recipe = before


def count_callable_compilation(draw: Callable[[str], Any]) -> Compilation | None:
    """Count what a callable compiles in its first call and in a second one, or return None.

    Args:
        draw: takes the name of the device, which is ``cpu``; see ``count_callable``.
    """
    import torch

    from pytest_sdspeed.dry.compilation import record_compilation

    with torch.no_grad(), record_compilation() as recorder:
        prepared = draw("cpu")
        if callable(prepared):
            prepared()
        recorder.cause = "second_call"
        if callable(prepared):
            prepared()
        else:
            draw("cpu")
        return recorder.sum_up(("steps", "second_call"))
