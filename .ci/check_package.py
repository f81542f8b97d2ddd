"""Check what a build left: ``python .ci/check_package.py dist [--tag v0.1.0]``.

The folder holds one wheel and one sdist of one version, which is the tag's if one is named. The
wheel holds the package and nothing else, with all of the repository's files of it. Each fault is a
line, and exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGE = "pytest_sdspeed"
ROOT = Path(__file__).resolve().parents[1]

NOT_IN_SDIST = (
    ".mirror",
    ".miniature",
    ".git",
    ".tox",
    ".venv",
    "dist",
    "build",
    "site",
    "gate-power",
)
"""Folders at the root that builds, studies and machines leave."""


def find_faults(folder: Path, tag: str | None, source: Path = ROOT / PACKAGE) -> list[str]:
    """Return what is wrong with a folder of built files, one line each.

    Args:
        folder: that a build wrote into.
        tag: ``v`` and the version, or None for any version.
        source: of the package, whose files the wheel must hold.
    """
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        return [f"{folder}: {len(wheels)} wheels and {len(sdists)} sdists, one of each is wanted"]
    version = wheels[0].name.split("-")[1]
    faults = _wheel_faults(wheels[0], version, source) + _sdist_faults(sdists[0], version)
    if tag is not None and tag != f"v{version}":
        faults.append(f"the tag is {tag}, the version is {version}")
    return faults


def _wheel_faults(wheel: Path, version: str, source: Path) -> list[str]:
    """Return what a wheel holds too much, and what it lacks."""
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    faults = [f"{wheel.name} holds {name}" for name in sorted(held) if not _belongs(name, version)]
    wanted = {
        f"{PACKAGE}/{file.relative_to(source).as_posix()}"
        for file in source.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    return faults + [f"{wheel.name} lacks {name}" for name in sorted(wanted - held)]


def _belongs(name: str, version: str) -> bool:
    """Return whether a file may be in the wheel."""
    return name.startswith(
        (f"{PACKAGE}/", f"{PACKAGE}-{version}.dist-info/")
    ) and not name.endswith(".pyc")


def _sdist_faults(sdist: Path, version: str) -> list[str]:
    """Return what does not belong in an sdist, and whether it has another version."""
    root = f"{PACKAGE}-{version}"
    if sdist.name != f"{root}.tar.gz":
        return [f"{sdist.name} is not of version {version}, as the wheel is"]
    with tarfile.open(sdist) as archive:
        names = [name.split("/", 2) for name in archive.getnames()]
    left = {name[1] for name in names if len(name) > 1} & set(NOT_IN_SDIST)
    return [f"{sdist.name} holds {folder}/" for folder in sorted(left)]


def main() -> int:
    """Check, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="that `python -m build` wrote into")
    parser.add_argument("--tag", help="the tag of the release, v and the version")
    options = parser.parse_args()
    faults = find_faults(options.folder, options.tag)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
