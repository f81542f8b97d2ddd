"""Speed-ups with their intervals, beside the floor and the documented value: one row a setup."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_sdspeed.report import text
from pytest_sdspeed.report.plots.drawing import Chart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.model import Result

ROW = 46
"""Pixels a setup takes."""

_REACH = 2.0
"""How far beyond a row's own figures its interval may widen the axis, as a ratio: one wild interval
must not flatten the others."""

_MARKERS = {"pass": "o", "fail": "X", "inconclusive": "D", "invalid": "s"}


def draw_forest(results: Sequence[Result], name: str, title: str) -> str | None:
    """Draw the speed-ups as SVG, or return None if nothing was compared.

    Args:
        results: results of one campaign.
        name: sets its ids apart.
        title: title for screen readers.
    """
    compared = list(
        {text.format_row(result): result for result in results if not result.is_baseline}.values()
    )
    if not compared:
        return None
    drawing = Chart(
        ROW * len(compared) + 4,
        *_find_reach(compared),
        "speed-up (baseline latency over the setup's)",
        "x{:g}",
    )
    _draw_marks(drawing, compared)
    return drawing.to_svg(name, title, " ".join(map(_describe, compared)))


def _find_reach(results: Sequence[Result]) -> tuple[float, float]:
    """Return what the axis spans.

    Every point, floor and expectation, the intervals as far as they stay near, and "no change".
    """
    values = [1.0]
    for result in results:
        own = [
            value
            for value in (result.speedup, result.floor, result.expected)
            if math.isfinite(value)
        ]
        values += [*own, max(result.low, min(own) / _REACH), min(result.high, max(own) * _REACH)]
    finite = [value for value in values if math.isfinite(value)]
    margin = 0.06 * (max(finite) - min(finite)) or 0.1
    return min(finite) - margin, max(finite) + margin


def _draw_marks(drawing: Chart, results: Sequence[Result]) -> None:
    rows = [(ROW * number + 31, result) for number, result in enumerate(results)]
    first, last = drawing.low, drawing.high
    drawing.draw_lines([((first, y), (last, y)) for y, _ in rows], "hairline")
    drawing.draw_lines([((1.0, y - 8), (1.0, y + 8)) for y, _ in rows], "muted", 1.5, dotted=True)
    drawing.draw_lines(
        [((result.floor, y - 8), (result.floor, y + 8)) for y, result in rows], "ink", 2, order=2
    )
    drawing.draw_marks([(result.expected, y) for y, result in rows], "d", "ink", 9, hollow=True)
    for y, result in rows:
        drawing.write_label(
            y - 19,
            result.setup,
            str(result.interval),
        )
        low, high = (min(max(value, first), last) for value in (result.low, result.high))
        drawing.draw_lines([((low, y), (high, y))], result.verdict, 3, order=1)
        if result.low < first:
            drawing.draw_marks([(first, y)], "<", result.verdict, 7)
        if result.high > last:
            drawing.draw_marks([(last, y)], ">", result.verdict, 7)
        drawing.draw_marks([(result.speedup, y)], _MARKERS[result.verdict], result.verdict, 8)


def _describe(result: Result) -> str:
    measured = str(result.interval)
    return (
        f"{result.setup}: {measured}, expected {text.format_ratio(result.expected)}, floor"
        f" {text.format_ratio(result.floor)}, {result.verdict}."
    )
