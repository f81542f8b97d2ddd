"""From whatever an arm returned to an ``Output``: which forms there are, and how each is read.

The rules, in the order in which they are asked:

1. ``None`` is no picture, and judged by nobody. Text, paths and bytes are refused.
2. Of an object or a dict, the first of ``NAMES`` that it has is taken.
3. PIL images are pictures, in the mode they have. Greys of 16 and 32 bits and floats (``I;16``,
   ``I``, ``F``) have a range of their own.
4. A list of pictures is a batch; a list of lists, or of batches under ``frames``, is several
   videos; a list under ``frames`` is one. Under ``images``, lists of lists are one batch.
5. Of a tuple the first element counts, and with it the pictures that follow, which have its size:
   ``(images, nsfw)``, ``(image,)``, ``(first, second)``.
6. Of one array or tensor, the shape decides, as ``single.layouts`` says, and then the values:
   uint8, uint16, floats in [0, 1], and greys of more than 1 (metres of a depth map) are pictures.
   What is no picture by its shape or its values is an array.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures.output import HAS_ALPHA, WHOLE, Output
from pytest_sdspeed.judge.pictures.single import (
    COLORS,
    VALID,
    VIDEO_NAMES,
    from_array,
    from_pil,
    is_tensor,
    read_array,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMES = ("images", "frames", "videos", "prediction", "rgb", "sample", "latents")
"""Attributes and keys under which pipelines and models return what they made."""


_GREY = (1, 2)


def keep(value: object) -> Output | None:
    """Keep what an arm returned, by value; None for None.

    Args:
        value: anything that the rules of this module name, or what was kept before. NaN and
            infinity pass: they are judged by ``Output.defects``.

    Raises:
        PictureError: if it is none of these; the message says what it is and what would be valid.
    """
    if value is None or isinstance(value, Output):
        return value
    return _convert(value, "")


def _convert(value: object, name: str) -> Output:
    """Convert a value that was found under a name, or "" for what was returned itself."""
    if value is None:
        raise PictureError(f"returned no picture; valid: {VALID}")
    _refuse_text(value)
    array = read_array(value)
    if array is not None:
        if array.dtype == object and array.ndim:
            return _from_list(list(array), name)
        return from_array(array, name, first=is_tensor(value))
    if hasattr(value, "convert"):
        return from_pil(value)
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


def _from_tuple(values: tuple[object, ...], name: str) -> Output:
    if not values:
        raise PictureError(f"returned an empty tuple; valid: {VALID}")
    found = [_convert(values[0], name)]
    for value in values[1:]:
        try:
            more = _convert(value, name)
        except PictureError:
            continue
        # Metres of a depth map could be taken for a grey picture's, and would be out of its range.
        if not (more.own_range and more.kind == found[0].kind):
            more = more.like(found[0])
        if _counts_beside(more, found[0]):
            found.append(more)
    return _join(found) if len(found) > 1 else found[0]


def _counts_beside(one: Output, first: Output) -> bool:
    """Tell whether what follows the first element of a tuple has to be judged as well.

    Sound, latents and the depth of a picture are something else. Pictures of another size or kind
    would be left unjudged: to join them is what refuses them.
    """
    if one.kind == "array" or first.kind == "array":
        return one.kind == first.kind and one.size == first.size
    # Beside metres, what could be a grey picture is a depth map as well.
    return one.own_range == first.own_range or (one.own_range and first.like(one).own_range)


def _from_list(values: list[object], name: str) -> Output:
    if not values:
        raise PictureError(f"returned an empty list; valid: {VALID}")
    framed = name in VIDEO_NAMES
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
    # What could be a picture by its values is none beside latents, nor grey beside metres.
    told = [one for one in found if one.kind == "array"] or [one for one in found if one.own_range]
    found = [one.like(told[0]) for one in found] if told else found
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
        values = _widen(values, own_range=found[0].own_range)
    return Output(found[0].kind, np.concatenate(values), own_range=found[0].own_range)


def _show_size(one: Output) -> tuple[int, ...]:
    return one.size if one.kind == "array" else (*one.size[1:], COLORS)


def _widen(several: Sequence[np.ndarray], *, own_range: bool) -> list[np.ndarray]:
    """Return pictures as float32 with as many channels as any of them needs.

    Values of a range of their own mean what they say; others are parts of the full range.
    """
    colors = max(1 if one.shape[-1] in _GREY else COLORS for one in several)
    alpha = any(one.shape[-1] in HAS_ALPHA for one in several)
    return [
        _widen_one(one, colors, 1 if own_range else WHOLE.get(one.dtype.name, 1), alpha=alpha)
        for one in several
    ]


def _widen_one(values: np.ndarray, colors: int, whole: float, *, alpha: bool) -> np.ndarray:
    shown = values.astype(np.float32) / np.float32(whole)
    own = shown[..., :-1] if values.shape[-1] in HAS_ALPHA else shown
    parts = [np.broadcast_to(own, (*own.shape[:-1], colors))]
    if alpha:
        opaque = np.ones_like(own[..., :1])
        parts.append(shown[..., -1:] if values.shape[-1] in HAS_ALPHA else opaque)
    return np.concatenate(parts, axis=-1)
