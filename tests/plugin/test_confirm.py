"""``--sd-confirm``: what slows one process down for its whole life is told from what the code does, on a fake clock in both processes."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from xml.etree import ElementTree as ET

import pytest
from children import PLUGINS
from failures import failures
from fakes import FakeClock

pytestmark = pytest.mark.slow

# Every process notes itself when it loads the tests; the first one moves the clock of the process of this file, a new one its own.
PROCESSES = f"""
import builtins, logging, os
from pathlib import Path
from pytest_sdspeed.measure import clock

{inspect.getsource(FakeClock)}
noted = Path(__file__).with_name("processes")
FIRST = not noted.exists() or noted.read_text().split()[0] == str(os.getpid())
with noted.open("a") as processes:
    print(os.getpid(), file=processes)
if not hasattr(builtins, "sd_fake_time"):
    builtins.sd_fake_time = FakeClock()
    clock.WallClock = lambda *_synchronize: builtins.sd_fake_time
"""
TEST = """
@pytest.mark.sd_latency(speedup=1.5)
def test_engine(sd_latency):
    sd_latency({candidate}, baseline=engine(1.5))
"""
EFFECT = "engine(1.08 if FIRST else 1.0)"
REGRESSION = "engine(1.17)"


@pytest.fixture
def run(gated, pytester):
    """Runs a test file whose processes know which of them is the first, with few plugins unless ``autoload`` asks for all."""

    def go(source, *arguments, **more):
        (pytester.path / "processes").unlink(missing_ok=True)
        return gated(PROCESSES + source, *arguments, **more)

    return go


def stored(pytester):
    (bench,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    return bench["extra_info"]["sdspeed"], bench["stats"]["data"]


def processes(pytester):
    return len((pytester.path / "processes").read_text().splitlines())


# Verdicts


def test_an_effect_of_the_first_process_fails_without_a_confirmation(run, pytester):
    outcome = run(TEST.format(candidate=EFFECT), "--benchmark-json=out.json")
    outcome.assert_outcomes(failed=1)
    assert outcome.ret == 1
    assert (stored(pytester)[0]["confirmation"], processes(pytester)) == (None, 1)


def test_an_effect_of_the_first_process_passes_with_the_figures_of_the_second(run, pytester):
    # The new process needs no cache.
    more = ("-p", "no:cacheprovider", "--strict-config", "--sd-report=report.html")
    outcome = run(TEST.format(candidate=EFFECT), "--sd-confirm", "--benchmark-json=out.json", *more)
    outcome.assert_outcomes(passed=1)
    assert outcome.ret == 0
    outcome.stdout.fnmatch_lines(
        [
            "candidate*1.00 s*x1.50*pass",
            "candidate of test_*.py::test_engine: failed in the first process (x1.39 [[]1.??, 1.??]), passed in a fresh one (x1.50 [[]1.??, 1.??])",
        ]
    )
    record, samples = stored(pytester)
    first = record["confirmation"]
    assert (record["verdict"], first["verdict"]) == ("pass", "fail")
    assert (record["speedup"], first["speedup"]) == (pytest.approx(1.5, rel=0.01), pytest.approx(1.5 / 1.08, rel=0.01))
    assert samples == pytest.approx([slot for pair in record["samples_s"]["candidate"] for slot in pair])
    assert record["samples_s"] != first["samples_s"]
    assert record["reasons"][-1].startswith("failed in the first process (x1.39 [")
    assert "passed in a fresh one (x1.50 [" in (pytester.path / "report.html").read_text()


def test_a_regression_fails_in_both_and_says_so(run, pytester):
    outcome = run(TEST.format(candidate=REGRESSION), "--sd-confirm", "--benchmark-json=out.json")
    outcome.assert_outcomes(failed=1)
    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(
        [
            "*slower than its floor: *; confirmed in a fresh process: x1.28 [[]1.??, 1.??].*",
            "candidate of test_*.py::test_engine: failed in the first process (x1.28 [[]*]), failed again in a fresh one (x1.28 [[]*])",
        ]
    )
    record, _ = stored(pytester)
    assert (record["verdict"], record["confirmation"]["verdict"], processes(pytester)) == ("fail", "fail", 2)


@pytest.mark.parametrize(("mode", "outcome"), [("fail", {"failed": 1}), ("warn", {"passed": 1, "warnings": 1})])
def test_an_inconclusive_second_process_is_inconclusive(run, pytester, mode, outcome):
    source = TEST.format(candidate="engine(1.17) if FIRST else engine(1 / 0.95, cv=0.02)")
    found = run(source, "--sd-confirm", f"--sd-inconclusive={mode}", "--sd-max-blocks=4", "--benchmark-json=out.json")
    found.assert_outcomes(**outcome)
    found.stdout.fnmatch_lines(["*inconclusive: *x1.28*; inconclusive in a fresh process (x1.*): *cannot be told from the floor*"])
    record, _ = stored(pytester)
    assert (record["verdict"], record["confirmation"]["verdict"]) == ("inconclusive", "inconclusive")
    assert record["speedup"] == pytest.approx(1.28, rel=0.01)


@pytest.mark.parametrize(
    ("crash", "said"),
    [
        ("if not FIRST: raise RuntimeError('no second time')", "exit status *: RuntimeError: no second time"),
        ("if not FIRST: os._exit(7)", "exit status 7*"),
        ("if not FIRST: os.abort()", "signal 6 ended the process: Fatal Python error: Aborted"),
        ("if not FIRST: engine = lambda seconds: lambda: 1 / 0", "baseline raised ZeroDivisionError: division by zero (*)"),
    ],
    ids=["loading", "exit", "signal", "raises"],
)
def test_a_second_process_that_breaks_leaves_the_failure(run, pytester, crash, said):
    outcome = run(f"{crash}\n{TEST.format(candidate=REGRESSION)}", "--sd-confirm", "--benchmark-json=out.json")
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines([f"*slower than its floor: *; could not be confirmed: {said}.*"])
    assert stored(pytester)[0]["confirmation"] is None


MANY = """
pytestmark = pytest.mark.sd_latency(speedup=1.5)

def test_good(sd_latency):
    sd_latency(engine(1.0), baseline=engine(1.5))

def test_black(sd_latency):
    sd_latency(engine(1.0, picture() * 0), baseline=engine(1.5))

def test_slow_and_black(sd_latency):
    sd_latency(engine(1.17, picture() * 0), baseline=engine(1.5))

def test_raises(sd_latency):
    sd_latency(lambda: 1 / 0, baseline=engine(1.5))

def test_slow(sd_latency):
    sd_latency(engine(1.17, picture()), baseline=engine(1.5))

@pytest.mark.xfail(strict=True)
def test_expected(sd_latency):
    sd_latency(engine(1.17), baseline=engine(1.5))
"""


def test_only_what_failed_on_its_speed_runs_again_and_xfail_takes_a_confirmed_failure(run, pytester):
    pytester.makeini("[pytest]\nsdspeed_confirm = true\n")
    outcome = run(MANY)
    outcome.assert_outcomes(passed=1, failed=4, xfailed=1)
    assert processes(pytester) == 3
    shown = failures(outcome)
    assert {name for name, said in shown.items() if "in a fresh process" in said} == {"test_slow"}
    (expected,) = (report for report in outcome.reprec.getreports() if report.when == "call" and report.nodeid.endswith("test_expected"))
    for said in (shown["test_slow"], expected.longreprtext):
        assert "confirmed in a fresh process: x1.28" in said


# The new process

LOOKS = """
def test_engine(sd_latency, tmp_path):
    logging.getLogger().warning("said by the first process")
    (tmp_path / "kept").touch()
    sd_latency(engine(1.08 if FIRST else 1.0), baseline=engine(1.5))
    assert (tmp_path / "kept").exists()
    assert "said by the first process" in Path("log.txt").read_text()
    written = {"out.json", "report.html", "mine.toml", "junit.xml"}
    assert not written & {path.name for path in Path().iterdir()}
    assert not list(Path().glob(".benchmarks/*/*.json"))
    if not FIRST:
        raise AssertionError("what follows the gate is the first process's matter")
"""
WRITING = (
    "--benchmark-json=out.json",
    "--benchmark-autosave",
    "--junitxml=junit.xml",
    "--log-file=log.txt",
    "--pdb",
)


def test_the_new_process_writes_nothing_that_outlives_it(run, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    pytester.makeini("[pytest]\nsdspeed_report = report.html\nsdspeed_record = mine.toml\nsdspeed_confirm = true\n")
    outcome = run(LOOKS.replace("def ", "@pytest.mark.sd_latency(speedup=1.5)\ndef ", 1), *WRITING, autoload=True)
    outcome.assert_outcomes(passed=1)
    outcome.stdout.fnmatch_lines(["sd report: report.html", "sd record: nothing to record*"])
    assert processes(pytester) == 2
    assert len(list(pytester.path.glob(".benchmarks/*/*.json"))) == 1
    assert stored(pytester)[0]["verdict"] == "pass"
    assert [case.get("name") for case in ET.parse(pytester.path / "junit.xml").iter("testcase")] == ["test_engine"]
    assert (pytester.path / "log.txt").read_text().count("said by") == 1
    assert (pytester.path / "report.html").exists()
    assert (pytester.path / "summary.md").read_text(encoding="utf-8").count("## ") == (pytester.path / "summary.md").read_text().count(
        "### "
    ) + 1


CHOICES = """
    import pathlib

    def pytest_addoption(parser):
        parser.addoption("--engine", required=True, type=float)

    def pytest_collection_finish(session):
        with pathlib.Path(__file__).with_name("collected").open("a") as collected:
            print(*(item.nodeid for item in session.items), sep=" | ", file=collected)
"""
CHOSEN = """
class TestIt:
    @pytest.mark.chosen
    @pytest.mark.parametrize("name", ["x::y [z]", "other", "second"])
    @pytest.mark.sd_latency(speedup=1.5)
    def test_engine(self, sd_latency, request, name):
        assert "SDSPEED_CONFIRMATION" not in os.environ
        assert request.config.option.engine == 1.17
        slow = request.config.option.engine if FIRST and name.startswith("x") else 1.0
        sd_latency(engine(slow), baseline=engine(1.5))

def test_unmarked(sd_latency):
    raise AssertionError
"""


def test_the_new_process_runs_the_same_test_with_the_same_arguments(run, pytester, monkeypatch):
    folder = pytester.mkdir("my tests")
    (folder / "test_it.py").write_text(f"import pytest\nfrom conftest import engine, picture\n{PROCESSES}{CHOSEN}")
    pytester.makeini("[pytest]\nmarkers = chosen\naddopts = -m chosen 'my tests'\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--engine=1.17")
    arguments = ("--sd-confirm", "-n0", "--lf", "-k", "TestIt and not other", "-vv", "--maxfail=1", "my tests")
    outcome = run("", *arguments, autoload=True, conftest=textwrap.indent(CHOICES, " " * 8))
    outcome.assert_outcomes(passed=2, deselected=2)
    chosen = "my tests/test_it.py::TestIt::test_engine"
    assert (pytester.path / "collected").read_text().splitlines() == [
        f"{chosen}[x::y [z]] | {chosen}[second]",
        f"{chosen}[x::y [z]]",
    ]


def test_the_cache_of_the_run_is_left_alone(run, pytester):
    source = TEST.format(candidate=EFFECT) + "\ndef test_other():\n    assert FIRST is None\n"
    run(source, "--sd-confirm").assert_outcomes(passed=1, failed=1)
    assert list(json.loads((pytester.path / ".pytest_cache/v/cache/lastfailed").read_text())) == [
        "test_the_cache_of_the_run_is_left_alone.py::test_other"
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_an_interrupted_run_takes_the_new_process_along(run, pytester):
    waits = "def patient():\n    Path('waits').write_text(str(os.getpid()))\n    clock.time.sleep(100)\n"
    source = f"{waits}{TEST.format(candidate='engine(1.17) if FIRST else patient')}"
    run(source, "--collect-only")
    (pytester.path / "processes").unlink()
    command = [sys.executable, "-m", "pytest", *PLUGINS, "-W", "default", "--sd-confirm"]
    # A shell's background jobs ignore the signal, and their children would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, cwd=pytester.path, stdout=subprocess.DEVNULL) as parent:
        until = time.monotonic() + 60
        while not ((waits := pytester.path / "waits").exists() and waits.read_text()) and time.monotonic() < until:
            time.sleep(0.05)
        child = int(waits.read_text())
        os.kill(child, 0)
        parent.send_signal(signal.SIGINT)
        assert parent.wait(30) == pytest.ExitCode.INTERRUPTED
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
