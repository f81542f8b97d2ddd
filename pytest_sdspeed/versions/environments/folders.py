"""Folders that one process makes for itself, and how those of a process that was killed are told from those in use.

Each carries host and process in its name. So two processes never share a folder that is being made, and no lock is needed: at worst both
install the same.
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
"""Name of the file that is written last into a folder that is to stay."""

_NAME = re.compile(r"sdspeed-[0-9a-f]+-(?P<host>\w+)-(?P<process>\d+)-\w+")


def fresh(parent: Path | None, key: str) -> Path:
    """Make a new, empty folder of this process.

    Args:
        parent: where; made too if need be. None: among the system's temporary files.
        key: hexadecimal digits that tell what it will hold.

    Raises:
        OSError: it cannot be made.
    """
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"sdspeed-{key}-{_host()}-{os.getpid()}-", dir=parent)).resolve()


def complete(parent: Path, key: str) -> Path | None:
    """A finished folder of a key, or None."""
    return next((folder for folder in sorted(parent.resolve().glob(f"sdspeed-{key}-*")) if (folder / COMPLETE).is_file()), None)


def is_leftover(folder: Path) -> bool:
    """Whether a folder is of a process of this host that is no more, and not to stay."""
    name = _NAME.fullmatch(folder.name)
    return name is not None and name["host"] == _host() and not _alive(int(name["process"])) and not (folder / COMPLETE).exists()


def leftovers(parent: Path | None) -> Iterator[Path]:
    """The leftovers in a folder; none where it is None or not there."""
    if parent is not None and parent.is_dir():
        yield from (folder for folder in sorted(parent.resolve().iterdir()) if is_leftover(folder))


def remove(folder: Path) -> None:
    """Remove a folder as far as possible: what cannot be removed now is a leftover of the next run."""
    shutil.rmtree(folder, ignore_errors=True)


def _host() -> str:
    """This host, or container: a process number says nothing of another one's processes."""
    return re.sub(r"\W", "_", platform.node()) or "host"


def _alive(process: int) -> bool:
    # Windows takes the signal 0 for Ctrl-C: there leftovers stay.
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
