"""``--sd-against`` from the outside: processes that differ, die or are interrupted, and what is refused before anything is measured."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from against import compare, stored, workers
from checkouts import FAKE_CLOCK
from children import PLUGINS, WORKERS

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Not saving anything")]

ENGINE = """
import random

from fake_clock import CLOCK

NOISE = random.Random(2)

def work():
    CLOCK.spend({seconds} * NOISE.gauss(1, 0.003))
    {more}
"""
TEST = """
from engine import work

def test_work(sd_latency):
    sd_latency(work)
"""


def engine(folder, seconds=0.05, more="pass"):
    folder.mkdir(exist_ok=True)
    (folder / "engine.py").write_text(ENGINE.format(seconds=seconds, more=more))
    return folder


@pytest.fixture
def versions(pytester):
    """Makes a version in hand and another one, and runs the test against that one."""

    def run(new, old, *arguments, test=TEST, conftest=""):
        engine(pytester.path, **new)
        engine(pytester.path / "old", **old)
        return compare(pytester, *arguments, test=test, conftest=conftest)

    return run


# Processes


CONTROLLED = """
import os
from pathlib import Path
try:
    Path(__file__).with_name("taken").touch(exist_ok=False)
    FIRST = True
except FileExistsError:
    FIRST = False
"""


TWO = """
from engine import other, work

def test_work(sd_latency):
    sd_latency(work)

def test_other(sd_latency):
    sd_latency(other)
"""


def test_processes_of_one_version_that_differ_are_no_fault_of_the_code(versions, pytester):
    engine(pytester.path / "old")
    conftest = "import engine\n"
    more = "pass\n\ndef {name}():\n    work()\n    {more}"
    other = "from taken import FIRST; CLOCK.spend(0.005 if not FIRST else 0)"
    (pytester.path / "taken.py").write_text(CONTROLLED)
    (pytester.path / "old" / "taken.py").write_text(CONTROLLED)
    new, old = ({"more": more.format(name="other", more=what)} for what in ("pass", other))
    tolerance = ("--sd-tolerance=0.03", "--sd-max-blocks=6")
    versions(new, old, "--sd-against-control", *tolerance, test=TWO, conftest=conftest)
    for test, verdict in (("test_work", "pass"), ("test_other", "invalid")):
        record = stored(pytester)[test]
        assert record["verdict"] == verdict
        control = record["against"]["process_control"]
        assert abs(abs(control["speedup"] - 1) - (0 if verdict == "pass" else 0.1)) < 0.02
        if verdict == "invalid":
            assert any("two processes of old differ by as much" in reason for reason in record["reasons"])


DYING = "CALLS.append(1); len(CALLS) < {calls} or __import__('os').kill(__import__('os').getpid(), 9)"
DEADLY = """pass

CALLS = []
def new_dies():
    CLOCK.spend({seconds} * NOISE.gauss(1, 0.003))
    {new}

def old_dies():
    CLOCK.spend({seconds} * NOISE.gauss(1, 0.003))
    {old}

def other():
    CLOCK.spend(0.05)

def slightly_slower():
    CLOCK.spend({slightly} * NOISE.gauss(1, 0.003))
"""
EVERY = """
import engine
import pytest

@pytest.mark.parametrize("name", ["new_dies", "old_dies", "other", "slightly_slower"])
def test_it(sd_latency, name):
    sd_latency(getattr(engine, name))
"""


def test_a_worker_that_is_killed_makes_its_row_invalid_and_keeps_what_was_measured(versions, pytester):
    # On the floor: undecided until a worker dies.
    new = DEADLY.format(seconds=0.05 / 0.995, new=DYING.format(calls=18), old="pass", slightly=0.051)
    old = DEADLY.format(seconds=0.05, new="pass", old=DYING.format(calls=30), slightly=0.05)
    started = time.monotonic()
    result = versions({"more": new}, {"more": old}, "--sd-tolerance=0.005", test=EVERY)
    assert time.monotonic() - started < 120
    result.assert_outcomes(passed=1, failed=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [f"invalid: {side}_dies of test_work.py::test_it*: *ended while it was measured*" for side in ("new", "old")]
    )
    records = stored(pytester)
    for side in ("new", "old"):
        killed = records[f"test_it[{side}_dies]"]
        assert killed["verdict"] == "invalid"
        assert killed["blocks"] >= 2
    assert records["test_it[other]"]["verdict"] == "pass"
    # Two percent, of which the default tolerance lets pass.
    assert records["test_it[slightly_slower]"]["verdict"] == "fail"
    assert workers() == []


def test_an_interrupt_leaves_no_process_and_no_worktree(pytester):
    engine(pytester.path, more="import pathlib, time; pathlib.Path('drawing').touch(); time.sleep(60)")
    pytester.makepyfile(fake_clock=FAKE_CLOCK, test_work=TEST)
    git = ["git", "-c", "user.email=a@b", "-c", "user.name=a", "-C", str(pytester.path)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    run = subprocess.Popen(
        # Whoever starts these tests in the background has them ignore interrupts, and their children too.
        ["env", "--default-signal=INT", sys.executable, "-m", "pytest", *PLUGINS, "--sd-against=HEAD"],
        cwd=pytester.path,
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 120
    while not (pytester.path / "drawing").exists() and time.monotonic() < end:
        time.sleep(0.2)
    started = children(run.pid)
    assert len(started) == 2
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == pytest.ExitCode.INTERRUPTED
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    listed = subprocess.run([*git, "worktree", "list"], check=True, capture_output=True, text=True).stdout
    assert len(listed.splitlines()) == 1


def children(pid):
    found = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout
    return [int(line.split()[0]) for line in found.splitlines()[1:] if int(line.split()[1]) == pid]


# Usage


def unmeasured(result, pytester, *lines):
    """The run ended with exit status 4 and these words, before anything was measured, and left no process."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(lines)
    assert len([line for line in result.errlines if line.startswith("ERROR")]) == 1
    assert not (pytester.path / "out.json").exists()
    assert workers() == []


def test_a_specification_that_names_nothing_is_a_usage_error(pytester):
    engine(pytester.path)
    pytester.makepyfile(fake_clock=FAKE_CLOCK, test_work=TEST)
    result = pytester.runpytest("--sd-against=mian", "--benchmark-json=out.json")
    unmeasured(result, pytester, "ERROR: --sd-against=mian: *no installed package is called 'mian'*")


def test_a_version_that_does_not_import_is_a_usage_error(versions, pytester):
    unmeasured(versions({}, {"more": "return ("}), pytester, "ERROR: --sd-against=old: old*: *SyntaxError*")


REGISTERS = """
import sys
import engine

if "pytest_sdspeed_finder" in sys.modules:
    # A worker: what it has is known without diffusers.
    from pytest_sdspeed.run.session import Session
    Session.load_libraries = lambda self, *, pipelines: None

def pytest_sdspeed_register(registry):
    for name in getattr(engine, "SETUPS", ()):
        registry.add_setup(name, [])
"""
REGISTERED = """
import engine

def test_mine(sd_latency, sd_mine):
    raise AssertionError("never runs")
"""


def test_a_version_that_lacks_a_setup_is_a_usage_error(versions, pytester):
    result = versions({"more": "pass\nSETUPS = ['mine']"}, {}, test=REGISTERED, conftest=REGISTERS)
    unmeasured(result, pytester, "ERROR: --sd-against=old: old*: *mine*")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("-n2", "*--sd-against measures in processes of its own*"),
        ("--sd-record=new.toml", "*--sd-against and --sd-record*"),
    ],
)
def test_what_cannot_go_with_it_is_a_usage_error(versions, pytester, argument, words):
    unmeasured(versions({}, {}, argument, *WORKERS), pytester, f"ERROR: {words}")


def test_nothing_starts_where_nothing_is_measured(versions):
    result = versions({}, {}, "--collect-only", test=TEST)
    assert result.ret == 0
    result = versions({}, {}, test="def test_other():\n    pass\n")
    result.assert_outcomes(passed=1)


def test_the_same_code_under_another_name_is_said(versions, pytester):
    (pytester.path / "empty").mkdir()
    (pytester.path / "empty" / "unused.py").write_text("")
    engine(pytester.path)
    pytester.makepyfile(fake_clock=FAKE_CLOCK, test_work=TEST)
    result = pytester.runpytest(*PLUGINS, "--sd-against=empty")
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["note: work: nothing that was imported comes from empty*"])
