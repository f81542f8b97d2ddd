"""Figures as they are printed: each stands for all numbers that round to it.

Two figures contradict each other only if no such numbers agree. A figure of n places is what its
source rounded: 1.50 stands for 1.495 to 1.505, 12 for 11.5 to 12.5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_sdspeed.model import Stated


_ABOUT = re.compile(
    r"[~\u2248]\s*\d|\b(about|almost|approximately|around|nearly|roughly)\b", re.IGNORECASE
)
"""What a source says of a figure that is approximate."""
_COPIED_DIGITS = 3
"""Digits from which two equal figures are more likely one that was copied than chance."""


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
    def of(cls, number: float, written: str = "", *, about: bool = False) -> Figure:
        """Read a number.

        Args:
            number: as a table holds it.
            written: as its file has it, if that is more exact; "" if not. A text that is another
                number is passed over.
            about: whether its source says that it is approximate: zeros at its end say nothing
                then, so that ~180 stands for 175 to 185.
        """
        value = Decimal(repr(float(number)).removesuffix(".0"))
        if written and Decimal(written) == value and not about:
            value = Decimal(written)
        exponent = int((value.normalize() if about else value).as_tuple().exponent)
        half = Decimal(1).scaleb(exponent if about else min(exponent, 0)) / 2
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
    def percent_above_one(self) -> Figure:
        """Return by how many percent a speed-up of this figure is above 1."""
        return Figure(*(100 * (part - 1) for part in (self.value, self.low, self.high)))

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


def read_stated(stated: Stated, name: str) -> Figure | None:
    """Return a figure that is stated by its name, or None."""
    number = stated.figures.get(name)
    if number is None:
        return None
    about = _ABOUT.search(f"{stated.where} {stated.text}") is not None
    return Figure.of(number, stated.written.get(name, ""), about=about)


def is_copied(one: Figure, other: Figure) -> bool:
    """Tell whether two figures are equal in so many digits that one is likely the other's."""
    digits = str(one).replace(".", "").lstrip("0")
    return one.value == other.value and len(digits) >= _COPIED_DIGITS


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
