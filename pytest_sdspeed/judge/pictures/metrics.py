"""Distances of pictures from others of the same size, and a map of where they differ.

PSNR, SSIM, mean absolute difference and FLIP.

Differences are taken in float64: those of uint8 wrap around.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flip_evaluator
import numpy as np
from skimage.metrics import structural_similarity

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.model import MetricRange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PSNR_CAP = 100.0
"""dB given to identical pictures, whose true value is infinite and fits no JSON."""

LIKENESSES = ("psnr", "ssim", "cosine")
"""The metrics of which more is better; of the others, less is."""

NOT_FINITE = (255, 0, 255)
"""What an error map shows where there is nothing to compare: magenta, which the magma colors
lack."""

_SSIM_WINDOW = 7
_SSIM_LEAST = 3


def compare_batches(
    candidate: np.ndarray, baseline: np.ndarray, *, every_flip: bool = True
) -> dict[str, float]:
    """Compare pictures with the baseline's: the worst of each metric over the batch.

    See ``compare_pictures`` for what each is.
    """
    return find_extremes(compare_pictures(candidate, baseline, every_flip=every_flip))


def compare_pictures(
    candidate: np.ndarray, baseline: np.ndarray, *, every_flip: bool = True
) -> list[dict[str, float]]:
    """Compare each picture of a batch with its counterpart.

    PSNR is ``10 log10(1 / mean squared difference)``, at most ``PSNR_CAP``. SSIM (Wang et al. 2004)
    is scikit-image's with its defaults, a uniform 7x7 window and the sample covariance, averaged
    over the channels; pictures under 7 pixels take the largest odd window that fits. FLIP
    (Andersson et al. 2020) is flip-evaluator's for low dynamic range at its default 67 pixels per
    degree, averaged over the pixels.

    Args:
        candidate: float array (N, H, W, 3) in [0, 1]. A picture with a value that is not finite has
            no metric but NaN.
        baseline: the baseline's, of the same shape.
        every_flip: compute FLIP of every picture. It takes ten times as long as SSIM, 0.65 s at
            512x512 on one core: if no bound is put on it, the batch's worst picture by PSNR,
            which is the one to be shown, is enough.

    Returns:
        For each picture ``psnr`` in dB, ``ssim`` in [-1, 1], ``mae`` as a fraction of the full
        range, ``flip`` in [0, 1].

    Raises:
        PictureError: if the shapes differ, or a side has fewer than 3 pixels, for which SSIM is not
            defined.
    """
    check_sizes(candidate.shape, baseline.shape)
    pairs = list(zip(candidate, baseline, strict=True))
    found = [compare_picture(*pair) for pair in pairs]
    shown = find_worst_picture(found)
    for index, values in enumerate(found):
        if every_flip or index == shown:
            values["flip"] = measure_flip(*pairs[index])
    return found


def check_sizes(ours: tuple[int, ...], theirs: tuple[int, ...]) -> None:
    """Check that pictures (..., H, W, C) can be compared.

    Raises:
        PictureError: they differ in number or size, or have a side for which SSIM is not defined.
    """
    if ours != theirs:
        number = "" if ours[-3:] != theirs[-3:] else ", which is another number of them"
        raise PictureError(f"pictures of another size: {ours}, compared with {theirs}{number}")
    if min(ours[-3:-1]) < _SSIM_LEAST:
        raise PictureError(
            f"pictures of shape {ours} are too small to compare; valid: {_SSIM_LEAST} pixels a side"
            " or more"
        )


def compare_picture(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Compare one picture with another in all but FLIP; see ``compare_pictures``."""
    pair = ours.astype(np.float64), theirs.astype(np.float64)
    mae = float(np.abs(pair[0] - pair[1]).mean())
    return {"psnr": _psnr(*pair), "ssim": _ssim(*pair), "mae": mae}


def measure_flip(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the mean FLIP error of a picture, in [0, 1]; NaN if a value is not finite."""
    # The evaluator takes what is not finite for no error.
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return float("nan")
    shown = [np.clip(side, 0, 1).astype(np.float32) for side in (theirs, ours)]
    _, error, _ = flip_evaluator.evaluate(*shown, "LDR", applyMagma=False)
    return float(error)


def find_worst_picture(measured: Iterable[Mapping[str, float]]) -> int:
    """Return the index of the picture with the least PSNR; NaN is the least."""
    return int(np.argmin([values["psnr"] for values in measured]))


def find_extremes(
    measured: Iterable[Mapping[str, float]],
    is_likeness: Callable[[str], bool] = LIKENESSES.__contains__,
) -> dict[str, float]:
    """Return the worst of each metric over several pictures or cases.

    NaN is worse than any number. Empty for nothing.

    Args:
        measured: metrics of each by name.
        is_likeness: tells of which metrics more is better.
    """
    several = list(measured)
    names = dict.fromkeys(name for values in several for name in values)
    found = {}
    for name in names:
        # Not min and max, which lose a NaN that does not come first.
        worst = np.min if is_likeness(name) else np.max
        found[name] = float(worst([values[name] for values in several if name in values]))
    return found


def find_ranges(measured: Iterable[Mapping[str, float]]) -> dict[str, MetricRange]:
    """Return the least and the greatest of each metric over several outputs.

    A metric that is NaN for one of them has no range.
    """
    several = list(measured)
    found = {}
    for name in dict.fromkeys(name for values in several for name in values):
        values = [one[name] for one in several if name in one]
        found[name] = MetricRange(float(np.min(values)), float(np.max(values)), len(values))
    return found


def draw_error_map(candidate: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Draw where a picture differs to the eye: FLIP's error of every pixel.

    In the magma colors, from black (0) to a light yellow (1).

    Args:
        candidate: one picture, float array (H, W, 3) in [0, 1].
        baseline: the baseline's, of the same shape.

    Returns:
        uint8 array (H, W, 3). A pixel with a value that is not finite, on either side, is
        ``NOT_FINITE``; it counts as equal, so that the pixels around it show their own error alone.

    Raises:
        PictureError: if the shapes differ.
    """
    if candidate.shape != baseline.shape:
        raise PictureError(
            f"pictures of another size: {candidate.shape}, compared with {baseline.shape}"
        )
    finite = (np.isfinite(candidate) & np.isfinite(baseline)).all(axis=-1, keepdims=True)
    ours, theirs = (
        np.where(finite, picture, 0).astype(np.float32) for picture in (candidate, baseline)
    )
    colors, _, _ = flip_evaluator.evaluate(theirs, ours, "LDR", applyMagma=True)
    return np.where(finite, np.round(colors * 255), NOT_FINITE).astype(np.uint8)


def _psnr(ours: np.ndarray, theirs: np.ndarray) -> float:
    error = float(np.square(ours - theirs).mean())
    return float(np.minimum(PSNR_CAP, -10 * np.log10(error))) if error else PSNR_CAP


def _ssim(ours: np.ndarray, theirs: np.ndarray) -> float:
    least = min(ours.shape[:2])
    window = min(_SSIM_WINDOW, least if least % 2 else least - 1)
    return float(
        structural_similarity(ours, theirs, win_size=window, channel_axis=-1, data_range=1.0)
    )
