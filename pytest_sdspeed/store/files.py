"""Take a file of pytest-benchmark apart."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.store.benchmark import EXTRA, NO_COMMIT
from pytest_sdspeed.store.git import explain_stored_error

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNNAMED = (None, "unversioned", "unknown")
"""What pytest-benchmark calls a commit if there is none, or git refuses."""


def decode(content: bytes) -> tuple[Mapping[str, Any], list[tuple[str, Any]]]:
    """Return what a file of pytest-benchmark holds, and the records in it.

    Returns:
        The whole of it, and for each benchmark the test's full name and this plugin's record, or
        None.

    Raises:
        StoredRunError: it is damaged, or another kind of file.
    """
    try:
        stored = json.loads(content)
        return stored, [
            (str(benchmark["fullname"]), benchmark["extra_info"].get(EXTRA))
            for benchmark in stored["benchmarks"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoredRunError(
            f"not a run that pytest-benchmark stored: {type(error).__name__}: {error}"
        ) from None


def section(stored: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a mapping inside a stored one; an empty one if there is none."""
    found = stored.get(name)
    return found if isinstance(found, dict) else {}


def read_commit(stored: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the commit of a stored run, and why git named none; None for what is not told.

    Both are as they were stored, whatever that is.

    Args:
        stored: ``machine_info`` and ``commit_info``, as pytest-benchmark stores them.
    """
    own, commit = section(section(stored, "machine_info"), EXTRA), section(stored, "commit_info")
    named = commit.get("id")
    why = own.get(NO_COMMIT) or explain_stored_error(commit.get("error"))
    return None if named in _UNNAMED else named, why
