"""How much an arm's pictures differ between its own slots: the positive control of its gate.

A gate that asks for more likeness to the baseline than the baseline has to itself is a coin toss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures.bounds import Scale, select_broken_bounds
from pytest_sdspeed.judge.pictures.comparison import compare_outputs
from pytest_sdspeed.judge.pictures.metrics import find_extremes
from pytest_sdspeed.model import ImageGate, SelfDifference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.judge.pictures.output import Output
    from pytest_sdspeed.judge.pictures.slots import ArmPictures

_SAID = ("psnr", "mae", "max_abs", "mean_abs")
"""Metrics that are told of an arm that differs from itself."""


def measure_self_difference(
    pictures: ArmPictures, gate: ImageGate | None, scale: Scale
) -> SelfDifference | None:
    """Measure how much an arm differs from its own first output of each case.

    Of each case the output is compared that differs most by ``measure_distance``, so that its PSNR
    is the worst of all slots.

    Args:
        pictures: what the arm returned.
        gate: bounds; metrics that take long are computed for theirs alone.
        scale: the metrics that there are.

    Returns:
        The worst of each metric over the cases; None if the arm returned no output.
    """
    if not pictures.outputs:
        return None
    bounds = gate or ImageGate()
    compared = []
    for first, *others in pictures.outputs.values():
        try:
            compared += [
                compare_outputs(
                    other, first, bounds, scale, every_flip=bounds.flip is not None
                ).worst(scale)
                for other in others[:1]
            ]
        except PictureError:
            # Too small for a metric: that it differs is counted all the same.
            continue
    return SelfDifference(
        slots=sum(bool(look.form) for look in pictures.looks),
        differing=pictures.differing,
        metrics=find_extremes(compared, scale.is_likeness),
    )


def describe_self_difference(
    found: SelfDifference | None, scale: Scale, role: str = ""
) -> tuple[str, ...]:
    """Describe an arm that differs from itself; nothing if it does not, or if that is unknown.

    Args:
        found: how much it differs.
        scale: the metrics that there are.
        role: the side, ``baseline``; "" for the candidate.
    """
    if found is None or not found.differing:
        return ()
    known = [scale.format(name, found.metrics[name]) for name in _SAID if name in found.metrics]
    worst = f", at worst by {', '.join(known)}" if known else ""
    who = f"the {role}" if role else "it"
    said = (
        f"{who} does not draw the same each time: {found.differing} of {found.slots} slots differ"
        f" from the first of their case{worst}"
    )
    return (said,)


def find_coin_tosses(
    measured: Mapping[str, float], gate: ImageGate, scale: Scale, own: SelfDifference | None
) -> tuple[list[str], list[str]]:
    """Find the bounds that the baseline breaks against itself.

    Args:
        measured: metrics of the candidate against the baseline.
        gate: the bounds.
        scale: the metrics that there are.
        own: how much the baseline differs from itself, or None if that is unknown.

    Returns:
        What to say beside the bounds that the candidate breaks, and beside those that it keeps.
    """
    if own is None:
        return [], []
    broken = select_broken_bounds(measured, gate, scale)
    in_doubt, tosses = [], []
    for name, bound in select_broken_bounds(own.metrics, gate, scale).items():
        itself = scale.format(name, own.metrics[name], bound)
        said = f"the baseline differs from itself by {itself}"
        if name in broken:
            in_doubt.append(said)
        elif name in measured:
            tosses.append(f"the bound {bound:g} is a coin toss: {said}")
    return in_doubt, tosses


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
