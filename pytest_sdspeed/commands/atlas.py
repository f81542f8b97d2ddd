"""``python -m pytest_sdspeed atlas``: a page of every table and row, and what is known of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import SdSpeedError, UnknownNameError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import NoReturn

    from pytest_sdspeed.model.limits import Limit
    from pytest_sdspeed.model.tables import Row, Table
    from pytest_sdspeed.report.atlas.entries import TableEntry
    from pytest_sdspeed.setups.registry import Registry

_PAGE = "atlas.html"
_RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
"""What this project measured: in a clone, not in an installed wheel."""


def add_atlas(commands: Any) -> argparse.ArgumentParser:
    """Add the command ``atlas`` to the parsers of commands, and return its own.

    Args:
        commands: what ``argparse`` adds the parsers of commands to.
    """
    atlas: argparse.ArgumentParser = commands.add_parser(
        "atlas",
        help=(
            "write a page with every table and row: its source, what is published, the least time"
            " on its device, whether it can be built, what was measured, and what contradicts"
        ),
    )
    atlas.add_argument(
        "tables",
        nargs="*",
        metavar="PATH",
        help=(
            "a table file of yours, one that --sd-record wrote, or a folder of some, beside the"
            " built-in tables"
        ),
    )
    atlas.add_argument(
        "--output",
        default=_PAGE,
        metavar="FILE",
        help=f"the HTML file to write (default: {_PAGE})",
    )
    atlas.add_argument(
        "--only",
        action="store_true",
        help="show the tables of PATH alone, and the built-in ones that recorded ones are of",
    )
    return atlas


def check_atlas(parsed: argparse.Namespace, refuse: Callable[[str], NoReturn]) -> None:
    """Check arguments that depend on each other.

    Args:
        parsed: the parsed command line.
        refuse: ends the process with a message.
    """
    if parsed.only and not parsed.tables:
        refuse("--only: valid: with PATH, the tables that are shown")
    if not parsed.output:
        refuse("--output is empty; valid: a file to write")


def write_atlas(options: argparse.Namespace) -> None:
    """Write the page and say what is on it.

    Raises:
        TableError: a table cannot be read, or contradicts itself.
        OSError: the page cannot be written.
    """
    from pytest_sdspeed.report.atlas.render import count_entries, render_atlas
    from pytest_sdspeed.store.atomic import write_file

    entries = find_entries(options.tables, only=options.only)
    content = render_atlas(entries).encode()
    write_file(Path(options.output), content, lasting=False)
    counts = ", ".join(f"{count} {what}" for count, what in count_entries(entries))
    print(f"{options.output}: {counts}; {len(content) / 1e3:.0f} kB")  # noqa: T201 - a command's answer


def find_entries(paths: Sequence[Path | str] = (), *, only: bool = False) -> Sequence[TableEntry]:
    """Find out what is known of all tables and rows.

    Args:
        paths: files of tables, or folders of some, beside the built-in ones.
        only: whether the built-in ones are left out, but those that recorded ones are of.

    Raises:
        TableError: a table cannot be read, or contradicts itself.
    """
    from pytest_sdspeed.lint import find_contradictions, load_counts
    from pytest_sdspeed.report.atlas.entries import Findings, join_entries
    from pytest_sdspeed.tables import load_tables

    results = () if only else sorted(_RESULTS.rglob("*.toml"))
    tables = load_tables([*results, *paths], None)
    own = frozenset(table.path for table in tables if _is_own(table))
    recorded = {table.name for table in tables if table.recorded}
    shown = [table for table in tables if not only or table.path in own or table.name in recorded]
    # A figure of a table that is shown may contradict one that is not.
    contradictions = find_contradictions(tables, load_counts(), {table.name for table in shown})
    findings = Findings(
        obstacles=dict(_find_obstacles(shown)),
        limits=dict(_find_limits(shown)),
        contradictions=contradictions,
        own=own,
    )
    return join_entries(shown, findings)


def _is_own(table: Table) -> bool:
    """Tell whether a table is a user's own: neither built in nor a result of this project."""
    from pytest_sdspeed.tables import is_builtin

    return not is_builtin(table) and _RESULTS not in Path(table.path).resolve().parents


def _find_obstacles(tables: Iterable[Table]) -> Iterator[tuple[tuple[str, str], str]]:
    """Find the rows whose stack this project does not know: file and setup, and what it is."""
    from pytest_sdspeed.setups.registry import Registry

    registry = Registry()
    for table in tables:
        for row in table.rows:
            reason = _find_unknown(row, registry)
            if reason:
                yield (table.path, row.setup), reason


def _find_unknown(row: Row, registry: Registry) -> str:
    """Return what this project does not know of a row's stack, or ""."""
    try:
        registry.stack(row.optimizations, "its stack", row.recipe)
    except UnknownNameError as error:
        return f"no built-in {error.kind} is called {error.name!r}"
    except SdSpeedError as error:
        return str(error)
    return ""


def _find_limits(tables: Iterable[Table]) -> Iterator[tuple[tuple[str, str], Limit]]:
    """Find the least time of a call on the table's device, of rows that were counted."""
    from pytest_sdspeed.dry.limits import compute_limit
    from pytest_sdspeed.lint import find_counts, load_counts
    from pytest_sdspeed.model.limits import Limit

    stored = load_counts()
    for table in tables:
        for row in table.rows:
            counts = find_counts(stored, row)
            if counts is None:
                continue
            yield (
                (table.path, row.setup),
                Limit(device=table.device, reason=counts.reason)
                if counts.reason
                else compute_limit(counts.account, table.device, counts.precision),
            )
