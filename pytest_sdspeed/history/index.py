"""An index of a storage, in SQLite, so that only new and changed files are read.

It holds what histories keep, and is a cache. Whatever is wrong with it, it is made anew; if it
cannot be used, the files are read without it.
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
"""How long to wait for another process that writes the index, which takes milliseconds."""
_BATCH = 200
"""Files that are read, then written in one step.

A run that is killed leaves what it has read, and no other one waits for long."""
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


def read_storage(storage: Storage) -> IndexedRuns:
    """Update the index of a storage, and return what is known of every stored run there.

    Returns:
        What the files hold; its listing also has lines on what kept the index from being used, or a
        part from being read.

    Raises:
        PlaceError: the storage cannot be read at all.
    """
    listing = storage.scan()
    if not listing.files and not storage.index.is_file():
        return IndexedRuns(listing=listing)
    try:
        return _read_through(storage, listing)
    except _DAMAGE as error:
        sound, problem = getattr(error, "sqlite_errorcode", 0) & 0xFF in _SOUND, str(error)
    if not sound:
        try:
            _remove(storage.index)
            return _read_through(storage, listing)
        except (sqlite3.DatabaseError, OSError) as error:
            problem = str(error)
    line = f"sd history: {storage.index}: {problem}: stored runs are read without their index"
    with closing(_copy_to_memory(storage.index) if sound else _connect(":memory:")) as memory:
        return _update(memory, storage, listing._replace(problems=(*listing.problems, line)))


def _read_through(storage: Storage, listing: Listing) -> IndexedRuns:
    """Return what the index on the disk holds.

    Raises:
        DatabaseError, ValueError, TypeError, LookupError: it is damaged, or cannot be read or
            written (``_DAMAGE``).
    """
    # If there can be no folder for it, there can be no index, and SQLite says so.
    with suppress(OSError):
        storage.index.parent.mkdir(parents=True, exist_ok=True)
    with closing(_connect(storage.index)) as connection:
        return _update(connection, storage, listing)


def _connect(address: Path | str) -> sqlite3.Connection:
    """Open an index, a new one if there was none.

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
    """Remove a damaged index and its journal, which would be played into the next one."""
    for file in (index, index.with_name(f"{index.name}-journal")):
        file.unlink(missing_ok=True)


def _copy_to_memory(index: Path) -> sqlite3.Connection:
    """Return an index in memory: a copy of the one on the disk, or a new one if it fails."""
    memory = _connect(":memory:")
    try:
        with closing(
            sqlite3.connect(f"{index.resolve().as_uri()}?mode=ro", timeout=0, uri=True)
        ) as disk:
            database.check(disk)
            disk.backup(memory)
    except (sqlite3.DatabaseError, ValueError):
        memory.close()
        return _connect(":memory:")
    return memory


def _update(connection: sqlite3.Connection, storage: Storage, listing: Listing) -> IndexedRuns:
    """Forget the files that are gone, and read those that are new or changed.

    If the storage is lost meanwhile, what is known stays.
    """
    known = database.fingerprints(connection)
    gone = known.keys() - listing.files.keys()
    if gone:
        with _transaction(connection):
            database.forget(connection, gone)
            database.tidy(connection)
    # By name they are ordered by date, as they are when they come back.
    new = sorted(
        path
        for path, (_, fingerprint) in listing.files.items()
        if fingerprint == UNKNOWN or known.get(path) != fingerprint
    )
    for start in range(0, len(new), _BATCH):
        batch, lost = _read(storage, listing, new[start : start + _BATCH])
        with _transaction(connection):
            database.forget(connection, batch)
            for path, (fingerprint, facts) in batch.items():
                database.insert(connection, path, fingerprint, facts)
        if lost:
            unread = len(new) - start - len(batch)
            line = f"sd history: {lost}: {unread} of {len(listing.files)} files were not read"
            listing = listing._replace(problems=(*listing.problems, line))
            break
    with _transaction(connection, "DEFERRED"):
        return database.read_contents(connection)._replace(listing=listing)


def _read(
    storage: Storage, listing: Listing, paths: Sequence[str]
) -> tuple[dict[str, tuple[Fingerprint, FileContents]], PlaceError | None]:
    """Return path -> fingerprint and contents of files, and what went wrong.

    If the storage was lost meanwhile, only the first files are there.
    """
    batch = {}
    try:
        for path, content in zip(
            paths, storage.fetch([listing.files[path][0] for path in paths]), strict=True
        ):
            batch[path] = _parse(listing.files[path][1], content)
    except PlaceError as error:
        return batch, error
    return batch, None


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Write all of it or nothing: if it fails, closing the connection takes it back."""
    connection.execute(f"BEGIN {kind}")
    yield
    connection.execute("COMMIT")


def _parse(fingerprint: Fingerprint, content: bytes | OSError) -> tuple[Fingerprint, FileContents]:
    """Return what a file holds, and the fingerprint to know it by.

    Args:
        fingerprint: its fingerprint when it was listed.
        content: its bytes, or why it cannot be read.
    """
    # The parser needs numpy, which a run that finds nothing new does without.
    from pytest_sdspeed.history.parsing import parse_file

    if isinstance(content, OSError):
        return UNKNOWN, FileContents(
            run=None, wrong=(("damaged", f"cannot be read: {content.strerror or content}"),)
        )
    return fingerprint, parse_file(content, max(fingerprint.mtime_ns, 0) / 1e9)
