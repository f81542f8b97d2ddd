"""The folders of the companions: what the tests name is pinned, and tox installs it."""

import configparser
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
PINNED = dict(re.findall(r"^([a-z0-9-]+)==(\S+)$", (TESTS / "companions" / "requirements.txt").read_text(), re.MULTILINE))


def test_what_the_tests_name_is_pinned():
    named = set()
    for file in (TESTS / "companions").glob("test_*.py"):
        for packages in re.findall(r"packages\"?[=:] ?\[([^\]]*)\]", file.read_text()):
            named |= set(re.findall(r'"([^"]+)"', packages))
    assert len(named) > 5
    assert named - PINNED.keys() == set()


def test_every_package_that_is_pinned_is_named_by_a_test():
    texts = "\n".join(file.read_text() for file in TESTS.rglob("test_*.py"))
    # What pytest-cov measures with.
    assert {package for package in PINNED if f'"{package}"' not in texts} <= {"coverage"}


def test_tox_installs_them_and_tells_the_tests():
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    assert "SDSPEED_COMPANIONS = {env_dir}/companions" in parser["testenv"]["set_env"]
    assert "python tests/companions/install.py {env_dir}/companions" in parser["testenv"]["commands"]


@pytest.mark.parametrize("name", ["floor", "newest"])
def test_an_environment_of_tox_that_installs_none_skips_their_tests(name):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    environment = parser[f"testenv:{name}"]
    assert "tests/companions/install.py" not in environment["commands"]
    assert "SDSPEED_COMPANIONS =" in environment["set_env"].splitlines()


def test_a_folder_that_lacks_a_package_fails_instead_of_skipping(pytester, monkeypatch):
    monkeypatch.setenv("SDSPEED_COMPANIONS", str(pytester.path))
    for name in ("conftest.py", "install.py", "requirements.txt"):
        (pytester.path / name).write_text((TESTS / "companions" / name).read_text())
    pytester.makepyfile('def test_it(folder_of):\n    folder_of("pytest-cov")\n')
    run = pytester.runpytest_inprocess("-p", "no:randomly")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines([f"*has no pytest-cov {PINNED['pytest-cov']}: python tests/companions/install.py FOLDER*"])


def test_without_the_variable_they_are_skipped_with_the_command(pytester, monkeypatch):
    monkeypatch.delenv("SDSPEED_COMPANIONS", raising=False)
    for name in ("conftest.py", "install.py", "requirements.txt"):
        (pytester.path / name).write_text((TESTS / "companions" / name).read_text())
    pytester.makepyfile('def test_it(folder_of):\n    folder_of("pytest-cov")\n')
    run = pytester.runpytest_inprocess("-p", "no:randomly", "-rs")
    run.assert_outcomes(skipped=1)
    run.stdout.fnmatch_lines(["SKIPPED*python tests/companions/install.py FOLDER; SDSPEED_COMPANIONS=FOLDER pytest tests/companions*"])


@pytest.mark.parametrize("package", sorted(PINNED))
def test_every_package_is_installed_where_the_variable_says_so(folder_of, package):
    assert folder_of(package)
