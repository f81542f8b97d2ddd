"""Rows whose runs are split over several devices, or processors beside one device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_sdspeed.model import History, HistoryKey


def describe_splits(histories: Iterable[History]) -> list[str]:
    """Say of which rows the runs are split over several devices, or processors beside one device.

    A line for each table, baseline and set of devices: every row has a history on each of them.
    """
    given = list(histories)
    names = name_devices(given)
    rows: dict[HistoryKey, dict[str, int]] = {}
    for history in given:
        row = replace(history.key, device="", cpu=None)
        rows.setdefault(row, {})[names[history.key]] = len(history.runs)
    said: dict[tuple[str | None, str, tuple[str, ...]], dict[str, int]] = {}
    for row, runs in rows.items():
        if len(runs) > 1:
            most = said.setdefault((row.table, row.baseline, tuple(sorted(runs))), {})
            most.update({name: max(count, most.get(name, 0)) for name, count in runs.items()})
    return [
        f"{_name_rows(table, baseline)}: {_format_runs(runs)}: each has a history of its own"
        for (table, baseline, _), runs in said.items()
    ]


def _name_rows(table: str | None, baseline: str) -> str:
    return table or f"callables against {baseline}"


def _format_runs(runs: Mapping[str, int]) -> str:
    """Format ``14 runs on AMD EPYC 7763, 1 run on Intel Xeon``."""
    return ", ".join(
        f"{count} run{'' if count == 1 else 's'} on {name}" for name, count in runs.items()
    )


def name_devices(histories: Sequence[History]) -> dict[HistoryKey, str]:
    """Name what measured histories: the processor only if another one stands beside its device.

    Returns:
        Key of a history -> name.
    """
    cpus: dict[str, set[str | None]] = {}
    for history in histories:
        cpus.setdefault(history.device, set()).add(history.cpu)
    return {
        history.key: (
            history.device
            if history.cpu is None or len(cpus[history.device]) == 1
            else f"{history.device} beside {history.cpu}"
        )
        for history in histories
    }
