"""The commits between two runs, if git knows them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

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
    command = ["git", "-C", str(folder), "log", "--format=%h %s", f"{after}..{first}", "--"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the arguments are checked above
    except OSError:
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
