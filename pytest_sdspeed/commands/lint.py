"""``python -m pytest_sdspeed lint``: published figures, checked against each other."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import SdSpeedError, TableError, UsageMistakeError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_sdspeed.lint import Counts, Findings
    from pytest_sdspeed.lint.entries import Unchecked
    from pytest_sdspeed.model import Row, Table
    from pytest_sdspeed.model.contradictions import Contradiction

JSON_SCHEMA = 1
_NAMED = 4
"""Setups that a line names before it counts the others."""


def add_lint(commands: Any) -> argparse.ArgumentParser:
    """Add the command ``lint`` to the parsers of commands, and return its own.

    Args:
        commands: what ``argparse`` adds the parsers of commands to.
    """
    lint: argparse.ArgumentParser = commands.add_parser(
        "lint", help="check the figures of tables against each other, without a GPU"
    )
    lint.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help=(
            "a table file, or a folder of some, to be checked in itself and against the built-in"
            " tables; without any, these are checked"
        ),
    )
    lint.add_argument("--json", action="store_true", help="print one object")
    lint.add_argument(
        "--dry",
        action="store_true",
        help=(
            "count rows of which no counts are stored, so that their latencies are held against the"
            " device's limit; takes seconds a row"
        ),
    )
    return lint


def lint_files(options: argparse.Namespace) -> int:
    """Check tables and print what was found.

    Returns:
        0; 1 if a contradiction is not acknowledged with a reason, or a table cannot be read.

    Raises:
        UsageMistakeError: a path does not exist.
    """
    from pytest_sdspeed.lint import lint_tables, load_counts

    tables, about, errors = _load(options.paths)
    looked_at = [table for table in tables if table.path in about]
    counts = dict(load_counts())
    if options.dry:
        counts |= _count_missing(looked_at, counts)
    found = lint_tables(tables, counts, {table.name for table in looked_at})
    if options.json:
        print(json.dumps(to_json(found, errors), indent=2, allow_nan=False))  # noqa: T201 - a command's answer
    else:
        print("\n".join(describe(found)))  # noqa: T201 - a command's answer
    for error in errors:
        print(error, file=sys.stderr)  # noqa: T201 - a command's message
    return 1 if found.open or errors else 0


def _load(paths: Sequence[str]) -> tuple[list[Table], set[str], list[str]]:
    """Return all tables, the files that findings are about, and what could not be read.

    A file that has the name of a built-in table takes its place: it is a copy of it.
    """
    from pytest_sdspeed.tables import list_builtin_files, load_table

    builtin = list_builtin_files()
    files = _list_files(paths) if paths else list(builtin)
    named = {file.resolve() for file in files}
    tables: list[Table] = []
    errors = []
    for file in (*files, *(one for one in builtin if one.resolve() not in named)):
        try:
            tables.append(load_table(file, None))
        except TableError as error:
            errors.append(str(error))
    about = {str(file) for file in files}
    own = {table.name for table in tables if table.path in about}
    kept = [table for table in tables if table.path in about or table.name not in own]
    return kept, about, errors


def _list_files(paths: Iterable[str]) -> list[Path]:
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise UsageMistakeError(
                f"{path}: no such file or folder; valid: a table file, or a folder of some"
            )
        files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not files:
            raise UsageMistakeError(f"{path}: the folder holds no *.toml file")
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _count_missing(tables: Iterable[Table], known: Mapping[str, Counts]) -> dict[str, Counts]:
    """Count the rows that have a limit and no counts; what cannot be counted says why."""
    from pytest_sdspeed.commands.dry import TableCounter
    from pytest_sdspeed.lint import Counts, fingerprint

    found: dict[str, Counts] = {}
    for table in tables:
        counter = TableCounter(table)
        for row in table.rows:
            mark = fingerprint(row)
            if mark in known or mark in found or not _needs_counts(table, row):
                continue
            print(f"counting {table.name}/{row.setup}", file=sys.stderr, flush=True)  # noqa: T201 - a command's message
            try:
                account = counter.count_account(row)
                found[mark] = Counts.of(row, account, counter.find_precision(row))
            except SdSpeedError as error:
                found[mark] = Counts(fingerprint=mark, reason=str(error))
    return found


def _needs_counts(table: Table, row: Row) -> bool:
    from pytest_sdspeed.model.devices import find_specs

    compared = any(row.setup in claim.rows for claim in table.claims if claim.kind == "parameters")
    timed = row.latency_s is not None and row.recipe.of_call and row.gpus == 1
    return not row.unsupported and (compared or (timed and bool(find_specs(table.device))))


def to_json(found: Findings, errors: Sequence[str] = ()) -> dict[str, Any]:
    """Return what was found as builtins, with what ``--json`` prints.

    Args:
        found: what was found.
        errors: why tables could not be read.
    """
    return {
        "schema": JSON_SCHEMA,
        "tables": found.tables,
        "rows": found.rows,
        "contradictions": [
            {**asdict(one), "others": list(one.others), "acknowledged": one.acknowledged or None}
            for one in found.contradictions
        ],
        "unchecked": [one._asdict() for one in found.unchecked],
        "errors": list(errors),
    }


def describe(found: Findings) -> Iterator[str]:
    """Return what people read: a paragraph for each finding, then what was not checked."""
    for one in found.contradictions:
        yield from (*_describe_one(one), "")
    unchecked = list(_describe_unchecked(found.unchecked))
    if unchecked:
        yield from ("not checked", *unchecked, "")
    accepted = len(found.contradictions) - len(found.open)
    yield (
        f"{_count(found.tables, 'table')}, {_count(found.rows, 'row')}:"
        f" {_count(len(found.contradictions), 'contradiction')},"
        f" {accepted} acknowledged, {len(found.open)} not"
    )


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _describe_one(one: Contradiction) -> Iterator[str]:
    name = f"{one.table}/{one.setup}" if one.setup else one.table
    path = Path(one.path)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    yield f"{one.rule}   {name}   {shown}: {one.key}"
    yield f"  {one.message}"
    if one.acknowledged:
        yield f"  acknowledged: {one.acknowledged}"
    elif one.rule == "unused-acknowledgement":
        yield "  not acknowledged: delete the note, it would hide what comes later"
    else:
        yield (
            "  not acknowledged: correct the figure; if the source has it so, say what is right in"
            f" the notes, in a line '{one.rule}: REASON' of four words or more"
        )


def _describe_unchecked(unchecked: Iterable[Unchecked]) -> Iterator[str]:
    """Return a line for each rule, reason and table, with its setups."""
    setups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for one in unchecked:
        setups[one.rule, one.reason, one.table].append(one.setup)
    for (rule, reason, table), names in setups.items():
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield f"  {rule}: {table}: {', '.join(names[:_NAMED])}{more}: {reason}"
