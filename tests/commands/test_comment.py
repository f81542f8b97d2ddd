"""``python -m pytest_sdspeed comment``: a stored run in one comment, printed or put on a pull request."""

import json
import re
import shutil

import pytest
from fakes import baseline_result, failed, result, tf32
from pull_requests import HERE, NUMBER, TOKEN, serve
from stored import benchmark, write_run
from test_history_command import RUNS
from test_history_command import stored as store_history

from pytest_sdspeed.__main__ import main


@pytest.fixture
def github(monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.setattr("pytest_sdspeed.store.github._PAUSES_S", (0.0, 0.0))
    with serve() as server:
        yield server


def there(github, *more):
    return ("--repository", "octo/engine", "--pull-request", str(NUMBER), "--api-url", github.address, *more)


def comment(capsys, *arguments, status=0):
    """What the command prints, and says beside it."""
    assert main(["comment", *map(str, arguments)]) == status
    printed = capsys.readouterr()
    assert TOKEN not in printed.out + printed.err
    return printed.out, printed.err


def refused(capsys, *arguments):
    with pytest.raises(SystemExit, match="2"):
        main(["comment", *map(str, arguments)])
    return capsys.readouterr().err.splitlines()[-1]


def test_without_a_pull_request_the_text_is_printed(tmp_path, capsys):
    out, _ = comment(capsys, write_run(tmp_path, [baseline_result(), tf32()]))
    assert out.startswith("<!-- pytest-sdspeed: run -->\n## ✅ Diffusion speed-ups and pictures: 2 pass\n")
    assert "commit abc, with uncommitted changes; 2026-11-23" in out


def test_two_runs_update_one_comment(tmp_path, capsys, github):
    assert (
        comment(capsys, write_run(tmp_path, [tf32()]), *there(github), "--exit-code", 0)[0]
        == "comment posted: https://github.test/c/1000\n"
    )
    out, _ = comment(
        capsys, write_run(tmp_path, [tf32(), failed()], 2), *there(github, "--report-url", "https://x.test/1"), "--exit-code", 1
    )
    assert out == "comment updated: https://github.test/c/1000\n"
    (body,) = github.bodies()
    assert "## ❌ Diffusion speed-ups and pictures: 1 fail, 1 pass" in body
    assert "[report](<https://x.test/1>)" in body


def test_a_run_that_measured_nothing_replaces_the_comment_of_one_that_passed(tmp_path, capsys, github):
    comment(capsys, write_run(tmp_path, [tf32()]), *there(github), "--exit-code", 0)
    (tmp_path / "empty.json").touch()
    for file in ("none.json", "empty.json"):
        comment(capsys, tmp_path / file, *there(github), "--exit-code", 4)
        (body,) = github.bodies()
        assert "## ❌ Diffusion speed-ups and pictures: nothing was measured" in body
        assert "pytest wrote no run" in body
        assert "pass" not in body.replace("passed", "")


def test_a_fork_gets_the_text_in_the_summary_and_no_failure(tmp_path, capsys, github, monkeypatch):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    github.fail("POST", HERE, (403, {"message": "Resource not accessible by integration"}))
    out, err = comment(capsys, write_run(tmp_path, [failed()]), *there(github))
    assert err.startswith("warning: the token may not write to octo/engine#7 (403): Resource not accessible by integration")
    assert "❌ fail |" in out
    assert summary.read_text() == f"before\n{out}"
    assert github.comments == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((401, {"message": "Bad credentials"}), "does not know the token"),
        ((404, {"message": "Not Found"}), "knows no pull request"),
        ((500, b""), "is out of order"),
        ((200, b"<html>"), "something else than JSON"),
        ((None, b""), "gives no whole answer"),
    ],
)
def test_each_fault_of_a_server_is_one_line_and_status_1(tmp_path, capsys, github, answer, said):
    github.fail("GET", HERE, *[answer] * 3)
    out, err = comment(capsys, write_run(tmp_path, [tf32()]), *there(github), status=1)
    assert (out, err.count("\n")) == ("", 1)
    assert said in err


def test_a_comment_that_the_next_run_would_not_find_is_said(tmp_path, capsys, github):
    github.author = "octo-app[bot]"
    _, err = comment(capsys, write_run(tmp_path, [tf32()]), *there(github))
    assert "give it --author octo-app[bot]" in err


def test_what_changed_since_the_runs_before_is_said_of_the_rows_of_this_run(tmp_path, capsys):
    store_history(tmp_path / "runs", row=1.06)
    file = max((tmp_path / "runs").glob("*.json"))
    copy = shutil.copy(file, tmp_path / "out.json")
    # Stored there too, and as pytest-benchmark leaves it without --benchmark-autosave.
    for at, stored_too in ((file, True), (copy, True), (copy, False)):
        if not stored_too:
            file.unlink()
        out, _ = comment(capsys, at, "--history", tmp_path / "runs")
        assert "3 pass, 1 slower than before" in out
        (line,) = [line for line in out.splitlines() if "since 2026-01-21" in line]
        assert re.match(r"- inference on NVIDIA H200: fp16: 6\.\d% slower since .*\(code\), 10 of 30 runs", line)
    assert RUNS == 30


def test_a_change_that_was_acknowledged_is_not_told_and_a_broken_file_of_them_is_said(tmp_path, capsys):
    runs = tmp_path / "runs"
    store_history(runs, row=1.06)
    file = max(runs.glob("*.json"))
    assert main(["history", str(runs), "--json"]) == 0
    (change,) = [one["id"] for one in json.loads(capsys.readouterr().out) if one["id"]]
    assert main(["history", str(runs), "--acknowledge", change, "--reason", "meant"]) == 0
    capsys.readouterr()
    out, err = comment(capsys, file, "--history", runs)
    assert ("3 pass" in out, "slower than before" in out, err) == (True, False, "")
    (runs / "acknowledged.toml").write_text("[broken")
    out, err = comment(capsys, file, "--history", runs)
    assert "1 slower than before" in out
    assert "acknowledged.toml" in err
    assert "nothing in it counts" in err


def test_a_history_that_ends_with_another_run_says_nothing_about_this_one(tmp_path, capsys):
    store_history(tmp_path / "runs", row=1.06)
    out, _ = comment(capsys, sorted((tmp_path / "runs").glob("*.json"))[-5], "--history", tmp_path / "runs")
    assert "### History" not in out
    out, _ = comment(capsys, write_run(tmp_path / "new", [tf32()]), "--history", tmp_path / "nowhere")
    assert "### History" not in out


def test_a_record_of_any_kind_costs_itself_alone(tmp_path, capsys):
    broken = json.loads(json.dumps(benchmark(failed())))
    broken["extra_info"]["sdspeed"]["reasons"] = [5]
    damaged = benchmark(result())
    damaged["extra_info"]["sdspeed"]["verdict"] = "green"
    out, _ = comment(capsys, write_run(tmp_path, [tf32(), broken, damaged, benchmark(None)]))
    assert "## ❔ Diffusion speed-ups and pictures: 1 pass" in out
    assert out.count("- not shown: ") == 2
    assert "test\\_other" not in out


def test_a_terminal_without_emoji_gets_escapes(tmp_path, capsys, monkeypatch):
    class Plain:
        encoding = "ascii"

        def __init__(self):
            self.text = ""

        def write(self, words):
            self.text += words.encode("ascii").decode()

    plain = Plain()
    monkeypatch.setattr("sys.stdout", plain)
    main(["comment", str(write_run(tmp_path, [tf32()]))])
    assert "## \\u2705 Diffusion" in plain.text


def test_wrong_arguments_are_named(tmp_path, capsys, github, monkeypatch):
    file = write_run(tmp_path, [tf32()])
    assert "is no file; with --exit-code" in refused(capsys, tmp_path / "none.json")
    assert "--key is empty" in refused(capsys, file, "--key", " ")
    for address in ("javascript:alert(1)", "https://x.test/a b", "https://x.test/>)[", "https://x.test/\n"):
        assert "--report-url" in refused(capsys, file, "--report-url", address)
    assert "together" in refused(capsys, file, "--pull-request", 7)
    for repository in ("octo", "octo/engine/../x", "octo/en gine", "/x"):
        assert "OWNER/NAME" in refused(capsys, file, "--repository", repository, "--pull-request", 7)
    assert "OWNER/NAME" in refused(capsys, file, "--repository", "octo/engine", "--pull-request", 0)
    assert "https://" in refused(capsys, file, *there(github, "--api-url", "http://api.github.com"))
    monkeypatch.delenv("GITHUB_TOKEN")
    assert "GITHUB_TOKEN is not set" in refused(capsys, file, *there(github))
    assert github.asked == []


def test_a_file_that_is_no_run_is_said(tmp_path, capsys):
    (tmp_path / "out.json").write_text("{")
    assert "out.json" in comment(capsys, tmp_path / "out.json", status=1)[1]
    assert "❌" in comment(capsys, tmp_path / "out.json", "--exit-code", 1)[0]
