"""An index of a place of stored runs, in SQLite: what a history keeps of every file, so that only new and changed files are read.

It is a cache. Whatever is wrong with it, it is made anew; where it cannot be used, the files are
read without it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import PlaceError
from pytest_sdspeed.history import database
from pytest_sdspeed.history.contents import FileContents, IndexedRuns
from pytest_sdspeed.history.storages import UNKNOWN, Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_sdspeed.history.storages import Listing, Storage

PATIENCE_S = 2.0
"""How long to wait for another process that writes the index: it writes for milliseconds, unless it
hangs."""
_BATCH = 200
"""Files that are read, then written in one step: a run that is killed leaves what it has read, and
no other one waits for long."""
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


def read_storage(place: Storage) -> IndexedRuns:
    """What is known of every stored run at a place, by its index, which is brought up to date.

    Returns:
        What the files hold; with what was found stand the lines on what kept the index from being
        used, or a part from being read.

    Raises:
        PlaceError: the place cannot be read at all.
    """
    found = place.scan()
    if not found.files and not place.index.is_file():
        return IndexedRuns(listing=found)
    try:
        return _through(place, found)
    except _DAMAGE as error:
        sound, problem = getattr(error, "sqlite_errorcode", 0) & 0xFF in _SOUND, str(error)
    if not sound:
        try:
            _remove(place.index)
            return _through(place, found)
        except (sqlite3.DatabaseError, OSError) as error:
            problem = str(error)
    line = f"sd history: {place.index}: {problem}: stored runs are read without their index"
    with closing(_copied(place.index) if sound else _connected(":memory:")) as memory:
        return _updated(memory, place, found._replace(problems=(*found.problems, line)))


def _through(place: Storage, found: Listing) -> IndexedRuns:
    """The contents of the index on the disk; one of ``_DAMAGE`` where it is damaged, or cannot be read or written."""
    # Where there can be no folder for it, there can be no index, and SQLite says so.
    with suppress(OSError):
        place.index.parent.mkdir(parents=True, exist_ok=True)
    with closing(_connected(place.index)) as connection:
        return _updated(connection, place, found)


def _connected(address: Path | str) -> sqlite3.Connection:
    """An index, new where there was none.

    Raises:
        ValueError: the file is of another version, or somebody else's.
    """
    connection = sqlite3.connect(address, timeout=PATIENCE_S, isolation_level=None)
    try:
        if database.is_empty(connection):
            _create(connection)
        database.check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    try:
        connection.executescript(database.SCHEMA)
    except sqlite3.OperationalError:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        # Another process may have made it meanwhile.
        if database.is_empty(connection):
            raise


def _remove(index: Path) -> None:
    """Take a damaged index away, and its journal, which would be played into the next one."""
    for file in (index, index.with_name(f"{index.name}-journal")):
        file.unlink(missing_ok=True)


def _copied(index: Path) -> sqlite3.Connection:
    """An index in memory: a copy of the one on the disk where that can be read, else a new one."""
    memory = _connected(":memory:")
    try:
        with closing(
            sqlite3.connect(f"{index.resolve().as_uri()}?mode=ro", timeout=0, uri=True)
        ) as disk:
            database.check(disk)
            disk.backup(memory)
    except (sqlite3.DatabaseError, ValueError):
        memory.close()
        return _connected(":memory:")
    return memory


def _updated(connection: sqlite3.Connection, place: Storage, found: Listing) -> IndexedRuns:
    """Forget the files that are gone, read those that are new or changed; of a place that is lost meanwhile, what is known stays."""
    known = database.fingerprints(connection)
    gone = known.keys() - found.files.keys()
    if gone:
        with _transaction(connection):
            database.forget(connection, gone)
            database.tidy(connection)
    # By name they are ordered by date, as they are when they come back.
    new = sorted(
        path
        for path, (_, stamp) in found.files.items()
        if stamp == UNKNOWN or known.get(path) != stamp
    )
    for start in range(0, len(new), _BATCH):
        batch, lost = _read(place, found, new[start : start + _BATCH])
        with _transaction(connection):
            database.forget(connection, batch)
            for path, (stamp, facts) in batch.items():
                database.insert(connection, path, stamp, facts)
        if lost:
            unread = len(new) - start - len(batch)
            line = f"sd history: {lost}: {unread} of {len(found.files)} files were not read"
            found = found._replace(problems=(*found.problems, line))
            break
    with _transaction(connection, "DEFERRED"):
        return database.read_contents(connection)._replace(listing=found)


def _read(
    place: Storage, found: Listing, paths: Sequence[str]
) -> tuple[dict[str, tuple[Fingerprint, FileContents]], PlaceError | None]:
    """What files hold, by path; and where the place was lost meanwhile, how: then only of the first ones."""
    batch = {}
    try:
        for path, content in zip(
            paths, place.fetch([found.files[path][0] for path in paths]), strict=True
        ):
            batch[path] = read(found.files[path][1], content)
    except PlaceError as error:
        return batch, error
    return batch, None


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """All of it or nothing: where it fails, closing the connection takes it back."""
    connection.execute(f"BEGIN {kind}")
    yield
    connection.execute("COMMIT")


def read(stamp: Fingerprint, content: bytes | OSError) -> tuple[Fingerprint, FileContents]:
    """What a file holds, and the stamp to know it by.

    Args:
        stamp: when the file was found.
        content: of the file, or why it cannot be read.
    """
    # The parser needs numpy, which a run that finds nothing new does without.
    from pytest_sdspeed.history.parsing import parse_file

    if isinstance(content, OSError):
        return UNKNOWN, FileContents(
            run=None, wrong=(("damaged", f"cannot be read: {content.strerror or content}"),)
        )
    return stamp, parse_file(content, max(stamp.mtime_ns, 0) / 1e9)
