"""The line of code that asks for something, whoever's it is."""

from __future__ import annotations

import linecache
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_ROOM = str(Path(__file__).parent)
_SEPARATORS = ("site-packages", "dist-packages", "src")
"""Folders that packages are in."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A line of code.

    Attributes:
        file: path from the folder that its package or project is in.
        line: number of the line, from 1; 0 if there is none.
        code: the line without its indentation, or "" if its source is not at hand.
    """

    file: str
    line: int
    code: str


def find_caller() -> Caller:
    """Return the innermost line of code that runs now and is not torch's or the counting device's.

    A statement of several lines is told by the line that runs.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the documented way to the stack
    while frame is not None and is_inside(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None:
        return Caller("?", 0, "")
    return _read_line(frame.f_code.co_filename, frame.f_lineno)


@cache
def is_inside(filename: str) -> bool:
    """Tell whether a file belongs to torch, to the counting device, or to no file at all."""
    return filename.startswith(("<", _ROOM, _find_torch()))


@cache
def _find_torch() -> str:
    import torch

    return str(Path(torch.__file__).parent)


@cache
def _read_line(filename: str, line: int) -> Caller:
    return Caller(shorten(filename), line, linecache.getline(filename, line).strip())


def shorten(filename: str) -> str:
    """Return a path from the folder that its package or project is in.

    ``/home/me/lib/python3.12/site-packages/diffusers/utils.py`` is ``diffusers/utils.py``, and a
    file under the current folder is named from there.
    """
    path = Path(filename)
    parts = path.parts
    for folder in _SEPARATORS:
        if folder in parts[:-1]:
            at = len(parts) - 1 - parts[::-1].index(folder)
            return "/".join(parts[at + 1 :])
    if path.is_relative_to(Path.cwd()):
        return path.relative_to(Path.cwd()).as_posix()
    return path.as_posix()
