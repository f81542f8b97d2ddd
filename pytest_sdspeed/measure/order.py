"""The order of a block's slots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence


def shuffle_palindrome(baseline: str, rows: Sequence[str], order: random.Random) -> tuple[str, ...]:
    """Return the slot order of one block.

    The first half holds every row once and the baseline twice, shuffled; the second half is its
    mirror image, so that every arm's mean position is the middle of the block and a linear drift
    cancels. Of the baseline's two pairs the outer one keeps its name and the inner one is called
    ``model.CONTROL``: a dependence on the position in the block separates them.
    """
    half = [baseline, baseline, *rows]
    order.shuffle(half)
    inner = len(half) - 1 - half[::-1].index(baseline)
    half[inner] = CONTROL
    return (*half, *reversed(half))
