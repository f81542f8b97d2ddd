"""What git is asked for: references, labels, and a worktree for the time of a comparison."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.store.git import (
    NOT_INSTALLED,
    explain_refusal,
    is_shallow,
    read_last_line,
    run_git,
)
from pytest_sdspeed.versions.environments.environment import make_mistake
from pytest_sdspeed.versions.environments.scratch import (
    find_leftovers,
    is_leftover,
    make_folder,
    remove,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_repository(folder: Path) -> tuple[Path | None, str]:
    """Find the top folder of a folder's checkout, or None, and words on it for error messages."""
    try:
        done = run_git(folder, "rev-parse", "--show-toplevel")
    except OSError:
        return None, f"no git reference ({NOT_INSTALLED})"
    if done.returncode:
        return None, f"no git reference ({explain_refusal(done.stderr, folder)})"
    top = Path(done.stdout.rstrip("\n")).resolve()
    shallow = (
        ", a shallow clone (git fetch --unshallow gets the rest), whole with fetch-depth: 0 of"
        " actions/checkout"
    )
    return top, f"no git reference of {top}" + (shallow if is_shallow(top) else "")


def find_commit(top: Path, reference: str) -> str | None:
    """Find the full hash of the commit that a reference means in a checkout, or None."""
    if reference.startswith("-"):
        return None
    done = run_git(top, "rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}")
    return done.stdout.strip() if done.returncode == 0 else None


def list_references(top: Path) -> list[str]:
    """List the names of all branches and tags."""
    return run_git(
        top, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags"
    ).stdout.split()


def shorten(top: Path, commit: str) -> str:
    """Shorten a commit's hash."""
    return run_git(top, "rev-parse", "--short", commit).stdout.strip()


def describe_state(folder: Path) -> str:
    """Return a folder's commit, and whether tracked files are changed: "1a2b3c4, changed".

    It is "" if the commit has no such folder.
    """
    try:
        if run_git(folder, "rev-parse", "--verify", "--quiet", "HEAD:./").returncode:
            return ""
        done = run_git(
            folder,
            "--no-optional-locks",
            "describe",
            "--always",
            "--dirty=, changed",
            "--exclude=*",
        )
    except OSError:
        return ""
    return done.stdout.strip()


@contextmanager
def open_worktree(spec: str, top: Path, commit: str, parent: Path | None) -> Iterator[Path]:
    """Check a commit out into a folder of its own, which is removed at the end.

    Submodules are not initialized, and hooks do not run.

    Args:
        spec: what the user named, for messages.
        top: top folder of the current checkout.
        commit: full hash of the commit.
        parent: the folder for the worktree; None for the system's temporary files. Worktrees that
            killed processes left are removed first.

    Raises:
        UsageMistakeError: git refuses.
        OSError: the folder cannot be made.
    """
    listed = run_git(top, "worktree", "list", "--porcelain").stdout.splitlines()
    known = (
        Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree ")
    )
    for folder in {*filter(is_leftover, known), *find_leftovers(parent)}:
        _remove(top, folder)
    folder = make_folder(parent, commit[:12])
    try:
        done = run_git(
            top,
            "-c",
            f"core.hooksPath={os.devnull}",
            "worktree",
            "add",
            "--detach",
            "--quiet",
            str(folder),
            commit,
        )
        if done.returncode:
            raise make_mistake(spec, f"git: {read_last_line(done.stderr)}")
        yield folder
    finally:
        _remove(top, folder)


def _remove(top: Path, folder: Path) -> None:
    # In this order, and with --force twice: git refuses to remove a worktree that is incomplete, or
    # locked, as it is while it is being made.
    remove(folder)
    run_git(top, "worktree", "remove", "--force", "--force", str(folder))
