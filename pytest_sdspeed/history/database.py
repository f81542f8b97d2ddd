"""The database of an index: its tables, and what stored files hold, put into them and read back.

Columns have the names of the fields that they hold: a field that a dataclass gains is a column
without another line here, and an index without that column is of another version.
"""

from __future__ import annotations

import json
from dataclasses import Field, fields
from functools import cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

from pytest_sdspeed.history.contents import (
    IndexedRuns,
    StoredCounts,
    StoredFile,
    StoredResult,
    StoredRunFacts,
)
from pytest_sdspeed.history.storages import Fingerprint
from pytest_sdspeed.model import HistoryKey, HistoryRun
from pytest_sdspeed.model.history import RESULT_FIELDS, RunFacts
from pytest_sdspeed.model.numbers import number_or_nan

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_sdspeed.history.contents import FileContents

OWNER = 0x5D59EED
"""Marks a file of SQLite as an index of this plugin (``PRAGMA application_id``)."""
_MEANING = 5
"""Raised when a column comes to mean something else under the same name."""
_ENCODER = json.JSONEncoder(sort_keys=True)
_BATCH = 500
"""Rows that are taken from the database at once."""
_RUN_FIELDS: tuple[Field[Any], ...] = fields(StoredRunFacts)


def _list_columns(names: Iterable[str]) -> str:
    """Return columns as SQL. Unlike a quoted name, one in brackets is never taken for a text."""
    return ", ".join(f"[{name}]" for name in names)


def _name_fields(of: Iterable[Field[Any]]) -> tuple[str, ...]:
    return tuple(field.name for field in of)


_RUN, _FIGURES = _name_fields(_RUN_FIELDS), _name_fields(RESULT_FIELDS)
_KEY, _SHARED = _name_fields(fields(HistoryKey)), _name_fields(fields(RunFacts))
_FILE = ("path", *Fingerprint._fields, *_RUN, "foreign")
_RESULT = ("file", "position", "key", "samples", *_FIGURES)
_COUNTS = StoredCounts._fields
"""Columns of accounts that hold the number of a text: most runs count the same."""
_TEXTS = (
    "key",
    *_name_fields(one for one in RESULT_FIELDS if str(one.type).startswith("Mapping[")),
)
"""Columns of results that hold the number of a text, as many results share one."""
_TABLES = f"""
CREATE TABLE files(number INTEGER PRIMARY KEY, {_list_columns(_FILE)}, UNIQUE (path));
CREATE TABLE wrong(file INTEGER, kind TEXT, words TEXT, PRIMARY KEY (file, kind)) WITHOUT ROWID;
CREATE TABLE texts(number INTEGER PRIMARY KEY, text TEXT UNIQUE);
CREATE TABLE results({_list_columns(_RESULT)}, PRIMARY KEY (file, position)) WITHOUT ROWID;
CREATE TABLE accounts(file, position, {_list_columns(_COUNTS)}, PRIMARY KEY (file, position))
WITHOUT ROWID;
"""
VERSION = crc32(f"{_MEANING}{_TABLES}".encode()) & 0x7FFFFFFF
"""Version of the tables (``PRAGMA user_version``): tables with other columns have another one."""
SCHEMA = f"""
BEGIN IMMEDIATE;
{_TABLES}
PRAGMA application_id = {OWNER};
PRAGMA user_version = {VERSION};
COMMIT;
"""
_FOREIGN = """
SELECT coalesce(sum(NOT own), 0), coalesce(sum(own * [foreign]), 0)
FROM (SELECT [foreign], EXISTS (SELECT 1 FROM results WHERE file = number)
                        OR EXISTS (SELECT 1 FROM accounts WHERE file = number)
                        OR EXISTS (SELECT 1 FROM wrong WHERE file = number) AS own
      FROM files WHERE [foreign] > 0)
"""


def is_empty(connection: sqlite3.Connection) -> bool:
    """Tell whether nothing was ever written to a database."""
    return not any(
        _read_mark(connection, name)
        for name in ("application_id", "user_version", "schema_version")
    )


def check(connection: sqlite3.Connection) -> None:
    """See that a database is an index with these tables.

    Raises:
        ValueError: it is of another version, or somebody else's.
    """
    if (_read_mark(connection, "application_id"), _read_mark(connection, "user_version")) != (
        OWNER,
        VERSION,
    ):
        raise ValueError(f"not an index of version {VERSION}")


def _read_mark(connection: sqlite3.Connection, name: str) -> int:
    (mark,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(mark)


def fingerprints(connection: sqlite3.Connection) -> dict[str, Fingerprint]:
    """Return path -> fingerprint of the files of an index."""
    rows = connection.execute(f"SELECT path, {_list_columns(Fingerprint._fields)} FROM files")  # noqa: S608 - names of fields
    return {path: Fingerprint(*found) for path, *found in rows}


def forget(connection: sqlite3.Connection, paths: Iterable[str]) -> None:
    """Take files out of an index; those that are not in it are ignored."""
    named = [(path,) for path in paths]
    for table in ("results", "accounts", "wrong"):
        connection.executemany(
            f"DELETE FROM {table} WHERE file = (SELECT number FROM files WHERE path = ?)",  # noqa: S608 - of those above
            named,
        )
    connection.executemany("DELETE FROM files WHERE path = ?", named)


def tidy(connection: sqlite3.Connection) -> None:
    """Drop texts that no result has any more."""
    columns = [*(("results", one) for one in _TEXTS), *(("accounts", one) for one in _COUNTS)]
    used = " UNION ".join(f"SELECT [{column}] FROM {table}" for table, column in columns)  # noqa: S608 - names of fields
    connection.execute(f"DELETE FROM texts WHERE number NOT IN ({used})")  # noqa: S608 - names of fields


def insert(
    connection: sqlite3.Connection, path: str, fingerprint: Fingerprint, contents: FileContents
) -> None:
    """Put a file into an index that does not have it.

    Args:
        connection: connection to the index.
        path: path of the file from its storage, printable.
        fingerprint: tells when the file has changed.
        contents: what it holds.
    """
    row = {"path": path, **fingerprint._asdict(), "foreign": contents.foreign}
    row |= {} if contents.run is None else _pick(contents.run, _name_fields(_RUN_FIELDS))
    file = _insert(connection, "files", row)
    connection.executemany(
        "INSERT INTO wrong VALUES(?, ?, ?)", [(file, kind, words) for kind, words in contents.wrong]
    )
    for position, (key, samples, run) in enumerate(contents.results):
        row = {"file": file, "position": position, "samples": samples}
        row |= _pick(run, _FIGURES) | {"key": _pick(key, _KEY)}
        for column in _TEXTS:
            row[column] = _number_text(connection, row[column])
        _insert(connection, "results", row)
    for position, counts in enumerate(contents.accounts):
        told = counts._asdict() | {"key": _pick(counts.key, _KEY)}
        row = {name: _number_text(connection, value) for name, value in told.items()}
        _insert(connection, "accounts", {"file": file, "position": position, **row})


def _pick(facts: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return name -> value of attributes."""
    return {name: getattr(facts, name) for name in names}


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int | None:
    """Insert a row, column -> value, and return its number; NaN becomes NULL."""
    values = ", ".join("?" * len(row))
    return connection.execute(
        f"INSERT INTO {table}({_list_columns(row)}) VALUES({values})",
        tuple(row.values()),
    ).lastrowid


def _number_text(connection: sqlite3.Connection, value: Any) -> int:
    text = _ENCODER.encode(value)
    connection.execute("INSERT OR IGNORE INTO texts(text) VALUES(?)", (text,))
    (number,) = connection.execute("SELECT number FROM texts WHERE text = ?", (text,)).fetchone()
    return int(number)


def read_contents(connection: sqlite3.Connection) -> IndexedRuns:
    """Return everything that an index holds."""
    foreign_files, foreign_benchmarks = connection.execute(_FOREIGN).fetchone()
    return IndexedRuns(
        files=_read_files(connection),
        wrong=connection.execute(
            "SELECT path, kind, words FROM wrong JOIN files ON file = number ORDER BY path"
        ).fetchall(),
        foreign_files=foreign_files,
        foreign_benchmarks=foreign_benchmarks,
    )


def _read_files(connection: sqlite3.Connection) -> list[StoredFile]:
    """Return the files that hold runs, with their results."""
    texts = _read_texts(connection)
    files: dict[int, StoredFile] = {}
    of_run: dict[int, tuple[Any, ...]] = {}
    rows = connection.execute(
        f"SELECT number, path, [foreign], {_list_columns(_RUN)} FROM files WHERE date NOT NULL"  # noqa: S608 - names of fields
    )
    for (number, path, foreign), values in _restore_rows(rows, _RUN_FIELDS, texts):
        facts = dict(zip(_RUN, values, strict=True))
        files[number] = StoredFile(path, StoredRunFacts(**facts), foreign, [])
        name = path.rpartition("/")[2].removesuffix(".json")
        of_run[number] = (name, *(facts[fact] for fact in _SHARED))
    read_key = cache(lambda number: HistoryKey(**texts[number]))
    rows = connection.execute(
        f"SELECT file, key, samples, {_list_columns(_FIGURES)} FROM results ORDER BY file, position"  # noqa: S608 - names of fields
    )
    names = ("name", *_SHARED, *_FIGURES)
    for (file, key, samples), values in _restore_rows(rows, RESULT_FIELDS, texts):
        run = HistoryRun(**dict(zip(names, of_run[file] + values)))  # noqa: B905 - strict costs a tenth
        files[file].results.append(StoredResult(read_key(key), samples, run))
    rows = connection.execute(
        f"SELECT file, {_list_columns(_COUNTS)} FROM accounts ORDER BY file, position"  # noqa: S608 - names of fields
    )
    for file, key, versions, account in rows:
        found = StoredCounts(read_key(key), texts[versions], texts[account])
        files[file] = files[file]._replace(accounts=(*files[file].accounts, found))
    return list(files.values())


def _restore_rows(
    rows: sqlite3.Cursor, of: Sequence[Field[Any]], texts: Mapping[int, Any]
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Yield rows, each as what stands before the columns of fields, and the values of the fields.

    Args:
        rows: the last columns are those of the fields, in their order.
        of: the fields.
        texts: number -> what the text stands for.
    """
    while batch := rows.fetchmany(_BATCH):
        # Column by column, which is much faster than value by value.
        columns = list(zip(*batch, strict=True))
        heads, own = columns[: -len(of)], columns[-len(of) :]
        values = [_convert(field, column, texts) for field, column in zip(of, own, strict=True)]
        yield from zip(zip(*heads), zip(*values))  # noqa: B905 - one query's columns, strict costs


def _convert(field: Field[Any], column: Sequence[Any], texts: Mapping[int, Any]) -> Iterable[Any]:
    """Return the values of a field that stand in a column, by its annotation."""
    if field.type == "float":
        return [number_or_nan(value) for value in column] if None in column else column
    if field.type == "bool":
        return map(bool, column)
    return map(texts.__getitem__, column) if field.name in _TEXTS else column


def _read_texts(connection: sqlite3.Connection) -> dict[int, Any]:
    """Return number -> what a text of an index stands for, all decoded at once."""
    texts = connection.execute("SELECT number, text FROM texts").fetchall()
    values = json.loads(f"[{','.join(text for _, text in texts)}]")
    return {number: value for (number, _), value in zip(texts, values, strict=True)}
