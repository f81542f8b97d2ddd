"""From what a user names to a side: checkouts, commits, interpreters, and what their processes import."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import commit, git, said, worktrees, write

from pytest_sdspeed.errors import UsageMistakeError
from pytest_sdspeed.versions.environments import current_environment, open_environment

VERSION = "import tiny; print(json.dumps(tiny.__version__))"
"""What the tests' package says of itself."""


def package(version):
    return {"tiny/__init__.py": f"__version__ = {version!r}\nfrom tiny.part import PART\n", "tiny/part.py": f"PART = {version!r}\n"}


def in_src(files):
    return {f"src/{name}": text for name, text in files.items()}


@pytest.fixture
def repository(tmp_path):
    """Flat: version 1 is tagged, 2 is at the branch, 3 is not committed."""
    repository = tmp_path / "repository"
    commit(repository, package(1) | {"tests/__init__.py": "", "tests/test_it.py": "AGE = 'old'\n"})
    git(repository, "tag", "first")
    commit(repository, package(2))
    write(repository, package(3) | {"tests/test_it.py": "AGE = 'in hand'\n"})
    return repository


def open_in(repository, spec, cache=None):
    return open_environment(spec, root=repository, cache=cache, tests=[repository / "tests" / "test_it.py"])


# A checkout


@pytest.mark.parametrize("layout", [dict, in_src], ids=["flat", "src"])
def test_a_checkout_wins_over_the_one_in_hand(repository, tmp_path, layout):
    fork = write(tmp_path / "fork", layout(package(9)))
    with open_in(repository, str(fork)) as side:
        assert side.label == str(fork)
        assert side.python == sys.executable
        assert said(side, VERSION, cwd=repository) == 9
        assert said(side, VERSION, cwd=repository, finders=False) == 3
        assert said(side, "import pytest; print(json.dumps(pytest.__file__))", cwd=repository) == pytest.__file__


def test_a_module_is_a_checkout_too(tmp_path):
    write(tmp_path, {"fork/src/tiny.py": "__version__ = 9\n"})
    with open_environment(str(tmp_path / "fork"), root=tmp_path, cache=None, tests=[]) as side:
        assert said(side, VERSION, cwd=tmp_path) == 9


def test_a_src_folder_without_modules_is_no_layout(tmp_path):
    write(tmp_path / "fork", {"src/code.c": "", **package(9)})
    with open_environment(str(tmp_path / "fork"), root=tmp_path, cache=None, tests=[]) as side:
        assert side.roots == (str(tmp_path / "fork"),)


def test_a_checkout_is_called_by_its_commit_and_its_changes(tmp_path, monkeypatch):
    short = commit(tmp_path / "fork", package(9))
    monkeypatch.chdir(tmp_path)

    def label():
        with open_environment("./fork", root=tmp_path, cache=None, tests=[]) as side:
            return side.label

    assert label() == f"./fork (at {short})"
    write(tmp_path / "fork", package(10))
    assert label() == f"./fork (at {short}, changed)"


def test_a_folder_that_a_repository_ignores_is_not_called_by_its_commit(repository):
    write(repository / "unpacked", package(9))
    with open_in(repository, str(repository / "unpacked")) as side:
        assert side.label == str(repository / "unpacked")


# A commit


def test_a_reference_is_a_worktree_for_as_long_as_it_takes(repository, tmp_path):
    short = git(repository, "rev-parse", "--short", "HEAD")
    # What is imported there may leave its bytecode.
    before = git(repository, "status", "--porcelain", "-uno"), git(repository, "branch", "-a")
    with open_in(repository, "main", tmp_path / "cache") as side:
        assert side.label == f"main ({short})"
        assert len(worktrees(repository)) == 2
        assert Path(side.roots[0]).parent == tmp_path / "cache"
        assert said(side, VERSION, cwd=repository) == 2
        assert said(side, VERSION, cwd=repository, finders=False) == 3
    assert worktrees(repository) == []
    assert list((tmp_path / "cache").iterdir()) == []
    assert (git(repository, "status", "--porcelain", "-uno"), git(repository, "branch", "-a")) == before


@pytest.mark.parametrize("spec", ["first", "HEAD~1", "main^", "hash"])
def test_every_kind_of_reference_is_known(repository, spec):
    short = git(repository, "rev-parse", "--short", "first")
    with open_in(repository, short if spec == "hash" else spec) as side:
        assert side.label == (short if spec == "hash" else f"{spec} ({short})")
        assert said(side, VERSION, cwd=repository) == 1


def test_two_of_one_commit_do_not_meet(repository, tmp_path):
    with open_in(repository, "main", tmp_path / "cache") as one, open_in(repository, "main", tmp_path / "cache") as other:
        assert one.roots != other.roots
        assert said(one, VERSION, cwd=repository) == said(other, VERSION, cwd=repository) == 2
    assert worktrees(repository) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("cached", [True, False])
def test_a_worktree_goes_whatever_happens(repository, tmp_path, error, cached):
    made = []

    def interrupted():
        with open_in(repository, "main", tmp_path if cached else None) as side:
            made.append(Path(side.roots[0]))
            write(made[0], package(5))
            raise error

    with pytest.raises(error):
        interrupted()
    assert worktrees(repository) == []
    assert not made[0].exists()


def test_a_worktree_goes_when_it_cannot_be_used(repository, tmp_path):
    git(repository, "rm", "-r", "-q", "--cached", "tiny")
    git(repository, "commit", "-q", "-m", "nothing is left")
    with (
        pytest.raises(UsageMistakeError, match="holds no Python package or module besides tests"),
        open_in(repository, "HEAD", tmp_path / "c"),
    ):
        pass
    assert worktrees(repository) == []
    assert list((tmp_path / "c").iterdir()) == []


def test_hooks_do_not_run_and_do_not_lead_astray(repository, tmp_path, monkeypatch):
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    commit(tmp_path / "another", {"a.py": ""})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another" / ".git"))
    with open_in(repository, "first") as side:
        assert said(side, VERSION, cwd=repository) == 1
    monkeypatch.delenv("GIT_DIR")
    assert worktrees(repository) == []
    assert not (tmp_path / "ran").exists()


KILLED = """
import sys, time
from pathlib import Path
from pytest_sdspeed.versions.environments import open_environment
with open_environment("main", root=Path(sys.argv[1]), cache=Path(sys.argv[2]) if sys.argv[2] else None, tests=[]) as side:
    print(side.roots[0], flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell which processes are gone")
@pytest.mark.parametrize("cached", [True, False])
def test_what_a_killed_process_left_goes_with_the_next_one(repository, tmp_path, cached):
    cache = tmp_path / "cache" if cached else None
    with subprocess.Popen([sys.executable, "-c", KILLED, repository, cache or ""], stdout=subprocess.PIPE, text=True) as process:
        left = Path(process.stdout.readline().strip())
        with open_in(repository, "main", cache):
            assert left.is_dir(), "of a process that runs"
        process.send_signal(signal.SIGKILL)
    assert left.is_dir()
    # As git leaves it when it is killed while it makes one.
    (repository / ".git" / "worktrees" / left.name / "locked").write_text("initializing")
    (left / ".git").unlink()
    with open_in(repository, "main", cache):
        assert not left.exists()
    assert worktrees(repository) == []


def test_worktrees_of_others_stay(repository, tmp_path):
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "mine"))
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / f"sdspeed-0123-elsewhere-{2**22 + 1}-x"))
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "unplugged"))
    (tmp_path / "unplugged").rename(tmp_path / "drive")
    before = worktrees(repository)
    with open_in(repository, "main", tmp_path):
        pass
    assert worktrees(repository) == before


def test_the_commit_has_the_folder_that_the_root_is_in(tmp_path):
    repository = tmp_path / "repository"
    commit(repository, {f"libraries/a/{name}": text for name, text in in_src(package(1)).items()} | {"common.py": "AGE = 'old'\n"})
    root = write(repository / "libraries" / "a", in_src(package(2)))
    write(repository, {"common.py": "AGE = 'in hand'\n"})
    with open_environment("HEAD", root=root, cache=None, tests=[]) as side:
        assert said(side, "import tiny, common; print(json.dumps([tiny.__version__, common.AGE]))", cwd=root) == [1, "old"]
        assert Path(side.roots[0]).name == "src"


def test_entries_of_the_path_move_to_the_commit(repository, tmp_path, monkeypatch):
    files = {"plugins/extra.py": "AGE = 'old'\n", "tests/helpers/help.py": "AGE = 'old'\n", "tools/tool.py": "AGE = 'old'\n"}
    commit(repository, files)
    write(repository, {name: text.replace("old", "in hand") for name, text in files.items()} | {"new/fresh.py": "AGE = 'in hand'\n"})
    own = repository / "tests" / "helpers"
    for folder in (repository / "plugins", own, repository / "new"):
        monkeypatch.syspath_prepend(folder)
    # As an editable installation would: before all that is added later.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(repository / "plugins"), os.environ.get("PYTHONPATH", "")]))
    with open_environment("main", root=repository, cache=None, tests=[repository / "tests"]) as side:
        code = "import extra, help, fresh; print(json.dumps([extra.AGE, help.AGE, fresh.AGE]))"
        assert said(side, code, cwd=tmp_path) == ["old", "in hand", "in hand"]
        assert str(own) in side.path
        assert str(repository / "plugins") not in side.path
        assert len(side.path) == len(current_environment(root=repository).path)


# The tests in hand


@pytest.mark.slow
def test_the_tests_are_those_in_hand(repository):
    """Through pytest, which puts the root before everything else: the reason for the finder."""
    write(
        repository,
        {
            "conftest.py": "AGE = 'in hand'\n",
            "tests/helper.py": "AGE = 'in hand'\n",
            "tests/test_it.py": "import json, sys, conftest, tiny\nfrom tests import helper\n\n"
            "def test_ages():\n    sys.stdout.write(json.dumps([helper.AGE, conftest.AGE, tiny.PART, sys.path[0]]))\n",
        },
    )
    code = "import pytest; pytest.main(['-q', '-s', '--tb=short', '--no-header', '--disable-plugin-autoload', '-p', 'no:cacheprovider', 'tests'])"
    tests = [repository / "conftest.py", repository / "tests" / "test_it.py"]
    with open_environment("first", root=repository, cache=None, tests=tests) as side:
        write(Path(side.roots[0]), {"conftest.py": "AGE = 'old'\n", "tests/helper.py": "AGE = 'old'\n"})
        code = f"import contextlib, io\nheard = io.StringIO()\nwith contextlib.redirect_stdout(heard):\n    {code}\nprint(heard.getvalue())"
        code += "\nprint(json.dumps(json.JSONDecoder().raw_decode(heard.getvalue())[0]))"
        assert said(side, code, cwd=repository) == ["in hand", "in hand", 1, str(repository)]
        assert said(side, code, cwd=repository, finders=False) == ["in hand", "in hand", 3, str(repository)]


@pytest.mark.parametrize(
    ("files", "test", "names"),
    [
        (["tests/__init__.py"], "tests/test_x.py", {"tests"}),
        ([], "tests/test_x.py", {"tests", "test_x"}),
        ([], "test_x.py", {"test_x"}),
        ([], "conftest.py", set()),
        ([], "benchmarks", {"benchmarks"}),
        (["tests/unit/__init__.py", "tests/__init__.py"], "tests/unit/test_x.py", {"tests"}),
        ([], "../elsewhere/test_y.py", {"test_y"}),
        ([], ".", set()),
        ([], "..", set()),
    ],
)
def test_the_names_of_the_tests_are_excluded(tmp_path, files, test, names):
    root = write(tmp_path / "root", dict.fromkeys(files, "") | {"benchmarks/a.txt": ""})
    if test.endswith(".py"):
        write(root, {test: ""})
    fork = write(tmp_path / "fork", package(9))
    with open_environment(str(fork), root=root, cache=None, tests=[root / test]) as side:
        assert set(side.excluded) == {"conftest"} | names


def test_tests_in_the_package_itself_are_refused(tmp_path):
    fork = write(tmp_path / "fork", in_src(package(9)))
    root = write(tmp_path / "root", in_src(package(1) | {"tiny/tests/__init__.py": "", "tiny/tests/test_x.py": ""}))
    with (
        pytest.raises(
            UsageMistakeError, match="fork: holds no Python package or module besides tiny, which the current tests have: nothing"
        ),
        open_environment(str(fork), root=root, cache=None, tests=[root / "src/tiny/tests/test_x.py"]),
    ):
        pass


# An interpreter


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment that has what this one has."""
    import venv

    folder = tmp_path_factory.mktemp("environment")
    venv.EnvBuilder(symlinks=True).create(folder)
    packages = next(folder.glob("lib/*/site-packages"))
    (packages / "all.pth").write_text("\n".join(entry for entry in sys.path if Path(entry).is_dir()))
    return folder


@pytest.mark.parametrize("path", ["", "bin/python"])
def test_an_interpreter_has_what_is_installed_for_it(environment, repository, tmp_path, monkeypatch, path):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(repository / "tests")
    monkeypatch.syspath_prepend(repository / "tiny")
    with open_environment(str(environment / path), root=repository, cache=None, tests=[repository / "tests"]) as side:
        assert side.python == side.label == str(environment / "bin" / "python")
        assert (side.roots, side.path) == ((), (str(repository / "tests"),))
        assert said(side, "print(json.dumps(sys.prefix))", cwd=tmp_path) == str(environment)


# In hand


def test_this_side_is_called_by_its_commit(repository, tmp_path):
    short = git(repository, "rev-parse", "--short", "HEAD")
    side = current_environment(root=repository)
    assert side.label == f"in hand ({short}, changed)"
    assert (side.python, side.roots, side.excluded) == (sys.executable, (), ())
    assert set(map(os.path.abspath, sys.path)) == set(side.path)
    git(repository, "checkout", "-q", ".")
    assert current_environment(root=repository).label == f"in hand ({short})"


def test_this_side_is_called_by_a_version_where_git_knows_nothing(tmp_path, monkeypatch):
    from importlib.metadata import version

    assert current_environment(root=tmp_path).label == f"in hand (diffusers {version('diffusers')})"
    monkeypatch.setenv("PATH", "")
    assert current_environment(root=tmp_path).label == f"in hand (diffusers {version('diffusers')})"
    monkeypatch.setattr("pytest_sdspeed.versions.environments.spec.find_distribution", lambda _name: None)
    assert current_environment(root=tmp_path).label == "in hand"


# The order of the kinds


def test_a_reference_wins_over_a_package_and_a_path_over_both(repository, monkeypatch):
    git(repository, "branch", "pytest")
    monkeypatch.chdir(repository)
    with open_in(repository, "pytest") as side:
        assert side.label.startswith("pytest (")
        assert said(side, VERSION, cwd=repository) == 2
    write(repository / "pytest", {"tiny.py": "__version__ = 9\n"})
    with open_in(repository, "pytest") as side:
        assert said(side, VERSION, cwd=repository) == 9
