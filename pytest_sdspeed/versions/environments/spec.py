"""From what a user names to an environment: a path, a git reference or requirements, in turn."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from difflib import get_close_matches
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.versions.environments import git
from pytest_sdspeed.versions.environments.checkout import open_checkout, open_commit
from pytest_sdspeed.versions.environments.environment import Environment, make_mistake, search_path
from pytest_sdspeed.versions.environments.interpreter import find_interpreter, open_interpreter
from pytest_sdspeed.versions.environments.overlay import open_overlay
from pytest_sdspeed.versions.environments.own_tests import find_own_tests
from pytest_sdspeed.versions.environments.requirements import find_distribution, parse_requirements

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from packaging.requirements import Requirement

    from pytest_sdspeed.versions.environments.own_tests import OwnTests


@contextmanager
def open_environment(
    spec: str, *, root: Path, cache: Path | None, tests: Sequence[Path]
) -> Iterator[Environment]:
    """Open the environment that a user named; its worktree and temporary folders are then removed.

    Args:
        spec: path to an interpreter, a virtual environment or a checkout; a git reference of the
            current checkout; or requirements with commas between them, each of a distribution that
            is installed and will be replaced.
        root: pytest's rootdir.
        cache: a folder that survives runs; None for a temporary one.
        tests: files and folders of the current tests and conftests, which both versions run.

    Raises:
        UsageMistakeError: it is none of these, or cannot be made; always before the block begins.
    """
    root = root.resolve()
    with ExitStack() as stack:
        try:
            environment = stack.enter_context(
                _open_named(spec, root, cache, find_own_tests(tests, root))
            )
        except OSError as error:
            raise make_mistake(spec, str(error)) from error
        yield environment


def current_environment(*, root: Path) -> Environment:
    """Describe the environment of this process.

    Args:
        root: pytest's rootdir: its commit is the label, or the version of diffusers if git knows
            none.
    """
    state = git.describe_state(root)
    if not state:
        diffusers = find_distribution("diffusers")
        state = f"diffusers {diffusers.version}" if diffusers else ""
    return Environment(
        label=f"in hand ({state})" if state else "in hand",
        python=sys.executable,
        roots=(),
        excluded=(),
        path=search_path(),
    )


def _open_named(
    spec: str, root: Path, cache: Path | None, own: OwnTests
) -> AbstractContextManager[Environment]:
    if not spec.strip():
        raise make_mistake(
            spec, "valid: a path to an interpreter or a checkout, a git reference, or requirements"
        )
    path = os.path.expanduser(spec)  # noqa: PTH111 - pathlib's raises for a user that there is not
    if os.path.exists(path):  # noqa: PTH110 - pathlib's raises for a name that is too long
        python = find_interpreter(Path(path))
        if python is None:
            return nullcontext(open_checkout(spec, Path(path), own))
        return nullcontext(open_interpreter(spec, python, root=root, own=own))
    top, without = git.find_repository(root)
    commit = git.find_commit(top, spec) if top else None
    if top and commit:
        return open_commit(spec, top, commit, root=root, cache=cache, own=own)
    return open_overlay(spec, _read_requirements(spec, top, without), cache=cache, own=own)


def _read_requirements(spec: str, top: Path | None, without: str) -> list[Requirement]:
    """Read the requirements in a word that is neither a path nor a reference.

    A name that is not installed now is taken for a typing mistake.

    Raises:
        UsageMistakeError: one is malformed, or of a distribution that is not installed.
    """
    try:
        named = parse_requirements(spec)
    except ValueError as error:
        problem = f"no requirement ({str(error).splitlines()[0]})"
    else:
        unknown = next(
            (
                requirement.name
                for requirement in named
                if find_distribution(requirement.name) is None
            ),
            None,
        )
        if unknown is None:
            return named
        problem = f"no installed package is called {unknown!r}"
    names = (distribution.name for distribution in distributions())
    close = get_close_matches(
        spec, [*(git.list_references(top) if top else ()), *filter(None, names)]
    )
    hint = f"; close: {', '.join(dict.fromkeys(close))}" if close else ""
    raise make_mistake(spec, f"no path, {without}, and {problem}{hint}")
