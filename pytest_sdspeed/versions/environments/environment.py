"""What is known of the environment of one version in a comparison."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from pytest_sdspeed.errors import UsageMistakeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An interpreter, and what its process must import from where.

    Attributes:
        label: what a reader calls it: "diffusers 0.41.0", "main (3f2a1bc)", "../diffusers-fork (at
            1a2b3c4, changed)".
        python: the interpreter to start.
        roots: folders whose top-level modules take precedence over all others, in order; may be
            empty.
        excluded: top-level names that are not taken from the roots: the tests' own.
        path: entries that are added to the end of that process's sys.path if it lacks them.
    """

    label: str
    python: str
    roots: tuple[str, ...]
    excluded: tuple[str, ...]
    path: tuple[str, ...]


def make_mistake(spec: str, problem: str) -> UsageMistakeError:
    """Make the error that says what is wrong with what the user named.

    Args:
        spec: what the user named.
        problem: what is wrong with it and what would be valid; its first line is used.
    """
    return UsageMistakeError(
        f"--sd-against={spec}: {(problem.strip().splitlines() or ['failed without a word'])[0]}"
    )


def search_path() -> tuple[str, ...]:
    """Return sys.path with absolute entries: another process may start in another folder."""
    return tuple(dict.fromkeys(os.path.abspath(entry) for entry in sys.path))  # noqa: PTH100 - resolving would lose links
