"""The tables of an index, and how the facts of a file are put into them and come back."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.history.facts import ResultFacts, RunFacts, Series
from pytest_sdspeed.history.scanning import Stamp

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_sdspeed.history.facts import FileFacts, Kind

VERSION = 1
"""Of the tables."""
OWNER = 0x5D59EED
"""Marks a file of SQLite as an index of this plugin (``PRAGMA application_id``)."""
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE files(id INTEGER PRIMARY KEY, path TEXT UNIQUE, mtime_ns INTEGER, size INTEGER,
                   date TEXT, commit_id TEXT, dirty INTEGER, host TEXT, of_others INTEGER);
CREATE TABLE wrong(file INTEGER, kind TEXT, words TEXT, PRIMARY KEY (file, kind)) WITHOUT ROWID;
CREATE TABLE texts(id INTEGER PRIMARY KEY, text TEXT UNIQUE);
CREATE TABLE results(file INTEGER, number INTEGER, series INTEGER, image_verdict TEXT, verdict TEXT, speedup REAL, low REAL, high REAL,
                     latency_s REAL, baseline_latency_s REAL, reference INTEGER, samples INTEGER, versions INTEGER, canary_s INTEGER,
                     PRIMARY KEY (file, number)) WITHOUT ROWID;
PRAGMA application_id = {OWNER};
PRAGMA user_version = {VERSION};
COMMIT;
"""
"""``series``, ``versions`` and ``canary_s`` are numbers of texts, as many results share one."""
_RESULTS = (
    "SELECT file, series, verdict, speedup, low, high, latency_s, baseline_latency_s, reference, samples, versions, canary_s "
    "FROM results ORDER BY file, number"
)


class Contents(NamedTuple):
    """What an index holds; files are known by their numbers.

    Attributes:
        paths: of every file, from the folder, printable.
        runs: what a file that is a stored run says of the run.
        of_others: how many benchmarks of a file are not this plugin's.
        results: file, series, facts; ordered by file, and inside a file as they stand there.
        wrong: file, what kind of thing is wrong with it, and what.
        unfinished: paths of files that were never finished, printable.
    """

    paths: Mapping[int, str] = {}
    runs: Mapping[int, RunFacts] = {}
    of_others: Mapping[int, int] = {}
    results: Sequence[tuple[int, Series, ResultFacts]] = ()
    wrong: Sequence[tuple[int, Kind, str]] = ()
    unfinished: Sequence[str] = ()


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether nothing was ever written to a database."""
    return not any(_mark(connection, name) for name in ("application_id", "user_version", "schema_version"))


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


def stamps(connection: sqlite3.Connection) -> dict[str, Stamp]:
    """The files of an index, by path."""
    return {path: Stamp(*stamp) for path, *stamp in connection.execute("SELECT path, mtime_ns, size FROM files")}


def forget(connection: sqlite3.Connection, paths: Iterable[str]) -> None:
    """Take files out of an index; those that are not in it are ignored."""
    named = [(path,) for path in paths]
    connection.executemany("DELETE FROM results WHERE file = (SELECT id FROM files WHERE path = ?)", named)
    connection.executemany("DELETE FROM wrong WHERE file = (SELECT id FROM files WHERE path = ?)", named)
    connection.executemany("DELETE FROM files WHERE path = ?", named)


def tidy(connection: sqlite3.Connection) -> None:
    """Drop texts that no result has any more."""
    connection.execute(
        "DELETE FROM texts WHERE id NOT IN "
        "(SELECT series FROM results UNION SELECT versions FROM results UNION SELECT canary_s FROM results)"
    )


def insert(connection: sqlite3.Connection, path: str, stamp: Stamp, facts: FileFacts) -> None:
    """Put a file into an index that does not have it.

    Args:
        connection: to the index.
        path: from the folder, printable.
        stamp: tells when the file has changed.
        facts: what it holds.
    """
    run = facts.run or (None,) * len(RunFacts._fields)
    file = connection.execute("INSERT INTO files VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?)", (path, *stamp, *run, facts.foreign)).lastrowid
    connection.executemany("INSERT INTO wrong VALUES(?, ?, ?)", [(file, kind, words) for kind, words in facts.wrong])
    for number, (series, image_verdict, (*figures, versions, canary_s)) in enumerate(facts.results):
        text_ids = [_text_id(connection, fact) for fact in (series, versions, canary_s)]
        values = (file, number, text_ids[0], image_verdict, *figures, *text_ids[1:])
        connection.execute("INSERT INTO results VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def _text_id(connection: sqlite3.Connection, fact: Any) -> int:
    text = json.dumps(fact, sort_keys=True)
    connection.execute("INSERT OR IGNORE INTO texts(text) VALUES(?)", (text,))
    (number,) = connection.execute("SELECT id FROM texts WHERE text = ?", (text,)).fetchone()
    return int(number)


class _Decoded(dict[int, Any]):
    """Texts by number, each decoded when it is first asked for, so that equal ones are one object."""

    def __init__(self, texts: Mapping[int, str], make: Callable[[Any], Any] = lambda decoded: decoded) -> None:
        self._texts, self._make = texts, make

    def __missing__(self, number: int) -> Any:
        self[number] = made = self._make(json.loads(self._texts[number]))
        return made


def contents(connection: sqlite3.Connection) -> Contents:
    """Everything that an index holds."""
    texts = dict(connection.execute("SELECT id, text FROM texts"))
    series, mappings = _Decoded(texts, lambda names: Series(*names)), _Decoded(texts)
    files = connection.execute("SELECT id, path, of_others, date, commit_id, dirty, host FROM files").fetchall()
    return Contents(
        paths={file: path for file, path, *_ in files},
        runs={file: RunFacts(date, commit, bool(dirty), host) for file, _, _, date, commit, dirty, host in files if date is not None},
        of_others={file: number for file, _, number, *_ in files},
        results=[
            (
                file,
                series[name],
                ResultFacts(
                    verdict,
                    math.nan if speedup is None else speedup,
                    math.nan if low is None else low,
                    math.nan if high is None else high,
                    latency_s,
                    baseline_latency_s,
                    bool(reference),
                    samples,
                    mappings[versions],
                    mappings[canary_s],
                ),
            )
            for (
                file,
                name,
                verdict,
                speedup,
                low,
                high,
                latency_s,
                baseline_latency_s,
                reference,
                samples,
                versions,
                canary_s,
            ) in connection.execute(_RESULTS)
        ],
        wrong=connection.execute("SELECT file, kind, words FROM wrong ORDER BY file").fetchall(),
    )
