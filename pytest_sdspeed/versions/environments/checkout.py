"""A checkout as the other side: a folder as it is, or a commit of the checkout in hand."""

from __future__ import annotations

import inspect
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.versions.environments import git
from pytest_sdspeed.versions.environments.environment import Side, mistake, search_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_sdspeed.versions.environments.own_tests import OwnTests

_NO_CONTENT = {"setup", "noxfile"}
"""Modules at the top of checkouts that nobody imports."""


def checkout_side(spec: str, folder: Path, own: OwnTests) -> Side:
    """A folder's packages and modules in the place of those in hand. What they need compiled must be compiled there already.

    Args:
        spec: what the user named: its label.
        folder: with ``src/``, or the packages themselves.
        own: of the tests in hand.

    Raises:
        UsageMistakeError: there is nothing to import in it, or only what the tests in hand hide.
    """
    if (folder / "__init__.py").is_file():
        raise mistake(spec, f"is a package, not a checkout; valid: the folder that holds it, {folder.resolve().parent}")
    state = git.state(folder)
    return Side(
        label=f"{spec} (at {state})" if state else spec,
        python=sys.executable,
        roots=_roots(spec, [folder.resolve()], own),
        excluded=tuple(sorted(own.names)),
        path=search_path(),
    )


@contextmanager
def commit_side(spec: str, top: Path, commit: str, *, root: Path, cache: Path | None, own: OwnTests) -> Iterator[Side]:
    """A commit of the checkout in hand, in a worktree that is gone at the end; its submodules are not initialized.

    Entries of sys.path in the checkout in hand that the commit has too are taken from it, except those of the tests.

    Args:
        spec: the reference, as the user named it.
        top: of the checkout in hand.
        commit: full hash.
        root: pytest's rootdir, in `top`. The commit's same folder comes before its top.
        cache: for the worktree; None: a temporary folder.
        own: of the tests in hand.

    Raises:
        UsageMistakeError: git refuses, or the commit holds nothing to import beside the tests.
        OSError: the worktree's folder cannot be made.
    """
    short = git.short(top, commit)
    with git.worktree(spec, top, commit, cache) as folder:
        moved = {entry: _moved(entry, top, folder) for entry in search_path() if not own.hold(entry)}
        theirs = {entry: str(there) for entry, there in moved.items() if there is not None}
        roots = _roots(spec, list(dict.fromkeys((folder / root.relative_to(top), folder))), own)
        yield Side(
            label=short if commit.startswith(spec) else f"{spec} ({short})",
            python=sys.executable,
            # An entry at the end of sys.path would lose to that of the checkout in hand, which an editable installation puts before it.
            roots=tuple(dict.fromkeys((*roots, *theirs.values()))),
            excluded=tuple(sorted(own.names)),
            path=tuple(theirs.get(entry, entry) for entry in search_path()),
        )


def _moved(entry: str, top: Path, folder: Path) -> Path | None:
    """An entry of sys.path in the checkout in hand, as the worktree has it; None where it is elsewhere or has none."""
    ours = Path(entry).resolve()
    there = folder / ours.relative_to(top) if ours.is_relative_to(top) else None
    return there if there is not None and there.is_dir() else None


def _roots(spec: str, folders: Sequence[Path], own: OwnTests) -> tuple[str, ...]:
    layouts = [folder / "src" if _offered(folder / "src") else folder for folder in folders]
    found = tuple(str(layout) for layout in layouts if _offered(layout) - own.names - _NO_CONTENT)
    if not found:
        hidden = sorted(set().union(*map(_offered, layouts)) & own.names)
        beside = f" beside {', '.join(hidden)}, where the tests in hand are" if hidden else ""
        raise mistake(spec, f"holds no Python package or module{beside}: nothing would be compared")
    return found


def _offered(folder: Path) -> set[str]:
    """Top-level names that a folder has: modules, packages, and namespaces of packages."""
    if not folder.is_dir():
        return set()
    modules = {inspect.getmodulename(file.name) for file in folder.iterdir() if file.is_file()}
    packages = {file.parent.name for file in folder.glob("*/__init__.py")}
    namespaces = {file.parents[1].name for file in folder.glob("*/*/__init__.py")}
    return {name for name in modules | packages | namespaces if name is not None and name.isidentifier()}
