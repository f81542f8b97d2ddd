"""The database of an index: its tables, and what stored files hold, put into them and read back.

Columns have the names of the fields that they hold: a field that a dataclass gains is a column
without another line here, and an index without that column is of another version.
"""

from __future__ import annotations

import json
from dataclasses import Field, asdict, fields
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.history.contents import IndexedRuns, StoredFile, StoredResult, StoredRunFacts
from pytest_sdspeed.history.storages import Fingerprint
from pytest_sdspeed.model import HistoryKey, HistoryRun
from pytest_sdspeed.model.history import RESULT_FIELDS, RunFacts
from pytest_sdspeed.model.numbers import number_or_nan

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_sdspeed.history.contents import FileContents

OWNER = 0x5D59EED
"""Marks a file of SQLite as an index of this plugin (``PRAGMA application_id``)."""
_MEANING = 3
"""Raised when a column comes to mean something else under the same name."""
_RUN_FIELDS: tuple[Field[Any], ...] = fields(StoredRunFacts)


def _columns(names: Iterable[str]) -> str:
    """Return columns as SQL. Unlike a quoted name, one in brackets is never taken for a text."""
    return ", ".join(f"[{name}]" for name in names)


def _names(of: Iterable[Field[Any]]) -> tuple[str, ...]:
    return tuple(field.name for field in of)


def _mappings(of: Iterable[Field[Any]]) -> tuple[str, ...]:
    """Return the names of fields that hold a mapping."""
    return tuple(field.name for field in of if str(field.type).startswith("Mapping["))


_FILE = ("path", *Fingerprint._fields, *_names(_RUN_FIELDS), "foreign")
_RESULT = ("file", "position", "key", "samples", *_names(RESULT_FIELDS))
_TEXTS = ("key", *_mappings(RESULT_FIELDS))
"""Columns of results that hold the number of a text, as many results share one."""
_TABLES = f"""
CREATE TABLE files(number INTEGER PRIMARY KEY, {_columns(_FILE)}, UNIQUE (path));
CREATE TABLE wrong(file INTEGER, kind TEXT, words TEXT, PRIMARY KEY (file, kind)) WITHOUT ROWID;
CREATE TABLE texts(number INTEGER PRIMARY KEY, text TEXT UNIQUE);
CREATE TABLE results({_columns(_RESULT)}, PRIMARY KEY (file, position)) WITHOUT ROWID;
"""
VERSION = int.from_bytes(
    blake2b(f"{_MEANING}{_TABLES}".encode(), digest_size=4).digest(), signed=True
)
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
FROM (SELECT [foreign], number IN (SELECT file FROM results UNION SELECT file FROM wrong) AS own
      FROM files WHERE [foreign] > 0)
"""


def is_empty(connection: sqlite3.Connection) -> bool:
    """Tell whether nothing was ever written to a database."""
    return not any(
        _mark(connection, name) for name in ("application_id", "user_version", "schema_version")
    )


def check(connection: sqlite3.Connection) -> None:
    """See that a database is an index with these tables.

    Raises:
        ValueError: it is of another version, or somebody else's.
    """
    if (_mark(connection, "application_id"), _mark(connection, "user_version")) != (OWNER, VERSION):
        raise ValueError(f"not an index of version {VERSION}")


def _mark(connection: sqlite3.Connection, name: str) -> int:
    (mark,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(mark)


def fingerprints(connection: sqlite3.Connection) -> dict[str, Fingerprint]:
    """Return path -> fingerprint of the files of an index."""
    rows = connection.execute(f"SELECT path, {_columns(Fingerprint._fields)} FROM files")  # noqa: S608 - names of fields
    return {path: Fingerprint(*found) for path, *found in rows}


def forget(connection: sqlite3.Connection, paths: Iterable[str]) -> None:
    """Take files out of an index; those that are not in it are ignored."""
    named = [(path,) for path in paths]
    for table in ("results", "wrong"):
        connection.executemany(
            f"DELETE FROM {table} WHERE file = (SELECT number FROM files WHERE path = ?)",  # noqa: S608 - of the two above
            named,
        )
    connection.executemany("DELETE FROM files WHERE path = ?", named)


def tidy(connection: sqlite3.Connection) -> None:
    """Drop texts that no result has any more."""
    used = " UNION ".join(f"SELECT [{column}] FROM results" for column in _TEXTS)  # noqa: S608 - names of fields
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
    file = _insert(connection, "files", row | (asdict(contents.run) if contents.run else {}))
    connection.executemany(
        "INSERT INTO wrong VALUES(?, ?, ?)", [(file, kind, words) for kind, words in contents.wrong]
    )
    for position, (key, samples, run) in enumerate(contents.results):
        row = {name: getattr(run, name) for name in _names(RESULT_FIELDS)}
        row |= {"file": file, "position": position, "key": asdict(key), "samples": samples}
        row |= {column: _text_number(connection, row[column]) for column in _TEXTS}
        _insert(connection, "results", row)


def _insert(connection: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> int | None:
    """Insert a row, column -> value, and return its number; NaN becomes NULL."""
    values = ", ".join("?" * len(row))
    return connection.execute(
        f"INSERT INTO {table}({_columns(row)}) VALUES({values})",
        tuple(row.values()),
    ).lastrowid


def _text_number(connection: sqlite3.Connection, value: Any) -> int:
    text = json.dumps(value, sort_keys=True)
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
    restore_run, restore_result = _restoring(_RUN_FIELDS), _restoring(RESULT_FIELDS, texts)
    files: dict[int, StoredFile] = {}
    of_run: dict[int, dict[str, Any]] = {}
    for number, path, foreign, *values in connection.execute(
        f"SELECT number, path, [foreign], {_columns(_names(_RUN_FIELDS))} FROM files"  # noqa: S608 - names of fields
        " WHERE date NOT NULL"
    ):
        run = StoredRunFacts(**restore_run(values))
        files[number] = StoredFile(path, run, foreign, [])
        of_run[number] = {
            "name": path.rpartition("/")[2].removesuffix(".json"),
            **{name: getattr(run, name) for name in _names(fields(RunFacts))},
        }
    keys = {
        number: HistoryKey(**texts[number])
        for (number,) in connection.execute("SELECT DISTINCT key FROM results")
    }
    for file, key, samples, *values in connection.execute(
        f"SELECT file, key, samples, {_columns(_names(RESULT_FIELDS))} FROM results"  # noqa: S608 - names of fields
        " ORDER BY file, position"
    ):
        run = HistoryRun(**of_run[file], **restore_result(values))
        files[file].results.append(StoredResult(keys[key], samples, run))
    return list(files.values())


def _restoring(
    of: Sequence[Field[Any]], texts: Mapping[int, Any] | None = None
) -> Callable[[Sequence[Any]], dict[str, Any]]:
    """Return what makes name -> value of the columns of fields.

    Args:
        of: the fields, in the order of the columns.
        texts: number -> what the text stands for.
    """
    names, convert = _names(of), [(field.name, _CONVERSIONS[field.type]) for field in of if field.type in _CONVERSIONS]
    convert += [(name, texts.__getitem__) for name in _mappings(of)] if texts is not None else []

    def restore(values: Sequence[Any]) -> dict[str, Any]:
        found = dict(zip(names, values, strict=True))
        for name, read in convert:
            found[name] = read(found[name])
        return found

    return restore


_CONVERSIONS: dict[Any, Callable[[Any], Any]] = {"float": number_or_nan, "bool": bool}
"""Annotation of a field -> what makes its value of that of its column, if that is another one."""


def _read_texts(connection: sqlite3.Connection) -> dict[int, Any]:
    """Return number -> what a text of an index stands for, all decoded at once."""
    texts = connection.execute("SELECT number, text FROM texts").fetchall()
    values = json.loads(f"[{','.join(text for _, text in texts)}]")
    return {number: value for (number, _), value in zip(texts, values, strict=True)}
