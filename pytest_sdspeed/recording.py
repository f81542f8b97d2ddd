"""What was measured, as a table file for this device."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_sdspeed.model import Machine, Result, Row, Table
from pytest_sdspeed.tables import dumps_table


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
    measured = [table for table in tables if any(result.table == table.name for result in results)]
    recorded = []
    for table in measured:
        own = {result.setup: result for result in results if result.table == table.name}
        refused = {name: why for name, result in own.items() if (why := _untrusted(result))}
        yield from (f"sd record: {table.name}: {name} left out: {why}" for name, why in refused.items())
        rows = tuple(_row(row, own) for row in table.rows if _kept(row, own, refused))
        if any(not row.is_baseline for row in rows):
            recorded.append(replace(table, device=machine.device, rows=rows, recorded=_provenance(machine, own), path=""))
    if not recorded:
        yield f"sd record: nothing to record; {path} was not written"
    for table in recorded:
        target = path if len(recorded) == 1 else path.with_stem(f"{path.stem}-{table.name}")
        target.write_text(dumps_table(table), encoding="utf-8")
        yield f"sd record: {target}: {len(table.rows)} rows of {table.name!r} on {table.device}"


def _untrusted(result: Result) -> str | None:
    if result.image_verdict == "fail":
        return f"its pictures fail: {'; '.join(result.reasons)}"
    return f"its verdict is {result.verdict}" if result.verdict in ("inconclusive", "invalid") else None


def _kept(row: Row, own: dict[str, Result], refused: dict[str, str]) -> bool:
    """Whether a row belongs in the file: its own result, or for a baseline that of a row measured against it, can be trusted."""
    if row.is_baseline:
        return any(result.baseline == row.setup and name not in refused for name, result in own.items())
    return row.setup in own and row.setup not in refused


def _row(row: Row, own: dict[str, Result]) -> Row:
    if row.is_baseline:
        against = next(result for result in own.values() if result.baseline == row.setup)
        return replace(row, latency_s=round(against.baseline_latency_s, 6))
    # The paired ratio is the finding; a median latency beside it would contradict it within noise.
    return replace(row, speedup=round(own[row.setup].speedup, 4), latency_s=None)


def _provenance(machine: Machine, own: dict[str, Result]) -> dict[str, str]:
    result = next(iter(own.values()))
    facts = {"kind": machine.kind, "date": time.strftime("%Y-%m-%d"), "weights": result.weights or "", "blocks": str(result.blocks)}
    return facts | {f"version_{name}": version for name, version in machine.versions.items()}
