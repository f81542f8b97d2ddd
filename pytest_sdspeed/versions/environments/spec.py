"""From what a user names to a side: a path, a reference of git or requirements, tried in this order."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from difflib import get_close_matches
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.versions.environments import git
from pytest_sdspeed.versions.environments.checkout import checkout_side, commit_side
from pytest_sdspeed.versions.environments.environment import Side, mistake, search_path
from pytest_sdspeed.versions.environments.interpreter import interpreter_in, interpreter_side
from pytest_sdspeed.versions.environments.overlay import overlay_side
from pytest_sdspeed.versions.environments.own_tests import own_tests
from pytest_sdspeed.versions.environments.requirements import found, parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from packaging.requirements import Requirement

    from pytest_sdspeed.versions.environments.own_tests import OwnTests


@contextmanager
def opened(spec: str, *, root: Path, cache: Path | None, tests: Sequence[Path]) -> Iterator[Side]:
    """The side that a user named, for as long as the block takes: worktrees and temporary folders are gone after it.

    Args:
        spec: path to an interpreter, a virtual environment or a checkout; a git reference of the checkout in hand; or requirements with
            commas between them, each of a distribution that is installed and will be replaced.
        root: pytest's rootdir.
        cache: a folder that survives runs; None: a temporary one.
        tests: files and folders of the tests and conftests in hand, which both sides run.

    Raises:
        UsageMistakeError: it is none of these, or cannot be made; always before the block begins.
    """
    root = root.resolve()
    with ExitStack() as stack:
        try:
            side = stack.enter_context(_side(spec, root, cache, own_tests(tests, root)))
        except OSError as error:
            raise mistake(spec, str(error)) from error
        yield side


def in_hand(*, root: Path) -> Side:
    """This process's own side.

    Args:
        root: pytest's rootdir: its commit is the label, or the version of diffusers where git knows none.
    """
    state = git.state(root)
    if not state:
        diffusers = found("diffusers")
        state = f"diffusers {diffusers.version}" if diffusers else ""
    return Side(label=f"in hand ({state})" if state else "in hand", python=sys.executable, roots=(), excluded=(), path=search_path())


def _side(spec: str, root: Path, cache: Path | None, own: OwnTests) -> AbstractContextManager[Side]:
    if not spec.strip():
        raise mistake(spec, "valid: a path to an interpreter or a checkout, a git reference, or requirements")
    path = os.path.expanduser(spec)  # noqa: PTH111 - pathlib's raises for a user that there is not
    if os.path.exists(path):  # noqa: PTH110 - pathlib's raises for a name that is too long
        python = interpreter_in(Path(path))
        if python is None:
            return nullcontext(checkout_side(spec, Path(path), own))
        return nullcontext(interpreter_side(spec, python, root=root, own=own))
    top, without = git.repository(root)
    commit = git.commit_of(top, spec) if top else None
    if top and commit:
        return commit_side(spec, top, commit, root=root, cache=cache, own=own)
    return overlay_side(spec, _requirements(spec, top, without), cache=cache, own=own)


def _requirements(spec: str, top: Path | None, without: str) -> list[Requirement]:
    """The requirements of a word that is neither a path nor a reference: what is not installed now is more likely a slip than a wish.

    Raises:
        UsageMistakeError: one is none, or of a distribution that is not installed.
    """
    try:
        named = parsed(spec)
    except ValueError as error:
        problem = f"no requirement ({str(error).splitlines()[0]})"
    else:
        unknown = next((requirement.name for requirement in named if found(requirement.name) is None), None)
        if unknown is None:
            return named
        problem = f"no installed package is called {unknown!r}"
    names = (distribution.name for distribution in distributions())
    close = get_close_matches(spec, [*(git.references(top) if top else ()), *filter(None, names)])
    hint = f"; close: {', '.join(dict.fromkeys(close))}" if close else ""
    raise mistake(spec, f"no path, {without}, and {problem}{hint}")
