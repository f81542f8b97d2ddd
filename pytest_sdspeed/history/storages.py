"""Where stored runs are kept: a folder of this machine, or what ``remote`` has."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pytest_sdspeed.errors import PlaceError
from pytest_sdspeed.store.atomic import UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

NAME = "sdspeed-index.sqlite3"
"""File name of the index in a local folder; no pattern of pytest-benchmark's matches it."""


class Fingerprint(NamedTuple):
    """What changes with a file.

    Attributes:
        mtime_ns: when it was written, nanoseconds since the epoch.
        size: bytes.
        marks: what else its file system tells.
    """

    mtime_ns: int
    size: int
    marks: str = ""


UNKNOWN = Fingerprint(-1, -1)
"""Fingerprint of a file that could not be read, or whose file system does not tell changes.

Such a file is read again the next time."""


class Listing(NamedTuple):
    """What lies at a storage.

    Attributes:
        files: path from the storage, printable -> where it is, and its fingerprint.
        unfinished: printable paths of what a killed run left, or a running one writes.
        problems: lines on what cannot be read.
    """

    files: Mapping[str, tuple[str, Fingerprint]] = {}
    unfinished: Sequence[str] = ()
    problems: tuple[str, ...] = ()


class Storage(Protocol):
    """Where stored runs are kept."""

    @property
    def index(self) -> Path:
        """Return the file of its index, on this machine."""
        ...

    def describe(self, path: str) -> str:
        """Return what messages call a file, by its path from the storage, or the storage ("")."""
        ...

    def scan(self) -> Listing:
        """Return every JSON file at the storage.

        Raises:
            PlaceError: it cannot be read.
        """
        ...

    def fetch(self, files: Sequence[str]) -> Iterator[bytes | OSError]:
        """Yield what files hold, or why a file cannot be read, in their order.

        Args:
            files: where they are, as ``scan`` found them or beside those.

        Raises:
            PlaceError: the storage cannot be reached any more.
        """
        ...

    def fetch_pictures(self, run: str, names: Iterable[str]) -> AbstractContextManager[Path]:
        """Yield a folder of this machine with the pictures of a stored run, while they are read.

        Args:
            run: where the run's file is.
            names: paths of the pictures from the folder of that file, whoever wrote them.

        Raises:
            PlaceError: the storage cannot be reached any more.
        """
        ...


class Folder:
    """A folder of stored runs on this machine.

    Args:
        root: path of the folder; there may be none.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def index(self) -> Path:
        """Return the file of its index: it moves with the folder."""
        return self._root / NAME

    def describe(self, path: str) -> str:
        """Return a file's path."""
        return str(self._root / path)

    def scan(self) -> Listing:
        """Return every JSON file below the folder; none if there is no folder.

        Raises:
            PlaceError: the folder cannot be read.
        """
        files: dict[str, tuple[str, Fingerprint]] = {}
        unfinished, problems, pending = [], [], [(str(self._root), "")]
        while pending:
            inside, prefix = pending.pop()
            try:
                with os.scandir(inside) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            pending.append((entry.path, f"{prefix}{make_printable(entry.name)}/"))
                        elif entry.name.endswith(".json") and entry.is_file():
                            status = entry.stat()
                            files[prefix + make_printable(entry.name)] = (
                                entry.path,
                                Fingerprint(status.st_mtime_ns, status.st_size),
                            )
                        elif is_unfinished(entry.name):
                            unfinished.append(prefix + make_printable(entry.name))
            except FileNotFoundError:
                # It was deleted while it was listed.
                continue
            except OSError as error:
                if not prefix:
                    raise PlaceError(f"{inside}: {error.strerror}") from None
                problems.append(f"sd history: {inside}: {error.strerror}")
        return Listing(files, sorted(unfinished), tuple(problems))

    def fetch(self, files: Sequence[str]) -> Iterator[bytes | OSError]:
        """Yield what files hold, one after the other."""
        for file in files:
            try:
                yield Path(file).read_bytes()
            except OSError as error:
                yield error

    @contextmanager
    def fetch_pictures(self, run: str, names: Iterable[str]) -> Iterator[Path]:
        """Yield the folder that the pictures lie in."""
        del names
        yield Path(run).parent


def is_unfinished(name: str) -> bool:
    """Tell by its name whether a file is what a killed run left, or a running one writes."""
    return name.endswith(UNFINISHED) and ".json." in name


def make_printable(name: str) -> str:
    """Return a name as text that can be written.

    Names of files are bytes of any kind, and JSON may hold halves of characters.
    """
    return name.encode(errors="backslashreplace").decode()
