"""The atlas as one self-contained page: no network, opens from disk, searchable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import DOCUMENTATION
from pytest_sdspeed.report.atlas import words
from pytest_sdspeed.report.page.parts import make_environment, make_head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.model.contradictions import Contradiction
    from pytest_sdspeed.report.atlas.entries import RowEntry, TableEntry

_GUIDE = f"{DOCUMENTATION}/reference/atlas/"
HEADLINE = "Atlas of published speed-ups"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContradictionShown:
    """A contradiction as it is shown: ``links`` are names of rows, with an anchor or ""."""

    contradiction: Contradiction
    links: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowShown:
    """A row as cells and lines; ``state`` is "open" or "known" if it has contradictions."""

    anchor: str
    entry: RowEntry
    stack: str
    published: Sequence[str]
    floor: str
    limit: tuple[str, str]
    measured: Sequence[tuple[str, str]]
    found: Sequence[ContradictionShown]
    named_by: Sequence[ContradictionShown]
    lines: Sequence[str]
    model: int
    state: str

    @property
    def more(self) -> bool:
        """Tell whether the row has a second line."""
        return bool(self.found or self.named_by or self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableShown:
    """A table as it is shown."""

    entry: TableEntry
    device: int
    recipe: Mapping[str, str]
    rows: Sequence[RowShown]
    found: Sequence[ContradictionShown]
    claims: Sequence[tuple[str, str, str]]
    left_over: Sequence[tuple[str, str, str]]

    @property
    def address(self) -> str:
        """Return the source if a browser can open it, or ""."""
        source = self.entry.table.source
        return source if source.startswith(("https://", "http://")) else ""


def render_atlas(entries: Sequence[TableEntry]) -> str:
    """Render the whole page.

    Args:
        entries: tables with what is known of them; none gives a page that says so.
    """
    models = sorted({row.row.recipe.model for entry in entries for row in entry.rows})
    devices = sorted({entry.table.device for entry in entries})
    anchors = {entry.table.name: entry.anchor for entry in reversed(entries)}
    anchors |= {
        f"{entry.table.name}/{row.row.setup}": f"{entry.anchor}/{row.row.setup}"
        for entry in reversed(entries)
        for row in entry.rows
    }
    tables = [_show_table(entry, devices, models, anchors) for entry in entries]
    shown = (
        make_environment()
        .get_template("atlas/atlas.html.jinja")
        .render(
            headline=HEADLINE,
            guide=_GUIDE,
            shorten_address=words.shorten_address,
            tables=tables,
            counts=count_entries(entries),
            models=models,
            devices=devices,
            open=[
                (table, found)
                for table in tables
                for found in (*table.found, *(one for row in table.rows for one in row.found))
                if not found.contradiction.acknowledged
            ],
            **make_head(("page/page.css", "atlas/atlas.css"), "atlas/atlas.js"),
        )
    )
    return shown.lstrip()


def count_entries(entries: Sequence[TableEntry]) -> Sequence[tuple[int, str]]:
    """Count tables, rows, and what is known of them; each number with what it is of."""
    rows = [row for entry in entries for row in entry.rows]
    found = [one for entry in entries for one in entry.contradictions]
    found += [one for row in rows for one in row.contradictions]
    return [
        _count(len(entries), "table"),
        _count(len(rows), "row"),
        (sum(not row.obstacle for row in rows), "can be built"),
        (sum(bool(row.measured) for row in rows), "measured here"),
        _count(sum(len(entry.table.claims) for entry in entries), "claim"),
        _count(len(found), "contradiction"),
        (sum(not one.acknowledged for one in found), "of them not acknowledged"),
    ]


def _count(number: int, noun: str) -> tuple[int, str]:
    return number, noun if number == 1 else f"{noun}s"


def _show_table(
    entry: TableEntry,
    devices: Sequence[str],
    models: Sequence[str],
    anchors: Mapping[str, str],
) -> TableShown:
    common = words.list_common([row.row.recipe for row in entry.rows])
    return TableShown(
        entry=entry,
        device=devices.index(entry.table.device),
        recipe=common,
        rows=[_show_row(entry, row, models, common, anchors) for row in entry.rows],
        found=[_show_found(one, anchors) for one in entry.contradictions],
        claims=[
            (claim.text, words.describe_claim(claim), claim.notes) for claim in entry.table.claims
        ],
        left_over=[(one.row.setup, *words.describe_measured(one)) for one in entry.left_over],
    )


def _show_row(
    entry: TableEntry,
    known: RowEntry,
    models: Sequence[str],
    common: Mapping[str, str],
    anchors: Mapping[str, str],
) -> RowShown:
    row = known.row
    baselines = len({one.row.baseline for one in entry.rows})
    open_ = any(not one.acknowledged for one in known.contradictions)
    differences = words.describe_differences(row.recipe, common) if row.is_baseline else ""
    lines = [
        differences and f"Recipe of this group: {differences}",
        *(f"Also published, {words.describe_stated(stated)}" for stated in row.stated),
        words.describe_timings(row.timings_s),
        *_list_notes(known),
    ]
    return RowShown(
        anchor=f"{entry.anchor}/{row.setup}",
        entry=known,
        stack=words.describe_stack(row, baselines),
        published=() if entry.table.recorded else words.list_figures(row),
        floor="" if known.obstacle else words.describe_floor(row),
        limit=words.describe_limit(known.limit, row),
        measured=[words.describe_measured(one) for one in known.measured],
        found=[_show_found(one, anchors) for one in known.contradictions],
        named_by=[
            _show_found(one, anchors, [f"{one.table}/{one.setup}".rstrip("/")])
            for one in known.named_by
        ],
        lines=[line for line in lines if line],
        model=models.index(row.recipe.model),
        state="open" if open_ else "known" if known.contradictions or known.named_by else "",
    )


def _list_notes(known: RowEntry) -> Sequence[str]:
    """Return the lines of a row's notes, without those that a contradiction is shown with."""
    acknowledged = {one.acknowledged for one in known.contradictions}
    lines = (line.strip() for line in known.row.notes.splitlines())
    return [line for line in lines if line.partition(":")[2].strip() not in acknowledged]


def _show_found(
    found: Contradiction, anchors: Mapping[str, str], names: Sequence[str] | None = None
) -> ContradictionShown:
    named = found.others if names is None else names
    return ContradictionShown(
        contradiction=found, links=[(name, anchors.get(name, "")) for name in named]
    )
