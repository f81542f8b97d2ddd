"""Checkouts, wheels and processes for the tests of the other side."""

import json
import os
import runpy
import subprocess
import sys
import zipfile
from contextlib import contextmanager

from pytest_sdspeed.versions.environments import finder

PLAYER = """
import json, runpy, sys
source, arguments = sys.argv[1], json.loads(sys.argv[2])
served = runpy.run_path(source)["install"](*arguments)
"""
"""How a process of a side begins. Nothing of the package is imported for it."""

FAKE_CLOCK = """
import sys

class Clock:
    now = 0.0
    def perf_counter(self):
        return self.now
    def spend(self, seconds):
        self.now += seconds

CLOCK = Clock()

if "pytest_sdspeed_finder" in sys.modules:
    # A worker.
    from pytest_sdspeed.versions import server
    server.time = CLOCK
"""
"""A module by which the processes of both sides have a clock that only what is measured moves."""


def git(folder, *arguments):
    """What git printed."""
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def write(folder, files):
    """Files below a folder: {path: text}."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def commit(folder, files):
    """Commit files; the short hash."""
    folder.mkdir(exist_ok=True)
    if not (folder / ".git").exists():
        git(folder, "init", "-q")
    write(folder, files)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "a change")
    return git(folder, "rev-parse", "--short", "HEAD")


def worktrees(folder):
    """Folders of all worktrees but the first, and what git keeps of them."""
    listed = [line for line in git(folder, "worktree", "list", "--porcelain").splitlines() if line.startswith("worktree ")]
    kept = folder / ".git" / "worktrees"
    return listed[1:] + (sorted(path.name for path in kept.iterdir()) if kept.exists() else [])


def said(side, code, *, cwd, finders=True):
    """What a process of a side prints, as JSON, after the roots were installed (or, for the control, were not)."""
    begin = PLAYER if finders else "import json, sys\nsys.path += json.loads(sys.argv[2])[2]\n"
    arguments = [finder.__file__, json.dumps([side.roots, side.excluded, side.path])]
    command = [side.python, "-c", f"{begin}\n{code}", *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def installed(roots, excluded=(), path=()):
    """The finder in this process, and away again with all that was imported."""
    modules, meta_path, entries = dict(sys.modules), list(sys.meta_path), list(sys.path)
    try:
        yield runpy.run_path(finder.__file__)["install"](list(map(str, roots)), excluded, list(map(str, path)))
    finally:
        sys.meta_path[:], sys.path[:] = meta_path, entries
        for name in set(sys.modules) - set(modules):
            del sys.modules[name]


def wheel(folder, name, version, requires=()):
    """Write a wheel of a package that knows its version, with an extra ``more``."""
    files = {f"{name}/__init__.py": f"__version__ = {version!r}\n"}
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {need}\n" for need in requires)
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: more\n{needs}"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path


def unpacked(wheel_file, folder):
    """What an installer does with such a wheel."""
    with zipfile.ZipFile(wheel_file) as archive:
        archive.extractall(folder)


def tree(folder):
    """All files of a folder with their contents, without what an import compiles."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {os.fspath(path.relative_to(folder)): path.read_bytes() for path in files}
