"""Every slot of a campaign over time, a strip for each arm: drift, spikes and blocks."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.model import CONTROL
from pytest_sdspeed.report import text
from pytest_sdspeed.report.plots.drawing import MARKERS, Chart

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    from pytest_sdspeed.model import Result

    Pairs: TypeAlias = Sequence[Sequence[float]]

STRIP = 56
"""Pixels an arm takes."""

_MIDDLE, _HALF, _INWARD = 36, 15, 4

_SCALES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_ORDINARY = 0.9
"""Share of the slots that says how far slots ordinarily stray."""

_FAR = 3.0
"""What strays this many times as far is a spike: marked at its strip's edge, with a figure, so that
it does not flatten the others."""

_PLACES = (0.25, 0.75)
"""Of a block's two slots between its boundaries, where only the block's number is known."""

_MOST_BOUNDARIES = 40


class Timeline(NamedTuple):
    """The plot as SVG, and its caption."""

    svg: str
    caption: str


class _Arm(NamedTuple):
    """One strip: its slots on the x axis, and their latencies over the median, less one."""

    name: str
    median_s: float
    places: list[float]
    deviations: list[float]


def draw_timeline(results: Sequence[Result], name: str, title: str) -> Timeline | None:
    """Draw every slot over time, or return None if no slot was timed.

    Args:
        results: results of one campaign.
        name: sets its ids apart.
        title: title for screen readers.
    """
    elsewhere = [result.setup for result in results if _is_of_another_process(result)]
    slots = _collect_slots(result for result in results if not _is_of_another_process(result))
    if not slots:
        return None
    timed = all(starts for _, starts in slots.values())
    arms = [
        _make_arm(arm, pairs, starts if timed else ()) for arm, (pairs, starts) in slots.items()
    ]
    scale = _choose_scale([abs(value) for arm in arms for value in arm.deviations])
    axis = "seconds into the timed part" if timed else "block"
    drawing = Chart(STRIP * len(arms) + 4, *_find_reach(arms), axis)
    _draw_ground(drawing, len(arms), _find_boundaries(slots.values(), timed=timed))
    for number, arm in enumerate(arms):
        _draw_strip(drawing, STRIP * number, arm, scale, number)
    return Timeline(
        drawing.to_svg(name, title, " ".join(map(_describe, arms))),
        _write_caption(
            scale, elsewhere, timed=timed, staged=any(result.by_stage for result in results)
        ),
    )


def _is_of_another_process(result: Result) -> bool:
    return result.confirmation is not None and result.verdict == "pass"


def _collect_slots(results: Iterable[Result]) -> dict[str, tuple[Pairs, Pairs]]:
    """Return arm -> its pairs of latencies and of starts, from the row that saw most blocks.

    No starts if they do not match.
    """
    found: dict[str, tuple[Pairs, Pairs]] = {}
    for result in results:
        for arm, pairs in result.samples_s.items():
            starts = result.starts_s.get(arm, ())
            matching = [len(pair) for pair in pairs] == [len(pair) for pair in starts]
            if len(pairs) > len(found.get(arm, ((), ()))[0]):
                found[arm] = (pairs, starts if matching else ())
    return found


def _make_arm(name: str, pairs: Pairs, starts: Pairs) -> _Arm:
    latencies = [slot for pair in pairs for slot in pair]
    median = statistics.median(latencies)
    places = starts or [
        [block + place for place in _PLACES[: len(pair)]]
        for block, pair in enumerate(pairs, start=1)
    ]
    deviations = [slot / median - 1 if median else 0.0 for slot in latencies]
    return _Arm(name, median, [place for pair in places for place in pair], deviations)


def _choose_scale(sizes: list[float]) -> float:
    """Choose what a strip's edges stand for.

    The least of a few round fractions that holds all slots but the spikes.
    """
    ordinary = sorted(sizes)[math.ceil(_ORDINARY * len(sizes)) - 1]
    widest = max(size for size in sizes if size <= _FAR * ordinary)
    return next((scale for scale in _SCALES if scale >= widest), _SCALES[-1])


def _find_reach(arms: list[_Arm]) -> tuple[float, float]:
    places = [place for arm in arms for place in arm.places]
    margin = 0.03 * (max(places) - min(places)) or 0.5
    return min(places) - margin, max(places) + margin


def _find_boundaries(slots: Iterable[tuple[Pairs, Pairs]], *, timed: bool) -> list[float]:
    """Find where blocks begin; nowhere if they would be a hatching."""
    found: dict[int, float] = {}
    for pairs, starts in slots:
        for block in range(len(pairs)):
            begins = min(starts[block]) if timed else block + 1.0
            found[block] = min(found.get(block, begins), begins)
    return list(found.values()) if len(found) <= _MOST_BOUNDARIES else []


def _draw_ground(drawing: Chart, arms: int, boundaries: list[float]) -> None:
    """Draw what the marks stand on.

    A band and a median line for each arm, and the beginnings of blocks.
    """
    across = [
        ((drawing.low, y), (drawing.high, y))
        for y in (STRIP * number + _MIDDLE for number in range(arms))
    ]
    drawing.draw_lines(across, "wash", 2 * _HALF, order=-2)
    drawing.draw_lines([((x, 0), (x, STRIP * arms)) for x in boundaries], "hairline", order=-1)
    drawing.draw_lines(across, "muted", 0.8)


def _draw_strip(drawing: Chart, top: float, arm: _Arm, scale: float, number: int) -> None:
    middle, ink = top + _MIDDLE, f"arm-{number % len(MARKERS)}"
    label = f"{arm.name} (baseline again)" if arm.name == CONTROL else arm.name
    drawing.write_label(top + 12, label, text.format_latency(arm.median_s))
    slots = list(zip(arm.places, arm.deviations, strict=True))
    inside = [
        (place, middle - _HALF * value / scale) for place, value in slots if abs(value) <= scale
    ]
    drawing.draw_marks(inside, MARKERS[number % len(MARKERS)], ink, 4)
    for place, value in slots:
        if abs(value) > scale:
            _draw_spike(drawing, place, middle - math.copysign(_HALF - _INWARD, value), value, ink)


def _draw_spike(drawing: Chart, place: float, y: float, value: float, ink: str) -> None:
    drawing.draw_marks([(place, y)], "^" if value > 0 else "v", ink, 6)
    # Its figure stands where there is more room.
    side = -1 if place > (drawing.low + drawing.high) / 2 else 1
    drawing.write_note(
        place + 0.015 * side * (drawing.high - drawing.low),
        y,
        f"{value:+.0%}",
        align="right" if side < 0 else "left",
    )


def _describe(arm: _Arm) -> str:
    slots = f"{len(arm.deviations)} slots, median {text.format_latency(arm.median_s)}"
    return f"{arm.name}: {slots}, from {min(arm.deviations):+.1%} to {max(arm.deviations):+.1%}."


def _write_caption(scale: float, elsewhere: list[str], *, timed: bool, staged: bool) -> str:
    mark = "a slot"
    if staged:
        mark = (
            "a call, put together from its stages, at the time of its first; the calls of a round"
            " take turns"
        )
    said = [
        (
            f"Each mark is {mark}; the line is its arm's median, a strip's edges are"
            f" {100 * scale:g}% off it. Vertical lines begin blocks."
        )
    ]
    if not timed:
        said.append("When the slots began is unknown.")
    if elsewhere:
        said.append(f"Not shown, measured in another process: {', '.join(elsewhere)}.")
    return " ".join(said)
