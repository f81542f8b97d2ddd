"""A change that is meant becomes the new level: told no more, listed with its reason, and nothing else is hidden by it."""

import json
import re
import tomllib
from dataclasses import replace
from datetime import date

import histories
import pytest
from planted import REASON, SIX, TEN, accept, ask, day, look, make_slower, store, words  # noqa: F401 - a fixture

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.history.acknowledged import make_acknowledgement
from pytest_sdspeed.history.aliases import parse_aliases
from pytest_sdspeed.judge.changes.acknowledged import covers, find_acknowledgement


def test_the_words_name_the_id_and_the_command(slower, capsys):
    folder, change = slower
    assert f"--acknowledge {change} --reason TEXT" in words(capsys, folder).out


def test_an_acknowledged_change_is_told_no_more_and_listed(slower, capsys):
    folder, change = slower
    assert look(folder, 30, slower=[(20, "fp16", SIX)])[1].kind == "code"
    assert accept(folder, change) == 0
    said = capsys.readouterr().out
    assert all(part in said for part in (str(folder / "acknowledged.toml"), change, "fp16", REASON))
    history, told, problems = look(folder, 30, slower=[(20, "fp16", SIX)])
    assert (told, history.latest, problems) == (None, None, ())
    after = ask(capsys, folder)["fp16"]
    assert (after["kind"], after["id"]) == ("none", None)
    (listed,) = after["changes"]
    assert (listed["id"], listed["kind"], listed["acknowledged"]["reason"]) == (change, "code", REASON)
    printed = words(capsys, folder)
    assert "It is the code" not in printed.out
    assert "acknowledged: fp16: 6" in printed.out
    assert REASON in printed.out
    assert f"[{change}]" in printed.out
    assert printed.err == ""


def test_the_file_names_the_change_its_run_its_reason_the_day_and_who(slower, monkeypatch, tmp_path):
    folder, change = slower
    config = tmp_path / "config"
    config.write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert accept(folder, change, reason='it "is" meant\nreally') == 0
    entry = tomllib.loads((folder / "acknowledged.toml").read_text())[change]
    assert (entry["table"], entry["setup"], entry["since"]) == ("inference", "fp16", day(20))
    assert (entry["reason"], entry["by"], entry["commit"]) == ('it "is" meant\nreally', "Ada <ada@example.org>", "0014" * 10)
    assert entry["change"] == pytest.approx(0.062, abs=0.01)
    assert len(entry["acknowledged"]) == len("2026-01-01")


def test_without_git_nobody_is_named(slower, monkeypatch, tmp_path):
    folder, change = slower
    monkeypatch.setenv("PATH", str(tmp_path))
    assert accept(folder, change) == 0
    assert "by" not in tomllib.loads((folder / "acknowledged.toml").read_text())[change]


def test_later_runs_are_judged_against_the_new_level(slower, capsys):
    folder, change = slower
    accept(folder, change)
    store(folder, range(30, 40), slower=[(20, "fp16", SIX)])
    assert ask(capsys, folder)["fp16"]["kind"] == "none"
    # Back at the old level is faster than the level that is accepted.
    store(folder, range(40, 45))
    assert ask(capsys, folder)["fp16"]["kind"] == "improvement"


def test_one_that_gets_worse_again_is_a_new_change(slower, capsys):
    folder, change = slower
    accept(folder, change)
    worse = [(20, "fp16", SIX), (33, "fp16", TEN)]
    store(folder, range(30, 34), slower=worse)
    history, told, _ = look(folder, 34, slower=worse)
    assert (told.kind, history.runs[told.since].date) == ("code", day(33))
    assert told.change == pytest.approx(0.105, abs=0.015)
    store(folder, range(34, 36), slower=worse)
    again = ask(capsys, folder)["fp16"]
    assert (again["kind"], again["since"]) == ("code", day(33))
    assert again["id"] != change
    assert accept(folder, again["id"]) == 0
    assert len(tomllib.loads((folder / "acknowledged.toml").read_text())) == 2
    assert ask(capsys, folder)["fp16"]["kind"] == "none"


def test_one_that_grows_at_once_is_told_though_it_is_one_change_for_the_rule(tmp_path, capsys):
    store(tmp_path, 22, slower=[(20, "fp16", SIX)])
    change = ask(capsys, tmp_path)["fp16"]["id"]
    accept(tmp_path, change)
    # Too early for a level of its own: the rule takes both steps for one.
    worse = [(20, "fp16", SIX), (22, "fp16", TEN)]
    store(tmp_path, range(22, 30), slower=worse)
    found = ask(capsys, tmp_path)["fp16"]
    assert (found["kind"], found["id"]) == ("code", change)
    assert "when it was acknowledged" in words(capsys, tmp_path).out
    assert look(tmp_path, 30, slower=worse)[1] is not None
    # Accepted as large as it is now.
    accept(tmp_path, change, reason="both are meant")
    assert ask(capsys, tmp_path)["fp16"]["kind"] == "none"


def test_removing_the_entry_brings_the_warning_back(slower, capsys):
    folder, change = slower
    accept(folder, change)
    (folder / "acknowledged.toml").write_text("")
    assert ask(capsys, folder)["fp16"]["kind"] == "code"
    (folder / "acknowledged.toml").unlink()
    assert look(folder, 30, slower=[(20, "fp16", SIX)])[1].kind == "code"


def test_more_runs_do_not_rename_a_change(tmp_path, capsys):
    seen = set()
    for runs in range(22, 45):
        store(tmp_path, [*range(22)] if runs == 22 else [runs - 1], slower=[(20, "fp16", SIX)])
        seen.add(ask(capsys, tmp_path)["fp16"]["id"])
    assert len(seen) == 1


def test_another_row_another_device_and_another_table_are_told(slower, capsys):
    folder, change = slower
    accept(folder, change)
    elsewhere = {"device": "NVIDIA A100"}
    for name, facts in (("device", elsewhere), ("table", {"table": "stack"}), ("recipe", {"weights": "pretrained"})):
        store(folder / name, 30, slower=[(20, "fp16", SIX)], facts=facts, run=lambda number: {"datetime": day(number)})
    capsys.readouterr()
    assert main(["history", str(folder), "--json"]) == 0
    found = [one for one in json.loads(capsys.readouterr().out) if one["setup"] == "fp16"]
    assert sorted(one["kind"] for one in found) == ["code", "code", "code", "none"]


def test_another_row_that_became_slower_with_the_same_run_is_told(tmp_path, capsys):
    planted = [(20, "fp16", SIX), (20, "tf32", SIX)]
    store(tmp_path, 30, slower=planted)
    found = ask(capsys, tmp_path)
    assert found["fp16"]["id"] != found["tf32"]["id"]
    accept(tmp_path, found["fp16"]["id"])
    after = ask(capsys, tmp_path)
    assert (after["fp16"]["kind"], after["tf32"]["kind"]) == ("none", found["tf32"]["kind"])
    assert look(tmp_path, 30, setup="tf32", slower=planted)[1] is not None


def test_a_run_of_another_host_does_not_inherit_it(tmp_path, capsys):
    """The same step, of the same row and day, that another host measured: its runs are of a folder of their own."""
    for host in ("lab-1", "lab-2"):
        store(tmp_path / host, 30, slower=[(20, "fp16", SIX)], run=lambda _number, host=host: {"machine_info": {"node": host}})
    first, second = (ask(capsys, tmp_path / host)["fp16"]["id"] for host in ("lab-1", "lab-2"))
    assert first != second
    accept(tmp_path / "lab-1", first)
    shift = (tmp_path / "lab-1" / "acknowledged.toml").read_text().replace(day(20), day(19))
    (tmp_path / "lab-2" / "acknowledged.toml").write_text(shift)
    assert ask(capsys, tmp_path / "lab-2")["fp16"]["kind"] == "code"


def test_an_accepted_improvement_does_not_hide_a_slowdown(tmp_path, capsys):
    store(tmp_path, 30, slower=[(20, "fp16", -TEN)])
    found = ask(capsys, tmp_path)["fp16"]
    assert found["kind"] == "improvement"
    accept(tmp_path, found["id"])
    assert ask(capsys, tmp_path)["fp16"]["kind"] == "none"
    store(tmp_path, range(30, 34), slower=[(20, "fp16", -TEN), (30, "fp16", TEN)])
    assert ask(capsys, tmp_path)["fp16"]["kind"] == "code"


def test_a_hand_written_entry_of_the_other_direction_hides_nothing(slower, capsys):
    folder, change = slower
    accept(folder, change)
    file = folder / "acknowledged.toml"
    entry = tomllib.loads(file.read_text())[change]
    file.write_text(file.read_text().replace(f"change = {entry['change']}", "change = -0.5"))
    assert ask(capsys, folder)["fp16"]["kind"] == "code"
    assert "no change of these runs" in words(capsys, folder).err


def test_what_is_accepted_of_one_row_is_told_of_the_others_that_moved_with_it(tmp_path, capsys):
    store(tmp_path, 30, common=[(20, 0.08)], facts=lambda number: {"versions": {"torch": "2.14" if number >= 20 else "2.13"}})
    found = ask(capsys, tmp_path)
    assert {one["kind"] for one in found.values()} == {"stack"}
    accept(tmp_path, found["fp16"]["id"])
    after = ask(capsys, tmp_path)
    assert (after["fp16"]["kind"], after["tf32"]["kind"], after["baseline"]["kind"]) == ("none", "stack", "stack")


@pytest.mark.parametrize("at", [22, 23])
@pytest.mark.parametrize("size", [0.05, 0.08])
def test_an_upgrade_that_was_accepted_does_not_hide_the_code_that_became_slower_with_the_next_run(tmp_path, capsys, at, size):
    """The rule finds the step of the ratio, a run or two after that of all latencies, and no larger."""

    def facts(number):
        return {"versions": {"torch": "2.14" if number >= 20 else "2.13"}}

    upgrade = {"common": [(20, 0.08)], "facts": facts}
    store(tmp_path, 22, **upgrade)
    found = ask(capsys, tmp_path)["fp16"]
    assert found["kind"] == "stack"
    accept(tmp_path, found["id"])
    assert ask(capsys, tmp_path)["fp16"]["kind"] == "none"
    store(tmp_path, range(22, 30), slower=[(at, "fp16", size)], **upgrade)
    assert ask(capsys, tmp_path)["fp16"]["kind"] == "code"
    assert look(tmp_path, 30, slower=[(at, "fp16", size)], **upgrade)[1] is not None
    if at == 22:
        said = words(capsys, tmp_path).out
        assert re.search(rf"Of the latency [78]\.\d% was acknowledged \([-\d]+: {REASON}\): it moved by more\.", said)
    # Accepted once more, as large as it is now.
    accept(tmp_path, ask(capsys, tmp_path)["fp16"]["id"], reason="both are meant")
    assert ask(capsys, tmp_path)["fp16"]["kind"] == "none"


@pytest.mark.parametrize("ratio", [False, True])
def test_a_change_that_further_runs_call_otherwise_is_still_the_one_that_was_accepted(ratio):
    """Two runs may look like the latency of all rows, and more of them like the ratio of one, a run later."""
    made = histories.history(kind="code", since=40)
    change = replace(made.changes[0], ratio=ratio)
    accepted = make_acknowledgement(made, change, REASON, date(2026, 11, 29), None)
    for since in (39, 40, 41, 42):
        found = find_acknowledgement(made, replace(change, since=since, ratio=not ratio), [accepted])
        assert found == accepted
        assert covers(found, change)
    assert find_acknowledgement(made, replace(change, since=44), [accepted]) is None
    assert find_acknowledgement(made, replace(change, change=-0.06), [accepted]) is None
    assert not covers(accepted, replace(change, change=0.12))


def test_a_slowdown_that_was_undone_is_not_told_again_because_another_one_is_accepted(tmp_path, capsys):
    planted = [(10, "fp16", SIX), (18, "fp16", -SIX), (27, "fp16", SIX)]
    store(tmp_path, 29, slower=planted)
    last = ask(capsys, tmp_path)["fp16"]
    assert last["since"] == day(27)
    accept(tmp_path, last["id"])
    assert ask(capsys, tmp_path)["fp16"]["kind"] == "none"
    assert look(tmp_path, 29, slower=planted)[1] is None


def test_one_before_it_that_nobody_accepted_is_still_told(tmp_path, capsys):
    planted = [(20, "fp16", SIX), (28, "fp16", TEN)]
    store(tmp_path, 32, slower=planted)
    found = ask(capsys, tmp_path)["fp16"]
    assert found["since"] == day(28)
    accept(tmp_path, found["id"])
    history, told, _ = look(tmp_path, 32, slower=planted)
    assert history.runs[told.since].date == day(20)
    assert ask(capsys, tmp_path)["fp16"]["since"] == day(20)


def test_it_holds_for_a_row_that_was_renamed(slower, capsys):
    folder, change = slower
    accept(folder, change)
    alias = ("--sd-history-alias", "inference::fp16=inference::half")
    assert ask(capsys, folder, *alias)["half"]["kind"] == "none"
    assert ask(capsys, folder, *alias)["half"]["changes"][0]["acknowledged"]["reason"] == REASON


def test_a_renaming_that_does_not_hold_gives_it_to_no_other_row(tmp_path, capsys):
    """``fp16`` and ``tf32`` were measured side by side: an alias makes them no one row, and accepts nothing of the other."""
    store(tmp_path, 30, slower=[(20, "fp16", SIX), (20, "tf32", SIX)])
    accept(tmp_path, ask(capsys, tmp_path)["fp16"]["id"])
    alias = ("--sd-history-alias", "inference::fp16=inference::tf32")
    found = ask(capsys, tmp_path, *alias)
    assert (found["fp16"]["kind"], found["tf32"]["kind"]) == ("none", "code")
    assert look(tmp_path, 30, setup="tf32", slower=[(20, "fp16", SIX), (20, "tf32", SIX)], aliases=parse_aliases([alias[1]]))[1] is not None


# A whole run

GATE = """
@pytest.mark.sd_latency(speedup=1.5, tolerance=0.3)
def test_engine(sd_latency):
    sd_latency(engine({0}), baseline=engine(1.5))
"""


@pytest.mark.slow
def test_a_run_that_failed_by_its_history_passes_when_the_change_is_accepted(gated, pytester, capsys):
    def run(seconds):
        return gated(GATE.format(seconds), "--benchmark-save=run", "--sd-history=fail")

    for _ in range(7):
        run(1.0).assert_outcomes(passed=1)
    run(1.1).assert_outcomes(passed=1)
    failed = run(1.1)
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(["*--acknowledge ???????? --reason TEXT*"])
    (found,) = ask(capsys, ".benchmarks").values()
    assert accept(".benchmarks", found["id"]) == 0
    passed = run(1.1)
    passed.assert_outcomes(passed=1)
    passed.stdout.fnmatch_lines([f"history: candidate of *: steady at a level that was acknowledged: *{REASON}"])
    for _ in range(4):
        run(1.1)
    run(1.25).assert_outcomes(passed=1)
    run(1.25).assert_outcomes(failed=1)
