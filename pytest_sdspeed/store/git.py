"""What git says of a folder, and in a word why it names no commits."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

SHALLOW = (
    "shallow clone: git fetch --unshallow, or fetch-depth: 0 of actions/checkout, gets the rest"
)
"""What a clone without its older commits is called, and what to do."""

NOT_INSTALLED = "git is not installed"

# Hooks of git run with these set: commands in another repository would then use the wrong one.
_OF_HOOKS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}
_REFUSED = re.compile(r"dubious ownership|unsafe repository")
_ADVISED = re.compile(r"safe\.directory +([^\s\\\"][^\\\"\n]*)")
_GONE = re.compile(r"not a git repository: (.*)")


def run_git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder, and return what it said, in English.

    Raises:
        OSError: git is not installed.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    return subprocess.run(  # noqa: S603 - no shell, and what a user names is never taken for an option
        ["git", "-C", str(folder), *arguments],  # noqa: S607 - the git that the user has
        env=environment | {"LC_ALL": "C", "LANGUAGE": "C"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )


def read_last_line(text: str) -> str:
    """Return the last line of what git said, without its lead."""
    return (text.strip().splitlines() or ["failed without a word"])[-1].removeprefix("fatal: ")


def explain_refusal(said: str, folder: Path) -> str:
    """Say why git refuses to work in a folder, and what to do.

    Args:
        said: what git wrote to standard error.
        folder: the folder.
    """
    if _REFUSED.search(said):
        advised = _ADVISED.search(said)
        return (
            "git refuses: dubious ownership: git config --global --add safe.directory"
            f" {advised[1] if advised else folder}"
        )
    gone = _GONE.search(said)
    if gone and not gone[1].startswith("("):
        return f"the repository of this worktree is gone: {gone[1]}"
    return f"{folder}: {read_last_line(said)}"


def explain_stored_error(error: object) -> str | None:
    """Say why git refused, if the error that pytest-benchmark stored for a commit tells; else None.

    Args:
        error: ``commit_info["error"]``, which quotes what git said.
    """
    if not isinstance(error, str) or not _REFUSED.search(error):
        return None
    return explain_refusal(error, Path())


def explain_no_commit(folder: Path) -> str | None:
    """Say why git names no commit of a folder; None if it names one.

    A worktree and a detached HEAD have a commit, as has a shallow clone.
    """
    try:
        done = run_git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
        if done.returncode == 0:
            return None
        if done.stderr.strip():
            said = done.stderr
        else:
            inside = run_git(folder, "rev-parse", "--git-dir")
            if inside.returncode == 0:
                return "no commit yet"
            said = inside.stderr
    except OSError:
        return NOT_INSTALLED
    if "not a git repository (" in said:
        return "not a git checkout"
    return explain_refusal(said, folder)


def is_checkout(folder: Path) -> bool:
    """Tell whether a folder stands in a checkout, whatever git says of it."""
    return any((parent / ".git").exists() for parent in (folder, *folder.parents))


def is_shallow(folder: Path) -> bool:
    """Tell whether a checkout lacks its older commits.

    Raises:
        OSError: git is not installed.
    """
    return run_git(folder, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"
