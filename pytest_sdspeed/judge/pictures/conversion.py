"""Whatever an arm returns as pictures, and those without a defect.

Pictures are float32 arrays (N, H, W, 3) in [0, 1].
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures.forms import keep
from pytest_sdspeed.judge.pictures.output import find_defect
from pytest_sdspeed.judge.pictures.single import VALID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.judge.pictures.output import Output
    from pytest_sdspeed.model import Case


def as_pictures(value: object) -> np.ndarray:
    """Convert whatever a pipeline or callable returns into pictures.

    Args:
        value: whatever ``forms.keep`` takes. NaN and infinity pass: they are judged by
            ``find_defects``.

    Returns:
        A new float32 array (N, H, W, 3) in [0, 1]: the frames of all videos, alpha over white. Of
        pictures with a range of their own, the least value is 0 and the greatest 1.

    Raises:
        PictureError: if it is no picture; the message says what it is and what would be valid.
    """
    output = _keep_something(value)
    if output.kind == "array":
        raise PictureError(f"returned {output.describe()}, no picture; valid: {VALID}")
    found = np.empty((output.count, *output.size[-2:], 3), np.float32)
    for index, shown in enumerate(output.views()):
        found[index] = shown
    return found


def find_defects(pictures: np.ndarray) -> tuple[str, ...]:
    """Find what is wrong with pictures on their own: the gravest defect of each picture.

    A defect is ``not finite``, ``black`` or ``constant``.

    Args:
        pictures: float array (N, H, W, 3).

    Returns:
        One sentence per defective picture, starting with the word and ending with the picture's
        index in the batch.
    """
    found = ((index, find_defect(picture)) for index, picture in enumerate(pictures))
    return tuple(f"{defect} (picture {index})" for index, defect in found if defect)


def select_sound(
    outputs: Mapping[Case, object],
    role: str,
    reasons: list[str],
    like: Mapping[Case, Output] = MappingProxyType({}),
) -> dict[Case, Output]:
    """Return what has no defect, as ``keep`` gives it.

    Args:
        outputs: case -> whatever ``keep`` takes.
        role: side that drew them, for the reasons; "" for the candidate.
        reasons: gains what is wrong with the others, in words.
        like: what each case is read like, if it can be read in several ways.
    """
    found = {}
    for case, value in sorted(outputs.items()):
        try:
            output = _keep_something(value)
            output = output.like(like[case]) if case in like else output
        except PictureError as error:
            reasons.append(f"{case}: {f'the {role} ' if role else ''}{error}")
            continue
        wrong = output.defects()
        noun = "array" if output.kind == "array" else "picture"
        prefix = f"the {role}'s {noun} is " if role else ""
        reasons += [f"{case}: {prefix}{defect}" for defect in wrong]
        if not wrong:
            found[case] = output
    return found


def _keep_something(value: object) -> Output:
    output = keep(value)
    if output is None:
        raise PictureError(f"returned no picture; valid: {VALID}")
    return output
