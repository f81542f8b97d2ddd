"""Stored runs of several places are one history: local folders and file systems of fsspec's, each run once."""

import json
import re
import shutil
from pathlib import Path

import pytest
from fakes import result, tf32
from places import ADDRESS, dates, upload
from stored import HOST, benchmark, write_run
from test_history_command import COMMITS, RUNS, STEP, kinds, said, stored
from test_stored_runs import full, shown, stored_run

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.history.loading import load_from
from pytest_sdspeed.history.remote import open_storage
from pytest_sdspeed.store.records import to_json

pytestmark = pytest.mark.usefixtures("bucket")
ID = {"machine_info": HOST | {"sdspeed": {"run": "1f" * 16}}}


def slower():
    """Another result of the same row."""
    return result(samples_s={"baseline": [[2, 2]], "control": [[2, 2]], "fp16": [[1.9, 1.9]]})


# Merging


def test_the_same_runs_in_two_places_count_once(tmp_path, bucket):
    for number in (1, 2, 3):
        write_run(tmp_path / "a", [result()], number, **(ID if number == 3 else {}))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    upload(bucket, tmp_path / "a")
    assert dates(tmp_path / "a", tmp_path / "b", ADDRESS) == (["01", "02", "03"], ())
    assert dates(ADDRESS, tmp_path / "b", tmp_path / "b") == (["01", "02", "03"], ())


def test_other_runs_are_merged_by_their_dates_and_keep_their_hosts(tmp_path, bucket):
    for number in (1, 3, 6):
        write_run(tmp_path / "a", [result()], number)
    for number in (2, 5):
        write_run(tmp_path / "b", [result()], number, machine_info={"node": "second"})
    upload(bucket, tmp_path / "b")
    write_run(tmp_path / "c", [result()], 4, machine_info={"node": "third"})
    places = [open_storage(str(one)) for one in (tmp_path / "a", ADDRESS, f"file://{tmp_path / 'c'}")]
    (history,) = load_from(places).histories
    assert [run.date[18] for run in history.runs] == ["1", "2", "3", "4", "5", "6"]
    assert [run.host for run in history.runs] == ["host", "second", "host", "third", "second", "host"]


def test_a_change_that_no_place_shows_alone_is_found(tmp_path, capsys, bucket):
    stored(tmp_path, row=1.06)
    (tmp_path / "late").mkdir()
    for file in sorted(tmp_path.glob("*_run.json"))[STEP:]:
        file.rename(tmp_path / "late" / file.name)
    upload(bucket, tmp_path / "late")
    shutil.rmtree(tmp_path / "late")
    steady = {"baseline": "none", "tf32": "none", "fp16": "none"}
    assert kinds(said(capsys, tmp_path)) == steady
    assert kinds(said(capsys, ADDRESS)) == steady
    assert main(["history", str(tmp_path), ADDRESS, "--json"]) == 0
    (entry,) = (one for one in json.loads(capsys.readouterr().out) if one["kind"] != "none")
    assert (entry["setup"], entry["kind"], entry["runs"], entry["since_run"]) == ("fp16", "code", RUNS, "0021_run")
    assert entry["commits"] == {"after": COMMITS[STEP - 1], "first": COMMITS[STEP]}
    assert main(["history", str(tmp_path), ADDRESS]) == 0
    assert "fp16 on NVIDIA H200: 6" in capsys.readouterr().out


# One run, several files


GATE = """
@pytest.mark.sd_latency(speedup=1.5)
def test_engine(sd_latency):
    sd_latency(engine(1.0), baseline=engine(1.5))
"""


def test_a_run_that_is_written_twice_counts_once_and_two_runs_twice(gated, pytester):
    folder = pytester.path / ".benchmarks"
    folder.mkdir()
    gated(GATE, "--benchmark-save=x", "--benchmark-json=.benchmarks/out.json").assert_outcomes(passed=1)
    first, second = (json.loads(file.read_text()) for file in folder.rglob("*.json"))
    run = first["machine_info"]["sdspeed"]["run"]
    assert re.fullmatch("[0-9a-f]{32}", run)
    assert (second["machine_info"]["sdspeed"]["run"], second["datetime"]) == (run, first["datetime"])
    assert len(dates(folder)[0]) == 1
    gated(GATE, "--benchmark-save=x").assert_outcomes(passed=1)
    assert len({json.loads(file.read_text())["machine_info"]["sdspeed"]["run"] for file in folder.rglob("*.json")}) == 2
    assert len(dates(folder)[0]) == 2


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"datetime": "2026-11-23T10:00:01.9+00:00"}, 1),
        ({"datetime": "2026-11-23T10:00:02.1+00:00"}, 2),
        ({"machine_info": {"node": "other"}}, 2),
        ({"commit_info": {"id": "def"}}, 2),
    ],
)
def test_runs_without_an_id_are_told_by_samples_date_host_and_commit(tmp_path, other, expected):
    write_run(tmp_path / "a", [result()])
    write_run(tmp_path / "b", [result()], **other)
    assert len(dates(tmp_path / "a", tmp_path / "b")[0]) == expected
    assert len(dates(tmp_path)[0]) == expected


def test_a_copy_without_a_date_counts_once_whenever_it_was_copied(tmp_path):
    write_run(tmp_path / "a", [result()], datetime=None)
    Path(shutil.copytree(tmp_path / "a", tmp_path / "b"), "0001_run.json").touch()
    assert len(dates(tmp_path)[0]) == 1


def test_a_run_of_another_date_is_another_run(tmp_path):
    for number in (1, 2):
        write_run(tmp_path, [result()], number, **ID)
    assert dates(tmp_path) == (["01", "02"], ())


@pytest.mark.parametrize("whole_first", [True, False])
def test_of_a_damaged_copy_and_a_whole_one_the_whole_one_counts(tmp_path, whole_first):
    whole, damaged = (tmp_path / "a", tmp_path / "b") if whole_first else (tmp_path / "b", tmp_path / "a")
    write_run(whole, [result(), tf32()], **ID)
    file = write_run(damaged, [benchmark(slower()), benchmark({**to_json(tf32()), "speedup": "x"})], **ID)
    cut = damaged / "0002_cut.json"
    cut.write_bytes(file.read_bytes()[:300])
    found = load_from([open_storage(str(tmp_path / "a")), open_storage(str(tmp_path / "b"))])
    assert {history.setup: [run.latency_s for run in history.runs] for history in found.histories} == {"fp16": [1.47], "tf32": [1.47]}
    assert [re.sub(": .*: ", ": ", problem.removeprefix("sd history: passed over ")).split(": ")[0] for problem in found.problems] == [
        str(cut),
        str(file),
        str(file),
    ]
    assert found.problems[2].endswith(f"differs from {whole / '0001_run.json'}, a copy of the same run, which counts")


def test_what_only_a_damaged_copy_has_still_counts(tmp_path):
    write_run(tmp_path / "a", [benchmark({**to_json(result()), "speedup": "x"}), tf32()], **ID)
    write_run(tmp_path / "b", [benchmark(result()), {"fullname": "y", "extra_info": {"sdspeed": {}}}], **ID)
    found = load_from([open_storage(str(tmp_path))])
    assert sorted((history.setup, len(history.runs)) for history in found.histories) == [("fp16", 1), ("tf32", 1)]


def test_figures_that_differ_beside_equal_samples_are_seen(tmp_path):
    write_run(tmp_path / "a", [result()], **ID)
    write_run(tmp_path / "b", [result(speedup=1.2)], **ID)
    (history,), (problem,) = load_from([open_storage(str(tmp_path))])[:2]
    assert [run.speedup for run in history.runs] == [1.31]
    assert problem.startswith(f"sd history: passed over {tmp_path / 'b' / '0001_run.json'}: differs")


# The report


def test_the_report_of_an_address_fetches_the_pictures_of_the_latest_run_alone(tmp_path, bucket, fetched, capsys):
    stored_run(tmp_path / "a", [full(exhibits=())], 3)
    latest = stored_run(tmp_path / "b", [full()], 4)
    mine = {file.name for file in (tmp_path / "b" / "sdspeed-pictures").iterdir()}
    stored_run(tmp_path / "b", [full(exhibits=(shown(40), shown(50)))], 2)
    upload(bucket, tmp_path / "b")
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "a"), ADDRESS, str(page)]) == 0
    assert f"1 results of {ADDRESS}/{latest.name}" in capsys.readouterr().out
    assert {name for name in fetched if name.endswith(".png")} == mine
    assert page.read_text().count("data:image/") >= 4


def test_a_stored_run_names_no_picture_outside_its_folder(tmp_path, bucket, fetched):
    run = stored_run(tmp_path / "a", [full()], 1)
    run.write_text(run.read_text().replace('"sdspeed-pictures/', '"sdspeed-pictures/../../'))
    upload(bucket, tmp_path / "a")
    assert main(["report", ADDRESS, str(tmp_path / "page.html")]) == 0
    assert [name for name in fetched if name.endswith(".png")] == []


def test_a_picture_that_is_gone_costs_no_report(tmp_path, bucket):
    stored_run(tmp_path / "a", [full()], 1)
    shutil.rmtree(tmp_path / "a" / "sdspeed-pictures")
    upload(bucket, tmp_path / "a")
    assert main(["report", ADDRESS, str(tmp_path / "page.html")]) == 0


@pytest.mark.parametrize(
    ("given", "page"),
    [
        (["a"], "report.html"),
        (["a", "b"], "report.html"),
        (["a", "out"], "out"),
        (["a", "b", "c.html"], "c.html"),
        ([ADDRESS], "report.html"),
    ],
)
def test_the_page_is_the_last_argument_where_that_is_no_place(tmp_path, bucket, monkeypatch, given, page):
    stored_run(tmp_path / "a", [full()], 1)
    stored_run(tmp_path / "b", [full()], 2)
    upload(bucket, tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    assert main(["report", *given]) == 0
    assert "x1.31" in Path(page).read_text()


def test_pictures_are_deleted_on_this_machine_alone(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["clean", "s3://me:secret@bucket/runs"])
    assert "s3://***@bucket/runs: pictures are deleted in folders of this machine alone" in capsys.readouterr().err
