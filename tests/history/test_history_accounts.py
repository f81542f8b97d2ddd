"""Stored accounts read back: a count that changes is dated to a commit, in words, as JSON, and until it is acknowledged."""

import json
from dataclasses import replace

import pytest
from stored import benchmark, write_run

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.model import Account, AccountAgainst, AccountResult, Place
from pytest_sdspeed.store.accounts import account_from_json, account_to_json

COMMITS = [f"{number:04x}" * 10 for number in range(9)]
SYNC = Place("host_sync", "engine.py", 3, "t.item()", 1)
TEST = "test_engine.py::test_engine"


def counted(syncs=0, **facts):
    """An account of four steps that wait for the device so many times each."""
    places = (replace(SYNC, count=syncs),) if syncs else ()
    step = Account(operations=10, host_syncs=syncs, places=places)
    call = tuple(replace(place, count=4 * syncs) for place in places)
    account = Account(operations=40, host_syncs=4 * syncs, steps=4, per_step=step, places=call, stages={"denoising": step})
    known = {"table": None, "setup": "engine", "account": account, "counted_as": "A100", "test": TEST, "versions": {"diffusers": "0.42.1"}}
    return AccountResult(**{**known, **facts})


def store(folder, *results, first=0):
    """Store a run for each result, or list of results, each of its own commit."""
    for number, one in enumerate(results, start=first):
        given = one if isinstance(one, list) else [one]
        entries = [benchmark(account_to_json(result), f"{result.test}::sd_account") for result in given]
        commit = {"id": COMMITS[number], "dirty": False}
        write_run(folder, entries, number, commit_info=commit, datetime=f"2026-11-{number + 20}T10:00:00+00:00")
    return folder


def told(capsys, *arguments, status=0):
    assert main(["history", *map(str, arguments)]) == status
    return capsys.readouterr().out


def test_a_sync_that_came_is_dated_to_its_commit_with_its_line(tmp_path, capsys):
    said = told(capsys, store(tmp_path, counted(), counted(), counted(1), counted(1)))
    assert "host_syncs_per_step 0 -> 1 since 0002000200 (2026-11-22) [" in said
    assert "2 of 4 runs" in said
    assert "+1 host sync a step   engine.py:3   t.item()" in said
    assert "--acknowledge" in said


def test_equal_counts_are_one_line(tmp_path, capsys):
    said = told(capsys, store(tmp_path, *[counted(2)] * 3))
    assert said.splitlines() == [
        "sd history of accounts: callables, counted as on A100",
        f"  engine of {TEST}: the same counts over 3 runs",
    ]


def test_what_was_undone_is_said_to_be(tmp_path, capsys):
    said = told(capsys, store(tmp_path, counted(), counted(1), counted()))
    assert "host_syncs_per_step 1 -> 0 since 0002000200" in said
    assert "0 -> 1" not in said


def test_versions_that_changed_with_a_count_are_named(tmp_path, capsys):
    said = told(capsys, store(tmp_path, counted(), counted(1, versions={"diffusers": "0.43.0"})))
    assert "(2026-11-21), with diffusers 0.42.1 -> 0.43.0 [" in said


def test_the_index_gives_back_what_the_files_hold(tmp_path, capsys):
    folder = store(tmp_path, counted(), counted(1))
    assert told(capsys, folder) == told(capsys, folder)
    store(folder, counted(3), first=2)
    assert "host_syncs_per_step 1 -> 3 since 0002000200" in told(capsys, folder)
    (folder / "0002_run.json").unlink()
    assert "1 -> 3" not in told(capsys, folder)


def test_runs_of_another_host_are_the_same_history_and_a_copy_counts_once(tmp_path, capsys):
    store(tmp_path / "a", counted())
    store(tmp_path / "b", counted(), counted(1), first=0)
    for number, file in enumerate(sorted((tmp_path / "b").glob("*.json"))):
        stored = json.loads(file.read_text())
        file.write_text(json.dumps(stored | {"machine_info": {"node": "host" if number == 0 else "other"}}))
    assert "1 of 2 runs" in told(capsys, tmp_path / "a", tmp_path / "b")


def test_what_was_compared_with_another_version_is_in_no_history(tmp_path, capsys):
    against = AccountAgainst(spec="main", label="main", account=counted().account)
    store(tmp_path, counted(), counted(1, against=against))
    assert "the same counts over 1 run" in told(capsys, tmp_path)


def test_a_record_with_the_other_version_comes_back_whole():
    one = counted(1)
    against = AccountAgainst(spec="main", label="main (3f2a1bc)", account=counted().account, more=("host_syncs 0 -> 4 (+4)",))
    back = account_from_json(json.loads(json.dumps(account_to_json(replace(one, against=against)))))
    assert back.against == replace(against, account=back.against.account)
    assert back.against.account.per_step == counted().account.per_step


@pytest.mark.parametrize("damage", [
    lambda record: record["account"].update(host_syncs="4"),
    lambda record: record["account"]["per_step"].update(operations=1.5),
    lambda record: record["account"]["places"][0].update(count=None),
    lambda record: record.pop("account"),
    lambda record: record.update(setup=3),
    lambda record: record.update(versions=[1]),
])  # fmt: skip
def test_a_damaged_account_is_named_and_the_other_runs_count(tmp_path, capsys, damage):
    folder = store(tmp_path, counted(), counted(1), counted(1))
    file = folder / "0001_run.json"
    stored = json.loads(file.read_text())
    damage(stored["benchmarks"][0]["extra_info"]["sdspeed"])
    file.write_text(json.dumps(stored))
    assert main(["history", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert "host_syncs_per_step 0 -> 1 since 0002000200" in out
    assert "0001_run.json" in err


def test_json_has_the_count_its_commits_and_its_line(tmp_path, capsys):
    (found,) = json.loads(told(capsys, store(tmp_path, counted(), counted(1)), "--json"))
    assert (found["kind"], found["setup"], found["runs"], found["since"]) == ("account", "engine", 2, "2026-11-21T10:00:00+00:00")
    assert found["counts"] == [{"name": "host_syncs_per_step", "was": 0, "now": 1}]
    assert found["commits"] == {"after": COMMITS[0], "first": COMMITS[1]}
    assert found["places"][0]["place"]["line"] == 3
    assert found["latest"]["counts"]["host_syncs"] == 4
    assert found["latest"]["counts"]["recompilations"] is None


def acknowledge(capsys, folder):
    (found,) = json.loads(told(capsys, folder, "--json"))
    told(capsys, folder, "--acknowledge", found["id"], "--reason", "the new guidance")
    return found["id"]


def test_an_acknowledged_count_is_told_no_more_and_listed(tmp_path, capsys):
    folder = store(tmp_path, counted(), counted(1))
    name = acknowledge(capsys, folder)
    text = (folder / "acknowledged.toml").read_text()
    assert f"[{name}]" in text
    assert 'counts = "host_syncs_per_step 0 -> 1"' in text
    assert "change" not in text.split("[", 1)[1]
    assert main(["history", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert "steady at counts that were acknowledged" in out
    assert "the new guidance" in out
    assert "If it is meant" not in out
    assert not err
    store(folder, counted(2), first=2)
    assert "host_syncs_per_step 1 -> 2 since 0002000200" in told(capsys, folder)


def test_an_entry_of_a_count_is_written_back_when_another_is_accepted(tmp_path, capsys):
    folder = store(tmp_path, counted(), counted(1))
    first = acknowledge(capsys, folder)
    store(folder, counted(2), first=2)
    second = acknowledge(capsys, folder)
    text = (folder / "acknowledged.toml").read_text()
    assert first != second
    assert f"[{first}]" in text
    assert f"[{second}]" in text


def test_an_entry_without_a_change_and_without_counts_is_named(tmp_path, capsys):
    folder = store(tmp_path, counted(), counted(1))
    acknowledge(capsys, folder)
    file = folder / "acknowledged.toml"
    file.write_text(file.read_text().replace('counts = "host_syncs_per_step 0 -> 1"\n', ""))
    assert main(["history", str(folder)]) == 1
    assert "missing" in capsys.readouterr().err


def test_two_tests_that_share_a_callable_are_two_histories(tmp_path, capsys):
    other = counted(1, test="test_engine.py::test_other")
    said = told(capsys, store(tmp_path, [counted(), other], [counted(), other]))
    assert said.count("the same counts over 2 runs") == 2


def test_a_test_that_was_renamed_goes_on_by_an_alias(tmp_path, capsys):
    new = counted(1, test="test_new.py::test_engine")
    folder = store(tmp_path, counted(), new)
    assert told(capsys, folder).count("over 1 run") == 2
    said = told(capsys, folder, "--sd-history-alias", "test_engine.py=test_new.py")
    assert "host_syncs_per_step 0 -> 1 since 0001000100" in said
