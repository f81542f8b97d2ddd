"""How much an arm's pictures differ between its own slots: the positive control of its gate.

A gate that asks for more likeness to the baseline than the baseline has to itself is a coin toss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures.conversion import as_pictures
from pytest_sdspeed.judge.pictures.metrics import compare_batches, find_extremes
from pytest_sdspeed.model import SelfDifference

if TYPE_CHECKING:
    from pytest_sdspeed.judge.pictures.output import Output
    from pytest_sdspeed.judge.pictures.slots import ArmPictures

_SAID = (("psnr", "PSNR", 1, " dB"), ("mae", "mean difference", 4, ""))
"""Metrics that are told of an arm that differs from itself: name, word, digits, unit."""


def measure_self_difference(
    pictures: ArmPictures, *, every_flip: bool = False
) -> SelfDifference | None:
    """Measure how much an arm differs from its own first output of each case.

    Args:
        pictures: what the arm returned.
        every_flip: compute FLIP of every picture, see ``compare_pictures``.

    Returns:
        The worst of each metric; None if the arm returned no output.
    """
    if not pictures.outputs:
        return None
    compared = []
    for first, *others in pictures.outputs.values():
        for other in others:
            try:
                compared.append(
                    compare_batches(as_pictures(other), as_pictures(first), every_flip=every_flip)
                )
            except PictureError:
                # Too small for a metric: that it differs is counted all the same.
                continue
    return SelfDifference(
        slots=sum(bool(look.form) for look in pictures.looks),
        differing=pictures.differing,
        metrics=find_extremes(compared),
    )


def describe_self_difference(found: SelfDifference | None, role: str = "") -> tuple[str, ...]:
    """Describe an arm that differs from itself; nothing if it does not, or if that is unknown.

    Args:
        found: how much it differs.
        role: the side, ``baseline``; "" for the candidate.
    """
    if found is None or not found.differing:
        return ()
    known = [
        f"{word} {found.metrics[name]:.{digits}f}{unit}"
        for name, word, digits, unit in _SAID
        if name in found.metrics
    ]
    worst = f", at worst by {', '.join(known)}" if known else ""
    return (
        f"{f'the {role}' if role else 'it'} does not draw the same each time: {found.differing} of"
        f" {found.slots} slots differ from the first of their case{worst}",
    )


def measure_distance(mine: Output, yours: Output) -> float:
    """Return the mean squared difference of the pictures or frames that differ most.

    Of arrays it is that of all values.

    Args:
        mine: an output without defects.
        yours: another of the same kind and size, whose range of values counts.
    """
    if mine.kind == "array":
        return _mean_square(mine.values, yours.values)
    span = yours.span
    return max(map(_mean_square, mine.views(span), yours.views(span)))


def _mean_square(mine: np.ndarray, yours: np.ndarray) -> float:
    return float(np.square(mine.astype(np.float64) - yours.astype(np.float64)).mean())
