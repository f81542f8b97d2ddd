"""Where stored runs are kept: a folder of this machine, or what ``remote`` has."""

from __future__ import annotations

import os
import stat
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


ACKNOWLEDGED = "acknowledged.toml"
"""File name of the changes that were accepted, beside the runs or below."""


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
        acknowledged: path from the storage, printable -> where it is, of files of changes that were
            accepted.
    """

    files: Mapping[str, tuple[str, Fingerprint]] = {}
    unfinished: Sequence[str] = ()
    problems: tuple[str, ...] = ()
    acknowledged: Mapping[str, str] = {}


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

        Links are followed. A file or folder that is reached in two ways counts once, under the name
        without links if it has one.

        Raises:
            PlaceError: the folder cannot be read.
        """
        scan = _Scan()
        pending: list[tuple[str, str]] = [(str(self._root), "")]
        while pending:
            inside, prefix = pending.pop()
            try:
                pending += scan.enter(inside, prefix)
            except FileNotFoundError:
                # It was deleted while it was listed.
                pass
            except OSError as error:
                if not prefix:
                    raise PlaceError(f"{inside}: {error.strerror}") from None
                scan.problems.append(f"sd history: {inside}: {error.strerror}")
            while scan.links and not pending:
                pending += scan.follow(*scan.links.pop(0))
        return Listing(scan.files, sorted(scan.unfinished), tuple(scan.problems), scan.acknowledged)

    def fetch(self, files: Sequence[str]) -> Iterator[bytes | OSError]:
        """Yield what files hold, one after the other."""
        for file in files:
            try:
                yield Path(file).read_bytes()
            except OSError as error:
                yield error

    @contextmanager
    def fetch_pictures(self, run: str, names: Iterable[str]) -> Iterator[Path]:
        """Yield the folder that the pictures lie in: beside the file, or what it is a link to."""
        here = Path(run).parent
        beside = all((here / name).exists() for name in names)
        yield here if beside else Path(run).resolve().parent


class _Scan:
    """What was found below a folder so far, and the links that were not followed yet.

    What is no link is listed first, so that a link to it is the second way.
    """

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, Fingerprint]] = {}
        self.unfinished: list[str] = []
        self.acknowledged: dict[str, str] = {}
        self.problems: list[str] = []
        self.links: list[tuple[str, str]] = []
        self._seen: set[tuple[int, int]] = set()

    def enter(self, folder: str, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield the folders in a folder that was not listed yet, each with its prefix.

        Args:
            folder: path of the folder.
            prefix: what printable paths of its files begin with.

        Raises:
            OSError: it cannot be read.
        """
        if not self._is_new(os.stat(folder)):  # noqa: PTH116 - as its entries are
            return
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = prefix + make_printable(entry.name)
                if entry.is_symlink():
                    self.links.append((entry.path, name))
                elif entry.is_dir():
                    yield entry.path, f"{name}/"
                elif entry.name.endswith(".json") and entry.is_file():
                    self._add(entry.path, name, entry.stat())
                elif entry.name == ACKNOWLEDGED and entry.is_file():
                    self.acknowledged[name] = entry.path
                elif is_unfinished(entry.name):
                    self.unfinished.append(name)

    def follow(self, path: str, name: str) -> Iterator[tuple[str, str]]:
        """Add the file that a link leads to, or yield the folder, with its prefix."""
        try:
            status = os.stat(path)  # noqa: PTH116 - as the entries of folders are
        except OSError:
            # It leads nowhere.
            return
        if stat.S_ISDIR(status.st_mode):
            yield path, f"{name}/"
        elif name.endswith(".json") and stat.S_ISREG(status.st_mode):
            self._add(path, name, status)
        elif name.rpartition("/")[2] == ACKNOWLEDGED and stat.S_ISREG(status.st_mode):
            self.acknowledged[name] = path

    def _add(self, path: str, name: str, status: os.stat_result) -> None:
        if self._is_new(status):
            self.files[name] = path, Fingerprint(status.st_mtime_ns, status.st_size)

    def _is_new(self, status: os.stat_result) -> bool:
        """Tell whether a file or folder is met for the first time. Windows may not number it."""
        known = status.st_ino != 0 and (status.st_dev, status.st_ino) in self._seen
        self._seen.add((status.st_dev, status.st_ino))
        return not known


def is_unfinished(name: str) -> bool:
    """Tell by its name whether a file is what a killed run left, or a running one writes."""
    return name.endswith(UNFINISHED) and ".json." in name


def make_printable(name: str) -> str:
    """Return a name as text that can be written.

    Names of files are bytes of any kind, and JSON may hold halves of characters.
    """
    return name.encode(errors="backslashreplace").decode()
