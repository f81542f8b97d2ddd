"""What is stored of a run, read back: results, pictures, the page made of them, and the clean-up."""

from __future__ import annotations

import io
import json
import math
import os
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from fakes import baseline_result, result
from PIL import Image

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.history.loading import load_from
from pytest_sdspeed.history.storages import Folder
from pytest_sdspeed.history.stored_run import clean, list_run_files, read_latest_run, read_run
from pytest_sdspeed.judge.pictures.exhibits import encode_png
from pytest_sdspeed.model import CONTROL, Against, Exhibit, MetricRange, SelfDifference
from pytest_sdspeed.store import pictures
from pytest_sdspeed.store.records import from_json, to_json


def drawn(seed):
    return encode_png(np.random.default_rng(seed).random((16, 16, 3), dtype=np.float32))


def shown(seed=0, **facts):
    roles = {"baseline": drawn(seed), "candidate": drawn(seed + 1), "error_map": drawn(seed + 2)}
    known = {"seed": seed, "prompt": "a cat", "index": 0, "pictures": roles, "metrics": {"psnr": 31.5}}
    return Exhibit(**{**known, **facts})


def full(**facts):
    """A result that has something of everything."""
    samples = {"baseline": [[1.9, 2.0]] * 4, CONTROL: [[1.8, 1.9]] * 4, "fp16": [[1.4, 1.5]] * 4}
    return result(
        **{
            "samples_s": samples,
            "starts_s": {arm: [[index, index + 5.0] for index in range(4)] for arm in samples},
            "blocks": 4,
            "latency_s": 1.45,
            "baseline_latency_s": 1.9,
            "planned_blocks": 20,
            "resolves": 0.011,
            "reasons": ("because",),
            "notes": ("no CLIP here",),
            "peak_memory_bytes": 123,
            "stages_s": {"denoising": 1.2},
            "telemetry": {"clock": [1, 2]},
            "exhibits": (shown(), shown(5, control=True)),
            "image_ranges": {"psnr": MetricRange(31.5, math.nan, 3)},
            "self_difference": SelfDifference(slots=10, differing=0, metrics={}),
            "baseline_self_difference": SelfDifference(slots=20, differing=4, metrics={"psnr": 33.0, "ssim": math.nan}),
            **facts,
        }
    )


def stored_run(folder, results, number=1):
    """A file as pytest-benchmark writes it, with its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{number:04}_run.json"
    benchmarks = [{"fullname": f"test_it[{one.setup}]", "extra_info": {"sdspeed": to_json(one)}} for one in results]
    machine = {
        "node": "host",
        "system": "Linux",
        "python_version": "3.12.1",
        "sdspeed": {"device": "NVIDIA H200", "command": "pytest -k x"},
    }
    file.write_text(
        json.dumps(
            {
                "benchmarks": benchmarks,
                "machine_info": machine,
                "commit_info": {"id": "abc", "dirty": True, "branch": "main"},
                "datetime": f"2026-11-23T10:00:0{number}",
            },
            allow_nan=False,
        )
    )
    # A copy has the times of the copying: the order of the runs is that of their dates.
    os.utime(file, ns=((100 - number) * 10**9, (100 - number) * 10**9))
    pictures.save(folder, [exhibit for one in results for exhibit in one.exhibits])
    return file


def comparable(one):
    """A result's facts, sequences as lists, without what is not stored."""
    return json.loads(json.dumps({**asdict(replace(one, exhibits=(), images=None))}))


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"exhibits": ()},
        {"control": None, "planned_blocks": None, "resolves": None, "image_verdict": None, "image": {}},
        {"recipe": None, "weights": None, "table": None, "documented_on": None},
        {"recipe": replace(full().recipe, more_prompts=("a vase", "a boat"))},
        {"confirmation": {"verdict": "pass"}, "verdict": "fail"},
    ],
    ids=lambda facts: ",".join(facts) or "all",
)
def test_a_result_comes_back_as_it_was_stored(facts, tmp_path):
    before = full(**facts)
    pictures.save(tmp_path, before.exhibits)
    after = from_json(json.loads(json.dumps(to_json(before), allow_nan=False)), tmp_path)
    assert comparable(after) == comparable(before)
    assert [
        replace(exhibit, pictures={role: data for role, data in exhibit.pictures.items() if role != "error_map"})
        for exhibit in before.exhibits
    ] == list(after.exhibits)


def test_what_is_not_finite_comes_back_as_nan(tmp_path):
    stored = json.loads(json.dumps(to_json(full(low=-math.inf, image={"psnr": math.nan})), allow_nan=False))
    after = from_json(stored, tmp_path)
    assert math.isnan(after.low)
    assert math.isnan(after.image["psnr"])


def test_a_record_without_the_later_keys_is_read(tmp_path):
    stored = to_json(full())
    for name in ("documented_on", "control", "planned_blocks", "resolves", "starts_s", "pictures", "notes"):
        del stored[name]
    del stored["recipe"]["more_prompts"]
    after = from_json(stored, tmp_path)
    assert after.exhibits == ()
    assert after.starts_s == {}
    assert after.speedup == 1.31


@pytest.mark.parametrize(
    "spoil",
    [
        lambda stored: stored | {"schema": 7},
        lambda stored: {name: value for name, value in stored.items() if name != "schema"},
        lambda stored: {name: value for name, value in stored.items() if name != "samples_s"},
        lambda stored: stored | {"samples_s": {}},
        lambda stored: stored | {"recipe": {"model": "x"}},
        lambda stored: stored | {"low": "slow"},
        lambda stored: stored | {"pictures": [1]},
        lambda stored: stored | {"verdict": "x"},
        lambda stored: stored | {"expected": None},
        lambda _stored: [],
        lambda _stored: "text",
    ],
)
def test_what_is_no_record_is_refused(spoil, tmp_path):
    with pytest.raises(StoredRunError):
        from_json(spoil(to_json(full())), tmp_path)


def test_equal_pictures_are_kept_once_and_no_half_of_one_stays(tmp_path, monkeypatch):
    pictures.save(tmp_path, [shown(), shown(), shown(5)])
    folder = tmp_path / pictures.FOLDER
    assert len(list(folder.iterdir())) == 4

    def full_disk(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        pictures.save(tmp_path, [shown(9)])
    assert len(list(folder.iterdir())) == 4


def test_a_picture_of_another_length_is_written_again(tmp_path):
    pictures.save(tmp_path, [shown()])
    cut = next((tmp_path / pictures.FOLDER).iterdir())
    whole = cut.read_bytes()
    cut.write_bytes(whole[:20])
    pictures.save(tmp_path, [shown()])
    assert cut.read_bytes() == whole


@pytest.mark.parametrize("fault", ["gone", "changed", "elsewhere"])
def test_a_picture_that_is_not_what_was_stored_is_left_out(fault, tmp_path):
    stored = to_json(full())
    pictures.save(tmp_path, full().exhibits)
    file = stored["pictures"][0]["files"]["candidate"]
    if fault == "gone":
        (tmp_path / file["path"]).unlink()
    elif fault == "changed":
        (tmp_path / file["path"]).write_bytes(drawn(77))
    else:
        (tmp_path / file["path"]).rename(tmp_path / "secret.png")
        file["path"] = "sdspeed-pictures/../secret.png"
    assert set(from_json(stored, tmp_path).exhibits[0].pictures) == {"baseline"}


def test_a_run_knows_its_facts_and_names_what_it_passes_over(tmp_path):
    file = stored_run(tmp_path, [baseline_result(), full()])
    data = json.loads(file.read_text())
    data["benchmarks"] += [{"fullname": "test_other", "extra_info": {}}, {"fullname": "test_old", "extra_info": {"sdspeed": {"schema": 0}}}]
    file.write_text(json.dumps(data))
    run = read_run(file)
    assert [one.setup for one in run.results] == ["baseline", "fp16"]
    assert run.facts == {
        "date": "2026-11-23T10:00:01",
        "command": "pytest -k x",
        "commit": "abc, with uncommitted changes",
        "branch": "main",
        "device": "NVIDIA H200",
        "host": "host",
        "system": "Linux",
        "Python": "3.12.1",
    }
    assert run.passed_over == ("test_other: not a benchmark of this plugin", "test_old: schema 0 is not 1")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"benchmarks": []}', '{"benchmarks": [{"fullname": "x", "extra_info": {}}]}', "\xff"]
)
def test_a_file_that_is_no_run_is_named(text, tmp_path):
    file = tmp_path / "0001_x.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(StoredRunError, match=re.escape("0001_x.json")):
        read_run(file)


def test_the_latest_run_that_can_be_read_is_taken(tmp_path):
    stored_run(tmp_path / "linux", [full(speedup=1.1)], 1)
    expected = stored_run(tmp_path / "linux", [full(speedup=1.2)], 2)
    damaged = tmp_path / "linux" / "0003_run.json"
    damaged.write_text('{"datetime": "2027-01-01"')
    found = load_from([Folder(tmp_path)])
    assert [str(damaged) in problem for problem in found.problems] == [True]
    run, problems = read_latest_run(found.files)
    assert (run.where, problems) == (str(expected), ())
    expected.write_text("{")
    run, (problem,) = read_latest_run(found.files)
    assert run.results[0].speedup == 1.1
    assert problem.startswith(f"{expected}: not a run that pytest-benchmark stored")
    with pytest.raises(StoredRunError, match="no stored run"):
        read_latest_run(load_from([Folder(tmp_path / "linux" / pictures.FOLDER)]).files)


@pytest.mark.parametrize("machine", [[], {"system": 7, "cpu": "x", "sdspeed": []}])
def test_odd_facts_spoil_no_run(machine, tmp_path):
    file = stored_run(tmp_path, [full()])
    file.write_text(json.dumps(json.loads(file.read_text()) | {"machine_info": machine, "commit_info": None}))
    assert "date" in read_run(file).facts


def test_runs_without_pictures_take_no_place_among_those_that_keep_them(tmp_path):
    stored_run(tmp_path, [full()], 1)
    for number in (2, 3):
        (tmp_path / f"{number:04}_other.json").write_text(json.dumps({"benchmarks": [], "datetime": f"2026-11-23T10:00:0{number}"}))
    assert clean(tmp_path, 1) == (0, 0)


# The commands


def test_the_page_of_a_stored_run_shows_its_rows_and_pictures(tmp_path, capsys):
    stored_run(tmp_path / "b", [baseline_result(), full()])
    assert main(["report", str(tmp_path / "b"), str(tmp_path / "out.html")]) == 0
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "x1.31 [1.29, 1.33]" in page
    assert "abc, with uncommitted changes" in page
    assert page.count("data:image/") >= 4
    assert "2 results of" in capsys.readouterr().out


def test_the_page_of_a_stored_run_has_its_error_maps(tmp_path):
    from pytest_sdspeed.judge.pictures.exhibits import add_error_maps

    file = stored_run(tmp_path, [full()])
    (one,) = read_run(file).results
    maps = [exhibit.pictures["error_map"] for exhibit in add_error_maps(one).exhibits]
    assert {np.asarray(Image.open(io.BytesIO(data))).shape for data in maps} == {(16, 16, 3)}


@pytest.mark.parametrize("command", [["report", "{folder}", "{folder}/out.html"], ["report", "{folder}/x.json", "{folder}/out.html"]])
def test_a_command_that_finds_no_run_says_so(command, tmp_path, capsys):
    (tmp_path / "x.json").write_text("{")
    assert main([part.format(folder=tmp_path) for part in command]) == 1
    assert str(tmp_path) in capsys.readouterr().err
    assert not (tmp_path / "out.html").exists()


@pytest.mark.parametrize(
    "command", [[], ["report", "nowhere", "out.html"], ["clean", "nowhere"], ["clean", ".", "--keep=-1"], ["clean", __file__], ["other"]]
)
def test_a_bad_command_line_is_a_usage_error(command, capsys):
    with pytest.raises(SystemExit) as raised:
        main(command)
    assert raised.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_clean_keeps_the_pictures_of_the_latest_runs_and_every_run(tmp_path, capsys):
    for number in range(1, 5):
        stored_run(tmp_path / "linux", [full(exhibits=(shown(10 * number), shown(100)))], number)
    before = set((tmp_path / "linux" / pictures.FOLDER).iterdir())
    assert main(["clean", str(tmp_path), "--keep=2"]) == 0
    assert "4 pictures deleted" in capsys.readouterr().out
    assert len(before) - len(list((tmp_path / "linux" / pictures.FOLDER).iterdir())) == 4
    assert len(list_run_files(tmp_path)) == 4
    assert [len(exhibit.pictures) for exhibit in read_run(tmp_path / "linux" / "0004_run.json").results[0].exhibits] == [2, 2]
    # What a later run shows too stays.
    assert [len(exhibit.pictures) for exhibit in read_run(tmp_path / "linux" / "0001_run.json").results[0].exhibits] == [0, 2]


def test_clean_spares_the_pictures_beside_a_file_that_it_cannot_read(tmp_path):
    stored_run(tmp_path / "a", [full()], 1)
    stored_run(tmp_path / "b", [full()], 2)
    (tmp_path / "a" / "0002_run.json").write_text("{")
    deleted, freed = clean(tmp_path, 0)
    assert deleted == 4
    assert freed > 0
    assert len(list((tmp_path / "a" / pictures.FOLDER).iterdir())) == 4


def test_a_comparison_that_was_stored_before_generations_took_turns_had_one():
    sides = Against(
        spec="main", label="main (3f2a1bc)", versions={"diffusers": "0.41.0"}, stages={"denoising": 1.06}, identical=True, turns=6
    )
    stored = to_json(result(against=sides))
    assert from_json(stored, Path()).against == sides
    del stored["against"]["turns"]
    assert from_json(stored, Path()).against == replace(sides, turns=1)
