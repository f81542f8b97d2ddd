"""Videos to look at: their first, middle and last frame, and a row of frames, all of them small."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pytest_sdspeed.judge.pictures.metrics import NOT_FINITE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.judge.pictures.output import Output, Span

MOST = 9
"""Frames of a strip."""

FRAME_SIDE = 256
"""Pixels of the longer side of a single frame; the worst one is shown as large as a picture is."""

STRIP_SIDE = 128
"""Pixels of the longer side of a frame in a strip."""

_GAP = 6
"""Pixels around each frame of a strip; those around the worst one are its mark."""

_PLACES = ("first", "middle", "last")
_PAPER, _MARK = (128, 128, 128), (255, 255, 255)
_OUTLINE = 2
"""Black pixels that set the white mark apart from frames of any color."""


def choose_frames(length: int, worst: int | None) -> tuple[int, ...]:
    """Choose the frames of a strip: evenly, with the first, the last and the worst one.

    Args:
        length: frames of the video.
        worst: place of the worst frame, or None.
    """
    if length <= MOST:
        return tuple(range(length))
    chosen = [round(at * (length - 1) / (MOST - 1)) for at in range(MOST)]
    if worst is not None and worst not in chosen:
        nearest = min(range(1, MOST - 1), key=lambda at: abs(chosen[at] - worst))
        chosen[nearest] = worst
    return tuple(sorted(chosen))


def show_video(
    output: Output, video: int, span: Span | None, chosen: Sequence[int], worst: int | None
) -> Mapping[str, Image.Image]:
    """Return pictures of a video: ``first``, ``middle``, ``last`` and ``strip``.

    Args:
        output: what was drawn.
        video: which of its videos.
        span: values that are shown as 0 and 1.
        chosen: the frames of the strip; those that the video does not have are left out.
        worst: the frame that is marked in it, or None.
    """
    length = output.together
    start = video * length

    def view(frame: int, side: int) -> Image.Image:
        return shrink(output.view(start + frame, span), side)

    named = zip(_PLACES, (0, (length - 1) // 2, length - 1), strict=True)
    kept = [frame for frame in chosen if frame < length]
    strip = _join(
        [view(frame, STRIP_SIDE) for frame in kept],
        kept.index(worst) if worst in kept else None,
    )
    return {place: view(frame, FRAME_SIDE) for place, frame in named} | {"strip": strip}


def shrink(picture: np.ndarray, side: int) -> Image.Image:
    """Make an 8-bit picture of at most so many pixels a side; what is not finite is magenta.

    Args:
        picture: float array (H, W, 3); what lies outside of [0, 1] is clipped.
        side: pixels.
    """
    if math.isfinite(picture.sum(dtype=np.float64)):
        levels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    else:
        finite = np.isfinite(picture).all(axis=-1, keepdims=True)
        shown = np.clip(np.where(finite, picture, 0), 0, 1)
        levels = np.where(finite, np.round(shown * 255), NOT_FINITE).astype(np.uint8)
    image = Image.fromarray(levels)
    # Reduces and never enlarges, and keeps the proportions.
    image.thumbnail((side, side), Image.Resampling.BOX)
    return image


def _join(frames: Sequence[Image.Image], marked: int | None) -> Image.Image:
    """Join frames in a row, one of them in a white frame with a black outline."""
    width, height = frames[0].size
    strip = Image.new("RGB", (_GAP + len(frames) * (width + _GAP), height + 2 * _GAP), color=_PAPER)
    for at, frame in enumerate(frames):
        left = _GAP + at * (width + _GAP)
        if at == marked:
            strip.paste((0, 0, 0), (left - _GAP, 0, left + width + _GAP, height + 2 * _GAP))
            inset = _GAP - _OUTLINE
            strip.paste(
                _MARK, (left - inset, _OUTLINE, left + width + inset, height + _GAP + inset)
            )
        strip.paste(frame, (left, _GAP))
    return strip
