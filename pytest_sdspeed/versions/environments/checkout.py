"""A checkout as the other version: a folder as it is, or a commit of the current checkout."""

from __future__ import annotations

import inspect
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.versions.environments import git
from pytest_sdspeed.versions.environments.environment import Environment, make_mistake, search_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_sdspeed.versions.environments.own_tests import OwnTests

_NO_CONTENT = {"setup", "noxfile"}
"""Modules at the top of checkouts that no program imports."""


def open_checkout(spec: str, folder: Path, own: OwnTests) -> Environment:
    """Open an environment with a folder's packages and modules in place of the current ones.

    Their extension modules must have been compiled in the folder already.

    Args:
        spec: what the user named: its label.
        folder: the folder, with ``src/`` or with the packages themselves.
        own: names and folders of the current tests.

    Raises:
        UsageMistakeError: it holds nothing to import, or only names that the current tests have.
    """
    if (folder / "__init__.py").is_file():
        raise make_mistake(
            spec,
            "is a package, not a checkout; valid: the folder that holds it,"
            f" {folder.resolve().parent}",
        )
    state = git.describe_state(folder)
    return Environment(
        label=f"{spec} (at {state})" if state else spec,
        python=sys.executable,
        roots=_find_roots(spec, [folder.resolve()], own),
        excluded=tuple(sorted(own.names)),
        path=search_path(),
    )


@contextmanager
def open_commit(
    spec: str, top: Path, commit: str, *, root: Path, cache: Path | None, own: OwnTests
) -> Iterator[Environment]:
    """Open an environment with a commit of the current checkout, in a worktree removed at the end.

    Its submodules are not initialized. Entries of sys.path in the current checkout that the commit
    has too are taken from the commit, except those of the tests.

    Args:
        spec: the reference, as the user named it.
        top: top folder of the current checkout.
        commit: full hash of the commit.
        root: pytest's rootdir, in `top`. The commit's same folder comes before its top.
        cache: folder for the worktree; None for a temporary one.
        own: names and folders of the current tests.

    Raises:
        UsageMistakeError: git refuses, or the commit holds nothing to import besides the tests.
        OSError: the worktree's folder cannot be made.
    """
    short = git.shorten(top, commit)
    with git.open_worktree(spec, top, commit, cache) as folder:
        moved = {
            entry: _find_in_worktree(entry, top, folder)
            for entry in search_path()
            if not own.hold(entry)
        }
        theirs = {entry: str(there) for entry, there in moved.items() if there is not None}
        roots = _find_roots(
            spec, list(dict.fromkeys((folder / root.relative_to(top), folder))), own
        )
        yield Environment(
            label=short if commit.startswith(spec) else f"{spec} ({short})",
            python=sys.executable,
            # At the end of sys.path an entry would come after that of the current checkout, which
            # an editable installation puts first.
            roots=tuple(dict.fromkeys((*roots, *theirs.values()))),
            excluded=tuple(sorted(own.names)),
            path=tuple(theirs.get(entry, entry) for entry in search_path()),
        )


def _find_in_worktree(entry: str, top: Path, folder: Path) -> Path | None:
    """Return the worktree's folder for an entry of sys.path in the current checkout, or None."""
    ours = Path(entry).resolve()
    there = folder / ours.relative_to(top) if ours.is_relative_to(top) else None
    return there if there is not None and there.is_dir() else None


def _find_roots(spec: str, folders: Sequence[Path], own: OwnTests) -> tuple[str, ...]:
    layouts = [folder / "src" if _list_names(folder / "src") else folder for folder in folders]
    found = tuple(
        str(layout) for layout in layouts if _list_names(layout) - own.names - _NO_CONTENT
    )
    if not found:
        hidden = sorted(set().union(*map(_list_names, layouts)) & own.names)
        beside = f" besides {', '.join(hidden)}, which the current tests have" if hidden else ""
        raise make_mistake(
            spec, f"holds no Python package or module{beside}: nothing would be compared"
        )
    return found


def _list_names(folder: Path) -> set[str]:
    """List the top-level names in a folder: modules, packages, and namespaces of packages."""
    if not folder.is_dir():
        return set()
    modules = {inspect.getmodulename(file.name) for file in folder.iterdir() if file.is_file()}
    packages = {file.parent.name for file in folder.glob("*/__init__.py")}
    namespaces = {file.parents[1].name for file in folder.glob("*/*/__init__.py")}
    return {
        name for name in modules | packages | namespaces if name is not None and name.isidentifier()
    }
