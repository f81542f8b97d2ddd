"""What was measured, written as a table file for this device."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.errors import DOCUMENTATION
from pytest_sdspeed.judge.memory import INEXACT
from pytest_sdspeed.judge.speed.intervals import control_ratios, log_ratios
from pytest_sdspeed.model import CONTROL, Interval, Spread
from pytest_sdspeed.model.costs import GIB, START_COSTS
from pytest_sdspeed.report.text import format_ratio, format_stored_interval
from pytest_sdspeed.run.replacing import describe_changes, find_obstacle, read_predecessor
from pytest_sdspeed.store.atomic import write_file
from pytest_sdspeed.tables import dumps_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pytest_sdspeed.model import Machine, Result, Row, Table

LEAST_BLOCKS = 5
"""The fewest blocks of a reference.

The standard deviation of five blocks comes out at half of its true value, or less, in 9% of
campaigns (chi-squared with 4 degrees of freedom, blocks normal and independent), that of three in
22%. In the other 91%, an interval that seems to be half the tolerance on either side is in truth
the whole tolerance at most."""

_MORE = "--sd-max-blocks and --sd-budget give it more"
_FACTS = ("host", "system", "processor", "command", "commit")
"""The facts of a run that a recorded table takes over."""


class Recording(NamedTuple):
    """What became of a request to record.

    Attributes:
        complete: whether there was something to record, and every file of it was written.
        lines: what the user is told, a line for each file written and each row or file refused.
    """

    complete: bool
    lines: tuple[str, ...]


def write_reference(
    path: Path,
    results: Sequence[Result],
    tables: Sequence[Table],
    machine: Machine,
    facts: Mapping[str, str] | None = None,
) -> Recording:
    """Write a file for each table that was measured, without the rows that are no reference.

    A file is replaced as a whole or not at all; see ``replacing.find_obstacle`` for what is not.

    Args:
        path: the file; if several tables were measured, ``-<table>`` is added to its stem.
        results: results of the run.
        tables: tables that the results may come from.
        machine: where they were measured.
        facts: facts of the run, label -> text.
    """
    lines, recorded = [], []
    measured = [(result.table, result.setup, result.documented_on) for result in results]
    for table in find_tables(measured, tables):
        own = [result for result in results if _is_documented(result, table)]
        refused = _find_refusals(own)
        lines += [
            f"sd record: {table.name}: {name} left out: {why}" for name, why in refused.items()
        ]
        kept = {result.setup: result for result in own if result.setup not in refused}
        rows = tuple(
            _record_row(row, kept, exact=machine.kind not in INEXACT)
            for row in table.rows
            if _is_kept(row, kept)
        )
        if rows:
            made = replace(
                table,
                device=machine.device,
                rows=rows,
                recorded=_describe_origin(machine, kept.values(), facts or {}),
                path="",
                # What the source says stays with its own table.
                claims=(),
            )
            recorded.append(made)
    if lines:
        lines[-1] += f". See {DOCUMENTATION}/guides/record-a-reference/#what-is-left-out"
    complete = bool(recorded)
    for table in recorded:
        target = path if len(recorded) == 1 else path.with_stem(f"{path.stem}-{table.name}")
        there = read_predecessor(target)
        problem = find_obstacle(there, table) or replace_file(target, dumps_table(table))
        complete = complete and problem is None
        if problem is None:
            lines += [f"sd record: {line}" for line in describe_changes(there, table)]
        lines.append(
            f"sd record: {target}:"
            f" {problem or f'{len(table.rows)} rows of {table.name!r} on {table.device}'}"
        )
    if not recorded:
        lines.append(f"sd record: nothing to record; {path} was not written")
    return Recording(complete, tuple(lines))


def find_tables(
    rows: Sequence[tuple[str | None, str, str | None]], tables: Sequence[Table]
) -> list[Table]:
    """List the tables that results come from, one for each name.

    Of tables that share a name, it is the one with most of the rows, and a device that they name.

    Args:
        rows: name of the table, setup, and device that the row is documented on, of each result.
        tables: tables that they may come from.
    """
    found = {}
    for name in dict.fromkeys(table for table, _, _ in rows):
        setups = {setup for table, setup, _ in rows if table == name}
        devices = {device for table, _, device in rows if table == name}
        named = [table for table in tables if table.name == name]
        named.sort(
            key=lambda table: (
                -sum(row.setup in setups for row in table.rows),
                table.device not in devices,
            )
        )
        found[name] = named[0] if named else None
    return [table for table in tables if any(table is one for one in found.values())]


def _is_documented(result: Result, table: Table) -> bool:
    """Tell whether a result is that of a row of the table, against the table's baseline for it."""
    row = table.row(result.setup)
    return result.table == table.name and row is not None and row.baseline == result.baseline


# What is no reference


def _find_refusals(results: Sequence[Result]) -> dict[str, str]:
    """Say why rows are no reference, by their names.

    One refused result of a row is enough, if it has several, and so is one of its baseline.
    """
    found: dict[str, str] = {}
    for result in results:
        why = _find_refusal(result)
        if why:
            found.setdefault(result.setup, why)
    for result in results:
        if result.baseline in found:
            found.setdefault(result.setup, f"its baseline {result.baseline} is left out")
    return found


def _find_refusal(result: Result) -> str | None:
    """Say why a result is no reference, and what to do; None if it is one."""
    figure = result.interval
    return (
        _describe_fault(result)
        or _describe_regression(result)
        or _describe_disagreement(result)
        or too_rough(result.blocks, figure, result.margin)
    )


def _describe_fault(result: Result) -> str | None:
    why = "; ".join(result.reasons)
    if result.raised is not None:
        return f"it raised: {result.raised}"
    if result.image_verdict == "fail":
        return f"its pictures fail: {why}"
    if result.too_large:
        return f"it needs too much memory: {why}"
    if result.verdict == "fail" and result.exceeded:
        return f"it costs more than documented: {why}"
    if _spoils_reference(result):
        return (
            f"its A/A control broke ({result.control}): stop what else uses this machine and rerun"
        )
    return (
        f"its verdict is {result.verdict}: {why}"
        if result.verdict in ("invalid", "inconclusive")
        else None
    )


def _spoils_reference(result: Result) -> bool:
    """Tell whether the A/A control admits a bias that a reference must not have.

    That is one that could turn the verdict, or be more than half the tolerance: the figure would
    hold every later run to it, as with an interval that is ``too_rough``.
    """
    from pytest_sdspeed.judge.speed.bias import find_bias

    bias = find_bias(result.control)
    turned = result.verdict == "invalid" and bias > 1 and result.biased is not False
    return turned or bias - 1 > result.margin / 2


def _describe_regression(result: Result) -> str | None:
    # A row below the floor of another device is recorded: gating a device on its own ratios is what
    # the file is for. A row below a floor of this device is not: that would lower the floor.
    if not result.too_slow or result.held_to_another_device:
        return None
    floor = (
        f"a regression is no reference: {result.interval} is under the floor"
        f" {format_ratio(result.floor)}"
    )
    return floor + (
        f" of {result.recorded_in}; to accept it, run without that table"
        if result.recorded_in
        else ", which holds on this device"
    )


def _describe_disagreement(result: Result) -> str | None:
    if result.verdict != "pass" or result.confirmation is None:
        return None
    return (
        f"two processes disagree, {format_stored_interval(result.confirmation)} and"
        f" {result.interval}: run again"
    )


def too_rough(blocks: int, found: Interval, tolerance: float) -> str | None:
    """Say why another run cannot be held to a figure, or None if it can.

    Args:
        blocks: number of blocks that the figure comes from.
        found: the speed-up with its interval.
        tolerance: fraction of it that may be missing in another run.
    """
    if blocks < LEAST_BLOCKS:
        return f"{blocks} blocks are too few, a reference has {LEAST_BLOCKS}: {_MORE}"
    half = found.high / found.speedup - 1
    if half > tolerance / 2:
        return (
            f"its interval is too wide to hold another run to: {half:.1%} either side, half the"
            f" tolerance is {tolerance / 2:.1%}: more blocks narrow it, {_MORE}"
        )
    return None


# What is recorded


def _is_kept(row: Row, kept: Mapping[str, Result]) -> bool:
    """Tell whether a row belongs in the file: it was measured, or a row against that baseline."""
    if row.is_baseline:
        return any(
            result.baseline == row.setup and not result.is_baseline for result in kept.values()
        )
    return row.setup in kept


def _record_row(row: Row, kept: Mapping[str, Result], *, exact: bool) -> Row:
    # One call is measured, even if the documented latency is that of several.
    # Its iterations are those of the source, and no figure of this device.
    row = replace(row, recipe=replace(row.recipe, repeats=1), iterations_per_s=None)
    row = _record_costs(row, kept.get(row.setup), exact=exact)
    if row.is_baseline:
        against = max(
            (result for result in kept.values() if result.baseline == row.setup),
            key=lambda result: result.blocks,
        )
        return replace(
            row, latency_s=round(against.baseline_latency_s, 6), spread=_baseline_spread(against)
        )
    found = kept[row.setup]
    # The paired ratio is what was found; the ratio of median latencies differs from it by noise.
    return replace(row, speedup=round(found.speedup, 4), latency_s=None, spread=_row_spread(found))


def _record_costs(row: Row, found: Result | None, *, exact: bool) -> Row:
    """Put the costs that were measured in the place of those that are documented.

    Bytes that are not known exactly stay as documented, which they are nearly anywhere; seconds
    that were not measured say nothing on this device.

    Args:
        row: the row as it is documented.
        found: its result, or None for a baseline that no test asked for.
        exact: whether peaks of memory are exact on this device.
    """
    bytes_of = {"memory_gb": "peak_memory_bytes", "load_gb": "load_memory_bytes"}
    sizes: dict[str, Any] = {
        key: round(size / GIB, 3)
        for key, figure in bytes_of.items()
        if exact and getattr(row, key) is not None and (size := getattr(found, figure, None))
    }
    seconds: dict[str, Any] = {
        key: round(taken, 3) if (taken := getattr(found, key, None)) else None
        for key in START_COSTS
        if getattr(row, key) is not None
    }
    return replace(row, **sizes, **seconds)


def _row_spread(result: Result) -> Spread:
    own, base, control = (result.samples_s[arm] for arm in (result.setup, result.baseline, CONTROL))
    return Spread(
        blocks=result.blocks,
        low=round(result.low, 4),
        high=round(result.high, 4),
        sd=round(statistics.stdev(log_ratios([base, control], [own])), 6),
        quartiles_s=_quartiles(own),
    )


def _baseline_spread(against: Result) -> Spread | None:
    """Return the spread of the baseline's latencies, with the A/A control as its ratio."""
    base, control = (against.samples_s[arm] for arm in (against.baseline, CONTROL))
    if against.control is None:
        return None
    return Spread(
        blocks=against.blocks,
        low=round(against.control.low, 4),
        high=round(against.control.high, 4),
        sd=round(statistics.stdev(control_ratios(base, control)), 6),
        quartiles_s=_quartiles((*base, *control)),
    )


def _quartiles(pairs: Iterable[Sequence[float]]) -> tuple[float, float, float]:
    lower, median, upper = statistics.quantiles(
        (slot for pair in pairs for slot in pair), n=4, method="inclusive"
    )
    return round(lower, 6), round(median, 6), round(upper, 6)


def _describe_origin(
    machine: Machine, kept: Iterable[Result], facts: Mapping[str, str]
) -> dict[str, str]:
    kept = list(kept)
    known = {
        "kind": machine.kind,
        "date": facts.get("date", time.strftime("%Y-%m-%d")),
        "weights": _join_distinct(result.weights for result in kept),
        "seed": _join_distinct(result.recipe.seed for result in kept if result.recipe),
        "blocks": str(max(result.blocks for result in kept)),
        **({"unit": "stage"} if any(result.by_stage for result in kept) else {}),
        **{name: facts[name] for name in _FACTS if name in facts},
    }
    return known | {f"version_{name}": version for name, version in machine.versions.items()}


def _join_distinct(values: Iterable[object]) -> str:
    return ", ".join(str(value) for value in dict.fromkeys(values) if value is not None)


# The file


def replace_file(path: Path, text: str) -> str | None:
    """Write a file in one step, and say what went wrong, or None.

    If the disk is full or the process killed, the file that was there stays.
    """
    try:
        write_file(path, text.encode())
    except OSError as error:
        return f"could not be written: {error.strerror or error}"
    return None
