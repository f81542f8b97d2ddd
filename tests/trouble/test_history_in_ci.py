"""Histories on hosted runners: whole runs and commands, as a user has them."""

import copy
import json
import random
import re
from datetime import UTC, datetime, timedelta

import pytest
from checkouts import commit, git

from pytest_sdspeed.__main__ import main

GATE = """
@pytest.mark.sd_latency(speedup=1.5, tolerance=0.2)
def test_engine(sd_latency):
    sd_latency(engine(1.0), baseline=engine(1.5))
"""


def stored(folder):
    return [json.loads(file.read_text()) for file in sorted(folder.rglob("*.json"))]


@pytest.fixture
def template(gated, pytester):
    """One stored run of the gate."""
    gated(GATE, "--benchmark-json=template.json").assert_outcomes(passed=1)
    return json.loads((pytester.path / "template.json").read_text())


def write_nightlies(folder, template, facts, *, runs=24, step=16, size=1.12):
    """Nightlies whose baseline and candidate became slower for good; the canary, the versions and the ratio are steady.

    Args:
        folder: folder to write them to.
        template: a stored run.
        facts: run -> (host, further ``machine_info``).
    """
    folder.mkdir()
    noise = random.Random(3)
    for run in range(runs):
        made = copy.deepcopy(template)
        scale = (size if run >= step else 1.0) * (1 + noise.gauss(0, 0.003))
        host, more = facts(run)
        made["datetime"] = (datetime(2026, 9, 1, tzinfo=UTC) + timedelta(days=run)).isoformat()
        made["machine_info"] |= {"node": host} | more
        made["machine_info"]["sdspeed"]["run"] = f"{run:032x}"
        made["commit_info"] |= {"id": f"{run:040x}"}
        record = made["benchmarks"][0]["extra_info"]["sdspeed"]
        record["samples_s"] = {arm: [[slot * scale for slot in pair] for pair in pairs] for arm, pairs in record["samples_s"].items()}
        record["canary_s"] = {op: [0.01 * (1 + noise.gauss(0, 0.003))] * 2 for op in ("compute", "memory", "dispatch")}
        (folder / f"{run:04}.json").write_text(json.dumps(made))


def kinds(folder, capsys, *arguments):
    capsys.readouterr()
    assert main(["history", str(folder), "--json", *arguments]) == 0
    return [(one["kind"], one["runs"]) for one in json.loads(capsys.readouterr().out)]


def test_a_lasting_slowdown_on_hosted_runners_is_the_stack_and_not_the_machine(template, tmp_path, capsys):
    write_nightlies(tmp_path / "one-host", template, lambda _run: ("lab-1", {}))
    write_nightlies(tmp_path / "new-host", template, lambda run: (f"fv-az{1000 + 37 * run}-{run}", {}))
    write_nightlies(tmp_path / "moved", template, lambda run: ("lab-1" if run < 16 else "lab-2", {}))
    assert kinds(tmp_path / "one-host", capsys) == kinds(tmp_path / "new-host", capsys) == [("stack", 24)]
    assert kinds(tmp_path / "moved", capsys) == [("machine", 24)]


def test_a_test_that_was_moved_goes_on_with_its_history(gated, pytester):
    for _ in range(2):
        gated(GATE, "--benchmark-save=run")
    old = next(pytester.path.glob("test_*.py"))
    moved = pytester.mkdir("gates") / "test_moved.py"
    moved.write_text(old.read_text())
    old.unlink()
    alone = pytester.runpytest("gates", "--benchmark-save=run")
    alone.assert_outcomes(passed=1)
    alone.stdout.no_fnmatch_line("*history:*")
    pytester.makeini(f"[pytest]\nsdspeed_history_alias =\n    {old.name}=gates/test_moved.py\n    nobody.py=else.py")
    told = pytester.runpytest("gates")
    told.assert_outcomes(passed=1)
    told.stdout.fnmatch_lines(
        ["history: candidate*: 4 runs: too few to judge", "*alias=nobody.py=else.py: no stored run is called nobody.py*"]
    )
    assert str(told.stdout).count("no stored run is called") == 1
    circle = pytester.runpytest("gates", "--sd-history-alias=gates=old", "--sd-history-alias=old=gates")
    assert circle.ret == pytest.ExitCode.USAGE_ERROR
    circle.stderr.fnmatch_lines(["*--sd-history-alias: *: a circle*guides/history/*"])


def test_attempts_of_a_ci_run_count_once_in_the_run_and_in_the_history(gated, pytester, monkeypatch, capsys):
    gated(GATE, "--benchmark-save=run")
    for number in (1, 2, 3):
        monkeypatch.setenv("GITHUB_RUN_ID", "123")
        monkeypatch.setenv("GITHUB_RUN_ATTEMPT", str(number))
        monkeypatch.setenv("GITHUB_JOB", "speed")
        told = gated(GATE, "--benchmark-save=run")
        told.stdout.fnmatch_lines(["history: candidate*: 2 runs: too few to judge"])
    own = [run["machine_info"]["sdspeed"] for run in stored(pytester.path / ".benchmarks")]
    assert [(one["ci_run"], one["ci_job"], one["ci_attempt"]) for one in own] == [
        (None, None, None),
        *(("github 123", "speed", number) for number in (1, 2, 3)),
    ]
    assert kinds(pytester.path / ".benchmarks", capsys) == [("none", 2)]


def test_a_run_in_a_checkout_of_another_owner_says_why_it_names_no_commit(gated, pytester, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(pytester.mkdir("home")))
    commit(pytester.path, {"more.py": ""})
    gated(GATE, "--benchmark-save=run").stdout.no_fnmatch_line("*without its commit*")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    words = f"git refuses: dubious ownership: git config --global --add safe.directory {pytester.path}"
    told = gated(GATE, "--benchmark-save=run", "--benchmark-json=more.json")
    told.stdout.fnmatch_lines([f"sd run: stored without its commit: {words}"])
    assert str(told.stdout).count("without its commit") == 1
    first, second = stored(pytester.path / ".benchmarks")
    assert first["machine_info"]["sdspeed"]["no_commit"] is None
    assert second["machine_info"]["sdspeed"]["no_commit"] == words
    assert main(["report", str(pytester.path / "more.json"), "page.html"]) == 0
    assert f"unknown: {words}" in (pytester.path / "page.html").read_text()
    refused = pytester.runpytest("--sd-against=HEAD~1")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert words in str(refused.stderr)


def test_a_step_that_no_commit_is_known_of_says_why(template, tmp_path, capsys):
    write_nightlies(tmp_path / "runs", template, lambda _run: ("lab-1", {}))
    for file in (tmp_path / "runs").glob("*.json"):
        run = json.loads(file.read_text())
        run["commit_info"] = {"id": "unknown", "error": "CalledProcessError(128, '')"}
        run["machine_info"]["sdspeed"]["no_commit"] = "git refuses: dubious ownership: git config --global --add safe.directory /w"
        record = run["benchmarks"][0]["extra_info"]["sdspeed"]
        if run["datetime"] > "2026-09-17":
            record |= {name: record[name] / 1.2 for name in ("speedup", "low", "high")}
        file.write_text(json.dumps(run))
    assert main(["history", str(tmp_path / "runs")]) == 0
    assert "The stored runs name no commits: git refuses: dubious ownership: git config" in capsys.readouterr().out


def test_a_shallow_clone_says_why_it_lists_no_commits(template, tmp_path, capsys, monkeypatch):
    repository = tmp_path / "repository"
    commits = []
    for number in range(3):
        commit(repository, {f"{number}.py": ""})
        commits.append(git(repository, "rev-parse", "HEAD"))
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    write_nightlies(tmp_path / "runs", template, lambda _run: ("lab-1", {}))
    for run, file in enumerate(sorted((tmp_path / "runs").glob("*.json"))):
        stored_run = json.loads(file.read_text())
        stored_run["commit_info"]["id"] = commits[0 if run < 16 else 2]
        file.write_text(json.dumps(stored_run))
    for folder, said in ((repository, 2), (tmp_path / "shallow", 0)):
        monkeypatch.chdir(folder)
        assert main(["history", str(tmp_path / "runs")]) == 0
        told = capsys.readouterr().out
        assert len(re.findall("^    [0-9a-f]{7,} ", told, re.MULTILINE)) == said
        assert ("not listed: shallow clone: git fetch --unshallow, or fetch-depth: 0" in told) == (not said)


def test_a_fleet_of_two_processors_is_told_in_the_terminal(gated, pytester, template):
    (pytester.path / ".benchmarks").mkdir(exist_ok=True)
    other = copy.deepcopy(template)
    for run, device in enumerate(("Other CPU", template["machine_info"]["sdspeed"]["device"])):
        other["benchmarks"][0]["extra_info"]["sdspeed"]["device"] = device
        other["machine_info"]["sdspeed"] |= {"run": str(run), "device": device}
        (pytester.path / ".benchmarks" / f"{run}.json").write_text(json.dumps(other))
    gated(GATE).stdout.fnmatch_lines(["history: split: callables against baseline: 2 runs on *, 1 run on Other CPU: each has *"])


def test_several_runs_of_a_step_stay_under_its_limit(gated, pytester, monkeypatch):
    target = pytester.path / "step.md"
    target.write_bytes(b"x" * (2**20 - 900))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
    for _ in range(3):
        gated(GATE).assert_outcomes(passed=1)
    assert 2**20 - 900 < target.stat().st_size <= 2**20


def test_a_run_whose_clock_was_ahead_is_told(gated, pytester, template):
    folder = pytester.path / ".benchmarks"
    folder.mkdir(exist_ok=True)
    for number, (date, host) in enumerate([("2020-01-01", "lab-1"), ("2199-12-31", "lab-2")]):
        made = template | {"datetime": f"{date}T10:00:00+00:00", "machine_info": template["machine_info"] | {"node": host}}
        (folder / f"{number}.json").write_text(json.dumps(made))
    told = gated(GATE)
    told.assert_outcomes(passed=1)
    told.stdout.fnmatch_lines(
        ["sd history: 1 stored run dated later than this one, the last 2199-12-31 in *1.json: the clock of lab-2 or *"]
    )


def test_runs_of_some_rows_alone_leave_no_mark_in_the_others(template, tmp_path, capsys):
    """A run of ``-k`` in between, two runs in one second, dates of several time zones."""
    write_nightlies(tmp_path / "runs", template, lambda _run: ("lab-1", {}))
    assert kinds(tmp_path / "runs", capsys) == [("stack", 24)]
    for number, file in enumerate(sorted((tmp_path / "runs").glob("*.json"))):
        run = json.loads(file.read_text())
        run["datetime"] = (datetime.fromisoformat(run["datetime"]) - timedelta(hours=number % 2 * 24)).isoformat().replace("+00:00", "")
        other = copy.deepcopy(run["benchmarks"][0])
        other["fullname"] = "test_other.py::test_other"
        run["benchmarks"] = [other] if number % 5 == 4 else [*run["benchmarks"], other] if number % 5 == 1 else run["benchmarks"]
        file.write_text(json.dumps(run))
    found = kinds(tmp_path / "runs", capsys)
    assert found[0] == ("stack", 20)
    assert sum(runs for _, runs in found) == 29
