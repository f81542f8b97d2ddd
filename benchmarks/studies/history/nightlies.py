"""Nightly results from a CSV file."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("timestamp_utc", "commit", "case", "framework", "latency_s")
"""Columns that a file must have; others are ignored."""


class Night(NamedTuple):
    """One result: when the night began (UTC), the commit, and the latency in seconds."""

    time: datetime
    commit: str
    latency_s: float


@dataclass(frozen=True, slots=True)
class Series:
    """The results of one case with one framework, the oldest first.

    Nights without a result are left out: they are neither fast nor slow.
    """

    case: str
    framework: str
    nights: tuple[Night, ...]

    @property
    def latencies(self) -> np.ndarray:
        """Return the latencies in seconds, shape (nights,)."""
        return np.array([night.latency_s for night in self.nights], dtype=float)


@dataclass(frozen=True, slots=True)
class Nightlies:
    """The series of a file, by case and framework.

    Attributes:
        series: the series, in the order of the file, without those that have no result.
        nights: number of nights, with and without results.
        repeated: number of rows whose case, framework and night another row repeats; the last row
            counts.
    """

    series: tuple[Series, ...]
    nights: int
    repeated: int


def read(path: Path) -> Nightlies:
    """Read a file with the ``COLUMNS``.

    Times are ISO 8601, in UTC unless they say otherwise; a latency is in seconds, or empty.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is invalid; the message names line and column.
    """
    found: dict[tuple[str, str], dict[datetime, Night | None]] = {}
    rows = repeated = 0
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(
                    f"{path}, line 1: no column {', '.join(missing)}; wanted {', '.join(COLUMNS)}"
                )
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                case, time, night = _row(row, place)
                results = found.setdefault(case, {})
                rows, repeated = rows + 1, repeated + (time in results)
                results[time] = night
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(
                f"{path}, line {reader.line_num + 1}: not a CSV file in UTF-8: {error}"
            ) from None
    if not rows:
        raise ValueError(f"{path}, line 2: no results below the columns")
    series = [
        Series(case, framework, tuple(night for _, night in sorted(results.items()) if night))
        for (case, framework), results in found.items()
        if any(results.values())
    ]
    return Nightlies(
        tuple(series), len({time for results in found.values() for time in results}), repeated
    )


def _row(row: dict[str, str | None], place: str) -> tuple[tuple[str, str], datetime, Night | None]:
    """Read a row: case and framework, time, and the result if there is one."""
    cells = {name: row[name] for name in COLUMNS}
    for name, cell in cells.items():
        if cell is None or (not cell.strip() and name in {"timestamp_utc", "case"}):
            raise ValueError(f"{place}, column {name}: nothing there")
    text = {name: str(cell).strip() for name, cell in cells.items()}
    time = _time(text["timestamp_utc"], place)
    case = text["case"], text["framework"]
    return (
        case,
        time,
        (
            Night(time, text["commit"], _latency(text["latency_s"], place))
            if text["latency_s"]
            else None
        ),
    )


def _time(text: str, place: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{place}, column timestamp_utc: {text!r} is no ISO 8601 time such as"
            " 2026-03-19T12:40:37"
        ) from None
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _latency(text: str, place: str) -> float:
    try:
        latency = float(text)
    except ValueError:
        latency = math.nan
    if not (math.isfinite(latency) and latency > 0):
        raise ValueError(
            f"{place}, column latency_s: {text!r} is neither empty nor a positive number of seconds"
        )
    return latency
