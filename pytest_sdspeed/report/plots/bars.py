"""Where a generation's time goes, and what it takes of memory: a bar for each setup."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.model import stages
from pytest_sdspeed.report import text
from pytest_sdspeed.report.plots.drawing import Chart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_sdspeed.model import Result

ROW = 42
"""Pixels a setup takes."""

_INKS = (
    stages.TEXT_ENCODING,
    stages.DENOISING,
    stages.DECODING,
    "",
    stages.IMAGE_ENCODING,
    stages.PRIOR,
    stages.UPSAMPLING,
    stages.REFINING,
)
"""Stage of each ink, so that one has the same in all campaigns; "" is any other."""
_OTHER_INK = _INKS.index("")

_MIDDLE, _THICK = 29, 14
_WIDE = 0.16
"""Share of the axis from which a part has room for its figure."""


class _Bar(NamedTuple):
    """One setup's parts, end to end, each with an ink; none if nothing is known."""

    name: str
    parts: tuple[tuple[str, float], ...]
    total: str


class _Piece(NamedTuple):
    """A part where it stands: its ink, its height, its ends on the axis, and its figure."""

    ink: str
    y: float
    start: float
    end: float
    shown: str


def draw_stages(results: Sequence[Result], name: str, title: str) -> str | None:
    """Draw stage times, stacked, as SVG; None if no setup's are known.

    Args:
        results: results of one campaign.
        name: sets its ids apart.
        title: title for screen readers.
    """
    order = list_stages(results)
    bars = [_make_stage_bar(result, order) for result in _drop_repeats(results)]
    words = [_describe_stages(result) for result in _drop_repeats(results)]
    return _draw(bars, name, title, " ".join(words), "seconds of one generation") if order else None


def list_stages(results: Sequence[Result]) -> list[str]:
    """List the stages that were timed, in the order they run."""
    return stages.order_stages(stage for result in results for stage in result.stages_s or ())


def choose_ink(stage: str) -> int:
    """Return the number of the ink that a stage is drawn in."""
    return _INKS.index(stage) if stage in _INKS else _OTHER_INK


def draw_memory(results: Sequence[Result], name: str, title: str) -> str | None:
    """Draw the peak memory of one generation as SVG; None if no setup's is known.

    Args:
        results: results of one campaign.
        name: sets its ids apart.
        title: title for screen readers.
    """
    largest = max((result.peak_memory_bytes or 0 for result in results), default=0)
    if not largest:
        return None
    unit, size = ("GiB", 2**30) if largest >= 2**30 else ("MiB", 2**20)
    bars = [_make_memory_bar(result, size) for result in _drop_repeats(results)]
    return _draw(
        bars,
        name,
        title,
        " ".join(f"{bar.name}: {bar.total}." for bar in bars),
        f"{unit} at the peak of one generation",
    )


def _drop_repeats(results: Sequence[Result]) -> list[Result]:
    """Return one result of each setup."""
    return list({result.setup: result for result in results}.values())


def _make_stage_bar(result: Result, order: list[str]) -> _Bar:
    if not result.stages_s:
        return _Bar(result.setup, (), "unknown")
    parts = [
        (f"stage-{choose_ink(stage)}", result.stages_s[stage])
        for stage in order
        if stage in result.stages_s
    ]
    return _Bar(
        result.setup, tuple(parts), text.format_latency(sum(seconds for _, seconds in parts))
    )


def _describe_stages(result: Result) -> str:
    parts = [
        f"{stage.replace('_', ' ')} {text.format_latency(seconds)}"
        for stage, seconds in (result.stages_s or {}).items()
    ]
    return f"{result.setup}: {', '.join(parts) or 'unknown'}."


def _make_memory_bar(result: Result, unit: int) -> _Bar:
    peak = result.peak_memory_bytes
    if peak is None:
        return _Bar(result.setup, (), "unknown")
    return _Bar(result.setup, (("stage-1", peak / unit),), text.format_memory(peak))


def _draw(bars: list[_Bar], name: str, title: str, words: str, axis: str) -> str:
    longest = max(sum(size for _, size in bar.parts) for bar in bars) or 1.0
    drawing = Chart(ROW * len(bars) + 4, 0, longest, axis)
    pieces = [
        piece
        for number, bar in enumerate(bars)
        for piece in _cut_pieces(bar, ROW * number + _MIDDLE)
    ]
    drawing.draw_lines(
        [((piece.start, piece.y), (piece.end, piece.y)) for piece in pieces],
        [piece.ink for piece in pieces],
        _THICK,
    )
    joints = [(piece.start, piece.y) for piece in pieces if piece.start]
    drawing.draw_lines(
        [((x, y - _THICK / 2), (x, y + _THICK / 2)) for x, y in joints], "paper", order=1
    )
    for number, bar in enumerate(bars):
        drawing.write_label(
            ROW * number + 11, bar.name, bar.total, ink="ink" if bar.parts else "muted"
        )
    for piece in pieces:
        if _WIDE * longest < piece.end - piece.start and piece.shown:
            drawing.write_note((piece.start + piece.end) / 2, piece.y, piece.shown, ink="paper")
    return drawing.to_svg(name, title, words)


def _cut_pieces(bar: _Bar, y: float) -> Iterator[_Piece]:
    start = 0.0
    for ink, size in bar.parts:
        # A bar of one part has its figure beside its name already.
        yield _Piece(
            ink, y, start, start + size, text.format_latency(size) if len(bar.parts) > 1 else ""
        )
        start += size
