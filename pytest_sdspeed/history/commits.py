"""The commits between two runs, if git knows them, or why it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.store.git import (
    SHALLOW,
    explain_no_commit,
    is_shallow,
    run_git,
)

if TYPE_CHECKING:
    from pathlib import Path


def list_commits(after: str, first: str, folder: Path) -> list[str]:
    """Return the commits in which a step falls, a line each, the newest first.

    None are returned if git or one of the two commits is not available.

    Args:
        after: id of the last commit that was measured before the step.
        first: id of the first commit that was measured after it.
        folder: folder of a checkout.
    """
    # Ids come from files that anybody may have written: anything else would be an option or a path.
    if not (after.isalnum() and first.isalnum()):
        return []
    try:
        done = run_git(folder, "log", "--format=%h %s", f"{after}..{first}", "--")
    except OSError:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def explain_unlisted(after: str, first: str, folder: Path) -> str | None:
    """Say why a checkout does not list the commits between two; None if it has both.

    The arguments are those of ``list_commits``.
    """
    why = explain_no_commit(folder)
    if why is not None or not (after.isalnum() and first.isalnum()):
        return why
    found = [run_git(folder, "cat-file", "-e", f"{commit}^{{commit}}") for commit in (after, first)]
    if all(done.returncode == 0 for done in found):
        return None
    return SHALLOW if is_shallow(folder) else "this checkout does not have both"
