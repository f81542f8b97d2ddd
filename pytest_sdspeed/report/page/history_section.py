"""Histories on the page: a plot, what is marked in it, and a table of the latest runs."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_sdspeed.model import History, Interval
from pytest_sdspeed.report import history as words
from pytest_sdspeed.report import text
from pytest_sdspeed.report.devices import name_devices
from pytest_sdspeed.report.plots.course import MOST_RUNS, draw_course
from pytest_sdspeed.report.plots.runs import (
    MOST_MARKS,
    average_canaries,
    format_drift,
    mark_hosts,
    mark_versions,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from pytest_sdspeed.model import HistoryRun, Result
    from pytest_sdspeed.report.plots.runs import Mark

    Key: TypeAlias = tuple[str | None, str, str, str | None]

LISTED = 50
"""How many of the latest runs stand in the table."""

COLUMNS = (
    "run",
    "date",
    "commit",
    "host",
    "speed-up [interval]",
    "latency",
    "canary",
    "verdict",
    "remarks",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryShown:
    """A history's part of the page.

    Attributes:
        anchor: sets its ids apart.
        history: what is shown.
        label: its kind, or what it is if nothing changed.
        sentence: what changed.
        recipe: recipe of the history, if another one on the page differs in nothing else.
        beside: device and processor, if another processor stands beside that device.
        svg: the plot, or None without runs.
        marks: what is marked in the plot, the earliest first.
        notes: what the plot leaves out.
        rows: cells of ``COLUMNS``, the newest run first.
    """

    anchor: str
    history: History
    label: str
    sentence: str
    recipe: str
    beside: str
    svg: str | None
    marks: Sequence[Mark]
    notes: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryGroup:
    """Histories of one table, baseline and device that this run did not measure."""

    anchor: str
    name: str
    device: str
    past: Sequence[HistoryShown]


def assign_histories(
    campaigns: Sequence[Sequence[Result]], histories: Sequence[History]
) -> list[list[History]]:
    """Return each campaign's histories.

    If campaigns share table, baseline and device, the first has them.
    """
    keys = [_key_of(results[0]) for results in campaigns]
    return [
        (
            [history for history in histories if _key_of(history) == key]
            if key not in keys[:number]
            else []
        )
        for number, key in enumerate(keys)
    ]


def group_elsewhere(
    campaigns: Sequence[Sequence[Result]], histories: Sequence[History]
) -> list[HistoryGroup]:
    """Group the histories of no campaign by table, baseline and device."""
    measured = {_key_of(results[0]) for results in campaigns}
    found: dict[tuple[object, ...], list[History]] = {}
    for history in histories:
        if _key_of(history) not in measured:
            shared = (history.table, history.baseline, history.device)
            found.setdefault(shared, []).append(history)
    return [
        HistoryGroup(
            anchor=anchor,
            name=text.name_campaign(group),
            device=group[0].device,
            past=show_histories(group, (), anchor),
        )
        for anchor, group in (
            (f"past-{number}", group) for number, group in enumerate(found.values(), start=1)
        )
    ]


def _key_of(of: Result | History) -> Key:
    """Return what a campaign and its histories have in common; for callables also the test."""
    test = of.recipe if isinstance(of, History) else of.test
    return of.table, of.baseline, of.device, None if of.table else test


def show_histories(
    histories: Sequence[History], results: Sequence[Result], anchor: str
) -> list[HistoryShown]:
    """Show the histories of one table, baseline and device, the baseline's first.

    Args:
        histories: histories to show.
        results: results of this run, whose floors are drawn.
        anchor: sets their ids apart.
    """
    floors = {result.name: result.floor for result in results}
    setups = Counter(history.name for history in histories)
    alike = Counter((history.name, history.recipe) for history in histories)
    devices = name_devices(histories)
    return [
        _show_history(
            history,
            f"{anchor}-h{number}",
            floors.get(history.name, math.nan),
            history.recipe if setups[history.name] > alike[history.name, history.recipe] else "",
            devices[history.key] if devices[history.key] != history.device else "",
        )
        for number, history in enumerate(
            (one for group in words.group_histories(histories) for one in group), start=1
        )
    ]


def _show_history(
    history: History, anchor: str, floor: float, recipe: str, beside: str
) -> HistoryShown:
    drawn = max(len(history.runs) - MOST_RUNS, 0)
    every = [*mark_versions(history.runs), *mark_hosts(history.runs)]
    recent = [mark for mark in every if mark.place > drawn]
    crowded = {
        host for host in (False, True) if sum(mark.host is host for mark in recent) > MOST_MARKS
    }
    marks = sorted(
        (mark for mark in recent if mark.host not in crowded), key=lambda mark: mark.place
    )
    title = f"{history.name} of {text.name_campaign([history])} on {history.device}, run by run"
    return HistoryShown(
        anchor=anchor,
        history=history,
        label=words.format_cause(history),
        sentence=words.write_sentence(history),
        recipe=recipe,
        beside=beside,
        svg=draw_course(history, marks, f"{anchor}p", title, floor) if history.runs else None,
        marks=marks,
        notes=list(_write_notes(history, drawn, crowded)),
        rows=list(_make_rows(history, every)),
    )


def _write_notes(history: History, left_out: int, crowded: set[bool]) -> Iterator[str]:
    if left_out:
        yield f"The latest {MOST_RUNS} of {len(history.runs)} runs are drawn."
    for host, what in ((False, "versions"), (True, "the host")):
        if host in crowded:
            yield f"More than {MOST_MARKS} changes of {what} are not marked."


def _make_rows(history: History, marks: Sequence[Mark]) -> Iterator[Sequence[str]]:
    """Return the latest runs as cells."""
    remarks: dict[int, list[str]] = {}
    for change in history.changes:
        remarks.setdefault(change.since, []).append(
            f"{words.format_amount(change)} from here on: {change.kind}"
            + (", acknowledged" if change.acknowledged else "")
        )
        remarks.setdefault(change.found, []).append(f"found by this run: {change.kind}")
    for mark in marks:
        remarks.setdefault(mark.place, []).append(mark.said)
    canary = average_canaries(history.runs)
    for place in range(len(history.runs) - 1, max(len(history.runs) - LISTED, 0) - 1, -1):
        run = history.runs[place]
        said = [*([] if run.reference else ["no reference"]), *remarks.get(place, ())]
        yield _format_cells(run, canary[place], "; ".join(said))


def _format_cells(run: HistoryRun, canary: float, remarks: str) -> Sequence[str]:
    commit = (
        words.shorten_commit(run.commit) + (", with changes" if run.dirty else "")
        if run.commit
        else "unknown"
    )
    return (
        run.name or "this run",
        run.date[:16].replace("T", " "),
        commit,
        run.host or "unknown",
        (
            str(Interval(run.speedup, run.low, run.high))
            if math.isfinite(run.speedup)
            else "unknown"
        ),
        text.format_latency(run.latency_s) if math.isfinite(run.latency_s) else "unknown",
        format_drift(canary) if math.isfinite(canary) else "unknown",
        run.verdict,
        remarks,
    )
