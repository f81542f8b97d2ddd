"""The tables of an index, and how the facts of a file are put into them and come back."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.history.facts import ResultFacts, RunFacts, Series, run_in_history
from pytest_sdspeed.history.places import Found, Stamp

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from pytest_sdspeed.history.facts import FileFacts, Kind
    from pytest_sdspeed.model import HistoryRun

VERSION = 2
"""Of the tables."""
OWNER = 0x5D59EED
"""Marks a file of SQLite as an index of this plugin (``PRAGMA application_id``)."""
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE files(id INTEGER PRIMARY KEY, path TEXT UNIQUE, mtime_ns INTEGER, size INTEGER, marks TEXT,
                   date TEXT, commit_id TEXT, dirty INTEGER, host TEXT, dated INTEGER, run TEXT, of_others INTEGER);
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
    "SELECT file, series, samples, versions, canary_s, verdict, speedup, low, high, latency_s, baseline_latency_s, reference "
    "FROM results ORDER BY file, number"
)
_OTHERS = (
    "SELECT coalesce(sum(NOT own), 0), coalesce(sum(own * of_others), 0) FROM "
    "(SELECT of_others, id IN (SELECT file FROM results UNION SELECT file FROM wrong) AS own FROM files WHERE of_others > 0)"
)


class StoredFile(NamedTuple):
    """What is known of a file that holds a run.

    Attributes:
        path: from its place, printable.
        run: what holds for all its results.
        of_others: how many of its benchmarks are not this plugin's.
        results: of this plugin, in order, each with its series and what tells its samples from others.
    """

    path: str
    run: RunFacts
    of_others: int
    results: list[tuple[Series, int, HistoryRun]]


class Contents(NamedTuple):
    """What is known of a place.

    Attributes:
        files: those that hold runs.
        wrong: path of a file, from the folder, printable; what kind of thing is wrong with it, and what.
        files_of_others: how many files hold nothing of this plugin.
        benchmarks_of_others: how many benchmarks that are not this plugin's stand in files that hold its own.
        found: what lies there.
    """

    files: Sequence[StoredFile] = ()
    wrong: Sequence[tuple[str, Kind, str]] = ()
    files_of_others: int = 0
    benchmarks_of_others: int = 0
    found: Found = Found()


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
    return {path: Stamp(*stamp) for path, *stamp in connection.execute("SELECT path, mtime_ns, size, marks FROM files")}


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
    file = connection.execute(
        "INSERT INTO files VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (path, *stamp, *run, facts.foreign)
    ).lastrowid
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


def contents(connection: sqlite3.Connection) -> Contents:
    """Everything that an index holds."""
    files_of_others, benchmarks_of_others = connection.execute(_OTHERS).fetchone()
    return Contents(
        files=_files(connection),
        wrong=connection.execute("SELECT path, kind, words FROM wrong JOIN files ON file = id ORDER BY path").fetchall(),
        files_of_others=files_of_others,
        benchmarks_of_others=benchmarks_of_others,
    )


def _files(connection: sqlite3.Connection) -> list[StoredFile]:
    """The files that hold runs, with their results."""
    decoded = _decoded(connection)
    files = {
        file: StoredFile(path, RunFacts(date, commit, bool(dirty), host, bool(dated), run), of_others, [])
        for file, path, date, commit, dirty, host, dated, run, of_others in connection.execute(
            "SELECT id, path, date, commit_id, dirty, host, dated, run, of_others FROM files WHERE date NOT NULL"
        )
    }
    names = {file: path.rpartition("/")[2].removesuffix(".json") for file, (path, *_) in files.items()}
    kinds = {series: Series(*decoded[series]) for (series,) in connection.execute("SELECT DISTINCT series FROM results")}
    rows = connection.execute(_RESULTS)
    for file, series, samples, versions, canary_s, verdict, speedup, low, high, latency_s, baseline_latency_s, reference in rows:
        facts = ResultFacts(
            verdict,
            math.nan if speedup is None else speedup,
            math.nan if low is None else low,
            math.nan if high is None else high,
            latency_s,
            baseline_latency_s,
            bool(reference),
            samples,
            decoded[versions],
            decoded[canary_s],
        )
        files[file].results.append((kinds[series], samples, run_in_history(names[file], files[file].run, facts)))
    return list(files.values())


def _decoded(connection: sqlite3.Connection) -> dict[int, Any]:
    """What the texts of an index stand for, by number, all decoded at once."""
    texts = connection.execute("SELECT id, text FROM texts").fetchall()
    values = json.loads(f"[{','.join(text for _, text in texts)}]")
    return {number: value for (number, _), value in zip(texts, values, strict=True)}
