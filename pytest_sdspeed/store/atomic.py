"""Write files whole or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


UNFINISHED = ".part"
"""Suffix of a file that is being written; what a run leaves that is killed meanwhile."""


def write_whole(target: Path, content: bytes, *, lasting: bool = True) -> None:
    """Write a file in one step, over the one that is there: a process that is killed leaves the old one.

    Args:
        target: to write.
        content: of it.
        lasting: whether to wait until it would outlast a power failure too.

    Raises:
        OSError: it cannot be written; nothing of it stays, and the old one does.
    """
    with _written(target, content, lasting=lasting) as unfinished:
        unfinished.replace(target)


def write_new(targets: Iterator[Path], content: bytes) -> Path:
    """Write a file under the first of some names that no file has, in one step.

    Raises:
        OSError: it cannot be written; nothing of it stays.
    """
    target = next(targets)
    with _written(target, content) as unfinished:
        while not _claimed(target):
            target = next(targets)
        try:
            unfinished.replace(target)
        except BaseException:
            target.unlink()
            raise
    return target


def _claimed(target: Path) -> bool:
    """Take a name, unless somebody has it."""
    try:
        target.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@contextmanager
def _written(target: Path, content: bytes, *, lasting: bool = True) -> Iterator[Path]:
    """The content on the disk, beside its target, for as long as nothing goes wrong."""
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
