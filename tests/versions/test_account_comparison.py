"""Comparing accounts of two workers: what is no pass, and how files of two environments are one."""

import json
import sys
from dataclasses import replace
from types import ModuleType

import pytest

from pytest_sdspeed.errors import DryRunError, GenerationError, UnsupportedError, UsageMistakeError, WorkerLostError
from pytest_sdspeed.model import Account, AccountResult, Place
from pytest_sdspeed.run.targets import Target
from pytest_sdspeed.store.accounts import account_to_json
from pytest_sdspeed.versions import accounts
from pytest_sdspeed.versions.environments import Environment
from pytest_sdspeed.versions.file_names import find_names, name_from_packages, rename_files

STEP = Account(operations=10)
CALL = Account(operations=40, steps=4, per_step=STEP)
SYNC = Place("host_sync", "pkg/a.py", 3, "t.item()", 4)


def environment(label, roots=()):
    return Environment(label=label, python="python", roots=roots, excluded=(), path=())


class Worker:
    """Stands for a worker: answers each request with what it was given, or raises it."""

    given = None

    def __init__(self, role, environment, _told):
        self.role, self.environment, self.alive, self.sent = role, environment, False, []

    def start(self):
        self.alive = True

    def wait(self):
        pass

    def stop(self):
        self.alive = False

    def send(self, *asked):
        self.sent.append(asked)

    def receive(self):
        answer = self.given[self.role]
        if isinstance(answer, BaseException):
            raise answer
        modules = answer[1] if isinstance(answer, tuple) else {}
        result = answer[0] if isinstance(answer, tuple) else answer
        return {"account": json.dumps(account_to_json(result, work=True)), "modules": modules}

    def ask(self, command, *_):
        return ["engine"] if command == "served" else {"diffusers": f"of {self.role}"}


def counted(account=CALL, **facts):
    known = {"table": None, "setup": "engine", "account": account, "counted_as": "A100", "test": "t.py::test"}
    return AccountResult(**{**known, **facts})


@pytest.fixture
def compare(monkeypatch):
    """Compare what the two workers answer."""
    monkeypatch.setattr(accounts, "Worker", Worker)

    def run(new, old, roots=()):
        monkeypatch.setattr(Worker, "given", {"new": new, "old": old})
        made = accounts.AccountComparison("main", new=environment("in hand"), old=environment("main (3f2a1bc)", roots), told=None)
        made.open()
        return made.count(Target("engine", None, None), {}, "t.py::test", "sd_account"), made

    return run


def test_equal_accounts_pass_and_both_versions_are_told(compare):
    result, _ = compare(counted(), counted())
    assert result.verdict == "pass"
    assert not result.reasons
    assert (result.versions, result.against.versions) == ({"diffusers": "of new"}, {"diffusers": "of old"})
    assert result.against.label == "main (3f2a1bc)"


def test_a_count_that_rises_fails_though_its_bound_holds(compare):
    more = replace(CALL, per_step=replace(STEP, casts=1), casts=4)
    result, _ = compare(counted(more, bounds={"casts": 4}, verdict="pass"), counted())
    assert result.verdict == "fail"
    assert result.against.more == ("casts_per_step 0 -> 1 (+1)",)


def test_a_few_bytes_more_are_noted_and_fail_nothing(compare):
    old, new = (replace(CALL, bytes_moved=bytes_moved) for bytes_moved in (1_000_000, 1_000_028))
    result, _ = compare(counted(new), counted(old))
    assert result.verdict == "pass"
    assert not result.against.more
    assert result.notes == ("bytes_moved 1,000,000 -> 1,000,028 (+28): less than 0.1% of the call, which fails no test",)


def test_a_bound_that_does_not_hold_fails_though_the_versions_are_equal(compare):
    result, _ = compare(counted(bounds={"operations": 1}, verdict="fail", reasons=("operations is 40, at most 1",)), counted())
    assert (result.verdict, result.reasons) == ("fail", ("operations is 40, at most 1",))


def test_what_neither_can_count_is_unsupported(compare):
    with pytest.raises(UnsupportedError, match=r"needs torch 2\.9"):
        compare(UnsupportedError("needs torch 2.9"), UnsupportedError("needs torch 2.9"))


def test_what_the_version_in_hand_alone_cannot_count_is_no_skip(compare):
    with pytest.raises(GenerationError, match=r"in hand cannot count engine, and main \(3f2a1bc\) can: needs triton"):
        compare(UnsupportedError("needs triton"), counted())


def test_what_the_other_version_cannot_count_is_a_skip_that_says_so(compare):
    with pytest.raises(UnsupportedError, match=r"main \(3f2a1bc\) cannot count engine, so there is nothing to compare with: no such class"):
        compare(counted(), UnsupportedError("no such class"))


def test_what_the_other_version_cannot_count_fails_if_a_bound_does_not_hold(compare):
    result, _ = compare(counted(bounds={"operations": 1}, verdict="fail", reasons=("over",)), UnsupportedError("no such class"))
    assert result.verdict == "fail"
    assert result.against is None
    assert result.notes == ("not compared with main (3f2a1bc): no such class",)


@pytest.mark.parametrize("kind", [GenerationError, DryRunError, UsageMistakeError])
def test_an_error_is_told_with_its_side_and_kind(compare, kind):
    with pytest.raises(kind, match=r"^in hand: boom"):
        compare(kind("boom"), counted())
    with pytest.raises(kind, match=r"^main \(3f2a1bc\) cannot count engine.*: boom"):
        compare(counted(), kind("boom"))


def test_a_worker_that_is_lost_is_told_as_it_is(compare):
    with pytest.raises(WorkerLostError, match=r"^ended$"):
        compare(counted(), WorkerLostError("ended"))


def test_an_interruption_ends_both_workers_since_an_answer_is_still_to_come(compare, monkeypatch):
    made = []
    keep = accounts.AccountComparison.open
    monkeypatch.setattr(accounts.AccountComparison, "open", lambda self: (made.append(self), keep(self))[1])
    with pytest.raises(KeyboardInterrupt):
        compare(KeyboardInterrupt(), counted())
    assert not made[0]._new.alive
    assert not made[0]._old.alive


def test_code_that_both_share_is_noted(compare, monkeypatch):
    monkeypatch.setattr(Worker, "ask", lambda _self, command: [] if command == "served" else {})
    result, _ = compare(counted(), counted(), roots=("/old",))
    assert "nothing that was imported comes from main (3f2a1bc): the same code was counted twice" in result.notes


@pytest.mark.parametrize("there", ["/tmp/sdspeed-1/worktree/pkg/a.py", "proj/lib/pkg/a.py", "pkg/a.py"])
def test_a_worktree_site_packages_and_a_checkout_name_one_file(compare, there):
    ours, theirs = (replace(CALL, host_syncs=4, places=(replace(SYNC, file=file),)) for file in ("pkg/a.py", there))
    result, _ = compare((counted(ours), {"pkg/a.py": "pkg/a.py"}), (counted(theirs), {there: "pkg/a.py"}))
    assert result.verdict == "pass"
    assert not result.against.places
    assert not result.against.gone


def test_two_files_of_one_name_in_two_packages_are_two(compare):
    ours, theirs = (replace(CALL, host_syncs=4, places=(replace(SYNC, file=file),)) for file in ("one/a.py", "two/a.py"))
    result, _ = compare((counted(ours), {"one/a.py": "one/a.py"}), (counted(theirs), {"two/a.py": "two/a.py"}))
    assert [change.place.file for change in result.against.places] == ["one/a.py"]
    assert [change.place.file for change in result.against.gone] == ["two/a.py"]


def test_files_are_renamed_in_steps_and_stages_too():
    step = replace(STEP, places=(SYNC,))
    account = replace(CALL, places=(SYNC,), per_step=step, stages={"denoising": step})
    found = rename_files(account, {"pkg/a.py": "b.py"})
    files = {place.file for part in (found, found.per_step, *found.stages.values()) for place in part.places}
    assert files == {"b.py"}


def test_a_file_of_the_other_version_alone_is_named_from_its_package():
    assert find_names({}, {"/tmp/x/pkg/a.py": "pkg/a.py", "tests/test_a.py": "test_a"}) == {
        "/tmp/x/pkg/a.py": "pkg/a.py",
        "tests/test_a.py": "tests/test_a.py",
    }


def test_what_is_imported_from_the_roots_is_named_from_its_package_and_tests_are_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    roots = [str(tmp_path / "old" / "lib")]
    for name, file in (("pkg", "old/lib/pkg/__init__.py"), ("pkg.a", "old/lib/pkg/a.py"), ("test_a", "tests/test_a.py")):
        module = ModuleType(name)
        module.__file__ = str(tmp_path / file)
        monkeypatch.setitem(sys.modules, name, module)
    files = ("old/lib/pkg/__init__.py", "old/lib/pkg/a.py", "tests/test_a.py", "<string>")
    account = replace(CALL, places=tuple(replace(SYNC, file=file) for file in files))
    found = name_from_packages(account, roots)
    assert [place.file for place in found.account.places] == ["pkg/__init__.py", "pkg/a.py", "tests/test_a.py", "<string>"]
    assert found.modules == {"pkg/__init__.py": "pkg/__init__.py", "pkg/a.py": "pkg/a.py", "tests/test_a.py": "test_a.py"}
