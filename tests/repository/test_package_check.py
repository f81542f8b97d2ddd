"""The check of built files: what a release must hold, and what it must not."""

import importlib.util
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / ".ci" / "check_package.py"
SPEC = importlib.util.spec_from_file_location("check_package", PATH)
check_package = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check_package)

WHEEL = ("pytest_sdspeed/__init__.py", "pytest_sdspeed/py.typed", "pytest_sdspeed-0.1.0.dist-info/METADATA")
SDIST = ("pyproject.toml", "pytest_sdspeed/__init__.py", "docs/index.md")


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "pytest_sdspeed"
    (folder / "__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "py.typed", "__pycache__/x.pyc"):
        (folder / name).write_text("")
    return folder


@pytest.fixture
def built(tmp_path):
    def write(wheel=WHEEL, sdist=SDIST, version="0.1.0", sdist_version=None):
        folder = tmp_path / "dist"
        folder.mkdir()
        with zipfile.ZipFile(folder / f"pytest_sdspeed-{version}-py3-none-any.whl", "w") as archive:
            for name in wheel:
                archive.writestr(name, "")
        root = f"pytest_sdspeed-{sdist_version or version}"
        with tarfile.open(folder / f"{root}.tar.gz", "w:gz") as archive:
            for name in sdist:
                archive.addfile(tarfile.TarInfo(f"{root}/{name}"), io.BytesIO())
        return folder

    return write


@pytest.mark.parametrize("tag", [None, "v0.1.0"])
def test_a_wheel_of_the_package_alone_and_a_clean_sdist_pass(built, source, tag):
    assert check_package.find_faults(built(), tag, source) == []


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"wheel": (*WHEEL, "tests/test_it.py")}, "pytest_sdspeed-0.1.0-py3-none-any.whl holds tests/test_it.py"),
        ({"wheel": WHEEL[:1]}, "pytest_sdspeed-0.1.0-py3-none-any.whl lacks pytest_sdspeed/py.typed"),
        ({"wheel": (*WHEEL, "pytest_sdspeed/x.pyc")}, "pytest_sdspeed-0.1.0-py3-none-any.whl holds pytest_sdspeed/x.pyc"),
        ({"sdist": (*SDIST, ".mirror/owner/x")}, "pytest_sdspeed-0.1.0.tar.gz holds .mirror/"),
        ({"sdist": (*SDIST, "site/index.html")}, "pytest_sdspeed-0.1.0.tar.gz holds site/"),
        ({"sdist_version": "0.2.0"}, "pytest_sdspeed-0.2.0.tar.gz is not of version 0.1.0, as the wheel is"),
    ],
)
def test_what_does_not_belong_is_named(built, source, files, says):
    assert check_package.find_faults(built(**files), "v0.1.0", source) == [says]


@pytest.mark.parametrize("tag", ["v0.2.0", "0.1.0"])
def test_another_tag_than_the_version_is_refused(built, source, tag):
    assert check_package.find_faults(built(), tag, source) == [f"the tag is {tag}, the version is 0.1.0"]


def test_no_build_is_a_fault_and_exit_code_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["check_package.py", str(tmp_path)])
    assert check_package.main() == 1
    assert "0 wheels and 0 sdists" in capsys.readouterr().err
