"""Measuring under pytest-xdist: the record is that of one process, whatever becomes of the workers."""

import json
import math
import os
import re
import sys

import pytest
from children import WORKERS
from distributed_project import OPTIONS, write_project

from pytest_sdspeed.tables import load_table

pytestmark = pytest.mark.slow

TWO_CORES = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="two workers need two cores, and a system that pins"
)
OF_A_RUN = {"machine_info", "datetime", "commit_info"}
PINNED = "measured by one of 2 workers, on 1 core of its own"


@pytest.fixture
def project(pytester):
    write_project(pytester)
    return lambda *arguments: pytester.runpytest_subprocess(*OPTIONS, *arguments)


def differences(one, other, at=""):
    """Where two stored runs differ in what any two runs share. The clock runs on between campaigns, which changes the last digits."""
    if isinstance(one, float) and isinstance(other, float):
        return [] if math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) else [f"{at}: {one} and {other}"]
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one.keys() - OF_A_RUN for found in differences(one[key], other[key], f"{at}.{key}")]
    if isinstance(one, list) and isinstance(other, list):
        ours, theirs = ([value for value in values if value != PINNED] for values in (one, other))
        if len(ours) == len(theirs):
            return [found for place, pair in enumerate(zip(ours, theirs, strict=True)) for found in differences(*pair, f"{at}[{place}]")]
    return [] if one == other else [f"{at}: {one} and {other}"]


def workers(result):
    """Test -> the worker that ran it."""
    found = re.findall(r"^\[(gw\d+)\].*(?:PASSED|FAILED) test_it.py::(\S+)", result.stdout.str(), re.MULTILINE)
    return {test: worker for worker, test in found}


@TWO_CORES
def test_the_record_of_two_workers_is_that_of_one_process(project, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "steps.md")
    wanted = ("--sd-report=page.html", "--sd-record=mine.toml", "--sd-history=off", "--benchmark-autosave", "--benchmark-json=out.json")
    runs, tables, pages = {}, {}, {}
    for workers_ in ("-n0", "-n2"):
        result = project(workers_, *wanted)
        result.assert_outcomes(passed=7, failed=1)
        runs[workers_] = json.loads((pytester.path / "out.json").read_text())
        tables[workers_] = [
            re.sub(r" in \d+ s: ", " in N s: ", line)  # two workers take less
            for line in result.outlines
            if line.startswith(("sd ", "baseline ", "quick", "candidate "))
        ]
        pages[workers_] = [
            (pytester.path / "page.html").read_text().count("data:image/png"),
            len(load_table(pytester.path / "mine-alpha.toml").rows),
            (pytester.path / "steps.md").read_text().count("### "),
        ]
        for name in ("steps.md", "mine-alpha.toml", "mine-beta.toml"):
            (pytester.path / name).unlink()
    assert differences(runs["-n2"], runs["-n0"]) == []
    assert len(runs["-n2"]["benchmarks"]) == 7
    assert PINNED in runs["-n2"]["benchmarks"][0]["extra_info"]["sdspeed"]["notes"]
    assert runs["-n2"]["machine_info"]["sdspeed"]["device"] == runs["-n0"]["machine_info"]["sdspeed"]["device"]
    assert tables["-n2"] == tables["-n0"]
    assert pages["-n2"] == pages["-n0"]
    assert min(pages["-n2"]) > 0
    assert len(list(pytester.path.glob(".benchmarks/*/000[12]_*.json"))) == 2
    ran = workers(result)
    assert ran["test_alpha[quick]"] == ran["test_alpha[quickest]"] != ran["test_beta[quick]"] == ran["test_beta[quicker]"]
    assert pytester.run(sys.executable, "-m", "pytest_benchmark", "compare", "out.json").ret == 0
    assert "automatically disabled because xdist" not in result.stdout.str() + result.stderr.str()


@TWO_CORES
def test_a_worker_that_is_killed_loses_its_campaign_alone(project, pytester, monkeypatch):
    monkeypatch.setenv("KILL_IN", "quicker")
    result = project("-n2", "--benchmark-json=out.json", "--sd-report=page.html")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=4, failed=4)
    stored = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert [one["name"] for one in stored] == ["test_alpha[baseline]", "test_alpha[quick]", "test_alpha[quickest]", "test_engine[mine]"]
    result.stdout.fnmatch_lines(
        [
            "*worker gw? ended while it ran test_it.py::test_beta[[]baseline[]]: its campaign is invalid*",
            "sd speed-ups: beta*",
            "quicker *?*x? [[]?, ?[]]*invalid",
        ]
    )
    assert "its campaign is invalid" in (pytester.path / "page.html").read_text()
    result.stdout.no_fnmatch_line("*@sdspeed*")
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


BREAKING = """
import time
from pathlib import Path

import pytest

GONE = Path(__file__).with_name("gone")


def pytest_collection():
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw0":
        end = time.monotonic() + 60
        while not GONE.exists() and time.monotonic() < end:
            time.sleep(0.01)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop():
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":
        os._exit(1)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown():
    GONE.touch()
"""


@TWO_CORES
def test_a_worker_that_ends_before_the_tests_are_dealt_out_costs_nothing(project, pytester):
    conftest = pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text() + BREAKING)
    result = project("-n2", "--benchmark-json=out.json")
    result.assert_outcomes(passed=7, failed=1)
    result.stdout.fnmatch_lines(["*replacing crashed worker gw1*"])
    assert set(workers(result).values()) == {"gw0", "gw2"}
    assert len(json.loads((pytester.path / "out.json").read_text())["benchmarks"]) == 7
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_worker_confirms_in_a_process_that_is_none(project, pytester):
    result = project("-n1", "--sd-confirm", "--benchmark-json=out.json", "-k", "engine")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*confirmed in a fresh process: x1.15*"])
    (stored,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert stored["extra_info"]["sdspeed"]["confirmation"]["notes"] == []


def test_more_workers_than_cores_are_refused(project):
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        result = project("-n2")
    finally:
        os.sched_setaffinity(0, allowed)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: 2 workers share 1 core: use -n 1 or fewer*"])


def test_a_run_that_measures_nothing_is_xdists_own(pytester):
    pytester.makepyfile(
        """
        import os, sys
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_other(number):
            assert "OMP_NUM_THREADS" not in os.environ
            assert len(os.sched_getaffinity(0)) == int(os.environ["CORES"])
            assert "torch" not in sys.modules
        """
    )
    cores = str(len(os.sched_getaffinity(0)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CORES", cores)
        patch.delenv("OMP_NUM_THREADS", raising=False)
        result = pytester.runpytest_subprocess(*WORKERS, "-n2", "-v", "-W", "default")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*scheduling tests via LoadScheduling*"])
    result.stdout.no_fnmatch_line("*sd speed-ups*")
