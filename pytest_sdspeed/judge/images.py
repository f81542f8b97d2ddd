"""Is the picture still right? Conversions, defects, metrics against the baseline, and a gate that must prove its own power.

Pictures are float32 arrays (N, H, W, 3) in [0, 1]. Metrics are computed in float64: differences of uint8 wrap around.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from skimage.metrics import structural_similarity

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.model import ImageGate, ImageVerdict, Relation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PSNR_CAP = 100.0
"""dB given to identical pictures, whose true value is infinite and fits no JSON."""

BLACK = 1.5 / 255
"""Nothing brighter is black: the first 8-bit level above zero, which rounding alone can reach, and half a level for float rounding."""

CONSTANT = 1.0 / 255
"""A standard deviation below one 8-bit level in each channel: all that rounding a uniform picture to 8 bits can leave is half of it."""

RANGE_SLACK = 1e-3
"""How far outside [0, 1] a value may lie and be clipped: more than float16 rounding at 1, less than an 8-bit level."""

VALID = "PIL images, uint8 arrays, or float arrays in [0, 1], shaped (H, W, 3) or (N, H, W, 3), one or a list of them"

_RANKS = (3, 4)
_CHANNELS = 3
_SSIM_WINDOW = 7
_SSIM_LEAST = 3

_SEEDED = dict[int, np.ndarray]


@dataclass(frozen=True, slots=True)
class ImageJudgement:
    """What the pictures of one arm are worth.

    Attributes:
        verdict: "pass", "fail", or "powerless" where the gate would have passed pictures of another seed.
        metrics: ``psnr`` (dB), ``ssim``, ``mae`` (of the full range), the worst over the seeds; the same with ``control_`` in front for the
            negative control. Empty where nothing could be compared.
        reasons: why the verdict is not "pass", in words.
    """

    verdict: ImageVerdict
    metrics: dict[str, float]
    reasons: tuple[str, ...]


def as_pictures(value: object) -> np.ndarray:
    """Whatever a pipeline or callable returns, as pictures.

    Args:
        value: PIL images (anything with ``convert``), uint8 arrays, float arrays in [0, 1], one or a list or tuple of them, or an object
            with ``images`` (a diffusers output). NaN and infinity pass: they are judged by ``defects``.

    Returns:
        A new float32 array (N, H, W, 3) in [0, 1].

    Raises:
        PictureError: if it is none of these; the message says what it is and what would be valid.
    """
    if value is None:
        raise PictureError(f"returned no picture; valid: {VALID}")
    if isinstance(value, np.ndarray):
        return _from_array(value)
    if isinstance(value, (list, tuple)):
        return _from_list(value)
    if hasattr(value, "convert"):
        return _from_array(np.asarray(value.convert("RGB")))
    if hasattr(value, "images"):
        return as_pictures(value.images)
    raise PictureError(f"returned an object of type {type(value).__name__}; valid: {VALID}")


def defects(pictures: np.ndarray) -> tuple[str, ...]:
    """What is wrong with pictures on their own: ``not finite``, ``black`` or ``constant``, the gravest one per picture.

    Constant is judged per channel, over the pixels: a uniform red picture varies between channels, and shows nothing all the same.

    Args:
        pictures: float array (N, H, W, 3).

    Returns:
        One sentence per defective picture, starting with the word and ending with the picture's index in the batch.
    """
    found = ((index, _defect(picture.astype(np.float64))) for index, picture in enumerate(pictures))
    return tuple(f"{defect} (picture {index})" for index, defect in found if defect)


def metrics(candidate: np.ndarray, baseline: np.ndarray) -> dict[str, float]:
    """How far pictures are from the baseline's, each value the worst over the batch.

    PSNR is ``10 log10(1 / mean squared difference)``, at most ``PSNR_CAP``. SSIM (Wang et al. 2004) is scikit-image's with its defaults, a
    uniform 7x7 window and the sample covariance, averaged over the channels; pictures under 7 pixels take the largest odd window that fits.

    Args:
        candidate: finite float array (N, H, W, 3) in [0, 1].
        baseline: the same, of the same shape.

    Returns:
        ``psnr`` in dB, ``ssim`` in [-1, 1], ``mae`` as a fraction of the full range.

    Raises:
        PictureError: if the shapes differ, or a side has fewer than 3 pixels, for which SSIM is not defined.
    """
    if candidate.shape != baseline.shape:
        raise PictureError(f"pictures of another size: {candidate.shape}, the baseline's are {baseline.shape}")
    if min(candidate.shape[1:3]) < _SSIM_LEAST:
        raise PictureError(f"pictures of shape {candidate.shape} are too small to compare; valid: {_SSIM_LEAST} pixels a side or more")
    pairs = [(ours.astype(np.float64), theirs.astype(np.float64)) for ours, theirs in zip(candidate, baseline, strict=True)]
    return {
        "psnr": min(_psnr(ours, theirs) for ours, theirs in pairs),
        "ssim": min(_ssim(ours, theirs) for ours, theirs in pairs),
        "mae": max(float(np.abs(ours - theirs).mean()) for ours, theirs in pairs),
    }


def broken_bounds(measured: Mapping[str, float], gate: ImageGate) -> tuple[str, ...]:
    """The bounds of the gate that the metrics break, in words: ``PSNR 23.1 dB is under 45``. A metric that is NaN breaks its bound.

    Args:
        measured: ``psnr``, ``ssim``, ``mae``, as ``metrics`` gives them.
        gate: the bounds; None is no bound.
    """
    broken = []
    if gate.psnr is not None and not measured["psnr"] >= gate.psnr:
        broken.append(f"PSNR {_apart(measured['psnr'], gate.psnr, 1)} dB is under {gate.psnr:g}")
    if gate.ssim is not None and not measured["ssim"] >= gate.ssim:
        broken.append(f"SSIM {_apart(measured['ssim'], gate.ssim, 3)} is under {gate.ssim:g}")
    if gate.mae is not None and not measured["mae"] <= gate.mae:
        broken.append(f"mean difference {_apart(measured['mae'], gate.mae, 4)} is over {gate.mae:g}")
    return tuple(broken)


def judge_images(
    candidate: Mapping[int, object], baseline: Mapping[int, object], gate: ImageGate | None, relation: Relation
) -> ImageJudgement:
    """Judges an arm's pictures against the baseline's of the same seeds.

    Defects of either side, another size and a broken bound fail. Where the weights differ, so must the pictures: those bit-identical to the
    baseline's mean that the optimization was lost. A gate that the baseline of one seed passes against the baseline of another could not have
    told the candidate from anything: it is powerless. This control needs two seeds and a bound.

    Args:
        candidate: seed -> whatever ``as_pictures`` takes; what it cannot take is a reason to fail, not an exception.
        baseline: the same for the baseline.
        gate: bounds on the metrics, or None.
        relation: what the candidate shares with the baseline.
    """
    common = sorted(candidate.keys() & baseline.keys())
    if not common:
        return ImageJudgement("fail", {}, ("returned no picture",))
    reasons: list[str] = []
    theirs = _healthy(baseline, "the baseline's picture is ", reasons)
    ours = _healthy({seed: candidate[seed] for seed in common}, "", reasons)
    measured = _compare_all(ours, theirs, relation, reasons)
    bounded = gate if gate is not None and gate != ImageGate() else None
    if measured and bounded:
        reasons.extend(broken_bounds(measured, bounded))
    control, powerless = _negative_control(theirs, bounded) if bounded else ({}, "")
    measured |= {f"control_{name}": value for name, value in control.items()}
    if reasons:
        return ImageJudgement("fail", measured, tuple(reasons))
    return ImageJudgement("powerless", measured, (powerless,)) if powerless else ImageJudgement("pass", measured, ())


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
        raise PictureError(f"returned values in [{values.min():.4g}, {values.max():.4g}]; valid: {VALID}")
    # Clipping would turn infinity into white, and hide it.
    return np.where(finite, np.clip(batch, 0, 1), batch).astype(np.float32)


def _from_list(values: list[object] | tuple[object, ...]) -> np.ndarray:
    if not values:
        raise PictureError(f"returned an empty {type(values).__name__}; valid: {VALID}")
    batches = [as_pictures(value) for value in values]
    sizes = sorted({batch.shape[1:] for batch in batches})
    if len(sizes) > 1:
        raise PictureError(f"returned pictures of differing sizes {', '.join(map(str, sizes))} (H, W, 3) in one {type(values).__name__}")
    return np.concatenate(batches)


def _defect(picture: np.ndarray) -> str:
    broken = int(np.count_nonzero(~np.isfinite(picture)))
    if broken:
        return f"not finite: {broken} of {picture.size} values are NaN or infinite"
    if picture.max() <= BLACK:
        return f"black: no value exceeds {picture.max():.4f} of 1"
    spread = float(picture.std(axis=(0, 1)).max())
    if spread < CONSTANT:
        return f"constant: the pixels' standard deviation is {spread:.4f} of 1"
    return ""


def _psnr(ours: np.ndarray, theirs: np.ndarray) -> float:
    error = float(np.square(ours - theirs).mean())
    return min(PSNR_CAP, float(-10 * np.log10(error))) if error else PSNR_CAP


def _ssim(ours: np.ndarray, theirs: np.ndarray) -> float:
    least = min(ours.shape[:2])
    window = min(_SSIM_WINDOW, least if least % 2 else least - 1)
    return float(structural_similarity(ours, theirs, win_size=window, channel_axis=-1, data_range=1.0))


def _apart(value: float, bound: float, digits: int) -> str:
    """The value, rounded, with as many more digits as it takes not to read like the bound."""
    texts = (f"{value:.{more}f}" for more in range(digits, digits + 6))
    return next((text for text in texts if float(text) != bound), repr(value))


def _healthy(pictures: Mapping[int, object], prefix: str, reasons: list[str]) -> _SEEDED:
    """The pictures that are whole; what is wrong with the others goes to the reasons."""
    healthy = {}
    for seed, value in sorted(pictures.items()):
        try:
            converted = as_pictures(value)
        except PictureError as error:
            reasons.append(f"seed {seed}: {'the baseline ' if prefix else ''}{error}")
            continue
        found = defects(converted)
        reasons.extend(f"seed {seed}: {prefix}{defect}" for defect in found)
        if not found:
            healthy[seed] = converted
    return healthy


def _compare_all(ours: _SEEDED, theirs: _SEEDED, relation: Relation, reasons: list[str]) -> dict[str, float]:
    """The worst metrics over the seeds that both have whole; other sizes and lost optimizations go to the reasons."""
    measured = []
    for seed in sorted(ours.keys() & theirs.keys()):
        try:
            measured.append(metrics(ours[seed], theirs[seed]))
        except PictureError as error:
            reasons.append(f"seed {seed}: {error}")
            continue
        if relation != "same_weights" and np.array_equal(ours[seed], theirs[seed]):
            reasons.append(f"seed {seed}: identical to the baseline, bit by bit: the optimization was lost")
    return _extreme(measured, worst=True)


def _extreme(measured: list[dict[str, float]], *, worst: bool) -> dict[str, float]:
    """The worst, or the best, of each metric; empty for nothing."""
    if not measured:
        return {}
    low, high = (min, max) if worst else (max, min)
    return {
        "psnr": low(values["psnr"] for values in measured),
        "ssim": low(values["ssim"] for values in measured),
        "mae": high(values["mae"] for values in measured),
    }


def _negative_control(baseline: _SEEDED, gate: ImageGate) -> tuple[dict[str, float], str]:
    """The baseline of neighbouring seeds against each other: the closest metrics, and why the gate is powerless, or ""."""
    measured, powerless = [], ""
    for seed, other, values in _controls(baseline):
        measured.append(values)
        if not powerless and not broken_bounds(values, gate):
            powerless = (
                f"gate has no power: the baseline of seed {other} passes it against seed {seed} "
                f"(PSNR {values['psnr']:.1f} dB, SSIM {values['ssim']:.3f}, mean difference {values['mae']:.4f}): tighten its bounds"
            )
    return _extreme(measured, worst=False), powerless


def _controls(baseline: _SEEDED) -> Iterator[tuple[int, int, dict[str, float]]]:
    for seed, other in itertools.pairwise(sorted(baseline)):
        if baseline[seed].shape == baseline[other].shape:
            yield seed, other, metrics(baseline[other], baseline[seed])
