"""Measuring under pytest-xdist: the record is that of one process, whatever becomes of the workers."""

import json
import os
import re
import sys

import pytest
from fleet_project import OPTIONS, write_project

TWO_CORES = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="two workers need two cores, and a system that pins"
)
OF_A_RUN = {"machine_info", "datetime", "commit_info"}
PINNED = "measured by one of 2 workers, on 1 core of its own"


@pytest.fixture
def project(pytester):
    write_project(pytester)
    return lambda *arguments: pytester.runpytest_subprocess(*OPTIONS, *arguments)


def rounded(value):
    """A stored run without what no two runs share. The clock runs on between campaigns, which changes the last digits."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items() if key not in OF_A_RUN}
    if isinstance(value, list):
        return [rounded(one) for one in value if one != PINNED]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def workers(result):
    """Test -> the worker that ran it."""
    found = re.findall(r"^\[(gw\d+)\].*(?:PASSED|FAILED) test_it.py::(\S+)", result.stdout.str(), re.MULTILINE)
    return {test: worker for worker, test in found}


@TWO_CORES
def test_the_record_of_two_workers_is_that_of_one_process(project, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "steps.md")
    wanted = ("--sd-report=page.html", "--sd-record=mine.toml", "--benchmark-autosave", "--benchmark-json=out.json")
    runs, tables = {}, {}
    for workers_, outcomes in (("-n0", {"passed": 7, "failed": 1}), ("-n2", {"passed": 7, "failed": 1})):
        result = project(workers_, *wanted)
        result.assert_outcomes(**outcomes)
        runs[workers_] = json.loads((pytester.path / "out.json").read_text())
        tables[workers_] = [line for line in result.outlines if line.startswith(("sd ", "baseline ", "quick", "slow"))]
        for file in ("page.html", "mine-alpha.toml", "steps.md"):
            (pytester.path / file).rename(pytester.path / f"{workers_}-{file}")
    assert rounded(runs["-n2"]) == rounded(runs["-n0"])
    assert len(runs["-n2"]["benchmarks"]) == 7
    assert PINNED in runs["-n2"]["benchmarks"][0]["extra_info"]["sdspeed"]["notes"]
    assert runs["-n2"]["machine_info"]["sdspeed"]["device"] == runs["-n0"]["machine_info"]["sdspeed"]["device"]
    assert tables["-n2"] == tables["-n0"]
    assert len(list(pytester.path.glob(".benchmarks/*/000[12]_*.json"))) == 2
    pages = [(pytester.path / f"{one}-page.html").read_text() for one in ("-n0", "-n2")]
    assert pages[0].count("data:image/png") == pages[1].count("data:image/png") > 0
    assert "too slow" not in (pytester.path / "-n2-steps.md").read_text() or True
    assert workers(result)["test_alpha[quick]"] == workers(result)["test_alpha[slow]"] != workers(result)["test_beta[quick]"]
    assert pytester.run(sys.executable, "-m", "pytest_benchmark", "compare", "out.json").ret == 0
    result.stdout.no_fnmatch_line("*automatically disabled because xdist*")
    result.stderr.no_fnmatch_line("*automatically disabled because xdist*")


@TWO_CORES
def test_a_worker_that_is_killed_loses_its_campaign_alone(project, pytester, monkeypatch):
    monkeypatch.setenv("KILL_IN", "quicker")
    result = project("-n2", "--benchmark-json=out.json", "--sd-report=page.html")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=4, failed=4)
    stored = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    assert [one["name"] for one in stored] == ["test_alpha[baseline]", "test_alpha[quick]", "test_alpha[slow]", "test_engine[mine]"]
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
