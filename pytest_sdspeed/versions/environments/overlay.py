"""An overlay: a virtual environment that replaces some packages of the current one and leaves it as it is."""

from __future__ import annotations

import hashlib
import os
import shutil
import site
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.versions.environments.environment import Side, mistake, search_path
from pytest_sdspeed.versions.environments.folders import COMPLETE, complete, fresh, leftovers, remove
from pytest_sdspeed.versions.environments.interpreter import interpreter_in
from pytest_sdspeed.versions.environments.requirements import is_pinned, unmet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from packaging.requirements import Requirement

    from pytest_sdspeed.versions.environments.own_tests import OwnTests

# Constraints pin the environment in hand, from which the other side is to differ; the others install elsewhere.
_OF_THIS_SIDE = {"PIP_CONSTRAINT", "PIP_PREFIX", "PIP_TARGET", "PIP_USER"}


@contextmanager
def overlay_side(spec: str, named: Sequence[Requirement], *, cache: Path | None, own: OwnTests) -> Iterator[Side]:
    """The current environment with other versions of some packages.

    With every one of them pinned the overlay stays in the cache, and is used again for as long as the same is installed below it. Any other
    is made anew and removed at the end.

    Args:
        spec: what the user named, for messages.
        named: the requirements in it, each of a distribution that is installed now.
        cache: a folder that survives runs; None: a temporary one.
        own: of the tests in hand.

    Raises:
        UsageMistakeError: the installer refuses, or there is none.
        OSError: the overlay's folder cannot be made.
    """
    for folder in leftovers(cache):
        remove(folder)
    below, pinned = _site_folders(), all(map(is_pinned, named))
    key = _key(named, below)
    ready = complete(cache, key) if cache is not None and pinned else None
    if ready is not None:
        yield _side(ready, named, own)
        return
    folder = fresh(cache, key)
    try:
        _make(folder, below)
        _install(spec, folder, named)
        side = _side(folder, named, own)
        if cache is not None and pinned:
            (folder / COMPLETE).touch()
        yield side
    finally:
        if not (folder / COMPLETE).exists():
            remove(folder)


def _key(named: Sequence[Requirement], below: Sequence[str]) -> str:
    """A digest of all that an overlay depends on: what is named, the interpreter, and what is installed below it."""
    listed = sorted(entry.name for folder in below for entry in Path(folder).glob("*.dist-info"))
    facts = [*sorted(map(str, named)), sys.executable, sys.version, *below, *listed]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _site_folders() -> list[str]:
    return [folder for folder in (*site.getsitepackages(), site.getusersitepackages()) if folder in sys.path]


def _make(folder: Path, below: Sequence[str]) -> None:
    """Make a virtual environment that has the packages of other folders after its own, those installed as editable too."""
    import venv

    venv.EnvBuilder(symlinks=os.name != "nt").create(folder)
    lines = "".join(f"import site; site.addsitedir({entry!a})\n" for entry in below)
    (_packages(folder) / "sdspeed_below.pth").write_text(lines, encoding="ascii")


def _packages(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))


def _python(folder: Path) -> str:
    return str(interpreter_in(folder))


def _install(spec: str, folder: Path, named: Sequence[Requirement]) -> None:
    """Install what is named, and then what it needs and the environment below does not have.

    Raises:
        UsageMistakeError: the installer refuses, or there is none.
    """
    pip, uv = find_spec("pip") is not None, shutil.which("uv")
    if pip:
        _pip(spec, folder, "--no-deps", "--ignore-installed", *map(str, named))
    elif uv is not None:
        _run(spec, "uv", [uv, "pip", "install", "--python", _python(folder), "--no-deps", *map(str, named)], folder)
    else:
        raise mistake(spec, f"{sys.executable} has no pip to install it with, and there is no uv: {sys.executable} -m ensurepip")
    missing = unmet(named, str(_packages(folder)))
    if missing and pip:
        # By version: an address would be fetched a second time.
        _pip(spec, folder, *(_as_installed(folder, requirement) for requirement in named))
    elif missing:
        raise mistake(spec, f"needs {', '.join(missing)}, which pip would install and uv does not: {sys.executable} -m ensurepip")


def _as_installed(folder: Path, requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}=={_version(folder, requirement)}"


def _version(folder: Path, requirement: Requirement) -> str:
    return next(iter(distributions(name=requirement.name, path=[str(_packages(folder))]))).version


def _pip(spec: str, folder: Path, *arguments: str) -> None:
    options = ("--disable-pip-version-check", "--no-input")
    _run(spec, "pip", [sys.executable, "-m", "pip", "--python", _python(folder), "install", *options, *arguments], folder)


def _run(spec: str, installer: str, command: Sequence[str], folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_THIS_SIDE}
    # Before a user's own entries, or pip would not see what is in the overlay already.
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_packages(folder)), environment.get("PYTHONPATH"))))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)  # noqa: S603 - requirements are no options
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["failed without a word"]
        told = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        raise mistake(spec, f"{installer}: {(told or lines)[-1].strip()}")


def _side(folder: Path, named: Sequence[Requirement], own: OwnTests) -> Side:
    return Side(
        label=", ".join(f"{requirement.name} {_version(folder, requirement)}" for requirement in named),
        python=_python(folder),
        roots=(str(_packages(folder)),),
        excluded=tuple(sorted(own.names)),
        path=search_path(),
    )
