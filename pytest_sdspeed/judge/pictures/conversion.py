"""Whatever an arm returns, as pictures, and what is wrong with a picture on its own.

Pictures are float32 arrays (N, H, W, 3) in [0, 1].
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures.output import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.model import Case

BLACK = 1.5 / 255
"""Nothing brighter is black: the first 8-bit level above zero, which rounding alone can reach, and
half a level for float rounding."""

CONSTANT = 1.0 / 255
"""A standard deviation below one 8-bit level in each channel: all that rounding a uniform picture
to 8 bits can leave is half of it."""

RANGE_SLACK = 1e-3
"""How far outside [0, 1] a value may lie and be clipped: more than float16 rounding at 1, less than
an 8-bit level."""

VALID = (
    "PIL images, uint8 arrays, or float arrays in [0, 1], shaped (H, W, 3) or (N, H, W, 3), one or"
    " a list of them"
)

_RANKS = (3, 4)
_CHANNELS = 3


def as_pictures(value: object) -> np.ndarray:
    """Convert whatever a pipeline or callable returns into pictures.

    Args:
        value: PIL images (anything with ``convert``), uint8 arrays, float arrays in [0, 1], one or
            a list or tuple of them, or an object with ``images`` (a diffusers output). NaN and
            infinity pass: they are judged by ``find_defects``.

    Returns:
        A new float32 array (N, H, W, 3) in [0, 1].

    Raises:
        PictureError: if it is none of these; the message says what it is and what would be valid.
    """
    if value is None:
        raise PictureError(f"returned no picture; valid: {VALID}")
    if isinstance(value, Output):
        return np.stack(list(value.views()))
    if isinstance(value, np.ndarray):
        return _from_array(value)
    if isinstance(value, (list, tuple)):
        return _from_list(value)
    if hasattr(value, "convert"):
        return _from_array(np.asarray(value.convert("RGB")))
    if hasattr(value, "images"):
        return as_pictures(value.images)
    raise PictureError(f"returned an object of type {type(value).__name__}; valid: {VALID}")


def find_defects(pictures: np.ndarray) -> tuple[str, ...]:
    """Find what is wrong with pictures on their own: the gravest defect of each picture.

    A defect is ``not finite``, ``black`` or ``constant``.

    Constant is judged per channel, over the pixels: a uniform red picture varies between channels,
    and shows nothing all the same.

    Args:
        pictures: float array (N, H, W, 3).

    Returns:
        One sentence per defective picture, starting with the word and ending with the picture's
        index in the batch.
    """
    found = (
        (index, _find_defect(picture.astype(np.float64))) for index, picture in enumerate(pictures)
    )
    return tuple(f"{defect} (picture {index})" for index, defect in found if defect)


def select_sound(
    pictures: Mapping[Case, object], role: str, reasons: list[str]
) -> dict[Case, np.ndarray]:
    """Return the pictures without a defect, each as ``as_pictures`` gives it.

    Args:
        pictures: case -> whatever ``as_pictures`` takes.
        role: side that drew them, for the reasons; "" for the candidate.
        reasons: gains what is wrong with the others, in words.
    """
    found = {}
    for case, value in sorted(pictures.items()):
        try:
            converted = as_pictures(value)
        except PictureError as error:
            reasons.append(f"{case}: {f'the {role} ' if role else ''}{error}")
            continue
        wrong = find_defects(converted)
        prefix = f"the {role}'s picture is " if role else ""
        reasons += [f"{case}: {prefix}{defect}" for defect in wrong]
        if not wrong:
            found[case] = converted
    return found


def _from_array(array: np.ndarray) -> np.ndarray:
    if array.ndim not in _RANKS or array.shape[-1] != _CHANNELS:
        raise PictureError(f"returned an array of shape {array.shape}; valid: {VALID}")
    if array.size == 0:
        raise PictureError(f"returned an empty array of shape {array.shape}; valid: {VALID}")
    batch = array if array.ndim == max(_RANKS) else array[np.newaxis]
    if batch.dtype == np.uint8:
        return batch.astype(np.float32) / np.float32(255)
    if not np.issubdtype(batch.dtype, np.floating):
        raise PictureError(f"returned an array of {batch.dtype}; valid: {VALID}")
    finite = np.isfinite(batch)
    values = batch[finite].astype(np.float64)
    if values.size and (values.min() < -RANGE_SLACK or values.max() > 1 + RANGE_SLACK):
        raise PictureError(
            f"returned values in [{values.min():.4g}, {values.max():.4g}]; valid: {VALID}"
        )
    # Clipping would turn infinity into white, and hide it.
    return np.where(finite, np.clip(batch, 0, 1), batch).astype(np.float32)


def _from_list(values: list[object] | tuple[object, ...]) -> np.ndarray:
    if not values:
        raise PictureError(f"returned an empty {type(values).__name__}; valid: {VALID}")
    batches = [as_pictures(value) for value in values]
    sizes = sorted({batch.shape[1:] for batch in batches})
    if len(sizes) > 1:
        raise PictureError(
            f"returned pictures of differing sizes {', '.join(map(str, sizes))} (H, W, 3) in one"
            f" {type(values).__name__}"
        )
    return np.concatenate(batches)


def _find_defect(picture: np.ndarray) -> str:
    broken = int(np.count_nonzero(~np.isfinite(picture)))
    if broken:
        return f"not finite: {broken} of {picture.size} values are NaN or infinite"
    if picture.max() <= BLACK:
        return f"black: no value exceeds {picture.max():.4f} of 1"
    spread = float(picture.std(axis=(0, 1)).max())
    if spread < CONSTANT:
        return f"constant: the pixels' standard deviation is {spread:.4f} of 1"
    return ""
