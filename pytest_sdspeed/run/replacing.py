"""What a recorded table takes the place of: whether it may, and what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.judge.speed.floor import find_floor
from pytest_sdspeed.model import Interval
from pytest_sdspeed.report.text import format_latency, format_ratio
from pytest_sdspeed.tables import load_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_sdspeed.model import Row, Table

_INSTEAD = "record into another file, or delete this one"


def read_predecessor(path: Path) -> Table | None:
    """Return the table that a file holds; None if there is no file, or it holds no table."""
    try:
        return load_table(path, metrics=None) if path.is_file() else None
    except TableError:
        return None


def find_obstacle(there: Table | None, table: Table) -> str | None:
    """Say why a table must not take the place of another one, or None if it may.

    It must not if somebody wrote that one, if it is of another device, or if it has a row that
    would be lost. That row would be held to another device from then on.

    Args:
        there: the table that the file holds.
        table: the table that was recorded.
    """
    if there is None:
        return None
    if not there.recorded:
        return (
            f"not replaced: it holds {there.name!r}, a table that was written and not recorded;"
            f" {_INSTEAD}"
        )
    if there.device != table.device:
        return (
            f"not replaced: it holds {there.name!r} as recorded on {there.device}, and this is"
            f" {table.device}; {_INSTEAD}"
        )
    lost = [row.setup for row in there.rows if table.row(row.setup) is None]
    if there.name != table.name or not lost:
        return None
    return f"not replaced: it holds {', '.join(lost)}, which this run did not record; {_INSTEAD}"


def describe_changes(there: Table | None, table: Table) -> Iterator[str]:
    """Yield a line for each row, with its old figure and its new one, and why that may be.

    Args:
        there: the table that the file holds.
        table: the table that takes its place.
    """
    if there is None:
        return
    if there.name != table.name:
        yield f"{table.name}: takes the place of {there.name!r}"
        return
    for row in table.rows:
        old = there.row(row.setup)
        yield f"{table.name}: {row.setup}: {_describe_row(old, row, table)}"


def _describe_row(old: Row | None, row: Row, table: Table) -> str:
    new = (
        format_latency(row.latency_s)
        if row.is_baseline and row.latency_s is not None
        else str(Interval(row.speedup, row.spread.low, row.spread.high))
        if row.spread
        else format_ratio(row.speedup)
    )
    if old is None:
        return f"new, {new}"
    if old.recipe.as_calls != row.recipe.as_calls or old.optimizations != row.optimizations:
        return f"{_format_old(old)} -> {new}, of another recipe or stack"
    if row.is_baseline:
        return f"{_format_old(old)} -> {new}{_format_change(old.latency_s, row.latency_s)}"
    return f"{_format_old(old)} -> {new}, {_explain(old, row, table)}"


def _format_old(old: Row) -> str:
    latency = old.latency_s if old.is_baseline else None
    return format_ratio(old.speedup) if latency is None else format_latency(latency)


def _format_change(old_s: float | None, new_s: float | None) -> str:
    return "" if old_s is None or new_s is None else f", {new_s / old_s - 1:+.1%}"


def _explain(old: Row, row: Row, table: Table) -> str:
    """Say why a figure may take the place of another one."""
    low, high = (row.spread.low, row.spread.high) if row.spread else (row.speedup, row.speedup)
    baseline = table.row(row.baseline)
    known = baseline.latency_s if baseline else None
    floor = find_floor(old.speedup, old.tolerance, old.tolerance_s, known or 0.0)
    if low > old.speedup:
        return "faster"
    if row.speedup < floor:
        return (
            f"slower: under its floor there, {format_ratio(floor)}, to which this run was not held"
        )
    lead = "slower, " if high < old.speedup else ""
    return f"{lead}within its tolerance of {1 - floor / old.speedup:.1%}"
