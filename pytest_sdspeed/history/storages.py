"""Which files of stored runs lie at a place, and what they hold. A place is a local folder; ``remote`` has the others."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pytest_sdspeed.errors import PlaceError
from pytest_sdspeed.store.atomic import UNFINISHED
from pytest_sdspeed.store.files import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

NAME = "sdspeed-index.sqlite3"
"""Of the index in a local folder; no pattern of pytest-benchmark's meets it."""


class Fingerprint(NamedTuple):
    """What changes with a file: when it was written, in nanoseconds since the epoch, its bytes, and what else its file system tells."""

    mtime_ns: int
    size: int
    marks: str = ""


UNKNOWN = Fingerprint(-1, -1)
"""Of a file that could not be read, or whose changes its file system does not tell: it is read
again the next time."""


class Listing(NamedTuple):
    """What lies at a place.

    Attributes:
        files: path from the place, printable -> where it is, and its stamp.
        unfinished: paths of what a killed run left, or a running one writes, printable.
        problems: lines on what cannot be read.
    """

    files: Mapping[str, tuple[str, Fingerprint]] = {}
    unfinished: Sequence[str] = ()
    problems: tuple[str, ...] = ()


class Storage(Protocol):
    """Where stored runs lie."""

    @property
    def index(self) -> Path:
        """The file of its index, on this machine."""
        ...

    def named(self, path: str) -> str:
        """What a message calls a file, by its path from the place; or the place itself, by ""."""
        ...

    def scan(self) -> Listing:
        """Every JSON file at the place.

        Raises:
            PlaceError: it cannot be read.
        """
        ...

    def fetch(self, files: Sequence[str]) -> Iterator[bytes | OSError]:
        """What files hold, or why a file cannot be read, in their order.

        Args:
            files: where they are, as ``scan`` found them or beside those.

        Raises:
            PlaceError: the place cannot be reached any more.
        """
        ...

    def pictures(self, run: str, names: Iterable[str]) -> AbstractContextManager[Path]:
        """A folder of this machine with the pictures of a stored run, for as long as they are read.

        Args:
            run: where its file is.
            names: paths of the pictures, from the folder of that file, whoever wrote them.

        Raises:
            PlaceError: the place cannot be reached any more.
        """
        ...


class Folder:
    """A folder of stored runs on this machine.

    Args:
        root: there may be none.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def index(self) -> Path:
        """The file of its index: it moves with the folder."""
        return self._root / NAME

    def named(self, path: str) -> str:
        """A file's path."""
        return str(self._root / path)

    def scan(self) -> Listing:
        """Every JSON file below the folder; none where there is no folder.

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
                            pending.append((entry.path, f"{prefix}{printable(entry.name)}/"))
                        elif entry.name.endswith(".json") and entry.is_file():
                            status = entry.stat()
                            files[prefix + printable(entry.name)] = (
                                entry.path,
                                Fingerprint(status.st_mtime_ns, status.st_size),
                            )
                        elif is_unfinished(entry.name):
                            unfinished.append(prefix + printable(entry.name))
            except FileNotFoundError:
                # It went while it was looked at.
                continue
            except OSError as error:
                if not prefix:
                    raise PlaceError(f"{inside}: {error.strerror}") from None
                problems.append(f"sd history: {inside}: {error.strerror}")
        return Listing(files, sorted(unfinished), tuple(problems))

    def fetch(self, files: Sequence[str]) -> Iterator[bytes | OSError]:
        """What files hold, one after the other."""
        for file in files:
            try:
                yield Path(file).read_bytes()
            except OSError as error:
                yield error

    @contextmanager
    def pictures(self, run: str, names: Iterable[str]) -> Iterator[Path]:
        """The folder that the pictures lie in."""
        del names
        yield Path(run).parent


def is_unfinished(name: str) -> bool:
    """Whether a file is what a killed run left, or a running one writes, by its name."""
    return name.endswith(UNFINISHED) and ".json." in name
