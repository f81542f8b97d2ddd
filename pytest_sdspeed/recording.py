"""What was measured, as a table file for this device."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_sdspeed.tables import dumps_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_sdspeed.model import Machine, Result, Row, Table


def write_record(path: Path, results: Sequence[Result], tables: Sequence[Table], machine: Machine) -> Iterator[str]:
    """Write one table file for each table that was measured.

    A row is recorded with its measured speed-up when its interval and its pictures can be trusted: an inconclusive or invalid row, or one
    with wrong pictures, is left out. One below its documented floor is recorded: gating a device on its own ratios is what the file is for.

    Args:
        path: the file; where several tables were measured, ``-<table>`` is added to its stem.
        results: of the run.
        tables: that the results come from.
        machine: where they were measured.

    Yields:
        A line for the user per file written and per row left out.
    """
    recorded = []
    for table in _measured(results, tables):
        own = {result.setup: result for result in results if _documented(result, table)}
        refused = {name: why for name, result in own.items() if (why := _untrusted(result))}
        yield from (f"sd record: {table.name}: {name} left out: {why}" for name, why in refused.items())
        kept = {name: result for name, result in own.items() if name not in refused and result.baseline not in refused}
        rows = tuple(_recorded(row, kept) for row in table.rows if _is_kept(row, kept))
        if rows:
            recorded.append(replace(table, device=machine.device, rows=rows, recorded=_provenance(machine, kept), path=""))
    if not recorded:
        yield f"sd record: nothing to record; {path} was not written"
    for table in recorded:
        target = path if len(recorded) == 1 else path.with_stem(f"{path.stem}-{table.name}")
        target.write_text(dumps_table(table), encoding="utf-8")
        yield f"sd record: {target}: {len(table.rows)} rows of {table.name!r} on {table.device}"


def _measured(results: Sequence[Result], tables: Sequence[Table]) -> list[Table]:
    """The tables that results come from, one for each name: of those that share one, the table whose device the results name."""
    found = {}
    for name in dict.fromkeys(result.table for result in results):
        devices = {result.documented_on for result in results if result.table == name}
        named = [table for table in tables if table.name == name]
        found[name] = next((table for table in named if table.device in devices), named[0] if named else None)
    return [table for table in tables if any(table is one for one in found.values())]


def _documented(result: Result, table: Table) -> bool:
    """Whether a result is that of a row of the table, against the baseline that the table gives it."""
    row = table.row(result.setup)
    return result.table == table.name and row is not None and row.baseline == result.baseline


def _untrusted(result: Result) -> str | None:
    if result.image_verdict == "fail":
        return f"its pictures fail: {'; '.join(result.reasons)}"
    if result.verdict in ("inconclusive", "invalid"):
        return f"its verdict is {result.verdict}"
    half = result.high / result.speedup - 1
    if half > result.tolerance / 2:
        return f"its interval is too wide to hold another run to: {half:.1%} either side, half the tolerance is {result.tolerance / 2:.1%}"
    return None


def _is_kept(row: Row, kept: Mapping[str, Result]) -> bool:
    """Whether a row belongs in the file: it was measured, or for a baseline a row was measured against it."""
    if row.is_baseline:
        return any(result.baseline == row.setup and not result.is_baseline for result in kept.values())
    return row.setup in kept


def _recorded(row: Row, kept: Mapping[str, Result]) -> Row:
    # One call is measured, whatever number of calls the documented latency sums up.
    row = replace(row, recipe=replace(row.recipe, repeats=1))
    if row.is_baseline:
        against = next(result for result in kept.values() if result.baseline == row.setup)
        return replace(row, latency_s=round(against.baseline_latency_s, 6))
    # The paired ratio is the finding; a median latency beside it would contradict it within noise.
    return replace(row, speedup=round(kept[row.setup].speedup, 4), latency_s=None)


def _provenance(machine: Machine, kept: Mapping[str, Result]) -> dict[str, str]:
    weights = next(iter(kept.values())).weights or ""
    blocks = str(max(result.blocks for result in kept.values()))
    facts = {"kind": machine.kind, "date": time.strftime("%Y-%m-%d"), "weights": weights, "blocks": blocks}
    return facts | {f"version_{name}": version for name, version in machine.versions.items()}
