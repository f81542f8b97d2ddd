"""``python -m pytest_sdspeed history``: what stored runs say without measuring, in words and as JSON."""

import json
import random
import shutil
import subprocess

import pytest
from fakes import result
from stored import benchmark, write_run

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.history.commits import list_commits
from pytest_sdspeed.model import CONTROL

RUNS, STEP = 30, 20
LATENCIES_S = {"baseline": 2.0, "tf32": 1.6, "fp16": 1.4}
COMMITS = [f"{number:04x}" * 10 for number in range(RUNS)]
UPGRADE = {"torch": "2.14.0"}


def measured(setup, slower, baseline_slower=1.0, **facts):
    """A result of a setup whose latency, and whose baseline's, are so many times what they are documented to be."""
    base = LATENCIES_S["baseline"] * baseline_slower
    own = base if setup == "baseline" else LATENCIES_S[setup] * slower
    ratio = base / own
    samples = {"baseline": [(base, base)] * 6, CONTROL: [(base, base)] * 6, setup: [(own, own)] * 6}
    known = {
        "speedup": ratio,
        "low": ratio * 0.99,
        "high": ratio * 1.01,
        "samples_s": samples,
        "latency_s": own,
        "baseline_latency_s": base,
    }
    return result(setup, **{**known, **facts})


def stored(folder, *, row=1.0, everything=1.0, canary=1.0, upgraded=False, commits=COMMITS):
    """Store runs, all slower by these factors from one on: of ``fp16`` alone, of every setup, of the canary."""
    noise = random.Random(1)
    for number in range(RUNS):
        late = number >= STEP
        machine = noise.gauss(1, 0.01)
        common = machine * (everything if late else 1.0)
        work = machine * (canary if late else 1.0)
        facts = {
            "canary_s": {name: [work * noise.gauss(1, 0.003)] * 2 for name in ("matmul", "copy")},
            "versions": {"torch": "2.13.0"} | (UPGRADE if late and upgraded else {}),
        }
        results = [
            measured(setup, common * noise.gauss(1, 0.003) * (row if late and setup == "fp16" else 1.0), common, **facts)
            for setup in LATENCIES_S
        ]
        write_run(
            folder,
            results,
            number + 1,
            commit_info={"id": commits[number], "dirty": False},
            datetime=f"2026-01-{1 + number:02}T08:00:00+00:00",
        )


def said(capsys, folder):
    """What the command prints as JSON, by setup."""
    assert main(["history", str(folder), "--json"]) == 0
    return {entry["setup"]: entry for entry in json.loads(capsys.readouterr().out)}


def kinds(found):
    return {setup: entry["kind"] for setup, entry in found.items()}


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ({}, {"baseline": "none", "tf32": "none", "fp16": "none"}),
        ({"row": 1.06}, {"baseline": "none", "tf32": "none", "fp16": "code"}),
        ({"everything": 1.08, "canary": 1.08}, {"baseline": "machine", "tf32": "machine", "fp16": "machine"}),
        ({"everything": 1.08, "upgraded": True}, {"baseline": "stack", "tf32": "stack", "fp16": "stack"}),
        ({"row": 0.9}, {"baseline": "none", "tf32": "none", "fp16": "improvement"}),
    ],
    ids=["steady", "code", "machine", "stack", "improvement"],
)
def test_planted_changes_are_called_by_what_they_are(tmp_path, capsys, planted, expected):
    stored(tmp_path, **planted)
    assert kinds(said(capsys, tmp_path)) == expected
    # The second time from the index.
    assert kinds(said(capsys, tmp_path)) == expected


def test_a_change_is_told_with_its_size_its_first_run_and_its_commits(tmp_path, capsys):
    stored(tmp_path, row=1.06)
    entry = said(capsys, tmp_path)["fp16"]
    assert (entry["table"], entry["device"], entry["runs"]) == ("inference", "NVIDIA H200", RUNS)
    assert (entry["since"], entry["since_run"]) == ("2026-01-21T08:00:00+00:00", "0021_run")
    assert entry["change"] == pytest.approx(0.06, abs=0.01)
    assert entry["commits"] == {"after": COMMITS[STEP - 1], "first": COMMITS[STEP]}


def test_words_say_the_same(tmp_path, capsys):
    stored(tmp_path, row=1.06)
    assert main(["history", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "sd history: inference" in out
    assert "fp16 on NVIDIA H200: 6" in out
    assert "It is the code" in out
    assert f"git bisect start {COMMITS[STEP][:10]} {COMMITS[STEP - 1][:10]}" in out


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commits_of_a_step_are_listed_where_git_knows_them(tmp_path, capsys, monkeypatch):
    checkout = tmp_path / "checkout"

    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        done = subprocess.run(["git", "-C", checkout, *identity, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    checkout.mkdir()
    git("init", "--quiet")
    ids = []
    for subject in ["before", "slow down", "unrelated"]:
        git("commit", "--quiet", "--allow-empty", "--message", subject)
        ids.append(git("rev-parse", "HEAD"))
    stored(tmp_path / "runs", row=1.06, commits=[ids[0]] * STEP + [ids[2]] * (RUNS - STEP))
    monkeypatch.chdir(checkout)
    assert main(["history", str(tmp_path / "runs")]) == 0
    out = capsys.readouterr().out
    assert f"    {ids[1][:7]} slow down\n" in out
    assert "before\n" not in out
    monkeypatch.chdir(tmp_path)
    assert main(["history", str(tmp_path / "runs")]) == 0
    assert "slow down" not in capsys.readouterr().out


@pytest.mark.parametrize("commit", ["--output=x", "a b", "", "HEAD~1"])
def test_what_is_no_commit_is_not_handed_to_git(tmp_path, commit):
    assert list_commits(commit, "abc", tmp_path) == []
    assert list_commits("abc", commit, tmp_path) == []


def test_without_git_no_commits_are_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list_commits("abc", "def", tmp_path) == []


def test_an_empty_folder_says_so(tmp_path, capsys):
    assert main(["history", str(tmp_path)]) == 0
    assert "no stored run of this plugin" in capsys.readouterr().out
    assert said(capsys, tmp_path) == {}


def test_what_was_passed_over_is_said_beside_the_answer(tmp_path, capsys):
    write_run(tmp_path, [result()])
    (tmp_path / "0002_half.json").write_text('{"benchmarks": [')
    write_run(tmp_path, [benchmark(None)], 3)
    assert main(["history", str(tmp_path), "--json"]) == 0
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)) == 1
    assert "0002_half.json" in printed.err
    assert "not this plugin's" in printed.err


def test_a_folder_that_is_none_is_refused(tmp_path, capsys):
    file = write_run(tmp_path, [result()])
    with pytest.raises(SystemExit, match="2"):
        main(["history", str(file)])
    assert "is no folder" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["history", str(tmp_path / "nowhere")])
    assert "does not exist" in capsys.readouterr().err


def test_the_report_of_a_folder_shows_its_history(tmp_path):
    stored(tmp_path / "runs", row=1.06)
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "runs"), str(page)]) == 0
    text = page.read_text()
    assert "since 2026-01-21" in text
    assert "0021_run" in text
