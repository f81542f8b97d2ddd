"""What the atlas knows of tables and rows, joined from what others found out."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pytest_sdspeed.model.contradictions import Contradiction
    from pytest_sdspeed.model.limits import Limit
    from pytest_sdspeed.model.tables import Row, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is known of rows besides what their tables say; a row is a file and a setup.

    Attributes:
        obstacles: row -> why this project cannot build it, beside what its table says of that; a
            row that is missing can be built.
        limits: row -> least time of one call on the table's device.
        contradictions: what lint found.
        own: files of the tables that a user added.
    """

    obstacles: Mapping[tuple[str, str], str] = field(default_factory=dict)
    limits: Mapping[tuple[str, str], Limit] = field(default_factory=dict)
    contradictions: Sequence[Contradiction] = ()
    own: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a recorded table says of a row.

    Attributes:
        table: the recorded table.
        row: its row of that setup.
    """

    table: Table
    row: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class RowEntry:
    """A row, and what is known of it.

    Attributes:
        row: what its table says.
        obstacle: why this project cannot build it, or "".
        limit: least time of one call on the table's device, or None if it was not counted.
        measured: what recorded tables of the same name say.
        contradictions: those that are about this row.
        named_by: those about other rows that name this one.
    """

    row: Row
    obstacle: str
    limit: Limit | None
    measured: tuple[Measured, ...]
    contradictions: tuple[Contradiction, ...]
    named_by: tuple[Contradiction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableEntry:
    """A table, and what is known of it.

    Attributes:
        anchor: its id on the page: its name, with a number if recorded tables share it.
        table: what its file says.
        own: whether a user added it.
        rows: its rows.
        contradictions: those that are about no single row.
        left_over: rows of recorded tables of its name that it does not have.
    """

    anchor: str
    table: Table
    own: bool
    rows: tuple[RowEntry, ...]
    contradictions: tuple[Contradiction, ...]
    left_over: tuple[Measured, ...]


def join_entries(tables: Iterable[Table], findings: Findings) -> tuple[TableEntry, ...]:
    """Join tables with what is known of their rows; a user's own come first.

    Recorded tables are what was measured of the documented one of their name. If there is none,
    each is an entry of its own.

    Args:
        tables: documented and recorded ones.
        findings: what is known besides.
    """
    named: defaultdict[str, list[Table]] = defaultdict(list)
    for table in tables:
        named[table.name].append(table)
    entries: list[TableEntry] = []
    for group in named.values():
        recorded = [table for table in group if table.recorded]
        documented = [table for table in group if not table.recorded]
        for number, table in enumerate(documented or recorded, start=1):
            anchor = table.name if number == 1 else f"{table.name}-{number}"
            beside = recorded if documented else [table]
            entries.append(_join_table(anchor, table, beside, findings))
    return tuple(sorted(entries, key=lambda entry: not entry.own))


def _join_table(
    anchor: str, table: Table, recorded: Sequence[Table], findings: Findings
) -> TableEntry:
    measured = [Measured(table=one, row=row) for one in recorded for row in one.rows]
    setups = {row.setup for row in table.rows}
    about = [one for one in findings.contradictions if one.path == table.path]
    return TableEntry(
        anchor=anchor,
        table=table,
        own=table.path in findings.own,
        rows=tuple(_join_row(table, row, measured, about, findings) for row in table.rows),
        contradictions=tuple(one for one in about if one.setup not in setups),
        left_over=tuple(one for one in measured if one.row.setup not in setups),
    )


def _join_row(
    table: Table,
    row: Row,
    measured: Sequence[Measured],
    about: Sequence[Contradiction],
    findings: Findings,
) -> RowEntry:
    name, place = f"{table.name}/{row.setup}", (table.path, row.setup)
    own = tuple(one for one in about if one.setup == row.setup)
    return RowEntry(
        row=row,
        obstacle=row.unsupported or findings.obstacles.get(place, ""),
        limit=findings.limits.get(place),
        measured=tuple(one for one in measured if one.row.setup == row.setup),
        contradictions=own,
        named_by=tuple(
            one for one in findings.contradictions if name in one.others and one not in own
        ),
    )
