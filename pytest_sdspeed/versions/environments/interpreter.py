"""Another interpreter as the other side, with all that is installed for it."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.versions.environments.environment import Side, mistake, search_path

if TYPE_CHECKING:
    from pytest_sdspeed.versions.environments.own_tests import OwnTests

PACKAGE = __name__.partition(".")[0]

OLDEST = (3, 11)
"""The oldest Python this package runs on."""

# It must run on every Python there is.
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


def interpreter_in(path: Path) -> Path | None:
    """The interpreter that a path means: a file, or that of a virtual environment's folder; None for any other folder."""
    if path.is_file():
        return path
    return next((path / name for name in ("bin/python", "Scripts/python.exe") if (path / name).exists()), None)


def interpreter_side(spec: str, python: Path, *, root: Path, own: OwnTests) -> Side:
    """What is installed for another interpreter, and the tests in hand.

    Args:
        spec: what the user named.
        python: the interpreter.
        root: pytest's rootdir: entries of sys.path outside it are not handed on.
        own: of the tests in hand.

    Raises:
        UsageMistakeError: it is no interpreter, too old, or lacks what the other side's process needs.
    """
    # A link is not followed: by its own place a virtual environment's interpreter knows its packages.
    command = os.path.abspath(python)  # noqa: PTH100
    problem = _problem(command)
    if problem:
        raise mistake(spec, problem)
    return Side(
        label=command,
        python=command,
        roots=(),
        excluded=tuple(sorted(own.names)),
        path=tuple(entry for entry in search_path() if Path(entry).resolve().is_relative_to(root) and own.hold(entry)),
    )


def _problem(python: str) -> str | None:
    """What keeps an interpreter from running the other side, or None."""
    try:
        done = subprocess.run([python, "-c", _PROBE], capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=True)  # noqa: S603 - the user named it
        found = json.loads(done.stdout.splitlines()[-1])
        release, missing = tuple(found["python"]), found["missing"]
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return f"{python} does not start as a Python interpreter; valid: a path to one, a virtual environment or a checkout"
    ours = version(PACKAGE)
    remedy = f"{python} -m pip install {PACKAGE}=={ours} execnet"
    if release < OLDEST:
        return f"{python} is Python {'.'.join(map(str, release))}; valid: {'.'.join(map(str, OLDEST))} or later"
    if missing:
        return f"{python} has no {', '.join(missing)}: {remedy}"
    if found["version"] != ours:
        return f"{python} has {PACKAGE} {found['version']}, and {ours} is in hand: {remedy}"
    return None
