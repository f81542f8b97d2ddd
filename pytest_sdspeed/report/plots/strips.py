"""A figure over runs, drawn as a strip.

Every run stands on its level, and one wild run does not flatten the others.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.report.plots.drawing import choose_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.report.plots.drawing import Chart

STRIP = 100
"""Pixels a strip takes: a line for its name, a line that changes may be named in, then the band
that its marks stand on."""

NAMES, FIRST, LAST = 24, 31, 91
"""Pixels from a strip's top to the middle of the names, and to where its band begins and ends."""

_INWARD = 5
"""Pixels that marks stay inside the band."""

_ORDINARY = 0.9
"""Share of the runs that says how far runs ordinarily stray from their level."""

_FAR = 3.0
"""What strays this many times as far is a spike: marked at the band's edge, with its value, beyond
the scale."""

_APART = 40
"""Pixels between the values of two spikes; in between they are arrows only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One figure over runs, NaN if it is unknown.

    Attributes:
        name: what it is, with its unit.
        latest: the latest run's, in words.
        values: value of every run.
        least: what the band reaches from its levels at least, so that next to nothing looks like
            it.
        spread: low and high of every run, or nothing.
        floor: what it must not fall below, or NaN.
    """

    name: str
    latest: str
    values: Sequence[float]
    least: float
    spread: Sequence[tuple[float, float]] = field(default=())
    floor: float = math.nan

    def words(self) -> str:
        """Describe what it shows, for those who do not see it."""
        known = [value for value in self.values if math.isfinite(value)]
        return (
            f"{self.name}: {self.latest}, from {min(known):.4g} to {max(known):.4g}."
            if known
            else f"{self.name}: unknown."
        )


class _Band(NamedTuple):
    """What a band's edges stand for, and where it is."""

    low: float
    high: float
    top: float

    def y(self, value: float) -> float:
        """Return the pixels from the figure's top; beyond the scale, those of its edge."""
        share = (self.high - min(max(value, self.low), self.high)) / (self.high - self.low)
        return self.top + FIRST + _INWARD + share * (LAST - FIRST - 2 * _INWARD)


def draw_strips(
    drawing: Chart,
    strip: Strip,
    top: float,
    *,
    starts: Sequence[int],
    solid: Sequence[bool],
    pixels: float,
) -> None:
    """Draw a strip over runs 0, 1, ... of the figure's axis.

    Args:
        drawing: what to draw on.
        strip: figure with a value for each run.
        top: where it begins, pixels.
        starts: the first run of every level, the earliest first.
        solid: whether the mark of each run is filled.
        pixels: distance between two runs.
    """
    levels = [
        (start, end, _find_level(strip.values[start:end]))
        for start, end in pairwise([*starts, len(strip.values)])
    ]
    known = [level for level in levels if math.isfinite(level[2])]
    if not known:
        drawing.write_label(top + 10, strip.name, "unknown", ink="muted")
        return
    drawing.write_label(top + 10, strip.name, strip.latest)
    band = _Band(*_find_reach(strip, known), top)
    _draw_ground(drawing, band, len(strip.values))
    drawing.draw_lines(
        [((start - 0.5, band.y(level)), (end - 0.5, band.y(level))) for start, end, level in known],
        "muted",
    )
    if band.low <= strip.floor <= band.high:
        y = band.y(strip.floor)
        drawing.draw_lines([((-0.5, y), (len(strip.values) - 0.5, y))], "ink", dotted=True, order=1)
    spread = [
        ((x, band.y(low)), (x, band.y(high)))
        for x, (low, high) in enumerate(strip.spread)
        if math.isfinite(low + high)
    ]
    if spread:
        drawing.draw_strokes(spread, "arm-1", min(1.0, 0.4 * pixels), order=1)
    places = [(x, value) for x, value in enumerate(strip.values) if math.isfinite(value)]
    inside = [(x, value) for x, value in places if band.low <= value <= band.high]
    size = min(max(0.9 * pixels, 2.6), 4.5)
    drawing.draw_marks([(x, band.y(value)) for x, value in inside if solid[x]], "o", "arm-2", size)
    drawing.draw_marks(
        [(x, band.y(value)) for x, value in inside if not solid[x]], "o", "arm-2", size, hollow=True
    )
    _draw_spikes(
        drawing,
        band,
        [(x, value) for x, value in places if not band.low <= value <= band.high],
        pixels,
    )


def _find_level(values: Sequence[float]) -> float:
    """Return the median of what is known."""
    known = [value for value in values if math.isfinite(value)]
    return statistics.median(known) if known else math.nan


def _find_reach(strip: Strip, levels: Sequence[tuple[int, int, float]]) -> tuple[float, float]:
    """Return what the band spans.

    All runs but the spikes, an ordinary interval around them, and the floor if it is near.
    """
    pairs = [
        (value, level)
        for start, end, level in levels
        for value in strip.values[start:end]
        if math.isfinite(value)
    ]
    ordinary = sorted(abs(value - level) for value, level in pairs)[
        math.ceil(_ORDINARY * len(pairs)) - 1
    ]
    near = [value for value, level in pairs if abs(value - level) <= _FAR * ordinary]
    half = _find_level([(high - low) / 2 for low, high in strip.spread])
    margin = max(half if math.isfinite(half) else 0.0, strip.least)
    low = min(*near, *(level for *_, level in levels)) - margin
    high = max(*near, *(level for *_, level in levels)) + margin
    if low - (high - low) / 2 <= strip.floor <= high + (high - low) / 2:
        return min(low, strip.floor), max(high, strip.floor)
    return low, high


def _draw_ground(drawing: Chart, band: _Band, runs: int) -> None:
    """Draw the band, and round values with their lines."""
    middle = band.top + (FIRST + LAST) / 2
    drawing.draw_lines([((-0.5, middle), (runs - 0.5, middle))], "wash", LAST - FIRST, order=-3)
    ticks = choose_ticks(band.low, band.high, 4)
    drawing.draw_lines(
        [((-0.5, band.y(tick)), (runs - 0.5, band.y(tick))) for tick in ticks], "hairline", order=-2
    )
    decimals = max((len(f"{tick:.6g}".partition(".")[2]) for tick in ticks), default=0)
    for tick in ticks:
        drawing.write_note(drawing.high, band.y(tick), f"{tick:.{decimals}f}", align="right")


def _draw_spikes(
    drawing: Chart, band: _Band, spikes: Sequence[tuple[int, float]], pixels: float
) -> None:
    written = -math.inf
    for x, value in spikes:
        y, above = band.y(value), value > band.high
        drawing.draw_marks([(x, y)], "^" if above else "v", "arm-2", 6)
        if (x - written) * pixels >= _APART:
            # Its value stands where there is more room.
            left = 2 * x > drawing.low + drawing.high
            drawing.write_note(
                x + (-6 if left else 6) / pixels,
                y,
                f"{value:.4g}",
                align="right" if left else "left",
            )
            written = x
