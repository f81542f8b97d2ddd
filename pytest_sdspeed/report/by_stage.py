"""Rows that were measured by stages, in words: what was found of each stage, and how."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_sdspeed.model.stages import order_stages, say_stage
from pytest_sdspeed.report.text import format_latency

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_sdspeed.model import Result, StageResults


def list_stage_lines(results: Iterable[Result]) -> list[tuple[str, str]]:
    """List the rows that were measured by stages, each with what was found.

    ``text_encoder x1.00 [0.99, 1.01] (5.10 ms, baseline 5.11 ms), denoising x1.63 [1.60, 1.66]
    (1.20 s, baseline 1.96 s); 7 of 50 steps of each call were measured; ...``
    """
    said = (
        (result.setup, _describe(found, _name_other(result))) for result, found in _select(results)
    )
    return list(dict.fromkeys(said))


def list_columns(results: Sequence[Result]) -> tuple[str, ...]:
    """Return what the columns of ``list_stage_cells`` are called."""
    return "setup", "stage", "latency", _name_other(results[0]), "speed-up"


def list_stage_cells(results: Iterable[Result]) -> list[tuple[str, ...]]:
    """List the cells of ``list_columns``: a line for each stage of each row."""
    lines = (
        (
            result.setup,
            say_stage(stage),
            *map(format_latency, _find_latencies(found, stage)),
            str(found.ratios[stage]),
        )
        for result, found in _select(results)
        for stage in order_stages(found.ratios)
    )
    return list(dict.fromkeys(lines))


def list_manners(results: Iterable[Result]) -> list[tuple[str, str]]:
    """List how each row was measured by stages: which steps, and what whole calls say."""
    said = (
        (result.setup, "; ".join(_describe_manner(found, _name_other(result))))
        for result, found in _select(results)
    )
    return list(dict.fromkeys(said))


def list_properties(found: StageResults) -> Iterator[tuple[str, str | float]]:
    """Yield what ``--junit-xml`` writes of a row that was measured by stages.

    Latencies are seconds of a whole call; what was not measured is left out.
    """
    yield "unit", "stage"
    yield "steps", found.steps
    yield "sampled_steps", found.sampled_steps
    known: dict[str, float] = {}
    for stage in order_stages(found.ratios):
        ratio, (ours_s, theirs_s) = found.ratios[stage], _find_latencies(found, stage)
        known |= {
            f"stage_{stage}_speedup": ratio.speedup,
            f"stage_{stage}_low": ratio.low,
            f"stage_{stage}_high": ratio.high,
            f"stage_{stage}_latency_s": ours_s,
            f"stage_{stage}_baseline_latency_s": theirs_s,
        }
    known |= zip(("whole_call_s", "baseline_whole_call_s"), found.whole_s, strict=False)
    known |= zip(("unowned", "baseline_unowned"), found.unowned, strict=False)
    yield from ((name, round(value, 6)) for name, value in known.items() if math.isfinite(value))


def describe_steps(steps: int, sampled: int, why_all: str = "") -> str:
    """Describe which steps of a call are measured: ``7 of 50 steps of each call``."""
    if sampled < steps:
        return f"{sampled} of {steps} steps of each call"
    return f"all {steps} steps of each call{f' ({why_all})' if why_all else ''}"


def _select(results: Iterable[Result]) -> Iterator[tuple[Result, StageResults]]:
    """Yield the rows whose stages have ratios: no baseline, and none that had no look."""
    for result in results:
        if result.by_stage is not None and result.by_stage.ratios:
            yield result, result.by_stage


def _name_other(result: Result) -> str:
    """Name what a row is compared with: its baseline, or its old version."""
    return "old" if result.against else "baseline"


def _describe(found: StageResults, other: str) -> str:
    stages = []
    for stage in order_stages(found.ratios):
        ours, theirs = map(format_latency, _find_latencies(found, stage))
        stages.append(f"{say_stage(stage)} {found.ratios[stage]} ({ours}, {other} {theirs})")
    return "; ".join((", ".join(stages), *_describe_manner(found, other)))


def _describe_manner(found: StageResults, other: str) -> Iterator[str]:
    yield f"{describe_steps(found.steps, found.sampled_steps, found.why_all)} were measured"
    if found.whole_s and found.unowned:
        ours, theirs = (
            f"{format_latency(seconds)} ({share:+.1%})"
            for seconds, share in zip(found.whole_s, found.unowned, strict=True)
        )
        yield f"whole calls against the sum of their stages: {ours}; {other} {theirs}"
    else:
        yield "no whole calls were timed beside them"


def _find_latencies(found: StageResults, stage: str) -> tuple[float, float]:
    """Return a stage's latency and the baseline's, seconds; NaN if they are unknown."""
    pair = found.latencies_s.get(stage, ())
    return (pair[0], pair[1]) if len(pair) > 1 else (math.nan, math.nan)
