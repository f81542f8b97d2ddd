"""From whatever an arm returned to an ``Output``: which forms there are, and how each is read.

The rules, in the order in which they are asked:

1. ``None`` is no picture, and judged by nobody. Text, paths and bytes are refused.
2. Of an object or a dict, the first of ``NAMES`` that it has is taken.
3. PIL images are pictures, in the mode they have. Greys of 16 and 32 bits and floats (``I;16``,
   ``I``, ``F``) have a range of their own.
4. A list of pictures is a batch; a list of lists, or of batches under ``frames``, is several
   videos; a list under ``frames`` is one. Under ``images``, lists of lists are one batch.
5. Of a tuple the first element counts, and with it those that follow and are of the same form:
   ``(images, nsfw)``, ``(image,)``, ``(first, second)``.
6. Of one array or tensor, the shape decides, as ``layouts`` says, and then its type: floats in
   [0, 1], uint8, uint16 are pictures; what is not is an array.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures.output import HAS_ALPHA, WHOLE, Output

if TYPE_CHECKING:
    from collections.abc import Sequence

RANGE_SLACK = 1e-3
"""How far outside [0, 1] a value may lie and be clipped: more than float16 rounding at 1, less than
an 8-bit level."""

NAMES = ("images", "frames", "videos", "prediction", "rgb", "sample", "latents")
"""Attributes and keys under which pipelines and models return what they made."""

VALID = (
    "PIL images, numpy arrays or torch tensors of pictures (H, W, 3), (N, H, W, C) or (N, C, H, W),"
    " uint8 or floats in [0, 1], lists of them, videos (N, F, H, W, C) or (N, F, C, H, W), a"
    " pipeline's output with images or frames, or an array that is no picture"
)

_CHANNELS = (1, 3, 4)
_GREY = (1, 2)
_COLORS = 3
_SMALLEST = 8
"""Least sides, in pixels, of what is a picture by its shape alone, but for (H, W, 3)."""
_PICTURE, _BATCH, _VIDEOS = 3, 4, 5


def keep(value: object) -> Output | None:
    """Keep what an arm returned, by value; None for None.

    Args:
        value: anything that the rules of this module name. NaN and infinity pass: they are judged
            by ``Output.defects``.

    Raises:
        PictureError: if it is none of these; the message says what it is and what would be valid.
    """
    return None if value is None else _convert(value, "")


def _convert(value: object, name: str) -> Output:
    """Convert a value that was found under a name, or "" for what was returned itself."""
    if value is None:
        raise PictureError(f"returned no picture; valid: {VALID}")
    _refuse_text(value)
    array = _read_array(value)
    if array is not None:
        return _from_array(array, name, first=not isinstance(value, np.ndarray))
    if hasattr(value, "convert"):
        return _from_pil(value)
    found = _find_named(value)
    if found:
        return _convert(found[1], found[0])
    if isinstance(value, tuple):
        return _from_tuple(value, name)
    if isinstance(value, list):
        return _from_list(value, name)
    if isinstance(value, Mapping):
        keys = ", ".join(map(repr, value)) or "no key"
        raise PictureError(f"returned a dict with {keys}; valid: one of {', '.join(NAMES)} in it")
    raise PictureError(f"returned an object of type {type(value).__name__}; valid: {VALID}")


def _refuse_text(value: object) -> None:
    if isinstance(value, (str, os.PathLike)):
        raise PictureError(
            f"returned an object of type {type(value).__name__}, {str(value)[:60]!r}: return the"
            f" picture itself, not its path or address (PIL.Image.open(path)); valid: {VALID}"
        )
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise PictureError(
            f"returned an object of type {type(value).__name__}: return the picture that they"
            f" encode (PIL.Image.open(io.BytesIO(content))); valid: {VALID}"
        )


def _find_named(value: object) -> tuple[str, object] | None:
    """Find the first of ``NAMES`` that an object or a dict has."""
    for name in NAMES:
        found = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        if found is not None and not callable(found):
            return name, found
    if any(name in value if isinstance(value, Mapping) else hasattr(value, name) for name in NAMES):
        raise PictureError(f"returned no picture: a {type(value).__name__} without any")
    return None


# One array


def _read_array(value: Any) -> np.ndarray | None:
    """Return an array or a tensor as numpy's, which may share its memory; None for others.

    bfloat16 becomes float32, which holds all of its values. Torch is never imported.
    """
    if isinstance(value, np.ndarray):
        return value
    try:
        if hasattr(value, "detach") and hasattr(value, "cpu"):
            tensor = value.detach()
            if "bfloat16" in str(tensor.dtype) or "float8" in str(tensor.dtype):
                tensor = tensor.float()
            return np.asarray(tensor.cpu().numpy())
        if hasattr(value, "__array__") and hasattr(value, "shape") and hasattr(value, "dtype"):
            return np.asarray(value)
    except Exception as error:
        raise PictureError(
            f"returned a {type(value).__name__} that cannot be read: {error}; valid: {VALID}"
        ) from error
    return None


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
    return sorted(found, key=lambda one: one.channels != _COLORS)


def _is_large_enough(one: _Layout) -> bool:
    return min(one.sides) >= _SMALLEST or (one.channels == _COLORS and not one.first)


def _from_array(array: np.ndarray, name: str, *, first: bool) -> Output:
    if array.size == 0:
        raise PictureError(f"returned an empty array of shape {array.shape}; valid: {VALID}")
    if array.dtype.kind not in "buif":
        raise PictureError(f"returned an array of {array.dtype}; valid: {VALID}")
    layout = _choose_layout(array, first=first)
    if layout is None:
        return _as_array(array, f"shape {array.shape}")
    held = array if array.ndim > 2 else array[..., np.newaxis]  # noqa: PLR2004
    problem, own_range = _judge_values(held, layout)
    if problem:
        return _as_array(array, problem)
    held = held.transpose(layout.axes)
    wanted = _BATCH + (name in ("frames", "videos"))
    held = held.reshape((1,) * (wanted - held.ndim) + held.shape)
    values = _copy(held)
    if not own_range:
        _clip(values)
    back = tuple(map(int, np.argsort(layout.axes))) if array.ndim > 2 else None  # noqa: PLR2004
    return Output(
        "videos" if held.ndim == _VIDEOS else "pictures", values, own_range=own_range, axes=back
    )


def _choose_layout(array: np.ndarray, *, first: bool) -> _Layout | None:
    """Choose how a shape is read; None if it is no picture's.

    Raises:
        PictureError: if two readings are equally good.
    """
    if array.ndim == 2:  # noqa: PLR2004
        shape = (array.shape[0], array.shape[1])
        return _Layout((0, 1, 2), 1, shape, first=False) if min(shape) >= _SMALLEST else None
    if not _PICTURE <= array.ndim <= _VIDEOS:
        return None
    found = layouts(array.shape, first=first)
    if array.ndim < _VIDEOS and array.shape[-1] == array.shape[-3] == _COLORS:
        raise PictureError(
            f"returned an array of shape {array.shape}, of which both the first and the last axis"
            f" of a picture could be its channels: {VALID}"
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
    finite = np.isfinite(array)
    low = float(array.min(where=finite, initial=np.inf))
    high = float(array.max(where=finite, initial=-np.inf))
    if low >= -RANGE_SLACK and high <= 1 + RANGE_SLACK:
        return "", False
    if layout.channels == 1 and low >= 0:
        # Metres of a depth map.
        return "", True
    return f"values in [{low:.4g}, {high:.4g}]", False


def _as_array(array: np.ndarray, why: str) -> Output:
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
        np.clip(picture, 0, 1, out=picture, where=np.isfinite(picture))


# PIL


_OWN_RANGE = {"I", "F", "I;16", "I;16L", "I;16B", "I;16N"}
_ALPHA = {"LA": "LA", "La": "LA", "RGBA": "RGBA", "RGBa": "RGBA", "PA": "RGBA"}


def _from_pil(image: Any) -> Output:
    """Take a PIL image in the smallest of the modes L, LA, RGB, RGBA that holds it."""
    mode = getattr(image, "mode", "")
    if mode in _OWN_RANGE:
        raw = np.asarray(image)
        return Output(
            "pictures", _copy(raw.astype(raw.dtype.newbyteorder("="))[None, ..., None]), True
        )
    if mode in _ALPHA:
        target = _ALPHA[mode]
    elif "transparency" in (getattr(image, "info", None) or {}):
        target = "RGBA"
    else:
        target = "L" if mode in ("1", "L") else "RGB"
    raw = np.asarray(image if mode == target else image.convert(target))
    if raw.ndim == 2:  # noqa: PLR2004
        raw = raw[..., np.newaxis]
    return Output("pictures", _copy(raw[np.newaxis]))


# Several


def _from_tuple(values: tuple[object, ...], name: str) -> Output:
    if not values:
        raise PictureError(f"returned an empty tuple; valid: {VALID}")
    found = [_convert(values[0], name)]
    for value in values[1:]:
        try:
            more = _convert(value, name)
        except PictureError:
            continue
        if _is_alike(more, found[0]):
            found.append(more)
    return _join(found) if len(found) > 1 else found[0]


def _is_alike(one: Output, other: Output) -> bool:
    if one.kind == "array":
        return other.kind == "array" and one.values.shape == other.values.shape
    return (
        one.kind == other.kind
        and one.own_range == other.own_range
        and (one.size[-2:] == other.size[-2:])
    )


def _from_list(values: list[object], name: str) -> Output:
    if not values:
        raise PictureError(f"returned an empty list; valid: {VALID}")
    framed = name in ("frames", "videos")
    joined, lengths = _collect(values, "images" if framed else name)
    if joined.kind != "pictures" or name == "images":
        return joined
    nested = all(isinstance(value, (list, tuple)) for value in values)
    if not nested and not (framed and min(lengths) > 1):
        return (
            replace(joined, kind="videos", values=joined.values[np.newaxis]) if framed else joined
        )
    if len(set(lengths)) > 1:
        raise PictureError(
            "returned videos of differing numbers of frames:"
            f" {', '.join(map(str, sorted(set(lengths))))}"
        )
    shape = (len(values), lengths[0], *joined.values.shape[1:])
    return replace(joined, kind="videos", values=joined.values.reshape(shape))


def _collect(values: Sequence[object], name: str) -> tuple[Output, list[int]]:
    """Convert every value, and join them; the second is how long each is along the first axis.

    Values that are alike, as frames are, are written into one array as they come: there are never
    two copies of all.
    """
    first = _convert(values[0], name)
    if first.kind == "array" or len(values) == 1:
        return _join([first, *(_convert(value, name) for value in values[1:])]), [len(first.values)]
    shape = first.values.shape
    whole = np.empty((len(values) * shape[0], *shape[1:]), first.values.dtype)
    whole[: shape[0]] = first.values
    for index, value in enumerate(values[1:], start=1):
        one = _convert(value, name)
        alike = one.values.shape == shape and one.values.dtype == whole.dtype
        if not alike or one.kind != first.kind or one.own_range != first.own_range:
            del whole
            found = [_convert(value, name) for value in values]
            return _join(found), [len(one.values) for one in found]
        whole[index * shape[0] : (index + 1) * shape[0]] = one.values
    return Output(first.kind, whole, own_range=first.own_range), [shape[0]] * len(values)


def _join(found: Sequence[Output]) -> Output:
    """Join outputs of one kind and size along their first axis; arrays along a new one."""
    if len(found) == 1:
        return replace(found[0], axes=None)
    kinds = sorted({one.kind for one in found})
    if len(kinds) > 1 or len({one.own_range for one in found}) > 1:
        mixed = " and ".join(kinds) if len(kinds) > 1 else "pictures with ranges of their own"
        raise PictureError(f"returned {mixed} beside others in one list; valid: {VALID}")
    sizes = sorted({_show_size(one) for one in found})
    if len(sizes) > 1:
        raise PictureError(
            f"returned {kinds[0]} of differing sizes {', '.join(map(str, sizes))} in one list"
        )
    if kinds == ["array"]:
        return Output("array", np.stack([one.values for one in found]), why=found[0].why)
    values = [one.values for one in found]
    if len({(one.dtype, one.shape[-1]) for one in values}) > 1:
        values = _widen(values)
    return Output(found[0].kind, np.concatenate(values), own_range=found[0].own_range)


def _show_size(one: Output) -> tuple[int, ...]:
    return one.size if one.kind == "array" else (*one.size[1:], _COLORS)


def _widen(several: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return pictures as float32 with as many channels as any of them needs."""
    colors = max(1 if one.shape[-1] in _GREY else _COLORS for one in several)
    alpha = any(one.shape[-1] in HAS_ALPHA for one in several)
    return [_widen_one(one, colors, alpha=alpha) for one in several]


def _widen_one(values: np.ndarray, colors: int, *, alpha: bool) -> np.ndarray:
    whole = WHOLE.get(values.dtype.name, 1)
    shown = values.astype(np.float32) / np.float32(whole)
    own = shown[..., :-1] if values.shape[-1] in HAS_ALPHA else shown
    parts = [np.broadcast_to(own, (*own.shape[:-1], colors))]
    if alpha:
        opaque = np.ones_like(own[..., :1])
        parts.append(shown[..., -1:] if values.shape[-1] in HAS_ALPHA else opaque)
    return np.concatenate(parts, axis=-1)
