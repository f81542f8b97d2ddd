"""An overlay: a virtual environment on top of the current one, with other versions of packages."""

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

from pytest_sdspeed.versions.environments.environment import Environment, make_mistake, search_path
from pytest_sdspeed.versions.environments.interpreter import find_interpreter
from pytest_sdspeed.versions.environments.requirements import find_unmet, is_pinned
from pytest_sdspeed.versions.environments.scratch import (
    COMPLETE,
    find_complete,
    find_leftovers,
    make_folder,
    remove,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from packaging.requirements import Requirement

    from pytest_sdspeed.versions.environments.own_tests import OwnTests

# Constraints pin the current environment, from which the other version is to differ; the other
# variables make pip install elsewhere.
_OF_THIS_SIDE = {"PIP_CONSTRAINT", "PIP_PREFIX", "PIP_TARGET", "PIP_USER"}


@contextmanager
def open_overlay(
    spec: str, named: Sequence[Requirement], *, cache: Path | None, own: OwnTests
) -> Iterator[Environment]:
    """Open the current environment with other versions of some packages.

    If each of them is pinned, the overlay stays in the cache, and is used again as long as the same
    distributions are installed below it. Otherwise it is made anew and removed at the end.

    Args:
        spec: what the user named, for messages.
        named: the requirements in it, each of a distribution that is installed now.
        cache: a folder that survives runs; None for a temporary one.
        own: names and folders of the current tests.

    Raises:
        UsageMistakeError: the installer refuses, or there is none.
        OSError: the overlay's folder cannot be made.
    """
    for folder in find_leftovers(cache):
        remove(folder)
    below, pinned = _site_folders(), all(map(is_pinned, named))
    key = _key(named, below)
    ready = find_complete(cache, key) if cache is not None and pinned else None
    if ready is not None:
        yield _make_environment(ready, named, own)
        return
    folder = make_folder(cache, key)
    try:
        _make_venv(folder, below)
        _install(spec, folder, named)
        environment = _make_environment(folder, named, own)
        if cache is not None and pinned:
            (folder / COMPLETE).touch()
        yield environment
    finally:
        if not (folder / COMPLETE).exists():
            remove(folder)


def _key(named: Sequence[Requirement], below: Sequence[str]) -> str:
    """Digest what an overlay depends on: requirements, interpreter, and what is below it."""
    listed = sorted(entry.name for folder in below for entry in Path(folder).glob("*.dist-info"))
    facts = [*sorted(map(str, named)), sys.executable, sys.version, *below, *listed]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _site_folders() -> list[str]:
    return [
        folder
        for folder in (*site.getsitepackages(), site.getusersitepackages())
        if folder in sys.path
    ]


def _make_venv(folder: Path, below: Sequence[str]) -> None:
    """Make a virtual environment with the packages of other folders after its own.

    Distributions that are installed as editable are among them.
    """
    import venv

    venv.EnvBuilder(symlinks=os.name != "nt").create(folder)
    lines = "".join(f"import site; site.addsitedir({entry!a})\n" for entry in below)
    (_packages(folder) / "sdspeed_below.pth").write_text(lines, encoding="ascii")


def _packages(folder: Path) -> Path:
    return Path(
        sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    )


def _python(folder: Path) -> str:
    return str(find_interpreter(folder))


def _install(spec: str, folder: Path, named: Sequence[Requirement]) -> None:
    """Install what is named, and what it requires and the environment below lacks.

    Raises:
        UsageMistakeError: the installer refuses, or there is none.
    """
    pip, uv = find_spec("pip") is not None, shutil.which("uv")
    if pip:
        _pip(spec, folder, "--no-deps", "--ignore-installed", *map(str, named))
    elif uv is not None:
        _run(
            spec,
            "uv",
            [uv, "pip", "install", "--python", _python(folder), "--no-deps", *map(str, named)],
            folder,
        )
    else:
        raise make_mistake(
            spec,
            f"{sys.executable} has no pip to install it with, and there is no uv: {sys.executable}"
            " -m ensurepip",
        )
    missing = find_unmet(named, str(_packages(folder)))
    if missing and pip:
        # By version: an address would be downloaded a second time.
        _pip(spec, folder, *(_as_installed(folder, requirement) for requirement in named))
    elif missing:
        raise make_mistake(
            spec,
            f"needs {', '.join(missing)}, which pip would install and uv does not: {sys.executable}"
            " -m ensurepip",
        )


def _as_installed(folder: Path, requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}=={_version(folder, requirement)}"


def _version(folder: Path, requirement: Requirement) -> str:
    return next(iter(distributions(name=requirement.name, path=[str(_packages(folder))]))).version


def _pip(spec: str, folder: Path, *arguments: str) -> None:
    options = ("--disable-pip-version-check", "--no-input")
    _run(
        spec,
        "pip",
        [sys.executable, "-m", "pip", "--python", _python(folder), "install", *options, *arguments],
        folder,
    )


def _run(spec: str, installer: str, command: Sequence[str], folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_THIS_SIDE}
    # Before the user's own entries: pip must see what is in the overlay already.
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(_packages(folder)), environment.get("PYTHONPATH")))
    )
    done = subprocess.run(  # noqa: S603 - requirements are no options
        command,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["failed without a word"]
        told = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        raise make_mistake(spec, f"{installer}: {(told or lines)[-1].strip()}")


def _make_environment(folder: Path, named: Sequence[Requirement], own: OwnTests) -> Environment:
    return Environment(
        label=", ".join(
            f"{requirement.name} {_version(folder, requirement)}" for requirement in named
        ),
        python=_python(folder),
        roots=(str(_packages(folder)),),
        excluded=tuple(sorted(own.names)),
        path=search_path(),
    )
