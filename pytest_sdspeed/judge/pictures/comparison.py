"""Compare what two arms returned: picture by picture, frame by frame, or as arrays.

Never more than a few frames of either side are held as floats.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_sdspeed.errors import MetricError, PictureError, read_first_line
from pytest_sdspeed.judge.pictures.metrics import (
    check_sizes,
    compare_picture,
    find_extremes,
    find_worst_picture,
    measure_flip,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_sdspeed.judge.pictures.bounds import Scale
    from pytest_sdspeed.judge.pictures.output import Output, Span
    from pytest_sdspeed.model import ImageGate, PictureMetric

FROZEN = 0.1
"""A step from one frame to the next that has less than this share of the baseline's motion stands
still."""

LEAST_MOTION = 1.0 / 255
"""Motion under one 8-bit level, as a mean over the pixels, counts as one when errors are taken as
a share of it: nobody sees an error under a level."""

_STILL = 0.1 / 255
"""Mean difference of the baseline's consecutive frames below which it stands still itself."""

_BATCHED = 3
"""Arrays of as many axes or more have a batch as their first one."""


class Comparison(NamedTuple):
    """What differs between two outputs.

    Attributes:
        pictures: metrics of every picture or frame by name; empty for arrays.
        whole: metrics of the outputs as a whole: of arrays, and ``temporal`` of videos.
        faults: what is wrong without any bound, in words.
    """

    pictures: list[dict[str, float]]
    whole: dict[str, float]
    faults: tuple[str, ...] = ()

    def worst(self, scale: Scale) -> dict[str, float]:
        """Return the worst of each metric."""
        return find_extremes(self.pictures, scale.is_likeness) | self.whole


def compare_outputs(
    ours: Output, theirs: Output, gate: ImageGate, scale: Scale, *, every_flip: bool
) -> Comparison:
    """Compare what an arm returned with what its baseline did.

    Pictures with a range of their own are compared by the baseline's range, and may lie outside of
    it. Pictures with alpha are compared over black and over white, and the worse counts: what shows
    through does not hide that it does.

    Args:
        ours: what the candidate returned; latents in [0, 1], which could be pictures, are read as
            the baseline's.
        theirs: what the baseline returned.
        gate: bounds; metrics that take long are computed for theirs alone.
        scale: the metrics that there are.
        every_flip: compute FLIP of every picture, not only of the worst by PSNR.

    Raises:
        PictureError: they differ in kind, number, size or what their values mean.
        MetricError: a registered metric raised, or returned no number.
    """
    ours = ours.like(theirs)
    if ours.kind != theirs.kind:
        raise PictureError(f"returned {ours.describe()}, the baseline {theirs.describe()}")
    if ours.own_range != theirs.own_range:
        raise PictureError(
            f"returned {ours.describe()} in {ours.values.dtype}, the baseline in"
            f" {theirs.values.dtype}: they have no range in common"
        )
    if ours.kind == "array":
        if ours.size != theirs.size:
            raise PictureError(
                f"an array of another shape: {ours.size}, the baseline {theirs.size}"
            )
        return Comparison([], _compare_arrays(ours.values, theirs.values))
    check_sizes((*ours.size, 3), (*theirs.size, 3))
    asked = [scale.further[name] for name, _ in gate.further if name in scale.further]
    backgrounds = (0.0, 1.0) if ours.has_alpha or theirs.has_alpha else (1.0,)
    span = theirs.span
    several = [
        _compare_over(ours, theirs, span, background, asked, every_flip=every_flip)
        for background in backgrounds
    ]
    pictures = [
        find_extremes(one, scale.is_likeness)
        for one in zip(*(pictures for pictures, _ in several), strict=True)
    ]
    moved = several[-1][1]
    whole = {}
    if moved and (ours.kind == "videos" or gate.temporal is not None):
        whole["temporal"] = max(
            _measure_temporal(video) for _, steps in several for video in _split(steps, ours)
        )
    return Comparison(pictures, whole, tuple(_find_frozen(ours, moved)))


class _Step(NamedTuple):
    """What changes from one frame to the next, as means of absolute differences.

    Attributes:
        place: place of the later frame.
        error: difference of both sides' changes.
        ours: change of the candidate's frames.
        theirs: change of the baseline's.
    """

    place: int
    error: float
    ours: float
    theirs: float


def _compare_over(
    ours: Output,
    theirs: Output,
    span: Span,
    background: float,
    asked: Sequence[PictureMetric],
    *,
    every_flip: bool,
) -> tuple[list[dict[str, float]], list[_Step]]:
    """Compare every picture over one background, and what changes between consecutive ones."""
    found: list[dict[str, float]] = []
    steps: list[_Step] = []
    before: tuple[np.ndarray, np.ndarray] | None = None
    for index in range(ours.count):
        mine, yours = (side.view(index, span, background=background) for side in (ours, theirs))
        values = compare_picture(mine, yours)
        if every_flip:
            values["flip"] = measure_flip(mine, yours)
        found.append(values | _measure_further(asked, mine, yours, ours.name(index)))
        if before is not None and index % ours.together:
            changes = mine - before[0], yours - before[1]
            error, own, other = (
                float(np.abs(change).mean()) for change in (changes[0] - changes[1], *changes)
            )
            steps.append(_Step(index, error, own, other))
        before = mine, yours
    if not every_flip:
        worst = find_worst_picture(found)
        found[worst]["flip"] = measure_flip(
            *(side.view(worst, span, background=background) for side in (ours, theirs))
        )
    return found, steps


def _split(steps: Sequence[_Step], output: Output) -> Iterator[Sequence[_Step]]:
    """Yield the steps of each video."""
    together = output.together - 1
    return (steps[start : start + together] for start in range(0, len(steps), together))


def _measure_temporal(steps: Sequence[_Step]) -> float:
    """Return the greatest error of motion as a share of the baseline's mean motion.

    With frames x of the candidate and y of the baseline, it is the maximum over t of
    mean|(x[t+1] - x[t]) - (y[t+1] - y[t])| over the mean over t of mean|y[t+1] - y[t]|. A video
    that stands still at a step of average motion has 1, and so has one that flickers as much as
    the baseline moves. Motion under one 8-bit level counts as one.
    """
    motion = max(LEAST_MOTION, float(np.mean([step.theirs for step in steps])))
    return max(step.error for step in steps) / motion


def _find_frozen(output: Output, steps: Sequence[_Step]) -> Iterator[str]:
    """Say where pictures repeat the ones before them, while the baseline's differ."""
    still = [step for step in steps if step.theirs >= _STILL and step.ours < FROZEN * step.theirs]
    if not still:
        return
    moving = sum(step.theirs >= _STILL for step in steps)
    what = "frames stand still" if output.kind == "videos" else "pictures repeat each other"
    yield (
        f"{what}: {len(still)} of {moving} differ from the one before by less than"
        f" {FROZEN:.0%} of the difference that the baseline's have, the first is"
        f" {output.name(still[0].place)}"
    )


def _measure_further(
    asked: Sequence[PictureMetric], ours: np.ndarray, theirs: np.ndarray, place: str
) -> dict[str, float]:
    return {metric.name: _measure(metric, ours, theirs, place) for metric in asked}


def _measure(metric: PictureMetric, ours: np.ndarray, theirs: np.ndarray, place: str) -> float:
    # Copies: what a metric does to its arguments stays with it.
    pair = [np.clip(side, 0, 1).astype(np.float32) for side in (ours, theirs)]
    try:
        value = _read_number(metric.function(*pair))
    except Exception as error:
        said = read_first_line(error, "no message")
        raise MetricError(
            f"metric {metric.name!r} raised {type(error).__name__} for {place}: {said}"
        ) from error
    if math.isnan(value):
        raise MetricError(f"metric {metric.name!r} returned nan for {place}, which is no number")
    return value


def _read_number(returned: Any) -> float:
    """Return a number as a float: one of any library, but no text that says one."""
    if isinstance(returned, (str, bytes)):
        raise TypeError(f"it returned the text {returned!r}, no number")
    return float(returned)


def _compare_arrays(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Compare arrays of one shape; of a batch, which three axes and more have, the worst counts."""
    several = zip(ours, theirs, strict=True) if ours.ndim >= _BATCHED else [(ours, theirs)]
    return find_extremes(_compare_array(*pair) for pair in several)


def _compare_array(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    mine, yours = (np.asarray(side, dtype=np.float64).ravel() for side in (ours, theirs))
    difference = np.abs(mine - yours)
    return {
        "max_abs": float(difference.max()),
        "mean_abs": float(difference.mean()),
        "cosine": _measure_cosine(mine, yours),
    }


def _measure_cosine(mine: np.ndarray, yours: np.ndarray) -> float:
    """Return the cosine similarity, in [-1, 1]; of two zeros 1, of one zero 0."""
    norms = float(np.linalg.norm(mine)), float(np.linalg.norm(yours))
    if 0.0 in norms:
        return float(norms[0] == norms[1])
    return float(np.clip(mine @ yours / norms[0] / norms[1], -1, 1))
