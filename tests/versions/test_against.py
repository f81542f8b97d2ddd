"""``--sd-against`` from the outside: two real processes, on a clock that only what is measured moves."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from checkouts import FAKE_CLOCK

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
PICTURE = "import numpy; return numpy.random.default_rng({seed}).random((32, 32, 3), dtype=numpy.float32) * {scale}"


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
        pytester.makepyfile(fake_clock=FAKE_CLOCK)
        pytester.makepyfile(test_work=test)
        pytester.makeconftest(conftest)
        return pytester.runpytest("-p", "no:randomly", "--sd-against=old", "--benchmark-json=out.json", *arguments)

    return run


def stored(pytester):
    return [bench["extra_info"]["sdspeed"] for bench in json.loads((pytester.path / "out.json").read_text())["benchmarks"]]


def workers():
    """Processes of this user that execnet has started."""
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if "exec(eval(sys.stdin.readline()))" in line and f" {os.getpid()} " in line]


# Verdicts


def test_a_version_against_itself_passes(versions, pytester):
    result = versions({}, {})
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*sd against old*: callables*floor -3%*", "work * ms * ms *0.*% [[]*]* pass"])
    (record,) = stored(pytester)
    assert record["against"]["spec"] == "old"
    assert record["baseline"] == "work of old"
    assert len(record["samples_s"]["work"]) == record["blocks"] >= 3
    assert workers() == []


def test_six_percent_slower_fails_and_says_so(versions, pytester):
    result = versions({"seconds": 0.053}, {})
    result.assert_outcomes(failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (said,) = [line for line in result.outlines if line.startswith("work: ")]
    found = re.match(
        r"work: (\d\.\d)% slower \[(\d\.\d), (\d\.\d)\] than old\. On .*; at most 3% slower passes \(floor x0.97\), \d blocks", said
    )
    assert found, said
    assert float(found[2]) <= float(found[1]) <= float(found[3])
    assert 5.5 < float(found[1]) < 6.5
    assert "Traceback" not in str(result.stdout)
    assert stored(pytester)[0]["verdict"] == "fail"


def test_six_percent_faster_passes_and_says_so(versions):
    result = versions({}, {"seconds": 0.053})
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["work*% faster [[]*] * pass"])


@pytest.mark.parametrize(("tolerance", "outcome"), [("0.03", {"passed": 1}), ("0.005", {"failed": 1})])
def test_two_percent_are_a_matter_of_the_tolerance(versions, tolerance, outcome):
    versions({"seconds": 0.051}, {}, f"--sd-tolerance={tolerance}").assert_outcomes(**outcome)


def test_equal_pictures_are_told_from_others(versions):
    same = {"more": PICTURE.format(seed=1, scale=1)}
    versions(same, same).stdout.fnmatch_lines(["work *identical*pass"])
    versions(same, {"more": PICTURE.format(seed=1, scale=0.99)}).stdout.fnmatch_lines(["work *differ  PSNR 4*pass"])


LATENTS = "import numpy; return numpy.random.default_rng({seed}).standard_normal((1, 4, 8, 8)) + {shift}"


def test_latents_of_both_versions_are_compared_as_arrays(versions):
    same = {"more": LATENTS.format(seed=1, shift=0)}
    versions(same, same).stdout.fnmatch_lines(["work *identical*pass"])
    versions({"more": LATENTS.format(seed=1, shift=0.25)}, same).stdout.fnmatch_lines(["work *differ  max 0.25  cosine .9*pass"])


def test_a_black_picture_of_the_new_version_fails(versions):
    result = versions({"more": PICTURE.format(seed=1, scale=0)}, {"more": PICTURE.format(seed=1, scale=1)})
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*black*"])


def test_the_summary_of_a_step_is_a_markdown_table(versions, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    versions({"seconds": 0.053}, {}, "--sd-report=report.html")
    said = (pytester.path / "summary.md").read_text()
    assert "| setup | old | new | change | stages | pictures | verdict |" in said
    assert re.search(r"\| work \| (49|50)\.\d+ ms \| 5[23]\.\d+ ms \| \d\.\d% slower .* \| ❌ fail \|", said)
    page = (pytester.path / "report.html").read_text()
    assert "% slower [" in page
    assert ">change</th>" in page


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


@pytest.mark.parametrize(("other", "verdict"), [(0.05, "pass"), (0.055, "invalid")])
def test_processes_of_one_version_that_differ_are_no_fault_of_the_code(versions, pytester, other, verdict):
    engine(pytester.path / "old")
    conftest = "import engine\n"
    more = f"CLOCK.spend({other} - 0.05 if not FIRST else 0)"
    (pytester.path / "taken.py").write_text(CONTROLLED)
    old = {"more": f"from taken import FIRST; {more}"}
    (pytester.path / "old" / "taken.py").write_text(CONTROLLED)
    versions({}, old, "--sd-against-control", "--sd-max-blocks=6", conftest=conftest)
    (record,) = stored(pytester)
    assert record["verdict"] == verdict
    control = record["against"]["process_control"]
    assert abs(abs(control["speedup"] - 1) - (0 if verdict == "pass" else 0.1)) < 0.02
    if verdict == "invalid":
        assert any("two processes of old differ by as much" in reason for reason in record["reasons"])


TWO = """
from engine import work, other

def test_work(sd_latency):
    sd_latency(work)

def test_other(sd_latency):
    sd_latency(other)
"""
DYING = "CLOCK.calls = getattr(CLOCK, 'calls', 0) + 1; CLOCK.calls < 18 or __import__('os').kill(__import__('os').getpid(), 9)"


@pytest.mark.parametrize("side", ["new", "old"])
def test_a_worker_that_is_killed_makes_its_row_invalid_and_keeps_what_was_measured(versions, pytester, side):
    both = {"new": {"seconds": 0.05135}, "old": {}}
    both[side]["more"] = f"{DYING if side == 'new' else DYING.replace('18', '30')}\ndef other():\n    CLOCK.spend(0.05)"
    both["old" if side == "new" else "new"]["more"] = "pass\ndef other():\n    CLOCK.spend(0.05)"
    started = time.monotonic()
    result = versions(both["new"], both["old"], "--sd-tolerance=0.0265", test=TWO)
    assert time.monotonic() - started < 120
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["invalid: work: *ended while it was measured*"])
    first, second = stored(pytester)
    assert first["verdict"] == "invalid"
    assert first["blocks"] >= 2
    assert second["verdict"] == "pass"
    assert workers() == []


LOST = """
import pytest
from pytest_sdspeed.versions.workers import Worker, WorkerLostError

@pytest.fixture(autouse=True)
def lost_at_last(monkeypatch):
    ask = Worker.ask
    def asked(self, command, *arguments):
        if command == {command!r}:
            raise WorkerLostError("it has ended")
        return ask(self, command, *arguments)
    monkeypatch.setattr(Worker, "ask", asked)
"""


@pytest.mark.parametrize("command", ["versions", "served", "stages"])
def test_a_worker_lost_after_the_last_slot_takes_nothing_with_it(versions, pytester, command):
    result = versions({"seconds": 0.053}, {}, conftest=LOST.format(command=command))
    result.assert_outcomes(failed=1)
    assert stored(pytester)[0]["verdict"] == "fail"
    assert stored(pytester)[0]["against"]["stages"] == {}


def test_an_interrupt_leaves_no_process_and_no_worktree(pytester):
    engine(pytester.path, more="import pathlib, time; pathlib.Path('drawing').touch(); time.sleep(60)")
    pytester.makepyfile(fake_clock=FAKE_CLOCK, test_work=TEST)
    git = ["git", "-c", "user.email=a@b", "-c", "user.name=a", "-C", str(pytester.path)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    run = subprocess.Popen(
        # Whoever starts these tests in the background has them ignore interrupts, and their children too.
        ["env", "--default-signal=INT", sys.executable, "-m", "pytest", "--sd-against=HEAD", "-p", "no:randomly"],
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
import engine

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
    unmeasured(versions({}, {}, argument), pytester, f"ERROR: {words}")


CALLABLES = """
import pytest

@pytest.mark.parametrize("address", ["engine:work", "engine:missing", "nowhere:work", "work"])
def test_address(sd_latency, address):
    sd_latency(address)

def test_closure(sd_latency):
    def inner():
        pass
    sd_latency(inner)

def test_baseline(sd_latency):
    sd_latency("engine:work", baseline=lambda: None)
"""


def test_callables_are_named_by_module_and_name(versions):
    result = versions({}, {}, "-rsf", test=CALLABLES)
    result.assert_outcomes(passed=2, failed=3, skipped=1)
    result.stdout.fnmatch_lines(["*valid: *'module:name'*", "*sd_latency(inner): --sd-against measures in other processes*"])


def test_a_callable_without_a_name_of_its_own_is_known_by_the_address_it_was_given_by(versions, pytester):
    test = "def test_task(sd_latency):\n    sd_latency('engine:TASK')\n"
    partial = {"more": "pass\nTASK = __import__('functools').partial(work)"}
    versions(partial, partial, test=test).assert_outcomes(passed=1)
    assert stored(pytester)[0]["setup"] == "candidate"


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
    result = pytester.runpytest("-p", "no:randomly", "--sd-against=empty")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["note: work: nothing that was imported comes from empty*"])


def test_histories_pass_over_comparisons(versions, pytester):
    versions({}, {}, "--benchmark-autosave")
    result = pytester.run(sys.executable, "-m", "pytest_sdspeed", "history", ".benchmarks", "--json")
    assert json.loads("\n".join(result.outlines)) == []
    result = pytester.run(sys.executable, "-m", "pytest_sdspeed", "report", ".benchmarks", "page.html")
    assert result.ret == 0
    assert "work" in (pytester.path / "page.html").read_text()
