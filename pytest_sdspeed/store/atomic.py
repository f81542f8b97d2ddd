"""Write files whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_NOTHING_BESIDE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY})
"""What a folder says that takes no new file, or no other file in the place of a mounted one."""
UNFINISHED = ".part"
"""Suffix of a file that is being written, which a run that is killed meanwhile leaves."""


def write_whole(target: Path, content: bytes, *, lasting: bool = True) -> None:
    """Write a file in one step: a process that is killed leaves the one that was there.

    Args:
        target: path of the file.
        content: its bytes.
        lasting: whether to wait until it would outlast a power failure too.

    Raises:
        OSError: it cannot be written; nothing of it stays, and the old one does.
    """
    with _write_beside(target, content, lasting=lasting) as unfinished:
        unfinished.replace(target)


def write_file(target: Path, content: bytes, *, lasting: bool = True) -> None:
    """Write what a user named: a file whole, as ``write_whole`` does; a device or a pipe directly.

    A file that is there, in a folder where no other can be made beside it, is written in place.

    Args:
        target: a path; of a link, the file that it leads to is written.
        content: its bytes.
        lasting: as for ``write_whole``.

    Raises:
        OSError: it cannot be written.
    """
    if target.exists() and not target.is_file():
        target.write_bytes(content)
        return
    try:
        write_whole(target.resolve(), content, lasting=lasting)
    except OSError as error:
        if error.errno not in _NOTHING_BESIDE or not target.exists():
            raise
        target.write_bytes(content)


def write_new(targets: Iterator[Path], content: bytes) -> Path:
    """Write a file in one step, under the first of some names that no other file has.

    Raises:
        OSError: it cannot be written; nothing of it stays.
    """
    target = next(targets)
    with _write_beside(target, content) as unfinished:
        while not _claim(target):
            target = next(targets)
        try:
            unfinished.replace(target)
        except BaseException:
            target.unlink()
            raise
    return target


def _claim(target: Path) -> bool:
    """Take a name unless somebody has it, and tell whether it was taken."""
    try:
        target.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@contextmanager
def _write_beside(target: Path, content: bytes, *, lasting: bool = True) -> Iterator[Path]:
    """Write the content beside its target, and yield that file; remove it if anything fails."""
    unfinished = target.with_name(f"{target.name}.{os.getpid()}{UNFINISHED}")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        yield unfinished
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
