"""Requirements: an environment on the current one, with some packages replaced. The current one is a small one of the test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import said, tree, unpacked, wheel, write

from pytest_sdspeed.versions.environments import Environment
from pytest_sdspeed.versions.environments.scratch import COMPLETE

pytestmark = pytest.mark.slow

OPEN = """
import dataclasses, json, sys
from pathlib import Path
from pytest_sdspeed.errors import UsageMistakeError
from pytest_sdspeed.versions.environments import open_environment
root, cache = Path(sys.argv[2]), Path(sys.argv[3]) if sys.argv[3] else None
try:
    with open_environment(sys.argv[1], root=root, cache=cache, tests=[]) as side:
        print(json.dumps(dataclasses.asdict(side)), flush=True)
        sys.stdin.read()
except UsageMistakeError as error:
    print(json.dumps(str(error)))
"""

NO_PIP = "import sys\nsys.exit('Looking\\nERROR: planted\\n[notice] more')\n"
"""A pip that fails: who comes by without it needs none."""


class Current:
    """A virtual environment that has what this one has, and ``sdt-main`` 1, which needs ``sdt-there`` 1; a cache; an index as a folder."""

    def __init__(self, folder):
        import venv

        self.folder, self.cache, self.index = folder, folder / "cache", folder / "index"
        venv.EnvBuilder(symlinks=True).create(folder / "environment")
        self.packages = next((folder / "environment").glob("lib/*/site-packages"))
        self.python = str(folder / "environment" / "bin" / "python")
        (self.packages / "all.pth").write_text("\n".join(entry for entry in sys.path if Path(entry).is_dir()))
        unpacked(wheel(self.index, "sdt_main", "1.0", ["sdt-there"]), self.packages)
        unpacked(wheel(self.index, "sdt_there", "1.0"), self.packages)
        wheel(self.index, "sdt_main", "2.0", ["sdt-there>=1", "sdt_missing>=1; extra == 'more'"])
        wheel(self.index, "sdt_main", "3.0", ["sdt-there>=1", "sdt-missing>=1"])
        wheel(self.index, "sdt_there", "2.0")
        wheel(self.index, "sdt_missing", "1.0")

    def process(self, spec, cache, path, environment):
        arguments = [self.python, "-c", OPEN, spec, str(self.folder), str(cache or "")]
        entries = [*map(str, path), os.environ.get("PYTHONPATH", "")]
        variables = {"PYTHONPATH": os.pathsep.join(entries), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.index), **environment}
        return subprocess.Popen(
            arguments, env=os.environ | variables, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def opened(self, spec, *asked, cache="", path=(), **environment):
        """Open a side in this environment; what its processes print to each question, or the message where it is none."""
        with self.process(spec, self.cache if cache == "" else cache, path, environment) as process:
            found = json.loads(process.stdout.readline())
            if isinstance(found, str):
                return found
            side = Environment(**{name: tuple(value) if isinstance(value, list) else value for name, value in found.items()})
            answers = [said(side, code, cwd=self.folder) for code in asked]
            process.stdin.close()
        return side, *answers


@pytest.fixture
def current(tmp_path, monkeypatch):
    for name in ("PIP_CONSTRAINT", "COVERAGE_PROCESS_START"):
        monkeypatch.delenv(name, raising=False)
    return Current(tmp_path)


@pytest.fixture
def planted(tmp_path):
    """A pip that fails."""
    return write(tmp_path / "planted", {"pip/__init__.py": "", "pip/__main__.py": NO_PIP})


@pytest.fixture
def quick(tmp_path):
    """A pip that puts one package in place, in no time, and keeps a list of what it was asked for."""
    code = (
        "import sys, subprocess, pathlib\n"
        "site = next(pathlib.Path(sys.argv[2]).parents[1].glob('lib/*/site-packages'))\n"
        f"pathlib.Path({str(tmp_path / 'asked')!r}).open('a').write(' '.join(sys.argv[3:]) + chr(10))\n"
        "info = site / 'sdt_main-2.0.dist-info'\n"
        "info.mkdir()\n"
        "(info / 'METADATA').write_text('Metadata-Version: 2.1\\nName: sdt_main\\nVersion: 2.0\\n')\n"
        "(site / 'sdt_main.py').write_text('__version__ = \"2.0\"')\n"
    )
    return write(tmp_path / "quick", {"pip/__init__.py": "", "pip/__main__.py": code})


AGES = """
import importlib.metadata as metadata, sdt_main, sdt_there, pytest
names = ["sdt_main", "sdt-there", "pytest"]
print(json.dumps([[metadata.version(name) for name in names], sdt_main.__version__, sdt_there.__version__, sdt_there.__file__, pytest.__file__]))
"""


def test_only_what_is_named_is_replaced_and_only_once(current, planted):
    before = tree(current.packages)
    there = str(current.packages / "sdt_there" / "__init__.py")
    ages = [["2.0", "1.0", pytest.__version__], "2.0", "1.0", there, pytest.__file__]
    # Pinned for the side in hand, and for nothing else.
    constraint = write(current.folder, {"constraints.txt": "sdt_main==1.0"}) / "constraints.txt"
    side, answer = current.opened("sdt-main==2.0", AGES, PIP_CONSTRAINT=str(constraint))
    assert answer == ages
    assert side.label == "sdt-main 2.0"
    assert side.python != current.python
    assert [str(Path(root)) for root in side.roots] == [str(next(current.cache.glob("*/lib/*/site-packages")))]
    again, answer = current.opened("sdt-main==2.0", AGES, path=[planted])
    assert (again.python, again.label, answer) == (side.python, side.label, ages)
    assert tree(current.packages) == before
    # What is installed below counts: with another set the overlay might lack something.
    unpacked(wheel(current.index, "sdt_other", "1.0"), current.packages)
    assert current.opened("sdt-main==2.0", path=[planted]) == "--sd-against=sdt-main==2.0: pip: planted"


def test_what_is_missing_comes_along_and_what_is_there_does_not(current):
    before = tree(current.packages)
    code = "import sdt_missing, sdt_main; print(json.dumps([sdt_missing.__version__, sdt_main.__version__]))"
    # A folder of the user's own comes before the overlay for pip and for the other side's process: both must see the overlay.
    unpacked(current.index / "sdt_main-1.0-py3-none-any.whl", current.folder / "own")
    side, answer, ages = current.opened("sdt_main", code, AGES, cache=None, path=[current.folder / "own"])
    assert answer == ["1.0", "3.0"]
    assert ages[0] == ["3.0", "1.0", pytest.__version__]
    assert side.label == "sdt_main 3.0"
    assert not Path(side.roots[0]).exists()
    assert tree(current.packages) == before


def test_extras_count(current):
    side, answer = current.opened("sdt-main[more]==2.0", "import sdt_missing; print(json.dumps(sdt_missing.__version__))")
    assert (side.label, answer) == ("sdt-main 2.0", "1.0")


def test_pip_says_what_is_wrong(current):
    assert current.opened("sdt_main==99.0") == "--sd-against=sdt_main==99.0: pip: No matching distribution found for sdt_main==99.0"
    assert list(current.cache.iterdir()) == []


@pytest.mark.parametrize(("spec", "kept"), [("sdt_main==2.0", True), ("sdt_main>=2,<3", False), ("sdt_main==2.*", False)])
def test_only_what_is_pinned_is_kept(current, quick, planted, spec, kept):
    side, version = current.opened(spec, "import sdt_main; print(json.dumps(sdt_main.__version__))", path=[quick])
    assert version == "2.0"
    assert (current.folder / "asked").read_text().endswith(f"--no-deps --ignore-installed {spec.replace('>=2,<3', '<3,>=2')}\n")
    assert Path(side.python).exists() is kept
    again = current.opened(spec, path=[planted])
    assert (again[0].python == side.python) if kept else (again == f"--sd-against={spec}: pip: planted")


def test_two_at_once_do_not_meet_and_an_interrupted_one_is_begun_anew(current, quick):
    """The first waits in its block for this test: it is at work while the second makes and keeps its own."""
    with current.process("sdt_main==2.0", current.cache, [quick], {}) as process:
        first = json.loads(process.stdout.readline())
        # As if it were not finished yet.
        marker = next(current.cache.glob(f"*/{COMPLETE}"))
        marker.unlink()
        (second,) = current.opened("sdt_main==2.0", path=[quick])
        assert second.python != first["python"]
        assert Path(first["python"]).exists()
        assert Path(second.python).exists()
        process.kill()
    assert Path(first["python"]).exists()
    (third,) = current.opened("sdt_main==2.0", path=[quick])
    assert third == second
    assert not marker.parent.exists()
    assert len((current.folder / "asked").read_text().splitlines()) == 2


NO_PIP_HERE = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "pip" else find(name, *more)
"""


@pytest.fixture
def without_pip(tmp_path):
    """A folder whose sitecustomize hides pip from who looks for it."""
    return write(tmp_path / "hidden", {"sitecustomize.py": NO_PIP_HERE})


def fake_uv(current, requires=""):
    """A uv that puts version 2 in place."""
    program = write(
        current.folder,
        {
            "bin/uv": f"#!{sys.executable}\nimport pathlib, sys\n"
            "assert sys.argv[1:4] == ['pip', 'install', '--python'] and sys.argv[5] == '--no-deps', sys.argv\n"
            "info = next(pathlib.Path(sys.argv[4]).parents[1].glob('lib/*/site-packages')) / 'sdt_main-2.0.dist-info'\n"
            "info.mkdir()\n"
            f"(info / 'METADATA').write_text('Metadata-Version: 2.1\\nName: sdt_main\\nVersion: 2.0\\n{requires}')\n"
        },
    )
    (program / "bin" / "uv").chmod(0o755)
    return f"{program / 'bin'}{os.pathsep}{os.environ['PATH']}"


def test_uv_installs_where_there_is_no_pip(current, without_pip):
    code = "import importlib.metadata as metadata; print(json.dumps(metadata.version('sdt_main')))"
    side, version = current.opened("sdt_main==2.0", code, path=[without_pip], PATH=fake_uv(current))
    assert (side.label, version) == ("sdt_main 2.0", "2.0")


def test_uv_leaves_out_what_else_is_missing(current, without_pip):
    message = current.opened("sdt_main==2.0", path=[without_pip], PATH=fake_uv(current, "Requires-Dist: sdt-missing>=1\\n"))
    assert message.startswith("--sd-against=sdt_main==2.0: needs sdt-missing>=1, which pip would install and uv does not: ")
    assert list(current.cache.iterdir()) == []


def test_neither_pip_nor_uv(current, without_pip):
    message = current.opened("sdt_main==2.0", path=[without_pip], PATH="/usr/bin")
    assert message == (
        f"--sd-against=sdt_main==2.0: {current.python} has no pip to install it with, and there is no uv: {current.python} -m ensurepip"
    )
    assert list(current.cache.iterdir()) == []
