"""The order of the slots of a campaign's blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence


class Palindromes:
    """Draws the slot order of one palindrome after another.

    The first half of a palindrome holds every row once and the baseline twice; the second half is
    its mirror image, so that every arm's mean position is the middle of the block and a linear
    drift cancels. Of the baseline's two pairs the outer one keeps its name and the inner one is
    called ``model.CONTROL``: a dependence on the position in the block separates them.

    The halves are the lines of random Latin squares: among as many palindromes as a half has slots
    every arm begins at every place equally often. So what a place does to its slot (the first one
    of a block is slower, say) cancels too, and does not stay in a campaign of few blocks by the
    luck of the draw, see the study ``slot order`` of ``benchmarks/studies/gate_power.py``.

    Args:
        baseline: name of the baseline.
        order: source of the order.
    """

    def __init__(self, baseline: str, order: random.Random) -> None:
        self._baseline, self._order = baseline, order
        self._rows: tuple[str, ...] = ()
        self._left: list[list[str]] = []

    def draw(self, rows: Sequence[str]) -> tuple[str, ...]:
        """Return the next palindrome.

        Args:
            rows: the rows that are measured; if they are others than before, a new square begins.
        """
        if not self._left or self._rows != tuple(rows):
            self._rows = tuple(rows)
            self._left = _draw_square([self._baseline, self._baseline, *rows], self._order)
        half = self._left.pop()
        half[len(half) - 1 - half[::-1].index(self._baseline)] = CONTROL
        return (*half, *reversed(half))


def _draw_square(labels: list[str], order: random.Random) -> list[list[str]]:
    """Draw a Latin square: every label once in every line, and once in every column.

    It is the cyclic square with its labels, lines and columns shuffled.
    """
    order.shuffle(labels)
    size = len(labels)
    columns = order.sample(range(size), size)
    return [
        [labels[(line + column) % size] for column in columns]
        for line in order.sample(range(size), size)
    ]
