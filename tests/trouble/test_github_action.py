"""The action for GitHub: its steps run here, and a job ends as pytest ended, whatever the steps around it do."""

import shutil
import subprocess
import sys

import pytest
from actions import Runner
from children import OWN_CLOCK
from fakes import failed, tf32
from pull_requests import HERE, NUMBER, serve
from stored import write_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("bash") is None or shutil.which("git") is None, reason="needs bash and git"),
]


MAIN = {"ref": "refs/heads/main", "event_name": "push", "event": {}}
"""What the context ``github`` says of a push to the branch that has the history."""


@pytest.fixture
def github():
    with serve() as server:
        yield server


@pytest.fixture
def runner(tmp_path, github):
    """A runner with a pull request, whose pytest stores a run that passes."""
    made = Runner(tmp_path, GITHUB_API_URL=github.address)
    made.github["event"] = {"pull_request": {"number": NUMBER}}
    measure(made, tmp_path, tf32())
    return made


def measure(runner, folder, *results, code=0):
    """Let pytest store a run, or none, and end with a code."""
    runner.environment |= {"FAKE_CODE": str(code), "FAKE_RUN": str(write_run(folder / "made", results)) if results else ""}


def outcomes(runner):
    return {name: step.outcome for name, step in runner.steps.items()}


def test_a_run_that_passes_goes_through_every_step(runner, github):
    assert runner.run(arguments="benchmarks --sd-budget=60") == 0
    assert runner.given()[:2] == ["benchmarks", "--sd-budget=60"]
    assert runner.given()[2:] == ["--benchmark-autosave", "--benchmark-json=sdspeed-report.json", "--sd-report=sdspeed-report.html"]
    assert runner.steps["run"].outputs == {"exit-code": "0", "run": "sdspeed-report.json", "measured": "true"}
    assert runner.artifacts == {"sdspeed-speed": ["sdspeed-report.html", "sdspeed-report.json"]}
    (body,) = github.bodies()
    assert body.startswith("<!-- pytest-sdspeed: sdspeed-speed -->\n## ✅ Diffusion speed-ups and pictures: 1 pass\n")
    assert "[report](<https://github.test/artifacts/5>) · [log](<https://github.test/octo/engine/actions/runs/99>)" in body
    assert outcomes(runner).pop("save") == "skipped"
    assert "ghs_" not in runner.log()


@pytest.mark.parametrize("code", [1, 2, 137])
def test_a_job_ends_with_the_exit_code_of_pytest_after_all_other_steps(runner, github, tmp_path, code):
    measure(runner, tmp_path, tf32(), failed(), code=code)
    assert runner.run() == code
    assert runner.steps["run"].outputs["exit-code"] == str(code)
    assert [name for name, outcome in outcomes(runner).items() if outcome == "failure"] == ["verdict"]
    assert runner.artifacts["sdspeed-speed"]
    assert f"(exit code {code})" in github.bodies()[0] or f"exit code {code}:" in github.bodies()[0]


def test_the_second_run_updates_the_comment_and_another_job_has_its_own(runner, github, tmp_path):
    runner.run()
    measure(runner, tmp_path, failed(), code=1)
    runner.run()
    assert len(github.bodies()) == 1
    assert "❌" in github.bodies()[0]
    runner.environment["GITHUB_JOB"] = "gpu"
    runner.run()
    assert len(github.bodies()) == 2


def test_what_an_earlier_run_has_left_is_not_taken_for_this_one(runner, github, tmp_path):
    assert runner.run() == 0
    measure(runner, tmp_path, code=4)
    assert runner.run() == 4
    assert runner.steps["run"].outputs["measured"] == "false"
    assert runner.artifacts["sdspeed-speed"] == []
    (body,) = github.bodies()
    assert "## ❌ Diffusion speed-ups and pictures: nothing was measured" in body
    assert "[report]" not in body


def test_a_run_that_passes_without_a_gate_fails_the_job(runner, github, tmp_path):
    measure(runner, tmp_path)
    assert runner.run() == 5
    assert runner.steps["run"].outputs["measured"] == "false"
    assert "::error::pytest passed, but no gate measured anything" in runner.log()
    (body,) = github.bodies()
    assert "## ❌ Diffusion speed-ups and pictures: nothing was measured" in body
    assert "No test was found, or no gate measured anything (exit code 5)." in body


def test_benchmarks_of_others_are_no_gate(runner, github, tmp_path):
    made = tmp_path / "other.json"
    made.write_text('{"machine_info": {"sdspeed": {}}, "benchmarks": [{"fullname": "test_it.py::test_it", "extra_info": {"size": 3}}]}')
    runner.environment["FAKE_RUN"] = str(made)
    runner.github |= MAIN
    assert runner.run(comment="false") == 5
    assert runner.cache == {}


def test_a_run_that_is_killed_fails_the_job(runner, github):
    runner.environment["FAKE_KILL"] = "1"
    assert runner.run() == 1
    assert runner.steps["run"].outputs == {}
    assert "❌" in github.bodies()[0]


@pytest.mark.parametrize("code", [0, 1])
def test_a_forks_token_and_a_server_that_is_away_change_no_exit_code(runner, github, tmp_path, code):
    measure(runner, tmp_path, failed() if code else tf32(), code=code)
    github.fail("POST", HERE, (403, {"message": "Resource not accessible by integration"}))
    assert runner.run() == code
    assert "| setup |" in runner.steps["comment"].summary
    assert github.comments == []
    github.fail("GET", "/", *[(404, b"")] * 9)
    assert runner.run() == code
    assert "::warning::no comment was written" in runner.steps["comment"].log


def test_arguments_come_whole_and_nothing_in_them_is_run(runner, tmp_path):
    hostile = """-k 'a and b' "x $(touch pwned) `touch pwned` ; touch pwned" a\\ b '' '*' --sd-budget=60"""
    assert runner.run(arguments=hostile, comment="false", against="main; touch pwned $(touch pwned)") == 0
    words = ["-k", "a and b", "x $(touch pwned) `touch pwned` ; touch pwned", "a b", "", "*", "--sd-budget=60"]
    assert runner.given()[: len(words)] == words
    assert runner.given()[-1] == "--sd-against=main; touch pwned $(touch pwned)"
    assert list(tmp_path.rglob("pwned")) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"history": "yes"},
        {"comment": "True"},
        {"report": "out.json"},
        {"report": "-x.html"},
        {"report": "a.html\nmeasured=true\nb.html"},
        {"name": "a b"},
        {"name": "x\nagainst=evil"},
        {"against": ""},
        {"against": "main\nname=other"},
        {"arguments": "-k 'open"},
    ],
    ids=str,
)
def test_a_wrong_input_ends_with_4(runner, wrong):
    assert runner.run(**{"comment": "false", **wrong}) == 4
    assert runner.log().count("::error::") == 1
    assert runner.steps["prepare"].outputs.keys() <= {"exit-code", "name", "against"}


def test_a_wrong_input_replaces_the_comment_of_a_run_that_passed(runner, github):
    assert runner.run() == 0
    assert runner.run(history="yes") == 4
    (body,) = github.bodies()
    assert "## ❌ Diffusion speed-ups and pictures: nothing was measured" in body


def test_a_python_that_is_not_there_fails_the_job(runner):
    assert runner.run(python="/nowhere/python", comment="false") == 4
    assert "there is no '/nowhere/python'" in runner.log()


# Two versions


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    return subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_a_pull_request_is_compared_with_its_merge_base(runner, github):
    runner.environment["GITHUB_BASE_REF"] = "main"
    git(runner.workspace, "init", "--quiet", "--initial-branch=main")
    git(runner.workspace, "commit", "--quiet", "--allow-empty", "--message=base")
    base = git(runner.workspace, "rev-parse", "HEAD")
    assert runner.run(against="merge-base") == 4
    assert "give actions/checkout fetch-depth: 0" in runner.log()
    assert "nothing was measured" in github.bodies()[0]
    git(runner.workspace, "update-ref", "refs/remotes/origin/main", base)
    git(runner.workspace, "commit", "--quiet", "--allow-empty", "--message=change")
    assert runner.run(against="merge-base", comment="false") == 0
    assert f"--sd-against={base}" in runner.given()


def test_a_checkout_that_is_the_merge_base_itself_is_not_compared_with_itself(runner, github):
    """As on ``pull_request_target``: the base branch is checked out, and would pass against itself."""
    runner.environment["GITHUB_BASE_REF"] = "main"
    git(runner.workspace, "init", "--quiet", "--initial-branch=main")
    git(runner.workspace, "commit", "--quiet", "--allow-empty", "--message=base")
    git(runner.workspace, "update-ref", "refs/remotes/origin/main", "HEAD")
    assert runner.run(against="merge-base") == 4
    assert "::error::what is checked out is the merge base with main itself: check out the pull request" in runner.log()
    assert "nothing was measured" in github.bodies()[0]


def test_elsewhere_there_is_no_merge_base_and_the_gates_are_measured(runner):
    assert runner.run(against="merge-base", comment="false") == 0
    assert not [word for word in runner.given() if word.startswith("--sd-against")]
    assert "::notice::this is no pull request" in runner.log()


# The history


def test_the_history_of_its_branch_is_saved_and_restored_and_pull_requests_leave_it_alone(runner, github, tmp_path):
    runner.github |= MAIN
    measure(runner, tmp_path, tf32(), failed(), code=1)
    assert runner.run() == 1
    assert outcomes(runner)["save"] == "success"
    assert github.comments == []
    assert list(runner.cache) == ["sdspeed-history/Linux/sdspeed-speed/99-1"]
    shutil.rmtree(runner.workspace / ".benchmarks")
    runner.github |= {
        "ref": "refs/pull/7/merge",
        "event_name": "pull_request",
        "run_id": "100",
        "event": {"pull_request": {"number": NUMBER}},
    }
    measure(runner, tmp_path, tf32())
    runner.environment["FAKE_RUN"] = str(write_run(tmp_path / "made", [tf32()], 2))
    assert runner.run() == 0
    assert sorted(file.name for file in (runner.workspace / ".benchmarks").glob("*.json")) == ["0001_run.json", "0002_run.json"]
    assert list(runner.cache) == ["sdspeed-history/Linux/sdspeed-speed/99-1"]
    assert outcomes(runner)["save"] == "skipped"


def test_a_job_takes_no_other_jobs_history(runner, tmp_path):
    runner.github |= MAIN
    runner.run(name="speed-gpu")
    shutil.rmtree(runner.workspace / ".benchmarks")
    measure(runner, tmp_path, code=4)
    runner.run(name="speed")
    assert not (runner.workspace / ".benchmarks").exists()
    assert len(runner.cache) == 1


def test_a_job_that_wants_neither_history_nor_comment_has_none(runner, github):
    runner.github |= MAIN
    assert runner.run(history="false", comment="false") == 0
    assert (runner.cache, github.asked) == ({}, [])


@pytest.mark.parametrize("event", ["pull_request_target", "workflow_run", "issue_comment"])
def test_what_anybody_may_start_on_the_branch_of_the_history_is_not_saved(runner, event):
    runner.github |= MAIN | {"event_name": event}
    assert runner.run(comment="false") == 0
    assert runner.cache == {}


@pytest.mark.parametrize("event", ["push", "schedule", "workflow_dispatch"])
def test_what_its_owners_start_on_the_branch_of_the_history_is_saved(runner, event):
    runner.github |= MAIN | {"event_name": event}
    assert runner.run(comment="false") == 0
    assert len(runner.cache) == 1


@pytest.mark.parametrize("now", ["[a]\nnew = 1\n", None])
def test_a_history_that_is_restored_does_not_bring_acknowledged_changes_back(runner, now):
    """The checkout says what is acknowledged: an entry that it removed hides nothing, and one that it added counts."""
    files = [runner.workspace / ".benchmarks" / name for name in ("acknowledged.toml", "a b/acknowledged.toml")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("[a]\nold = 1\n")
    runner.github |= MAIN
    runner.run(comment="false")
    for file in files:
        file.unlink() if now is None else file.write_text(now)
    runner.github |= {"ref": "refs/pull/7/merge", "event_name": "pull_request"}
    runner.run(comment="false")
    assert list((runner.workspace / ".benchmarks").glob("*.json"))
    assert [file.read_text() if file.exists() else None for file in files] == [now, now]


# With the real plugin

REAL = f"""{OWN_CLOCK}
def engine(seconds):
    def generate():
        CLOCK.spend(seconds)
    return generate
"""
TEST = """
import pytest
from conftest import engine

@pytest.mark.sd_latency(speedup=1.5)
@pytest.mark.parametrize("seconds", [1.0, 1.4])
def test_engine(sd_latency, seconds):
    sd_latency(engine(seconds), baseline=engine(1.5))
"""


def test_the_real_plugin_fails_the_job_and_tells_why(runner, github):
    (runner.workspace / "conftest.py").write_text(REAL)
    (runner.workspace / "test_engine.py").write_text(TEST)
    runner.environment["PYTHONPATH"] += f":{runner.workspace}"
    inputs = {"python": sys.executable, "arguments": "--disable-plugin-autoload -p benchmark -p pytest_sdspeed.plugin -q test_engine.py"}
    assert runner.run(**inputs) == 1
    (body,) = github.bodies()
    assert "## ❌ Diffusion speed-ups and pictures: 1 fail, 1 pass" in body
    assert "| setup | latency |" in runner.steps["run"].summary
    assert runner.artifacts["sdspeed-speed"] == ["sdspeed-report.html", "sdspeed-report.json"]
    assert runner.run(**inputs | {"arguments": f"{inputs['arguments']} --sd-budget=no"}) == 4
    assert "nothing was measured" in github.bodies()[0]


SKIPPED = """
import pytest

@pytest.mark.sd_latency(speedup=1.5)
def test_engine(sd_latency):
    pytest.skip("no such machine")

def test_other(benchmark):
    benchmark(lambda: None)
"""


def test_the_real_plugin_whose_gates_are_all_skipped_fails_the_job(runner, github):
    (runner.workspace / "test_engine.py").write_text(SKIPPED)
    arguments = "--disable-plugin-autoload -p benchmark -p pytest_sdspeed.plugin -q test_engine.py"
    for more in ("", " --benchmark-disable", " --collect-only"):
        assert runner.run(python=sys.executable, arguments=arguments + more) == 5
        assert "## ❌ Diffusion speed-ups and pictures: nothing was measured" in github.bodies()[0]
