"""The runs of a setup in order: speed-up, latency and canary in a strip each, and changes."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from pytest_sdspeed.model import Interval
from pytest_sdspeed.report import history as words
from pytest_sdspeed.report import text
from pytest_sdspeed.report.plots.drawing import WIDTH, Chart
from pytest_sdspeed.report.plots.runs import average_canaries, format_drift
from pytest_sdspeed.report.plots.strips import FIRST, LAST, NAMES, STRIP, Strip, draw_strips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.model import History, HistoryRun
    from pytest_sdspeed.report.plots.runs import Mark

MOST_RUNS = 200
"""How many of the latest runs are drawn: each has under two pixels then."""

INKS = {
    "code": "fail",
    "stack": "inconclusive",
    "machine": "invalid",
    "improvement": "pass",
    "none": "muted",
}
"""Of a change, by its kind."""

_SIDE = 46
"""Pixels at the right for the values of the strips."""

_DATES = 4
_LETTER = 7
"""Pixels that a letter of small words takes."""

_STILL = 0.004
"""What a strip reaches to either side of its levels at least, as a fraction of them."""


def draw_course(
    history: History, marks: Sequence[Mark], name: str, title: str, floor: float = math.nan
) -> str:
    """Draw the runs of a setup as SVG.

    Args:
        history: history with one run at least.
        marks: marks at changes of versions and of the host.
        name: sets its ids apart.
        title: title for screen readers.
        floor: the least speed-up that passes today, or NaN.
    """
    runs, first = history.runs[-MOST_RUNS:], max(len(history.runs) - MOST_RUNS, 0)
    strips = _make_strips(history, runs, floor)
    pixels = (WIDTH - _SIDE) / len(runs)
    tops = [STRIP * number for number in range(len(strips))]
    reach = (-0.5, WIDTH / pixels - 0.5)
    drawing = Chart(tops[-1] + LAST, *reach, "runs in order", ticks=_choose_dates(runs))
    later = {
        change.since - first: change.kind for change in history.changes if change.since > first
    }
    _name_marks(
        drawing, [(mark.place - first, mark) for mark in marks if mark.place > first], tops, pixels
    )
    for place, kind in later.items():
        _draw_upright(drawing, place, tops, INKS[kind], 2.5)
    for top, strip in zip(tops, strips, strict=True):
        draw_strips(
            drawing,
            strip,
            top,
            starts=[0, *sorted(later)],
            solid=[run.reference for run in runs],
            pixels=pixels,
        )
    return drawing.to_svg(
        name,
        title,
        " ".join([f"{words.write_sentence(history)}.", *(strip.words() for strip in strips)]),
    )


def _make_strips(history: History, runs: Sequence[HistoryRun], floor: float) -> list[Strip]:
    latencies = [run.latency_s for run in runs]
    usual = statistics.median([value for value in latencies if math.isfinite(value)] or [1.0])
    unit, scale = text.choose_latency_unit(usual)
    canary = [100 * (value - 1) for value in average_canaries(history.runs)][-len(runs) :]
    found = [
        Strip(
            name=f"latency, {unit}",
            latest=_say_if_known(latencies[-1], text.format_latency(latencies[-1])),
            values=[scale * value for value in latencies],
            least=_STILL * scale * usual,
        ),
        Strip(
            name="canary, % from the usual",
            latest=_say_if_known(canary[-1], format_drift(1 + canary[-1] / 100)),
            values=canary,
            least=100 * _STILL,
        ),
    ]
    return found if history.setup == history.baseline else [_make_ratio_strip(runs, floor), *found]


def _make_ratio_strip(runs: Sequence[HistoryRun], floor: float) -> Strip:
    latest = runs[-1]
    figures = _say_if_known(latest.speedup, str(Interval(latest.speedup, latest.low, latest.high)))
    least = f", floor {text.format_ratio(floor)}" if math.isfinite(floor) else ""
    values = [run.speedup for run in runs]
    return Strip(
        name="speed-up",
        latest=figures + least,
        values=values,
        least=_STILL,
        spread=[(run.low, run.high) for run in runs],
        floor=floor,
    )


def _say_if_known(value: float, said: str) -> str:
    return said if math.isfinite(value) else "unknown"


def _choose_dates(runs: Sequence[HistoryRun]) -> list[tuple[float, str]]:
    """Choose a few runs' dates, evenly spaced; their times if all are of one day."""
    places = sorted({int((part + 0.5) * len(runs) / _DATES) for part in range(_DATES)})
    days = [words.format_day(runs[place]) for place in places]
    if len(set(days)) == 1 < len(days):
        return [(place, runs[place].date[11:16]) for place in places]
    return list(zip(places, days, strict=True))


def _draw_upright(
    drawing: Chart,
    place: int,
    tops: Sequence[float],
    ink: str,
    width: float,
    *,
    dotted: bool = False,
) -> None:
    """Draw a line before a run, through every band but not through what is written between them."""
    x = place - 0.5
    drawing.draw_lines(
        [((x, top + FIRST), (x, top + LAST)) for top in tops], ink, width, dotted=dotted, order=2
    )


def _name_marks(
    drawing: Chart, marks: Sequence[tuple[int, Mark]], tops: Sequence[float], pixels: float
) -> None:
    """Mark where versions and hosts changed.

    Names that would touch stand together at the first of their lines.
    """
    together: list[tuple[float, str]] = []
    for place, mark in marks:
        _draw_upright(drawing, place, tops, "ink", 1, dotted=mark.host)
        x, names = together[-1] if together else (-math.inf, "")
        if (place - 0.5 - x) * pixels < _LETTER * (len(names) + 2):
            together[-1] = (x, f"{names},{mark.name}")
        else:
            together.append((place - 0.5, mark.name))
    for x, names in together:
        drawing.write_note(x, tops[0] + NAMES, names, ink="ink")
