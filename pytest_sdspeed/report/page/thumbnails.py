"""Pictures small enough to travel inside a page."""

from __future__ import annotations

import base64
import io
import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable

BUDGET = 3_500_000
"""Characters that all pictures of a page may take."""

_QUALITY = 75
"""JPEG quality: what a share is too small for costs pixels, whose loss a reader sees, rather than
artefacts, which look like the model's."""

_GUESS = 0.4
"""Bytes a pixel that a first attempt supposes: about what a small photograph takes."""

_GAP = 1.0
"""A picture is first reduced in whole steps, by averaging, and only then resampled: twice as fast
as resampling every pixel."""

_SPARE = 0.9
_LEAST = 16
"""Pixels of the longer side below which nothing is shrunk further."""


class Thumbnail(NamedTuple):
    """A picture as it is embedded.

    Attributes:
        uri: ``data:`` address.
        size: pixels (width, height) embedded.
        original: pixels (width, height) of the picture.
        lossless: whether every pixel is embedded as it was.
    """

    uri: str
    size: tuple[int, int]
    original: tuple[int, int]
    lossless: bool


def make_thumbnails(pictures: Iterable[bytes], budget: int = BUDGET) -> dict[bytes, Thumbnail]:
    """Fit distinct pictures into a budget.

    A picture that fits its share stays as it is; others become JPEG, smaller if they must be.

    Args:
        pictures: PNG; equal ones are embedded once.
        budget: characters that the addresses may take in all.

    Returns:
        Picture -> what is embedded of it.
    """
    distinct = sorted(set(pictures), key=len)
    shares = _share_budget([len(picture) for picture in distinct], budget * 3 // 4)
    with ThreadPoolExecutor() as pool:
        return dict(zip(distinct, pool.map(_make_thumbnail, distinct, shares), strict=True))


def _share_budget(sizes: list[int], budget: int) -> list[int]:
    """Share bytes among pictures: what a small one does not need is left to the larger ones.

    Args:
        sizes: sizes of the pictures, ascending, bytes.
        budget: bytes.
    """
    shares = []
    for place, size in enumerate(sizes):
        shares.append(min(size, budget // (len(sizes) - place)))
        budget -= shares[-1]
    return shares


def _make_thumbnail(picture: bytes, share: int) -> Thumbnail:
    with Image.open(io.BytesIO(picture)) as opened:
        if len(picture) <= share:
            return Thumbnail(_encode_uri("png", picture), opened.size, opened.size, lossless=True)
        pixels = opened.convert("RGB")
    data, size = _shrink(pixels, share)
    return Thumbnail(_encode_uri("jpeg", data), size, pixels.size, lossless=False)


def _shrink(pixels: Image.Image, share: int) -> tuple[bytes, tuple[int, int]]:
    """Encode a JPEG that fits its share, and return it with its size."""
    factor = max(1, round(math.sqrt(_GUESS * pixels.width * pixels.height / share)))
    # A rough picture, quickly made, tells how well this one compresses.
    scale = min(1.0, _SPARE / factor * math.sqrt(share / len(_encode_jpeg(pixels.reduce(factor)))))
    while True:
        size = (max(1, round(scale * pixels.width)), max(1, round(scale * pixels.height)))
        data = _encode_jpeg(pixels.resize(size, Image.Resampling.BICUBIC, reducing_gap=_GAP))
        if len(data) <= share or max(size) <= _LEAST:
            return data, size
        scale *= _SPARE * math.sqrt(share / len(data))


def _encode_jpeg(pixels: Image.Image) -> bytes:
    written = io.BytesIO()
    pixels.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()


def _encode_uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
