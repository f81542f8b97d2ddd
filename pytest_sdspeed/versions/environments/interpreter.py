"""Another interpreter as the other version, with all that is installed for it."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.versions.environments.environment import Environment, make_mistake, search_path

if TYPE_CHECKING:
    from pytest_sdspeed.versions.environments.own_tests import OwnTests

PACKAGE = __name__.partition(".")[0]

OLDEST = (3, 11)
"""The oldest Python this package runs on."""

# Every version of Python must be able to run it.
_PROBE = f"""
import json, sys
found = {{"python": list(sys.version_info[:2]), "missing": [], "version": None}}
if sys.version_info >= {OLDEST}:
    import importlib, importlib.metadata
    for name in ("pytest", "{PACKAGE}", "execnet"):
        try:
            importlib.import_module(name)
        except ImportError:
            found["missing"].append(name)
    if not found["missing"]:
        found["version"] = importlib.metadata.version("{PACKAGE}")
sys.stdout.write("\\n" + json.dumps(found))
"""


def find_interpreter(path: Path) -> Path | None:
    """Find the interpreter that a path means: a file, or that of a virtual environment; or None."""
    if path.is_file():
        return path
    return next(
        (path / name for name in ("bin/python", "Scripts/python.exe") if (path / name).exists()),
        None,
    )


def open_interpreter(spec: str, python: Path, *, root: Path, own: OwnTests) -> Environment:
    """Open an environment with what is installed for another interpreter, and the current tests.

    Args:
        spec: what the user named.
        python: the interpreter.
        root: pytest's rootdir: entries of sys.path outside it are not passed on.
        own: names and folders of the current tests.

    Raises:
        UsageMistakeError: it is no interpreter, too old, or lacks what its process needs.
    """
    # The link is not followed: a virtual environment's interpreter finds its packages by its own
    # path.
    command = os.path.abspath(python)  # noqa: PTH100
    problem = _find_problem(command)
    if problem:
        raise make_mistake(spec, problem)
    return Environment(
        label=command,
        python=command,
        roots=(),
        excluded=tuple(sorted(own.names)),
        path=tuple(
            entry
            for entry in search_path()
            if Path(entry).resolve().is_relative_to(root) and own.hold(entry)
        ),
    )


def _find_problem(python: str) -> str | None:
    """Say what keeps an interpreter from running the other version, or None."""
    try:
        done = subprocess.run(  # noqa: S603 - the user named it
            [python, "-c", _PROBE],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
        release, missing = tuple(found["python"]), found["missing"]
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return (
            f"{python} does not start as a Python interpreter; valid: a path to one, a virtual"
            " environment or a checkout"
        )
    ours = version(PACKAGE)
    remedy = f"{python} -m pip install {PACKAGE}=={ours} execnet"
    if release < OLDEST:
        return (
            f"{python} is Python {'.'.join(map(str, release))}; valid: {'.'.join(map(str, OLDEST))}"
            " or later"
        )
    if missing:
        return f"{python} has no {', '.join(missing)}: {remedy}"
    if found["version"] != ours:
        return f"{python} has {PACKAGE} {found['version']}, this process {ours}: {remedy}"
    return None
