"""Which files of stored runs lie below a folder, and what they hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from pytest_sdspeed.history.facts import FileFacts
from pytest_sdspeed.history.storage import UNFINISHED


class Stamp(NamedTuple):
    """What changes with a file: when it was written, in nanoseconds since the epoch, and its bytes."""

    mtime_ns: int
    size: int


UNREADABLE = Stamp(-1, -1)
"""Of a file that could not be read: it is tried again the next time."""


class Found(NamedTuple):
    """What lies below a folder.

    Attributes:
        files: path from the folder, printable -> where it is, and its stamp.
        unfinished: paths of what a killed run left, or a running one writes, printable.
        problems: lines on folders that cannot be read.
    """

    files: dict[str, tuple[str, Stamp]]
    unfinished: list[str]
    problems: tuple[str, ...]


def scan(folder: Path) -> Found:
    """Every JSON file below a folder; none where there is no folder."""
    files: dict[str, tuple[str, Stamp]] = {}
    unfinished, problems, pending = [], [], [(str(folder), "")]
    while pending:
        inside, prefix = pending.pop()
        try:
            with os.scandir(inside) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((entry.path, f"{prefix}{_printable(entry.name)}/"))
                    elif entry.name.endswith(".json") and entry.is_file():
                        status = entry.stat()
                        files[prefix + _printable(entry.name)] = entry.path, Stamp(status.st_mtime_ns, status.st_size)
                    elif entry.name.endswith(UNFINISHED) and ".json." in entry.name:
                        unfinished.append(prefix + _printable(entry.name))
        except FileNotFoundError:
            # It went while it was looked at.
            continue
        except OSError as error:
            problems.append(f"sd history: {inside}: {error.strerror}")
    return Found(files, sorted(unfinished), tuple(problems))


def read(path: str, stamp: Stamp) -> tuple[Stamp, FileFacts]:
    """What a file holds, and the stamp to know it by.

    Args:
        path: of the file.
        stamp: when it was found.
    """
    # The parser needs numpy, which a run that finds nothing new does without.
    from pytest_sdspeed.history.parsing import file_facts

    try:
        return stamp, file_facts(Path(path).read_bytes(), stamp.mtime_ns / 1e9)
    except OSError as error:
        return UNREADABLE, FileFacts(run=None, wrong=(("damaged", f"cannot be read: {error.strerror}"),))


def _printable(name: str) -> str:
    """A name as text that can be written: names of files are bytes of any kind."""
    return name.encode(errors="backslashreplace").decode()
