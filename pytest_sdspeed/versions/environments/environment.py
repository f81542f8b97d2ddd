"""What is known of one side of a comparison."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from pytest_sdspeed.errors import UsageMistakeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side: an interpreter, and what its process must import from where.

    Attributes:
        label: what a reader calls it: "diffusers 0.41.0", "main (3f2a1bc)", "../diffusers-fork (at 1a2b3c4, changed)".
        python: the interpreter to start.
        roots: folders whose top-level modules win over every other place, in order; may be empty.
        excluded: top-level names that are not taken from the roots: the tests' own.
        path: what sys.path of that process must end with, where it lacks an entry.
    """

    label: str
    python: str
    roots: tuple[str, ...]
    excluded: tuple[str, ...]
    path: tuple[str, ...]


def mistake(spec: str, problem: str) -> UsageMistakeError:
    """The error that says what is wrong with what the user named.

    Args:
        spec: what was named.
        problem: what is wrong with it and what would be valid; its first line counts.
    """
    return UsageMistakeError(f"--sd-against={spec}: {(problem.strip().splitlines() or ['failed without a word'])[0]}")


def search_path() -> tuple[str, ...]:
    """sys.path of this process, each entry absolute: another process may start elsewhere."""
    return tuple(dict.fromkeys(os.path.abspath(entry) for entry in sys.path))  # noqa: PTH100 - resolving would lose links
