"""One array, tensor or PIL image as an ``Output``: which axes are which, and what values mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_sdspeed.errors import PictureError, read_first_line
from pytest_sdspeed.judge.pictures.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.judge.pictures.output import Kind

RANGE_SLACK = 1e-3
"""How far outside [0, 1] a value may lie and be clipped: more than float16 rounding at 1, less than
an 8-bit level."""

VALID = (
    "PIL images, numpy arrays or torch tensors of pictures (H, W, 3), (N, H, W, C) or (N, C, H, W),"
    " uint8 or floats in [0, 1], lists of them, videos (N, F, H, W, C) or (N, F, C, H, W), a"
    " pipeline's output with images or frames, or an array that is no picture"
)

VIDEO_NAMES = ("frames", "videos")

_CHANNELS = (1, 3, 4)
COLORS = 3
"""Channels of a picture in colors."""
_SMALLEST = 8
"""Least sides, in pixels, of what is a picture by its shape alone, but for (H, W, 3) and
(N, H, W, 3)."""
_GREY, _PICTURE, _BATCH, _VIDEOS = 2, 3, 4, 5
"""Numbers of axes."""
_UNKNOWN_TO_NUMPY = ("bfloat16", "float8")


def read_array(value: Any) -> np.ndarray | None:
    """Return an array or a tensor as numpy's, which may share its memory; None for others.

    bfloat16 becomes float32, which holds all of its values. Torch is never imported.
    """
    if isinstance(value, np.ndarray):
        return value
    try:
        if is_tensor(value):
            tensor = value.detach()
            if any(kind in str(tensor.dtype) for kind in _UNKNOWN_TO_NUMPY):
                tensor = tensor.float()
            return np.asarray(tensor.cpu().numpy())
        if all(hasattr(value, name) for name in ("__array__", "shape", "dtype")):
            return np.asarray(value)
    except Exception as error:
        said = read_first_line(error, "no message")
        raise PictureError(
            f"returned a {type(value).__name__} that cannot be read: {said}; valid: {VALID}"
        ) from error
    return None


def is_tensor(value: object) -> bool:
    """Tell whether a value is torch's: its channels come first by custom."""
    return hasattr(value, "detach") and hasattr(value, "cpu")


class _Layout(NamedTuple):
    """One reading of a shape.

    Attributes:
        axes: the order of axes that gives (..., H, W, C).
        channels: number of channels.
        sides: height and width.
        first: whether channels come before the sides.
    """

    axes: tuple[int, ...]
    channels: int
    sides: tuple[int, int]
    first: bool


def layouts(shape: Sequence[int], *, first: bool) -> list[_Layout]:
    """List how a shape can be read as pictures or videos, the reading to take at the head.

    A channel axis has 1, 3 or 4 entries and is the last one, or the third from the end; of 5 axes
    it may be the second, (N, C, F, H, W). Three channels take precedence over others, then comes
    what the library does: numpy has channels last, torch first.

    Args:
        shape: shape of an array of 3 to 5 axes.
        first: whether channels come first by custom.
    """
    axes = tuple(range(len(shape)))
    last = _Layout(axes, shape[-1], (shape[-3], shape[-2]), first=False)
    before = _Layout(
        (*axes[:-3], axes[-2], axes[-1], axes[-3]), shape[-3], (shape[-2], shape[-1]), first=True
    )
    found = [before, last] if first else [last, before]
    if len(shape) == _VIDEOS:
        found.append(_Layout((0, 2, 3, 4, 1), shape[1], (shape[3], shape[4]), first=True))
    found = [one for one in found if one.channels in _CHANNELS and _is_large_enough(one)]
    return sorted(found, key=lambda one: one.channels != COLORS)


def _is_large_enough(one: _Layout) -> bool:
    exempt = one.channels == COLORS and not one.first and len(one.axes) < _VIDEOS
    return exempt or min(one.sides) >= _SMALLEST


def from_array(array: np.ndarray, name: str, *, first: bool) -> Output:
    """Read an array as pictures or videos if it can be, else as an array.

    Args:
        array: array of any shape, with real numbers.
        name: name under which it was found; four axes are one video under ``frames``.
        first: whether channels come first by custom.

    Raises:
        PictureError: it is empty, holds no real numbers, or can be read in two ways.
    """
    _refuse_no_array(array)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    layout = _choose_layout(array, first=first)
    if layout is None:
        return _keep_array(array, "no shape of pictures")
    problem, own_range = _judge_values(array, layout)
    if problem:
        return _keep_array(array, problem)
    shown = array[..., np.newaxis] if array.ndim == _GREY else array.transpose(layout.axes)
    wanted = _VIDEOS if name in VIDEO_NAMES else max(_BATCH, shown.ndim)
    values = _copy(shown.reshape((1,) * (wanted - shown.ndim) + shown.shape))
    if not own_range:
        _clip(values)
    back = None if array.ndim == _GREY else tuple(map(int, np.argsort(layout.axes)))
    kind: Kind = "videos" if values.ndim == _VIDEOS else "pictures"
    return Output(kind, values, own_range=own_range, axes=back)


def _refuse_no_array(array: np.ndarray) -> None:
    if array.ndim == 0:
        raise PictureError(f"returned a number of type {array.dtype}; valid: {VALID}")
    if array.size == 0:
        raise PictureError(f"returned an empty array of shape {array.shape}; valid: {VALID}")
    if array.dtype.kind not in "buif":
        raise PictureError(f"returned an array of {array.dtype}; valid: {VALID}")


def _choose_layout(array: np.ndarray, *, first: bool) -> _Layout | None:
    """Choose how a shape is read; None if it is no picture's.

    Raises:
        PictureError: if two readings are equally good.
    """
    if array.ndim == _GREY:
        grey = _Layout((0, 1), 1, (array.shape[0], array.shape[1]), first=False)
        return grey if _is_large_enough(grey) else None
    if not _PICTURE <= array.ndim <= _VIDEOS:
        return None
    found = layouts(array.shape, first=first)
    if array.ndim < _VIDEOS and array.shape[-1] == array.shape[-3] == COLORS:
        raise PictureError(
            f"returned an array of shape {array.shape}, of which both the first and the last axis"
            f" of a picture could be its channels; valid: {VALID}"
        )
    return found[0] if found else None


def _judge_values(array: np.ndarray, layout: _Layout) -> tuple[str, bool]:
    """Say why values are no picture's, or "", and whether they have a range of their own."""
    if array.dtype == np.uint8:
        return "", False
    if array.dtype == np.uint16:
        return "", True
    if array.dtype.kind != "f":
        return f"values of {array.dtype}", False
    low, high = _find_range(array)
    if low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK:
        return "", False
    if layout.channels == 1 and low >= 0:
        # Metres of a depth map.
        return "", True
    return f"values in [{low:.4g}, {high:.4g}], those of pictures are in [0, 1]", False


def _find_range(array: np.ndarray) -> tuple[float, float]:
    """Return the least and the greatest finite value, infinities the other way round if none is."""
    low, high = np.inf, -np.inf
    for piece in array if array.ndim > _PICTURE else (array,):
        least, greatest = float(piece.min()), float(piece.max())
        if not (np.isfinite(least) and np.isfinite(greatest)):
            finite = np.isfinite(piece)
            least = float(piece.min(where=finite, initial=np.inf))
            greatest = float(piece.max(where=finite, initial=-np.inf))
        low, high = min(low, least), max(high, greatest)
    return low, high


def _keep_array(array: np.ndarray, why: str) -> Output:
    return Output("array", np.array(array, order="C"), why=why)


def _copy(array: np.ndarray) -> np.ndarray:
    """Copy in C order: what comes in may be shared with the arm that returned it."""
    exact = array.dtype in (np.uint8, np.uint16, np.int32, np.float16, np.float32)
    return np.array(array, dtype=array.dtype if exact else np.float32, order="C")


def _clip(values: np.ndarray) -> None:
    """Clip floats to [0, 1] in place.

    NaN stays, and so does infinity, which clipping would turn into white and hide.
    """
    if values.dtype.kind != "f":
        return
    for picture in values.reshape(-1, *values.shape[-3:]):
        if picture.min() >= 0 and picture.max() <= 1:
            continue
        np.clip(picture, 0, 1, out=picture, where=np.isfinite(picture))


_OWN_RANGE = {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
_ALPHA = {"LA": "LA", "La": "LA", "RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA"}


def from_pil(image: Any) -> Output:
    """Take a PIL image in the smallest of the modes L, LA, RGB, RGBA that holds it.

    Raises:
        PictureError: it is an animation, or its file is closed or damaged.
    """
    try:
        return _from_pil(image)
    except PictureError:
        raise
    except Exception as error:
        said = read_first_line(error, "no message")
        raise PictureError(
            f"returned a {type(image).__name__} that cannot be read: {said}; valid: {VALID}"
        ) from error


def _from_pil(image: Any) -> Output:
    if getattr(image, "n_frames", 1) > 1:
        raise PictureError(
            f"returned an animation of {image.n_frames} frames: return a list of them"
            " ([frame.copy() for frame in PIL.ImageSequence.Iterator(image)])"
        )
    mode = getattr(image, "mode", "")
    if mode in _OWN_RANGE:
        raw = np.asarray(image)
        native = raw.astype(raw.dtype.newbyteorder("="), copy=False)
        return Output("pictures", _copy(native[np.newaxis, ..., np.newaxis]), own_range=True)
    if mode in _ALPHA:
        target = _ALPHA[mode]
    elif "transparency" in (getattr(image, "info", None) or {}):
        target = "RGBA"
    else:
        target = "L" if mode in ("1", "L") else "RGB"
    raw = np.asarray(image if mode == target else image.convert(target))
    raw = raw[..., np.newaxis] if raw.ndim == _GREY else raw
    return Output("pictures", _copy(raw[np.newaxis]))
