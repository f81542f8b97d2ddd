"""An index of a folder of stored runs, in SQLite: what a history keeps of every file, so that only new and changed files are read.

It is a cache. Whatever is wrong with it, it is made anew; where it cannot be used, the files are read without it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from pytest_sdspeed.history import rows
from pytest_sdspeed.history.rows import Contents
from pytest_sdspeed.history.scanning import read, scan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_sdspeed.history.scanning import Found

NAME = "sdspeed-index.sqlite3"
"""In the folder of stored runs; no pattern of pytest-benchmark's meets it."""
PATIENCE_S = 2.0
"""How long to wait for another process that writes the index: it writes for milliseconds, unless it hangs."""
_BATCH = 200
"""Files that are read, then written in one step: a run that is killed leaves what it has read, and no other one waits for long."""
_DAMAGE = (sqlite3.DatabaseError, ValueError, TypeError, LookupError)
"""What a damaged index raises, one way or another."""
_SOUND = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
)
"""Errors of SQLite that say nothing against what an index holds."""


def contents(folder: Path) -> tuple[Contents, tuple[str, ...]]:
    """What is known of every stored run below a folder, by its index, which is brought up to date.

    Args:
        folder: there may be none.

    Returns:
        What the files hold, and lines on what kept the index from being used or a folder from being read.
    """
    found = scan(folder)
    if not found.files and not (folder / NAME).is_file():
        return Contents(unfinished=found.unfinished), found.problems
    try:
        return _through(folder, found), found.problems
    except _DAMAGE as error:
        sound, problem = getattr(error, "sqlite_errorcode", 0) & 0xFF in _SOUND, str(error)
    if not sound:
        try:
            _remove(folder)
            return _through(folder, found), found.problems
        except (sqlite3.DatabaseError, OSError) as error:
            problem = str(error)
    with closing(_copied(folder) if sound else _connected(":memory:")) as memory:
        return _updated(memory, found), (
            *found.problems,
            f"sd history: {folder / NAME}: {problem}: stored runs are read without their index",
        )


def _through(folder: Path, found: Found) -> Contents:
    """The contents of the index on the disk; one of ``_DAMAGE`` where it is damaged, or cannot be read or written."""
    with closing(_connected(folder / NAME)) as connection:
        return _updated(connection, found)


def _connected(address: Path | str) -> sqlite3.Connection:
    """An index, new where there was none.

    Raises:
        ValueError: the file is of another version, or somebody else's.
    """
    connection = sqlite3.connect(address, timeout=PATIENCE_S, isolation_level=None)
    try:
        if rows.is_empty(connection):
            _create(connection)
        rows.check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    try:
        connection.executescript(rows.SCHEMA)
    except sqlite3.OperationalError:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        # Another process may have made it meanwhile.
        if rows.is_empty(connection):
            raise


def _remove(folder: Path) -> None:
    """Take a damaged index away, and its journal, which would be played into the next one."""
    for name in (NAME, f"{NAME}-journal"):
        (folder / name).unlink(missing_ok=True)


def _copied(folder: Path) -> sqlite3.Connection:
    """An index in memory: a copy of the one on the disk where that can be read, else a new one."""
    memory = _connected(":memory:")
    try:
        with closing(sqlite3.connect(f"{(folder / NAME).resolve().as_uri()}?mode=ro", timeout=0, uri=True)) as disk:
            rows.check(disk)
            disk.backup(memory)
    except (sqlite3.DatabaseError, ValueError):
        memory.close()
        return _connected(":memory:")
    return memory


def _updated(connection: sqlite3.Connection, found: Found) -> Contents:
    """Forget the files that are gone, read those that are new or changed."""
    known = rows.stamps(connection)
    gone = known.keys() - found.files.keys()
    if gone:
        with _transaction(connection):
            rows.forget(connection, gone)
            rows.tidy(connection)
    # By name they are ordered by date, as they are when they come back.
    new = sorted(path for path, (_, stamp) in found.files.items() if known.get(path) != stamp)
    for start in range(0, len(new), _BATCH):
        batch = {path: read(*found.files[path]) for path in new[start : start + _BATCH]}
        with _transaction(connection):
            rows.forget(connection, batch)
            for path, (stamp, facts) in batch.items():
                rows.insert(connection, path, stamp, facts)
    with _transaction(connection, "DEFERRED"):
        return rows.contents(connection)._replace(unfinished=found.unfinished)


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All of it or nothing: where it fails, closing the connection takes it back."""
    connection.execute(f"BEGIN {kind}")
    yield
    connection.execute("COMMIT")
