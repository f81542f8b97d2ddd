"""How much an arm's pictures differ between its own slots: the positive control of its gate.

A gate that asks for more likeness to the baseline than the baseline has to itself is a coin toss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pytest_sdspeed.judge.pictures.output import Output


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
