"""Figures as they are printed: each stands for all numbers that round to it.

Two figures contradict each other only if no such numbers agree. A figure of n places is what its
source rounded: 1.50 stands for 1.495 to 1.505, 12 for 11.5 to 12.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as it is printed, or what follows from such numbers.

    Attributes:
        value: the number itself.
        low, high: what the numbers that round to it lie between.
    """

    value: Decimal
    low: Decimal
    high: Decimal

    @classmethod
    def of(cls, number: float, written: str = "") -> Figure:
        """Read a number.

        Args:
            number: as a table holds it.
            written: as its file has it, if that is more exact; "" if not. A text that is another
                number is passed over.
        """
        value = Decimal(repr(float(number)).removesuffix(".0"))
        if written and Decimal(written) == value:
            value = Decimal(written)
        half = Decimal(1).scaleb(min(int(value.as_tuple().exponent), 0)) / 2
        return cls(value, value - half, value + half)

    def __str__(self) -> str:
        """Return the number as it is printed."""
        return f"{self.value:f}"

    def __truediv__(self, other: Figure) -> Figure:
        """Return the quotient of two positive figures."""
        return Figure(self.value / other.value, self.low / other.high, self.high / other.low)

    def __mul__(self, other: Figure) -> Figure:
        """Return the product of two positive figures."""
        return Figure(self.value * other.value, self.low * other.low, self.high * other.high)

    def scale(self, factor: float) -> Figure:
        """Return the figure times a positive number."""
        by = Decimal(repr(factor))
        return Figure(self.value * by, self.low * by, self.high * by)

    @property
    def saved_percent(self) -> Figure:
        """Return the percent of time that a speed-up of this figure saves."""
        one, hundred = Decimal(1), Decimal(100)
        return Figure(
            hundred * (one - one / self.value),
            hundred * (one - one / self.low),
            hundred * (one - one / self.high),
        )

    def agrees(self, other: Figure) -> bool:
        """Tell whether there are numbers that round to both."""
        return self.low < other.high and other.low < self.high

    def is_near(self, number: float, share: float = 0.03) -> bool:
        """Tell whether it lies within a share of a number, and is printed as exactly as that."""
        by = Decimal(repr(number))
        slack = by * Decimal(repr(share))
        exact = self.high - self.low < 4 * slack
        return exact and self.low < by + slack and self.high > by - slack


def read(figures: Mapping[str, float], written: Mapping[str, str], name: str) -> Figure | None:
    """Return a figure by its name, or None."""
    number = figures.get(name)
    return None if number is None else Figure.of(number, written.get(name, ""))


def differ_by(one: Figure, other: Figure) -> str:
    """Return by how much two figures differ, of the smaller one: ``0.12%``, ``x2.3`` of it."""
    small, large = sorted((float(one.value), float(other.value)))
    return f"x{large / small:.3g}" if large >= 2 * small else f"{100 * (large / small - 1):.2g}%"


def show(number: Decimal, like: Figure | None = None) -> str:
    """Return a computed number with as many places as a figure that it is compared with, and one.

    Without a figure it has four digits.
    """
    if like is None:
        return f"{float(number):.4g}"
    places = max(-int(like.value.as_tuple().exponent), 0) + 1
    return f"{float(number):.{min(places, 6)}f}"
