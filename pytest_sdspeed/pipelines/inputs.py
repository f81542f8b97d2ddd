"""Pictures, masks and videos to draw from, made on the spot: seeded, smooth, of a given size."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

FRAMES = 9
"""Frames of a video if none are asked for: one and two times four, as autoencoders of videos take
them."""
_COARSE = 6
"""Patches of color along a side, before they are made smooth: what an autoencoder can carry."""
_EXTRA = ("embed", "latent", "num_", "scale", "guidance", "strength", "length", "size", "attention")
_PICTURE = re.compile(r"images?|mask|video|frames|(?<![a-z])(pose|depth|canny|pixels)(?![a-z])")
_MASK, _VIDEO = re.compile(r"mask"), re.compile(r"video|frames")
_FROM_PICTURES = re.compile(
    r"Img2Img|Inpaint|I2I|I2V|V2V|ImageToVideo|Image2Video|VideoToVideo|ControlNet|ControlPipeline"
    r"|ControlImg|ControlInpaint|Fill|Kontext|ImageEdit|Upscale|SuperResolution|Adapter|Pix2Pix"
    r"|Depth2Img|ImageVariation"
)
"""Names of classes that draw from pictures, whose arguments have None as default all the same."""
_CORE = ("image", "mask_image", "control_image", "control_mask", "video", "control_video")


def is_made(name: str) -> bool:
    """Tell whether an argument of that name can get a picture, a mask or a video."""
    return bool(_PICTURE.search(name)) and not any(word in name for word in _EXTRA)


def find_needed(kind: str, names: Iterable[str], required: Iterable[str]) -> tuple[str, ...]:
    """Find the arguments that get a picture without being asked for.

    Args:
        kind: name of the pipeline's class.
        names: arguments of its call.
        required: those of them without a default.

    Returns:
        Those that the call cannot do without: they have no default, or the name of the class says
        that it draws from pictures.
    """
    wanted = set(_CORE) if _FROM_PICTURES.search(kind) else set()
    required = set(required)
    return tuple(name for name in names if is_made(name) and (name in required or name in wanted))


def make_input(name: str, *, height: int, width: int, frames: int | None, seed: int) -> Any:
    """Make what an argument gets, the same each time.

    Args:
        name: name of the argument: one with ``mask`` gets a mask, one with ``video`` or ``frames``
            a list of frames, one in the plural a list of one picture, any other a picture.
        height: height of a picture, pixels.
        width: its width, pixels.
        frames: frames of a video, ``FRAMES`` if it is None.
        seed: seed of the pictures; arguments of other names get others.

    Returns:
        A PIL image, or a list of them: RGB, or 8-bit grey for masks, 255 in the middle of it.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    mask = bool(_MASK.search(name))
    if _VIDEO.search(name):
        return _make_video(rng, (height, width), frames or FRAMES, mask=mask)
    one = _make_mask(height, width) if mask else _make_picture(rng, (height, width))
    return [one] if name.endswith("images") else one


def _make_video(
    rng: np.random.Generator, size: tuple[int, int], frames: int, *, mask: bool
) -> list[Any]:
    if mask:
        return [_make_mask(*size) for _ in range(frames)]
    first, last = (_draw_patches(rng) for _ in range(2))
    shares = np.linspace(0, 1, frames)
    return [_enlarge((1 - share) * first + share * last, size) for share in shares]


def _make_picture(rng: np.random.Generator, size: tuple[int, int]) -> Any:
    return _enlarge(_draw_patches(rng), size)


def _draw_patches(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(16, 240, (_COARSE, _COARSE, 3))


def _enlarge(patches: np.ndarray, size: tuple[int, int]) -> Any:
    from PIL import Image

    height, width = size
    small = Image.fromarray(patches.astype(np.uint8), "RGB")
    return small.resize((width, height), Image.Resampling.BICUBIC)


def _make_mask(height: int, width: int) -> Any:
    """Make a mask whose middle, half of either side, is to be drawn anew."""
    from PIL import Image

    values = np.zeros((height, width), np.uint8)
    values[height // 4 : height - height // 4, width // 4 : width - width // 4] = 255
    return Image.fromarray(values, "L")
