"""What a user is told who names a side that cannot be."""

import sys
from importlib.metadata import version

import pytest
from checkouts import commit, git, write
from packaging.requirements import Requirement

from pytest_sdspeed.errors import UsageMistakeError
from pytest_sdspeed.versions.environments import open_environment
from pytest_sdspeed.versions.environments.requirements import is_pinned, parse_requirements


@pytest.fixture
def repository(tmp_path):
    repository = tmp_path / "repository"
    commit(repository, {"tiny.py": ""})
    return repository


@pytest.fixture
def told(repository, tmp_path):
    """The message about a side, without its beginning."""

    def told(spec, root=repository, cache=None, tests=()):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UsageMistakeError) as caught, open_environment(str(spec), root=root, cache=cache, tests=tests):
            pass
        assert sorted(tmp_path.rglob("*")) == before, "refused before anything happened"
        message = str(caught.value)
        assert message.startswith(f"--sd-against={spec}: ")
        assert "\n" not in message
        return message.removeprefix(f"--sd-against={spec}: ")

    return told


# Words that mean nothing


def test_a_slip_is_not_installed(told, repository):
    assert told("mian") == f"no path, no git reference of {repository}, and no installed package is called 'mian'; close: main"


def test_close_names_are_branches_tags_and_packages(told, repository):
    git(repository, "tag", "diffuser1")
    assert told("diffusers1").endswith("called 'diffusers1'; close: diffusers, diffuser1")
    assert told("xqzxqz").endswith("called 'xqzxqz'")


def test_every_requirement_must_be_installed(told):
    assert "no installed package is called 'transfomers'" in told("pytest==9.0,transfomers==5")


@pytest.mark.parametrize(
    "spec", ["../nowhere", "origin/main", "a b", "-x", "--all", "~nobody/x", "pytest==", "pytest=9", "=" * 5000, "pytest,"]
)
def test_what_is_no_requirement(told, repository, spec):
    assert told(spec).startswith(f"no path, no git reference of {repository}, and no requirement (")


def test_markers_are_refused(told):
    assert "no requirement (pytest has a marker; valid: name and version)" in told("pytest==9.0; python_version < '3'")


@pytest.mark.parametrize("spec", ["", "  "])
def test_nothing_named(told, spec):
    assert told(spec) == "valid: a path to an interpreter or a checkout, a git reference, or requirements"


def test_without_a_repository(told, tmp_path):
    message = told("main", root=tmp_path)
    assert message.startswith(f"no path, no git reference ({tmp_path}: not a git repository")
    assert message.partition("; close")[0].endswith("and no installed package is called 'main'")


def test_in_a_bare_repository(told, repository, tmp_path):
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare")
    assert f"no git reference ({tmp_path / 'bare'}: this operation must be run in a work tree)" in told("main", root=tmp_path / "bare")


def test_without_git(told, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert told("main").startswith("no path, no git reference (git is not installed), and no installed package")


def test_in_a_shallow_clone(told, repository, tmp_path):
    commit(repository, {"more.py": ""})
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    message = told("HEAD~1", root=tmp_path / "shallow")
    assert f"no git reference of {tmp_path / 'shallow'}, a shallow clone (git fetch --unshallow gets the rest)," in message


def test_git_refuses(told, monkeypatch):
    monkeypatch.setattr("pytest_sdspeed.versions.environments.git.find_commit", lambda _top, _reference: "0" * 40)
    assert told("main").startswith("git: ")


# Folders


def test_an_empty_folder(told, tmp_path):
    (tmp_path / "empty").mkdir()
    assert told(tmp_path / "empty") == "holds no Python package or module: nothing would be compared"


def test_only_tests(told, tmp_path):
    write(tmp_path / "fork", {"tests/__init__.py": "", "setup.py": "", "conftest.py": ""})
    test = write(tmp_path / "repository", {"tests/test_x.py": ""}) / "tests" / "test_x.py"
    assert told(tmp_path / "fork", tests=[test]).startswith(
        "holds no Python package or module besides conftest, tests, which the current tests have"
    )


def test_a_package_in_place_of_its_checkout(told, tmp_path):
    write(tmp_path / "fork", {"tiny/__init__.py": ""})
    assert told(tmp_path / "fork" / "tiny") == f"is a package, not a checkout; valid: the folder that holds it, {tmp_path / 'fork'}"


def test_a_cache_that_cannot_be_written(told, tmp_path):
    (tmp_path / "file").touch()
    assert f"'{tmp_path / 'file'}'" in told("main", cache=tmp_path / "file")


# Interpreters


@pytest.fixture
def fake(tmp_path):
    """A program in the place of an interpreter that answers, whatever it is asked."""

    def fake(answer, code=0):
        program = write(tmp_path, {"python": f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\nexit {code}\n"}) / "python"
        program.chmod(0o755)
        return program

    return fake


def test_no_interpreter(told, fake, tmp_path):
    problem = "does not start as a Python interpreter; valid: a path to one, a virtual environment or a checkout"
    for answer, code in (("", 0), ("hello", 0), ("[]", 0), ("{}", 0), ("{}", 1)):
        assert told(fake(answer, code)) == f"{tmp_path / 'python'} {problem}"
    write(tmp_path, {"notes.txt": "not a program"})
    assert told(tmp_path / "notes.txt") == f"{tmp_path / 'notes.txt'} {problem}"


def test_an_interpreter_that_is_too_old(told, fake, tmp_path):
    assert told(fake('{"python": [3, 9], "missing": [], "version": null}')) == f"{tmp_path / 'python'} is Python 3.9; valid: 3.11 or later"


def test_an_interpreter_with_another_version_of_the_plugin(told, fake, tmp_path):
    ours = version("pytest_sdspeed")
    assert told(fake('{"python": [3, 12], "missing": [], "version": "0.0.1"}')) == (
        f"{tmp_path / 'python'} has pytest_sdspeed 0.0.1, this process {ours}: "
        f"{tmp_path / 'python'} -m pip install pytest_sdspeed=={ours} execnet"
    )


def test_an_interpreter_that_lacks_what_is_needed(told, tmp_path_factory, monkeypatch):
    import venv

    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    folder = tmp_path_factory.mktemp("bare")
    venv.EnvBuilder(symlinks=True).create(folder)
    assert told(folder).startswith(f"{folder}/bin/python has no pytest, pytest_sdspeed, execnet: {folder}/bin/python -m pip install ")
    assert sys.prefix != str(folder)


# Requirements


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("a", ["a"]),
        ("a==1,b==2", ["a==1", "b==2"]),
        ("a==1 , b", ["a==1", "b"]),
        ("a>=0.40,<0.42", ["a<0.42,>=0.40"]),
        ("a>=0.40, <0.42,!=0.41,b~=1.0,c", ["a!=0.41,<0.42,>=0.40", "b~=1.0", "c"]),
        ("a[x,y]==1,b[z]", ["a[x,y]==1", "b[z]"]),
        ("a @ git+https://host/a.git@main,b==1", ["a @ git+https://host/a.git@main", "b==1"]),
    ],
)
def test_requirements_are_told_apart(spec, parts):
    assert parse_requirements(spec) == list(map(Requirement, parts))


@pytest.mark.parametrize(
    ("spec", "pinned"),
    [
        ("a==1.0", True),
        ("a===1.0", True),
        ("a==1.0,!=1.1", True),
        ("a==1.*", False),
        ("a", False),
        ("a>=1,<1.1", False),
        (f"a @ git+https://host/a.git@{'0a' * 20}", True),
        ("a @ git+https://host/a.git@main", False),
        ("a @ git+https://host/a.git", False),
        (f"a @ https://host/a-1-py3-none-any.whl#sha256={'0a' * 32}", True),
        ("a @ https://host/a-1-py3-none-any.whl", False),
    ],
)
def test_what_is_pinned(spec, pinned):
    assert is_pinned(parse_requirements(spec)[0]) is pinned
