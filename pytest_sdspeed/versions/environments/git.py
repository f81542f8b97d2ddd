"""What git is asked for: references, labels, and a worktree for as long as a comparison takes."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.versions.environments.environment import mistake
from pytest_sdspeed.versions.environments.folders import fresh, is_leftover, leftovers, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

# A hook of git runs its commands with these set: they would lead every other repository's commands astray.
_OF_HOOKS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}


def repository(folder: Path) -> tuple[Path | None, str]:
    """The top folder of the checkout that a folder is in, or None, and what a message about an unknown reference says of it."""
    try:
        done = _git(folder, "rev-parse", "--show-toplevel")
    except OSError:
        return None, "no git reference (git is not installed)"
    if done.returncode:
        return None, f"no git reference ({folder}: {_last_line(done.stderr)})"
    top = Path(done.stdout.rstrip("\n")).resolve()
    shallow = _git(top, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"
    return top, f"no git reference of {top}" + (", a shallow clone (git fetch --unshallow gets the rest)" if shallow else "")


def commit_of(top: Path, reference: str) -> str | None:
    """The full hash of the commit that a reference means in a checkout, or None."""
    if reference.startswith("-"):
        return None
    done = _git(top, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
    return done.stdout.strip() if done.returncode == 0 else None


def references(top: Path) -> list[str]:
    """Names of all branches and tags."""
    return _git(top, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags").stdout.split()


def short(top: Path, commit: str) -> str:
    """The short form of a commit's hash."""
    return _git(top, "rev-parse", "--short", commit).stdout.strip()


def state(folder: Path) -> str:
    """Commit of a folder's checkout, and whether tracked files are changed: "1a2b3c4, changed"; "" where its commit has no such folder."""
    try:
        if _git(folder, "rev-parse", "--verify", "--quiet", "HEAD:./").returncode:
            return ""
        done = _git(folder, "--no-optional-locks", "describe", "--always", "--dirty=, changed", "--exclude=*")
    except OSError:
        return ""
    return done.stdout.strip()


@contextmanager
def worktree(spec: str, top: Path, commit: str, parent: Path | None) -> Iterator[Path]:
    """A commit's files in a folder of their own, gone at the end. Submodules are not initialized, hooks do not run.

    Args:
        spec: what the user named, for messages.
        top: of the checkout in hand.
        commit: full hash.
        parent: the folder for it, None: among the system's temporary files. Worktrees that killed processes left are removed first.

    Raises:
        UsageMistakeError: git refuses.
        OSError: the folder cannot be made.
    """
    listed = _git(top, "worktree", "list", "--porcelain").stdout.splitlines()
    known = (Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree "))
    for folder in {*filter(is_leftover, known), *leftovers(parent)}:
        _remove(top, folder)
    folder = fresh(parent, commit[:12])
    try:
        done = _git(top, "-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--detach", "--quiet", str(folder), commit)
        if done.returncode:
            raise mistake(spec, f"git: {_last_line(done.stderr)}")
        yield folder
    finally:
        _remove(top, folder)


def _remove(top: Path, folder: Path) -> None:
    # In this order, and by force twice: git refuses a worktree that is half made, and one that is locked, as it is while it is made.
    remove(folder)
    _git(top, "worktree", "remove", "--force", "--force", str(folder))


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    return subprocess.run(  # noqa: S603 - no shell, and what a user names is never taken for an option
        ["git", "-C", str(folder), *arguments],  # noqa: S607 - the git that the user has
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["failed without a word"])[-1].removeprefix("fatal: ")
