"""Folders that a process makes for itself, and how to tell those that a killed process left.

Each has host and process in its name. So two processes never share a folder that is being made, and
no lock is needed: at worst both install the same.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPLETE = "sdspeed-complete"
"""The name of the file that is written last into a folder that is to stay."""

_NAME = re.compile(r"sdspeed-[0-9a-f]+-(?P<host>\w+)-(?P<process>\d+)-\w+")


def make_folder(parent: Path | None, key: str) -> Path:
    """Make a new, empty folder of this process.

    Args:
        parent: folder to make it in, which is made too if need be; None for the system's temporary
            files.
        key: hexadecimal digits that identify what it will hold.

    Raises:
        OSError: it cannot be made.
    """
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    return Path(
        tempfile.mkdtemp(prefix=f"sdspeed-{key}-{_host()}-{os.getpid()}-", dir=parent)
    ).resolve()


def find_complete(parent: Path, key: str) -> Path | None:
    """Find a complete folder of a key, or None."""
    return next(
        (
            folder
            for folder in sorted(parent.resolve().glob(f"sdspeed-{key}-*"))
            if (folder / COMPLETE).is_file()
        ),
        None,
    )


def is_leftover(folder: Path) -> bool:
    """Tell whether a process of this host that has ended left a folder that is not to stay."""
    name = _NAME.fullmatch(folder.name)
    return (
        name is not None
        and name["host"] == _host()
        and not _is_alive(int(name["process"]))
        and not (folder / COMPLETE).exists()
    )


def find_leftovers(parent: Path | None) -> Iterator[Path]:
    """Yield the leftovers in a folder; none if it is None or does not exist."""
    if parent is not None and parent.is_dir():
        yield from (folder for folder in sorted(parent.resolve().iterdir()) if is_leftover(folder))


def remove(folder: Path) -> None:
    """Remove a folder as far as possible; the next run finds what cannot be removed now."""
    shutil.rmtree(folder, ignore_errors=True)


def _host() -> str:
    """Name this host, or container: process numbers are unique within one only."""
    return re.sub(r"\W", "_", platform.node()) or "host"


def _is_alive(process: int) -> bool:
    # On Windows signal 0 is Ctrl-C: leftovers stay there.
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
