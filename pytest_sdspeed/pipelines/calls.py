"""What a pipeline of any class is called with, as far as it can be made up."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import UsageMistakeError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROMPT = "a photo of an astronaut riding a horse on mars"
_PICTURES = ("image", "mask_image", "control_image")
_FIRST = 3
"""A pipeline that draws from a picture has it among its first arguments; one that may have a
picture beside its text has it later, or not at all."""
_SIDE = 512


def make_arguments(pipeline: Any, given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Make the arguments of a pipeline's call: a prompt, a generator, pictures to draw from.

    Args:
        pipeline: pipeline of diffusers.
        given: arguments that are known, by name; they take precedence.
        seed: seed of the generator, which is on the CPU.

    Raises:
        UsageMistakeError: it has no such argument, or needs one that cannot be made up.
    """
    import torch

    parameters = inspect.signature(type(pipeline).__call__).parameters
    # What else it takes by keyword is for old names of arguments, and passes over misspelt ones.
    named = [
        name
        for name, one in parameters.items()
        if name != "self" and one.kind not in {one.VAR_KEYWORD, one.VAR_POSITIONAL}
    ]
    unknown = sorted(set(given) - set(named))
    kind = type(pipeline).__name__
    if unknown:
        valid = ", ".join(named)
        raise UsageMistakeError(
            f"{kind} takes no argument {', '.join(map(repr, unknown))}; valid: {valid}"
        )
    made: dict[str, Any] = {}
    for name in named[:_FIRST]:
        if name in _PICTURES:
            made[name] = _make_picture(given)
    common = {
        "prompt": PROMPT,
        "generator": torch.Generator("cpu").manual_seed(seed),
        "output_type": "pt",
    }
    made |= {name: value for name, value in common.items() if name in named} | dict(given)
    missing = [
        name
        for name in named
        if name not in made and parameters[name].default is inspect.Parameter.empty
    ]
    if missing:
        raise UsageMistakeError(
            f"{kind} needs {', '.join(missing)}, which cannot be made up: give each with --call"
            f" {missing[0]}=VALUE"
        )
    return made


def _make_picture(given: Mapping[str, Any]) -> Any:
    """Make a grey picture of the size that is drawn."""
    from PIL import Image

    size = (int(given.get("width") or _SIDE), int(given.get("height") or _SIDE))
    return Image.new("RGB", size, (128, 128, 128))
