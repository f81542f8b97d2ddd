"""A history in words, and as a terminal table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.model.history import NEWS_RUNS
from pytest_sdspeed.report import text
from pytest_sdspeed.report.devices import name_devices
from pytest_sdspeed.report.pages import HISTORY_SLOWER, add_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_sdspeed.model import Cause, Change, History, HistoryRun

COLUMNS = ("setup", "kind", "since", "change", "runs", "device")

LEAST_RUNS = 7
"""Below this a history without a change is not called steady: it has too few runs to tell."""

_SHORT = 10
"""Letters of a commit's id that people read; git takes them too."""

_DAY = len("2026-11-20")


def find_cause(history: History) -> Cause:
    """Return the cause of the latest change, or ``none``."""
    return history.latest.kind if history.latest else "none"


def format_cause(history: History) -> str:
    """Format the cause as a reader meets it: ``code``, ``acknowledged``, ``too few runs``."""
    if find_cause(history) != "none":
        return find_cause(history)
    if _find_accepted(history) is not None:
        return "acknowledged"
    return "steady" if len(history.runs) >= LEAST_RUNS else "too few runs"


def _find_accepted(history: History) -> Change | None:
    """Return the change that today's level began with, if it was acknowledged."""
    last = history.changes[-1] if history.changes else None
    return last if last is not None and last.acknowledged is not None else None


def select_unsteady(histories: Iterable[History]) -> list[History]:
    """Return the histories whose level of today began with a change."""
    return [history for history in histories if find_cause(history) != "none"]


def select_slower(histories: Iterable[History]) -> list[History]:
    """Return the histories that are slower than they were, and not by the machine."""
    return [history for history in histories if find_cause(history) in ("code", "stack")]


def group_histories(histories: Iterable[History]) -> list[list[History]]:
    """Group histories by table and baseline.

    Baselines come first, the others in order of appearance.
    """
    found: dict[tuple[str | None, str], list[History]] = {}
    for history in histories:
        found.setdefault((history.table, history.baseline), []).append(history)
    return [
        sorted(group, key=lambda history: history.setup != history.baseline)
        for group in found.values()
    ]


def find_commits(history: History, change: Change) -> tuple[str, str] | None:
    """Return the ids of the commits between which it changed; None unless both are known.

    The first is that of the last run before it that others may be compared with, the second that of
    the first run after.
    """
    before = [run.commit for run in history.runs[: change.since] if run.reference and run.commit]
    after = [run.commit for run in history.runs[change.since :] if run.commit]
    return (before[-1], after[0]) if before and after else None


def shorten_commit(commit: str) -> str:
    """Return as much of a commit's id as people read."""
    return commit[:_SHORT]


def format_amount(change: Change) -> str:
    """Format ``6.2% slower``."""
    return f"{abs(change.change):.1%} {'slower' if change.change > 0 else 'faster'}"


def format_versions(
    versions: Mapping[str, tuple[str | None, str | None]], arrow: str = "->"
) -> str:
    """Format ``torch 2.13.0 -> 2.14.0, xformers none -> 0.0.33``."""
    return ", ".join(
        f"{name} {before or 'none'} {arrow} {after or 'none'}"
        for name, (before, after) in versions.items()
    )


def format_day(run: HistoryRun) -> str:
    """Format ``2026-11-20``."""
    return run.date[:_DAY]


def write_sentence(history: History) -> str:
    """Write a history in a sentence.

    ``6.2% slower since 2026-11-20 (run 0041, commits 1a2b3c..4d5e6f), 14 runs ago: code``; ``steady
    over 54 runs`` if nothing changed.
    """
    change = history.latest
    if change is None or change.kind == "none":
        return _describe_steady(history)
    cause = _format_cause_with_versions(change, ", ")
    return f"{format_amount(change)} {_format_since(history, change)}: {cause}"


def write_line(history: History) -> str:
    """Write a history in a line, with its setup.

    ``fp16: 6.2% slower since 2026-11-20 (code), 14 of 54 runs``; ``fp16: steady over 54 runs`` if
    nothing changed.
    """
    change = history.latest
    if change is None or change.kind == "none":
        return f"{history.name}: {_describe_steady(history)}"
    total = len(history.runs)
    since = (
        f"since {format_day(history.runs[change.since])} ({_format_cause_with_versions(change)})"
    )
    return (
        f"{history.name}: {format_amount(change)} {since}, {total - change.since} of {total} runs"
    )


def _describe_steady(history: History) -> str:
    accepted = _find_accepted(history)
    if accepted is not None:
        return f"steady at a level that was acknowledged: {_describe_accepted(history, accepted)}"
    total = len(history.runs)
    runs = f"{total} run{'' if total == 1 else 's'}"
    follows = history.follows
    begun = f", {describe_succession(history)}" if follows and total <= NEWS_RUNS else ""
    return (
        f"steady over {runs}{begun}" if total >= LEAST_RUNS else f"{runs}: too few to judge{begun}"
    )


def describe_succession(history: History) -> str:
    """Say why a history began: ``a new series since 2026-11-20: recipe changed: 25 -> 30 steps``.

    "" if it is the first of its setup.
    """
    follows = history.follows
    if follows is None:
        return ""
    runs = f"{follows.runs} run{'' if follows.runs == 1 else 's'}"
    return (
        f"a new series since {format_day(history.runs[0])}: {follows.changed} (the {runs} until"
        f" {follows.until[:_DAY]} are another series)"
    )


def describe_successions(histories: Iterable[History]) -> list[str]:
    """Return a line for each history that goes on from another one."""
    return [f"{one.name}: {describe_succession(one)}" for one in histories if one.follows]


def describe_acknowledged(histories: Iterable[History]) -> list[str]:
    """Return a line for each change that was acknowledged, with its id."""
    return [
        f"{history.name}: {_describe_accepted(history, change)} [{history.name_change(change)}]"
        for history in histories
        for change in history.changes
        if change.acknowledged is not None
    ]


def list_changes(histories: Iterable[History]) -> dict[str, str]:
    """Return id -> the change in words, with its id, of all that may be acknowledged."""
    return {
        name: (
            f"{name} ({history.name} on {history.device}: {format_amount(change)} since"
            f" {format_day(history.runs[change.since])}, {change.kind})"
        )
        for history in histories
        for change in history.changes
        for name in (history.name_change(change),)
    }


def _describe_accepted(history: History, change: Change) -> str:
    """Format ``6.2% slower since 2026-11-20 (code), acknowledged 2026-11-25 by Ada: a reason``."""
    accepted = change.acknowledged
    assert accepted is not None  # noqa: S101 - the caller asked
    since = format_day(history.runs[change.since])
    by = f" by {accepted.by}" if accepted.by else ""
    return (
        f"{format_amount(change)} since {since} ({_format_cause_with_versions(change)}),"
        f" acknowledged {accepted.acknowledged}{by}: {accepted.reason}"
    )


def _format_since(history: History, change: Change) -> str:
    """Format ``since 2026-11-20 (run 0041, commits 1a2b3c..4d5e6f), 14 runs ago``."""
    run, ago = history.runs[change.since], len(history.runs) - 1 - change.since
    where = [f"run {run.name}" if run.name else "this run"]
    found = find_commits(history, change)
    if found:
        before, after = map(shorten_commit, found)
        where.append(
            f"commits {before}..{after}" if before != after else f"commit {before}, as before"
        )
    age = f", {ago} run{'' if ago == 1 else 's'} ago" if ago else ""
    return f"since {format_day(run)} ({', '.join(where)}){age}"


def _format_cause_with_versions(change: Change, colon: str = ": ") -> str:
    """Format ``code``, or ``stack: torch 2.13.0 -> 2.14.0``."""
    return (
        f"{change.kind}{colon}{format_versions(change.versions)}"
        if change.kind == "stack" and change.versions
        else change.kind
    )


def write_message(history: History, change: Change) -> str:
    """Write what a test says of a change, with the page of the documentation as its last line."""
    return add_page(describe_change(history, change), HISTORY_SLOWER)


def describe_change(history: History, change: Change | None = None) -> str:
    """Describe a history that changed.

    What changed, how much, since when, why of this kind, and what to do next.

    Args:
        history: history of a row.
        change: change to describe; the latest if None.
    """
    change = change or history.latest
    if change is None or change.kind == "none":
        return f"{history.name} on {history.device}: {_describe_steady(history)}."
    against = (
        f" against {history.baseline}" if change.ratio and history.setup != history.baseline else ""
    )
    since = _format_since(history, change)
    what = f"{history.name} on {history.device}: {format_amount(change)}{against} {since}."
    why = f"{_SAID[change.kind]}{': ' if change.reasons else ''}{'; '.join(change.reasons)}."
    return " ".join(
        filter(
            None,
            (
                what,
                _describe_outgrown(change),
                _explain_accepting(history, change),
                why,
                _advise(history, change),
            ),
        )
    )


def _explain_accepting(history: History, change: Change) -> str:
    return (
        "If it is meant: python -m pytest_sdspeed history FOLDER --acknowledge"
        f" {history.name_change(change)} --reason TEXT makes it the new level."
    )


def _describe_outgrown(change: Change) -> str:
    """Say what was acknowledged, if that is not the whole of a change."""
    one = change.outgrown
    if one is None:
        return ""
    why = f"({one.acknowledged}: {one.reason})"
    if change.ratio and not one.ratio:
        return f"Of the latency {abs(one.change):.1%} was acknowledged {why}: it moved by more."
    return f"It was {abs(one.change):.1%} when it was acknowledged {why}."


_SAID = {
    "code": "It is the code",
    "stack": "It is the software below the code",
    "machine": "It is the machine",
    "improvement": "It is lastingly faster",
}


def _advise(history: History, change: Change) -> str:
    if change.kind == "code":
        return _advise_search(find_commits(history, change), _find_why(history))
    if change.kind == "stack":
        former = [
            f"{name} {before}" if before else f"no {name}"
            for name, (before, _) in change.versions.items()
        ]
        return (
            f"To be sure, run again with {', '.join(former)}."
            if former
            else "No stored version changed: compare what else is installed."
        )
    if change.kind == "machine":
        return (
            "Nothing is to be done in the code: look at what else the machine runs, its clocks and"
            " its temperature."
        )
    return "The reference is stale: record a new one with --sd-record."


def _find_why(history: History) -> str | None:
    """Return why the latest run that has no commit has none, if it tells."""
    return next((run.no_commit for run in reversed(history.runs) if run.no_commit), None)


def _advise_search(found: tuple[str, str] | None, why: str | None) -> str:
    if found is None and why is not None:
        return f"The stored runs name no commits: {why}."
    if found is None:
        return "The stored runs name no commits: run inside a git repository to learn them."
    before, after = map(shorten_commit, found)
    if before == after:
        return (
            f"Both sides are commit {before}: look at changes that were not committed, and at what"
            " the tests call."
        )
    return f"See git log {before}..{after}, or search with git bisect start {after} {before}."


def format_table(histories: Iterable[History]) -> list[str]:
    """Format a heading and an aligned table for each table and baseline, as lines."""
    given = list(histories)
    devices = name_devices(given)
    return [
        line
        for group in group_histories(given)
        for line in (
            format_heading(group),
            *text.align_cells(
                [COLUMNS, *((*format_row(one)[:-1], devices[one.key]) for one in group)]
            ),
        )
    ]


def format_heading(histories: Sequence[History]) -> str:
    """Write the line over a group's table: ``sd history: attention, against vanilla_fp16_b4``."""
    return f"sd history: {text.name_campaign(histories)}"


def format_row(history: History) -> tuple[str, ...]:
    """Format a history as the cells of ``COLUMNS``."""
    told = history.latest if find_cause(history) != "none" else None
    change = told or _find_accepted(history)
    since, size = (
        (format_day(history.runs[change.since]), format_amount(change)) if change else ("", "")
    )
    return (
        history.name,
        format_cause(history),
        since,
        size,
        str(len(history.runs)),
        history.device,
    )
