"""What a pipeline of any class is called with: what a recipe states, and what can be made up."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import GenerationError, UsageMistakeError
from pytest_sdspeed.model import COUNT_ARGUMENTS, OWN_ARGUMENTS, RECIPE_ARGUMENTS
from pytest_sdspeed.pipelines.inputs import find_needed, is_made, make_input
from pytest_sdspeed.pipelines.noise import make_generator

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pytest_sdspeed.model import Case, Recipe

PROMPT = "a photo of an astronaut riding a horse on mars"
_SIDE = 512
_BATCH, _VIDEOS = 4, 5
"""Axes of pictures, and of videos."""


@dataclass(frozen=True, slots=True)
class PipelineCall:
    """What a pipeline is called with to draw a recipe.

    Attributes:
        kind: name of the pipeline's class.
        arguments: what is the same in every call.
        taken: names of the arguments that the call takes.
        size: height and width, pixels, that a picture has to have, or None if those that it is
            drawn from decide.
        frames: frames that a video has to have, or None.
    """

    kind: str
    arguments: Mapping[str, Any]
    taken: frozenset[str]
    size: tuple[int, int] | None
    frames: int | None

    def fill(self, case: Case, output: str) -> dict[str, Any]:
        """Return the arguments of one call.

        Args:
            case: seed, and prompt and steps if they are not the recipe's.
            output: what the pipeline returns, ``np`` or ``pt``; one that takes no ``output_type``
                decides for itself.
        """
        # What a pipeline does to a list is no other call's business.
        filled = {
            name: list(value) if isinstance(value, list) else value
            for name, value in self.arguments.items()
        }
        if case.prompt:
            filled["prompt"] = case.prompt
        if case.steps:
            filled["num_inference_steps"] = case.steps
        if "generator" in self.taken:
            filled["generator"] = make_generator(case.seed)
        if "output_type" in self.taken:
            filled["output_type"] = output
        return filled

    def check(self, drawn: Any) -> None:
        """Check that pictures have the size, and videos the frames, that the recipe states.

        Some pipelines round both to what they can draw, and others draw one size only.

        Args:
            drawn: what the call returned. Of arrays and tensors alone the shape is known.

        Raises:
            GenerationError: they have others.
        """
        shape: tuple[int, ...] = tuple(getattr(drawn, "shape", ()))
        if len(shape) not in (_BATCH, _VIDEOS):
            return
        height, width = shape[-2:] if hasattr(drawn, "cpu") else shape[-3:-1]
        if self.size is not None and self.size != (height, width):
            raise GenerationError(
                f"{self.kind} drew {width}x{height} pixels, and the recipe states"
                f" {self.size[1]}x{self.size[0]}: pictures of another size. State the size that it"
                " draws; if other setups draw the stated one, an optimization here changes it"
            )
        if len(shape) == _VIDEOS and self.frames not in (None, shape[1]):
            raise GenerationError(
                f"{self.kind} drew {shape[1]} frames, and the recipe states {self.frames}: state"
                " the number that it draws; if other setups draw the stated one, an optimization"
                " here changes it"
            )


def make_call(pipeline: Any, recipe: Recipe) -> PipelineCall:
    """Make the arguments of a pipeline's call from a recipe.

    Args:
        pipeline: pipeline of diffusers, or of a class that users registered.
        recipe: what is generated.

    Raises:
        UsageMistakeError: the recipe states what the call does not take, or the call needs what
            the recipe does not state. Nothing is dropped: what is measured would be another thing.
    """
    kind, parameters = type(pipeline).__name__, _read_parameters(pipeline)
    required = _find_required(parameters)
    stated = _state(recipe, parameters)
    _refuse_twice(kind, recipe, stated)
    arguments = stated | dict(recipe.call)
    _refuse_unknown(kind, {**arguments, **dict.fromkeys(recipe.inputs)}, parameters)
    asked = dict.fromkeys((*recipe.inputs, *find_needed(kind, parameters, required)))
    made = {name: _make(kind, name, recipe, parameters) for name in asked if name not in arguments}
    arguments |= made
    missing = [name for name in required if name not in {*arguments, *OWN_ARGUMENTS}]
    if missing:
        raise UsageMistakeError(
            f"{kind} needs {', '.join(missing)}, which the recipe does not state: add it to call"
            " of the recipe"
        )
    return PipelineCall(
        kind=kind,
        arguments=arguments,
        taken=frozenset(parameters),
        size=None if made and "height" not in stated else (recipe.height, recipe.width),
        frames=recipe.frames,
    )


def _state(recipe: Recipe, taken: Collection[str]) -> dict[str, Any]:
    """Return what a recipe states, by the names of arguments.

    The size of a picture may be that of the picture that it is drawn from, one picture per call is
    what every call draws, and no prompt is none.
    """
    stated: dict[str, Any] = {"num_inference_steps": recipe.steps}
    if recipe.prompt or recipe.more_prompts or "prompt" in taken:
        stated["prompt"] = recipe.prompt
    stated |= {name: getattr(recipe, name) for name in ("height", "width") if name in taken}
    if recipe.guidance is not None:
        stated["guidance_scale"] = recipe.guidance
    if recipe.frames is not None:
        stated["num_frames"] = recipe.frames
    count = next((name for name in COUNT_ARGUMENTS if name in taken), COUNT_ARGUMENTS[0])
    if recipe.images != 1 or count in taken:
        stated[count] = recipe.images
    return stated


def _refuse_twice(kind: str, recipe: Recipe, stated: Mapping[str, Any]) -> None:
    """Refuse further arguments of the call that the recipe says elsewhere, or nobody may say."""
    for name in recipe.call:
        if name in OWN_ARGUMENTS:
            raise UsageMistakeError(
                f"call of the recipe gives {name!r}, which every generation of {kind} gets anew:"
                " leave it out"
            )
        if name in stated:
            raise UsageMistakeError(
                f"call of the recipe gives {name!r}, and so does its {RECIPE_ARGUMENTS[name]!r}:"
                " leave it out of call"
            )
        if name in recipe.inputs:
            raise UsageMistakeError(
                f"call of the recipe gives {name!r}, and inputs have it made up: name it once"
            )


def _refuse_unknown(
    kind: str, named: Iterable[str], parameters: Mapping[str, inspect.Parameter]
) -> None:
    unknown = [name for name in named if name not in parameters]
    if not unknown:
        return
    said = ", ".join(
        f"{name} ({RECIPE_ARGUMENTS[name]} of the recipe)"
        if name in RECIPE_ARGUMENTS
        else repr(name)
        for name in unknown
    )
    hint = (
        "; a recipe whose guidance is None passes no guidance_scale"
        if "guidance_scale" in unknown
        else ""
    )
    raise UsageMistakeError(
        f"{kind} takes no argument {said}; valid: {', '.join(parameters) or 'none'}{hint}"
    )


def _make(kind: str, name: str, recipe: Recipe, parameters: Mapping[str, inspect.Parameter]) -> Any:
    """Make a picture, a mask or a video for an argument."""
    if not is_made(name):
        valid = ", ".join(filter(is_made, parameters)) or "none"
        raise UsageMistakeError(
            f"inputs of the recipe name {name!r} of {kind}, which is no picture, mask or video;"
            f" valid: {valid}"
        )
    return make_input(
        name,
        height=recipe.height,
        width=recipe.width,
        frames=recipe.frames,
        seed=recipe.seed,
        beside=parameters,
    )


def make_arguments(pipeline: Any, given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Make the arguments of a pipeline's call without a recipe: a prompt, a generator, pictures.

    Args:
        pipeline: pipeline of diffusers.
        given: arguments that are known, by name; they take precedence.
        seed: seed of the generator, which is on the CPU.

    Raises:
        UsageMistakeError: it has no such argument, or needs one that cannot be made up.
    """
    kind, parameters = type(pipeline).__name__, _read_parameters(pipeline)
    unknown = sorted(set(given) - set(parameters))
    if unknown:
        raise UsageMistakeError(
            f"{kind} takes no argument {', '.join(map(repr, unknown))}; valid:"
            f" {', '.join(parameters)}"
        )
    required = _find_required(parameters)
    size = {name: int(given.get(name) or _SIDE) for name in ("height", "width")}
    made = {
        name: make_input(name, **size, frames=given.get("num_frames"), seed=seed, beside=parameters)
        for name in find_needed(kind, parameters, required)
    }
    common = {"prompt": PROMPT, "generator": make_generator(seed), "output_type": "pt"}
    made |= {name: value for name, value in common.items() if name in parameters} | dict(given)
    missing = [name for name in required if name not in made]
    if missing:
        raise UsageMistakeError(
            f"{kind} needs {', '.join(missing)}, which cannot be made up: give each with --call"
            f" {missing[0]}=VALUE"
        )
    return made


def _read_parameters(pipeline: Any) -> dict[str, inspect.Parameter]:
    """Return the arguments that a pipeline's call takes by name.

    What else it takes by keyword is for old names of arguments, and passes over misspelt ones.
    """
    return {
        name: one
        for name, one in inspect.signature(type(pipeline).__call__).parameters.items()
        if name != "self" and one.kind not in {one.VAR_KEYWORD, one.VAR_POSITIONAL}
    }


def _find_required(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    return [name for name, one in parameters.items() if one.default is inspect.Parameter.empty]
