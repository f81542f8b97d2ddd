"""What one generation returned, kept by value in the smallest form that is exact."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind: TypeAlias = Literal["pictures", "videos", "array"]

BLACK = 1.5 / 255
"""Nothing brighter is black: the first 8-bit level above zero, which rounding alone can reach, and
half a level for float rounding."""

CONSTANT = 1.0 / 255
"""A standard deviation below one 8-bit level in each channel: all that rounding a uniform picture
to 8 bits can leave is half of it."""

CONSTANT_OWN = 1e-3
"""Of values that have a range of their own: a standard deviation below this share of the largest
absolute value is constant. Rounding to bfloat16, the coarsest type, leaves at most 0.1%."""

WHOLE = {"uint8": 255, "uint16": 65535}
"""Values of whole numbers that stand for 1."""

HAS_ALPHA = (2, 4)
"""Numbers of channels of which the last one is alpha."""

_STRIDE = 4
"""Of so many rows and columns one is looked at first."""

_PIECE = 1 << 20
"""Values of an array that are looked at at once."""

_LISTED = 3
"""Pictures with one and the same defect that are named; the others are counted."""


class Span(NamedTuple):
    """The values that are shown as 0 and as 1."""

    low: float
    high: float


UNIT = Span(0.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What one generation returned.

    Attributes:
        kind: ``pictures``, ``videos``, or ``array`` for what is neither.
        values: a copy that shares no memory with what was returned. Pictures (N, H, W, C), videos
            (N, F, H, W, C), C of 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 (RGB and alpha); an
            array has any shape. uint8 and uint16 stay what they are, with 255 and 65535 as 1, and
            so does float16; other pictures are float32, in [0, 1].
        own_range: whether the values mean what they say and have no common range, like metres of a
            depth map and 16-bit greys: they are shown and compared by a range of their own.
        why: why an array is no picture, in words.
        axes: the order of axes that gives what was returned, for what was one array; else None.
    """

    kind: Kind
    values: np.ndarray
    own_range: bool = False
    why: str = ""
    axes: tuple[int, ...] | None = None

    @property
    def nbytes(self) -> int:
        """Return the bytes that the values take."""
        return self.values.nbytes

    @property
    def count(self) -> int:
        """Return the number of pictures, of frames of all videos, or 1 for an array."""
        return 1 if self.kind == "array" else math.prod(self.values.shape[:-3])

    @property
    def together(self) -> int:
        """Return how many pictures follow each other: those of a batch, or a video's frames."""
        return self.values.shape[1] if self.kind == "videos" else self.count

    @property
    def size(self) -> tuple[int, ...]:
        """Return what must be equal between two that are compared: the shape but for channels."""
        return self.values.shape if self.kind == "array" else self.values.shape[:-1]

    @property
    def has_alpha(self) -> bool:
        """Tell whether pictures have an alpha channel."""
        return self.kind != "array" and self.values.shape[-1] in HAS_ALPHA

    @property
    def span(self) -> Span:
        """Return the values that are shown as 0 and 1; of a range of its own, least and greatest.

        The range has to be one for both sides of a comparison: the baseline's.
        """
        if not self.own_range:
            return UNIT
        found = [_find_span(raw) for raw in self._raw()]
        low, high = min(low for low, _ in found), max(high for _, high in found)
        if not low <= high:  # nothing is finite
            return UNIT
        return Span(low, high) if high > low else Span(low, low + 1.0)

    def equals(self, other: Output) -> bool:
        """Tell whether two have the same kind, size and values; NaN equals NaN.

        The type does not count: 8-bit pictures equal the floats that they stand for.
        """
        if (self.kind, self.size) != (other.kind, other.size) or self.own_range != other.own_range:
            return False
        alike = (self.values.dtype, self.values.shape) == (other.values.dtype, other.values.shape)
        if alike or self.kind == "array":
            return all(map(_are_equal, self._raw(), other._raw()))
        return all(
            _are_equal(self._spread(mine, UNIT), other._spread(yours, UNIT))
            for mine, yours in zip(self._raw(), other._raw(), strict=True)
        )

    def defects(self) -> tuple[str, ...]:
        """Find what is wrong with it on its own: the gravest defect of each picture or frame.

        A defect is ``not finite``, ``black`` or ``constant``; of an array ``not finite``, ``zero``
        or ``constant``. Constant is judged per channel, over the pixels: a uniform red picture
        varies between channels, and shows nothing all the same. A picture with alpha is black or
        constant if it is both over black and over white.

        Returns:
            One sentence per defective picture, that starts with the word and ends with the place;
            of many with one defect, the first ones and how many more there are.
        """
        if self.kind == "array":
            found = self._find_array_defect()
            return (found,) if found else ()
        listed: dict[str, list[str]] = {}
        for index, defect in enumerate(self._find_defects()):
            if defect:
                word = defect.partition(":")[0]
                listed.setdefault(word, []).append(f"{defect} ({self.name(index)})")
        return tuple(
            sentence
            for word, sentences in listed.items()
            for sentence in (
                *sentences[:_LISTED],
                *(
                    [f"{word}: {len(sentences) - _LISTED} more of {self.count}"]
                    if len(sentences) > _LISTED
                    else []
                ),
            )
        )

    def find_defective(self) -> int | None:
        """Return the place of the first picture or frame with a defect, or None."""
        if self.kind == "array":
            return None
        return next((at for at, defect in enumerate(self._find_defects()) if defect), None)

    def describe(self) -> str:
        """Say what it is: ``an array of shape (1, 4, 8, 8)``, ``4 pictures of 64x64 pixels``."""
        if self.kind == "array":
            return f"an array of shape {self.size}" + (f" ({self.why})" if self.why else "")
        height, width = self.size[-2:]
        pixels = f"of {width}x{height} pixels"
        if self.kind == "pictures":
            return f"{_count(self.size[0], 'picture')} {pixels}"
        videos, frames = _count(self.size[0], "video"), _count(self.size[1], "frame")
        return f"{videos} of {frames} {pixels}"

    def name(self, index: int) -> str:
        """Return the place of a picture or frame in words: ``picture 3``, ``video 0, frame 3``."""
        if self.kind != "videos":
            return f"picture {index}"
        video, frame = divmod(index, self.values.shape[1])
        return f"video {video}, frame {frame}"

    def view(self, index: int, span: Span | None = None, *, background: float = 1.0) -> np.ndarray:
        """Return one picture or frame, new, float32 (H, W, 3).

        Args:
            index: place among the pictures, or among the frames of all videos.
            span: values that become 0 and 1; by default those of ``span``. What lies outside is
                not clipped.
            background: what shows through alpha, from 0 (black) to 1 (white).
        """
        flat = self.values.reshape(-1, *self.values.shape[-3:])
        return _composite(self._spread(flat[index], span or self.span), background)

    def views(self, span: Span | None = None) -> Iterator[np.ndarray]:
        """Yield every picture or frame over white as ``view`` gives it, one at a time."""
        span = self.span if span is None else span
        return (self.view(index, span) for index in range(self.count))

    def as_array(self) -> Output:
        """Return the same values as an array, in the shape in which they were returned."""
        if self.kind == "array" or self.axes is None:
            return self
        return Output("array", self.values.reshape(self._returned_shape()).transpose(self.axes))

    def like(self, other: Output) -> Output:
        """Return the same values, read as those of another are if both readings are possible.

        Latents that happen to lie in [0, 1] could be pictures, and a depth map of less than a metre
        a grey one.
        """
        if other.kind == "array":
            return self.as_array()
        floats = np.issubdtype(self.values.dtype, np.floating) and self.values.shape[-1] == 1
        if self.kind == other.kind and floats and self.own_range != other.own_range:
            return replace(self, own_range=other.own_range)
        return self

    def _returned_shape(self) -> tuple[int, ...]:
        """Return the shape of the values without axes that were added."""
        return self.values.shape[self.values.ndim - len(self.axes or ()) :]

    def _raw(self) -> Iterator[np.ndarray]:
        """Yield pictures and frames (H, W, C) as they are kept; pieces of an array."""
        if self.kind != "array":
            return iter(self.values.reshape(-1, *self.values.shape[-3:]))
        flat = self.values.reshape(-1)
        return (flat[start : start + _PIECE] for start in range(0, flat.size, _PIECE))

    def _spread(self, raw: np.ndarray, span: Span) -> np.ndarray:
        """Return a picture (H, W, C) as float32 of 3 channels, or 4 if it has alpha."""
        whole = np.float32(WHOLE.get(raw.dtype.name, 1))
        alpha = raw[..., -1:].astype(np.float32) / whole if self.has_alpha else None
        colors = raw if alpha is None else raw[..., :-1]
        if self.own_range:
            shown = (colors.astype(np.float64) - span.low) / (span.high - span.low)
            colors = shown.astype(np.float32)
        else:
            colors = colors.astype(np.float32) / whole
        if colors.shape[-1] == 1:
            colors = np.repeat(colors, 3, axis=-1)
        return colors if alpha is None else np.concatenate([colors, alpha], axis=-1)

    def _find_array_defect(self) -> str:
        broken = sum(_count_broken(piece) for piece in self._raw())
        if broken:
            return _describe_broken(broken, self.values.size)
        low, high = self.values.min(), self.values.max()
        if low == high == 0:
            return "zero: all values are 0"
        if low == high and self.values.size > 1:
            return f"constant: all values are {low:.4g}"
        return ""

    def _find_defects(self) -> Iterator[str]:
        for raw in self._raw():
            if self.own_range:
                yield find_own_defect(raw)
            elif _count_broken(raw):
                yield _describe_broken(_count_broken(raw), raw.size)
            else:
                yield self._find_plain_defect(raw)

    def _find_plain_defect(self, raw: np.ndarray) -> str:
        """Return the defect of finite values in the common range, or "".

        One pixel in 16 is looked at first: about any mean, the sum of squared differences of all of
        them is no less than that of some, so that their standard deviation is at least a quarter.
        """
        some = self._spread(raw[::_STRIDE, ::_STRIDE], UNIT)
        if not find_defect(_composite(some, 0.0), constant=CONSTANT * _STRIDE):
            return ""
        spread = self._spread(raw, UNIT)
        found = find_defect(_composite(spread, 0.0))
        if found and self.has_alpha and not find_defect(_composite(spread, 1.0)):
            return ""
        return found


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def find_defect(picture: np.ndarray, constant: float = CONSTANT) -> str:
    """Return the gravest defect of a picture (H, W, 3) in [0, 1], or "".

    Args:
        picture: the picture.
        constant: least standard deviation of one that is not constant.
    """
    broken = _count_broken(picture)
    if broken:
        return _describe_broken(broken, picture.size)
    if picture.max() <= BLACK:
        return f"black: no value exceeds {picture.max():.4f} of 1"
    spread = float(picture.std(axis=(0, 1), dtype=np.float64).max())
    if spread < constant:
        return f"constant: the pixels' standard deviation is {spread:.4f} of 1"
    return ""


def find_own_defect(picture: np.ndarray) -> str:
    """Return the gravest defect of a picture (H, W, C) with a range of its own, or ""."""
    broken = _count_broken(picture)
    if broken:
        return _describe_broken(broken, picture.size)
    largest = float(np.abs(picture.astype(np.float64)).max())
    if largest == 0:
        return "black: all values are 0"
    spread = float(picture.std(axis=(0, 1), dtype=np.float64).max())
    # Rounding to whole numbers leaves half of one.
    rounding = 1.0 if np.issubdtype(picture.dtype, np.integer) else 0.0
    if spread < max(CONSTANT_OWN * largest, rounding):
        return (
            f"constant: the pixels' standard deviation is {spread:.4g}, values are to {largest:.4g}"
        )
    return ""


def _count_broken(values: np.ndarray) -> int:
    if not np.issubdtype(values.dtype, np.floating):
        return 0
    return int(np.count_nonzero(~np.isfinite(values)))


def _describe_broken(broken: int, size: int) -> str:
    return f"not finite: {broken} of {size} values are NaN or infinite"


def _find_span(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (math.inf, -math.inf)


def _composite(spread: np.ndarray, background: float) -> np.ndarray:
    if spread.shape[-1] == 3:  # noqa: PLR2004
        return spread
    alpha = spread[..., 3:]
    shown: np.ndarray = spread[..., :3] * alpha + np.float32(background) * (1 - alpha)
    return shown


def _are_equal(mine: np.ndarray, yours: np.ndarray) -> bool:
    floats = all(np.issubdtype(side.dtype, np.floating) for side in (mine, yours))
    same = np.array_equal(mine, yours) or (floats and np.array_equal(mine, yours, equal_nan=True))
    return bool(same)
