"""Why git names no commit of a folder, in a word, and what to do."""

import os
import shutil
import subprocess

import pytest
from checkouts import commit, git

from pytest_sdspeed.history.commits import explain_unlisted, list_commits
from pytest_sdspeed.store.files import read_commit
from pytest_sdspeed.store.git import explain_no_commit, explain_stored_error, is_checkout, is_shallow


@pytest.fixture(autouse=True)
def own_home(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.fixture
def repository(tmp_path):
    commit(tmp_path / "repository", {"a.py": ""})
    return tmp_path / "repository"


@pytest.fixture
def refused(repository, monkeypatch):
    """From now on every checkout has another owner, as in a container that runs as root."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")


def test_a_checkout_names_its_commit_and_so_do_a_worktree_a_detached_head_and_a_shallow_clone(repository, tmp_path):
    first = git(repository, "rev-parse", "HEAD")
    commit(repository, {"b.py": ""})
    git(repository, "worktree", "add", "-q", str(tmp_path / "worktree"), first)
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    (repository / "sub").mkdir()
    for folder in (repository, repository / "sub", tmp_path / "worktree", tmp_path / "shallow"):
        assert explain_no_commit(folder) is None
    assert (is_shallow(tmp_path / "shallow"), is_shallow(repository)) == (True, False)


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("language", ["C", "de_DE.UTF-8"])
def test_an_owner_of_another_name_is_said_with_the_command_that_helps(repository, monkeypatch, language):
    monkeypatch.setenv("LANG", language)
    words = f"git refuses: dubious ownership: git config --global --add safe.directory {repository}"
    assert explain_no_commit(repository) == words
    assert explain_unlisted("a" * 40, "b" * 40, repository) == words
    subprocess.run(["git", "config", "--global", "--add", "safe.directory", str(repository)], check=True)
    assert explain_no_commit(repository) is None


def test_an_unpacked_archive_is_no_checkout(tmp_path):
    assert explain_no_commit(tmp_path) == "not a git checkout"
    assert not is_checkout(tmp_path)


def test_a_repository_without_a_commit_has_none_yet(tmp_path):
    git(tmp_path, "init", "-q")
    assert explain_no_commit(tmp_path) == "no commit yet"


def test_without_git_that_is_said(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert explain_no_commit(repository) == "git is not installed"
    assert explain_unlisted("a" * 40, "b" * 40, repository) == "git is not installed"
    assert is_checkout(repository)


def test_a_worktree_whose_repository_is_gone_says_which(repository, tmp_path):
    git(repository, "worktree", "add", "-q", str(tmp_path / "worktree"))
    shutil.rmtree(repository)
    assert explain_no_commit(tmp_path / "worktree") == (
        f"the repository of this worktree is gone: {repository / '.git' / 'worktrees' / 'worktree'}"
    )


def test_variables_of_a_hook_name_no_other_repository(repository, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert explain_no_commit(repository) is None


def test_a_shallow_clone_says_why_it_lists_no_commits(repository, tmp_path):
    first = git(repository, "rev-parse", "HEAD")
    commit(repository, {"b.py": ""})
    last = git(repository, "rev-parse", "HEAD")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    shallow = tmp_path / "shallow"
    assert list_commits(first, last, shallow) == []
    assert explain_unlisted(first, last, shallow) == (
        "shallow clone: git fetch --unshallow, or fetch-depth: 0 of actions/checkout, gets the rest"
    )
    assert len(list_commits(first, last, repository)) == 1
    assert explain_unlisted(first, last, repository) is None
    assert explain_unlisted(first, "0" * 40, repository) == "this checkout does not have both"
    assert os.environ.get("GIT_DIR") is None


ADVICE = "To add an exception for this directory, call:\\n\\n\\tgit config --global --add safe.directory"
DUBIOUS = f"CalledProcessError(128, \"fatal: detected dubious ownership in repository at '/w/re po'\\n{ADVICE} /w/re po\\n\")"
UNSAFE = f"CalledProcessError(128, \"fatal: unsafe repository ('/w' is owned by someone else)\\n{ADVICE} /w\\n\")"
"""What pytest-benchmark has stored of what git said, today and before 2.36."""


@pytest.mark.parametrize(
    ("error", "folder"),
    [(DUBIOUS, "/w/re po"), (UNSAFE, "/w"), ("FileNotFoundError(2, 'No such file or directory')", None), (None, None), (3, None)],
)
def test_runs_of_before_tell_what_git_said(error, folder):
    advice = "git refuses: dubious ownership: git config --global --add safe.directory"
    assert explain_stored_error(error) == (f"{advice} {folder}" if folder else None)


REFUSED = "git refuses: dubious ownership: git config --global --add safe.directory /w"


@pytest.mark.parametrize(
    ("commit_info", "own", "found"),
    [
        ({"id": "abc"}, {}, ("abc", None)),
        ({"id": "abc"}, {"no_commit": None}, ("abc", None)),
        ({"id": "unversioned"}, {"no_commit": "not a git checkout"}, (None, "not a git checkout")),
        ({"id": "unknown", "error": UNSAFE}, {}, (None, REFUSED)),
        ({"id": None, "error": "something else"}, {}, (None, None)),
        ([], {}, (None, None)),
    ],
)
def test_a_stored_run_tells_its_commit_or_why_git_named_none(commit_info, own, found):
    assert read_commit({"commit_info": commit_info, "machine_info": {"sdspeed": own}}) == found
