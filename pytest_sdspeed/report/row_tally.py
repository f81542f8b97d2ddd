"""What became of the rows that a run was asked for: how many have a figure, and why others lack it.

A row that is missing is worse than one that fails: it is named.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Fate = Literal["figure", "unsupported", "elsewhere", "skipped", "failed"]
_NAMED = 6
"""Most rows that a line names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFate:
    """What became of a test of one row.

    Attributes:
        table, setup: the row.
        fate: ``figure`` if it was measured, counted or rehearsed, whatever the verdict;
            ``unsupported`` if its table says that this project cannot build it; ``elsewhere`` if
            its table is for the CPU in a run on a GPU, or for a GPU in a run on the CPU;
            ``skipped``; ``failed`` if it failed or broke without a figure.
        reason: why it was skipped, or "".
    """

    table: str
    setup: str
    fate: Fate
    reason: str = ""


def format_tally(
    asked: Mapping[str, tuple[str, str]],
    fates: Mapping[str, RowFate],
    done: str,
    seconds: float,
) -> list[str]:
    """Format what became of the rows that were asked for.

    Args:
        asked: test -> table and setup of the row that it asks for.
        fates: test -> what became of it; tests that did not run are missing.
        done: what has a figure was: ``measured``, ``counted`` or ``rehearsed``.
        seconds: what the run took.

    Returns:
        No line if all rows are of one table and have a figure; else how many there are, a line for
        each reason why some have none, and one that names those that did not run.
    """
    tables = {table for table, _ in asked.values()}
    missing = [name for test, name in asked.items() if test not in fates]
    counts = Counter(one.fate for one in fates.values())
    if not asked or (len(tables) == 1 and counts["figure"] == len(asked)):
        return []
    words = {
        f"{done}": counts["figure"],
        "failed without a figure": counts["failed"],
        "that this project cannot build": counts["unsupported"],
        "skipped": counts["skipped"],
        "for another kind of device": counts["elsewhere"],
        "not run": len(missing),
    }
    parts = ", ".join(f"{count} {word}" for word, count in words.items() if count or word == done)
    many = f"{len(asked)} of {len(tables)} table{'s' if len(tables) > 1 else ''}"
    lines = [f"sd rows: {many} in {format_duration(seconds)}: {parts}"]
    lines += _list_reasons(list(fates.values()))
    failed = [(one.table, one.setup) for one in fates.values() if one.fate == "failed"]
    lines += [f"failed without a figure: {_name_rows(failed)}"] if failed else []
    lines += [f"not run: {_name_rows(missing)}"] if missing else []
    return lines


def _list_reasons(fates: Sequence[RowFate]) -> list[str]:
    """List why rows have no figure, the reason of most rows first."""
    rows: dict[tuple[Fate, str], list[tuple[str, str]]] = {}
    for one in fates:
        if one.fate in ("unsupported", "skipped"):
            rows.setdefault((one.fate, one.reason), []).append((one.table, one.setup))
    found = sorted(rows.items(), key=lambda entry: (entry[0][0], -len(entry[1]), entry[0][1]))
    return [
        f"{fate}, {len(names)} row{'s' if len(names) > 1 else ''}: {reason}: {_name_rows(names)}"
        for (fate, reason), names in found
    ]


def _name_rows(names: Sequence[tuple[str, str]]) -> str:
    """Name a few rows one by one, and many by their tables."""
    if len(names) <= _NAMED:
        return ", ".join(f"{table}::{setup}" for table, setup in names)
    return ", ".join(
        f"{table} ({count})" for table, count in Counter(table for table, _ in names).items()
    )


def format_duration(seconds: float) -> str:
    """Format ``41 s``, ``12 min 5 s`` or ``2 h 3 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {left} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
