"""The histories of a folder of stored runs: what belongs together, in which order, what counts once, and what is passed over."""

import json
import math
import shutil
from dataclasses import replace

import pytest
from fakes import RECIPE, baseline_result, failed, result, tf32
from stored import benchmark, write_run

from pytest_sdspeed.history.loading import load_histories
from pytest_sdspeed.history.parsing import read_run_facts
from pytest_sdspeed.model import HistoryRun
from pytest_sdspeed.store.records import make_history_key, to_json

CANARY = {"matmul": [0.001, 0.003], "memory": [0.5, 0.5]}
RUN_INFO = {"machine_info": {"node": "host"}, "commit_info": {"id": "abc", "dirty": True}, "datetime": "2026-11-23T12:00:01+02:00"}


def only(folder):
    (history,), problems = load_histories(folder)
    assert problems == ()
    return history


def in_hand(one):
    """The run of a result that is not stored yet."""
    return HistoryRun.of(one, read_run_facts(RUN_INFO, 0.0))


def changed(one, **facts):
    """The stored form of a result, with other facts."""
    return {**to_json(one), **facts}


def test_a_stored_result_is_one_run_of_one_history(tmp_path):
    write_run(tmp_path / "Linux", [result(canary_s=CANARY)])
    history = only(tmp_path)
    assert (history.table, history.setup, history.baseline, history.device) == ("inference", "fp16", "baseline", "NVIDIA H200")
    (run,) = history.runs
    assert (run.name, run.date, run.commit, run.dirty, run.host) == ("0001_run", "2026-11-23T10:00:01+00:00", "abc", True, "host")
    assert (run.verdict, run.reference) == ("pass", True)
    assert (run.speedup, run.low, run.high, run.latency_s, run.baseline_latency_s) == (1.31, 1.29, 1.33, 1.47, 1.93)
    assert run.versions == {"torch": "2.13.0"}
    assert run.canary_s == {"matmul": pytest.approx(0.002), "memory": 0.5}
    assert history.changes == ()


def test_what_comes_from_the_index_is_what_came_from_the_files(tmp_path):
    for number in range(1, 4):
        write_run(tmp_path, [baseline_result(), tf32(canary_s=CANARY), failed(low=math.nan), None], number)
    assert repr(load_histories(tmp_path)) == repr(load_histories(tmp_path))


def test_runs_are_ordered_by_their_dates_whatever_the_time_zone(tmp_path):
    dates = ["2026-01-01T10:00:00+02:00", "2026-01-01T09:00:01.5", "2026-01-01T09:00:00Z", "2026-01-01T05:00:00-03:30", None]
    for number, date in enumerate(dates, start=1):
        write_run(tmp_path, [result()], number, datetime=date)
    runs = only(tmp_path).runs
    assert [run.name[:4] for run in runs] == ["0001", "0004", "0003", "0002", "0005"]
    assert [run.date for run in runs] == sorted(run.date for run in runs)


def test_runs_of_one_date_are_ordered_by_name(tmp_path):
    for number in (2, 1):
        write_run(
            tmp_path, [result(samples_s={"baseline": [[2, 2]], "control": [[2, 2]], "fp16": [[number, 1]]})], number, datetime="2026-01-01"
        )
    assert [run.name for run in only(tmp_path).runs] == ["0001_run", "0002_run"]


@pytest.mark.parametrize(
    "other",
    [
        {"table": "stack"},
        {"setup": "tf32"},
        {"baseline": "fp16"},
        {"device": "NVIDIA A100"},
        {"weights": "pretrained"},
        {"recipe": replace(RECIPE, steps=5)},
        {"recipe": None, "table": None},
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_what_differs_has_a_history_of_its_own(tmp_path, other):
    samples = {name: [[1.0, 1.0]] for name in ("baseline", "control", "fp16", "tf32")}
    write_run(tmp_path, [result(samples_s=samples), result(**{"samples_s": samples, **other})])
    assert [len(history.runs) for history in load_histories(tmp_path)[0]] == [1, 1]


def test_callables_are_told_apart_by_their_tests(tmp_path):
    engine = result(table=None, recipe=None, weights=None)
    for number in (1, 2):
        write_run(tmp_path, [benchmark(engine, "test_a.py::test_one"), benchmark(engine, "test_a.py::test_two")], number)
    found, _ = load_histories(tmp_path)
    assert [(history.recipe, len(history.runs)) for history in found] == [("test_a.py::test_one", 2), ("test_a.py::test_two", 2)]


def test_records_from_before_and_after_a_key_came_belong_together(tmp_path):
    before, after = to_json(result(canary_s=CANARY)), to_json(result(canary_s=CANARY))
    del before["canary_s"], before["recipe"]["more_prompts"], before["image_verdict"]
    write_run(tmp_path, [before], 1)
    write_run(tmp_path, [{**after, "from_tomorrow": {"x": [1]}}], 2)
    first, second = only(tmp_path).runs
    assert (first.canary_s, len(second.canary_s)) == ({}, 2)


def test_two_tests_that_share_a_campaign_count_once_and_two_campaigns_twice(tmp_path):
    again = result(samples_s={"baseline": [[1.9, 1.9]], "control": [[1.9, 1.9]], "fp16": [[1.5, 1.5]]})
    write_run(tmp_path, [benchmark(result(), "test_a"), benchmark(result(), "test_b"), benchmark(again, "test_c")])
    assert [run.latency_s for run in only(tmp_path).runs] == [1.47, 1.5]


def test_a_copy_of_a_run_counts_once_and_another_run_of_that_date_does_not(tmp_path):
    file = write_run(tmp_path / "a", [result()])
    shutil.copy(file, tmp_path / "0007_copy.json")
    (tmp_path / "b.json").write_text(json.dumps(json.loads(file.read_text()), indent=1))
    assert len(only(tmp_path).runs) == 1
    write_run(tmp_path / "b", [result(samples_s={"baseline": [[2, 2]], "control": [[2, 2]], "fp16": [[1, 1]]})])
    assert len(only(tmp_path).runs) == 2


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (result(), True),
        (failed(), True),
        (failed(image_verdict="powerless"), True),
        (failed(image_verdict=None), True),
        (baseline_result(), True),
        (failed(image_verdict="fail"), False),
        (failed(high=1.5), False),
        (failed(speedup=math.nan), False),
        (failed(high=math.nan), False),
        (result(verdict="inconclusive"), False),
        (result(verdict="invalid"), False),
        (baseline_result(verdict="invalid"), False),
        (baseline_result(verdict="fail", high=0.5), False),
    ],
)
def test_only_a_sound_speed_is_a_reference(tmp_path, one, expected):
    write_run(tmp_path, [one])
    (run,) = only(tmp_path).runs
    assert run.reference is expected
    assert in_hand(one).reference is expected


@pytest.mark.parametrize("one", [result(canary_s=CANARY), failed(low=math.nan), result(table=None, recipe=None, weights=None)])
def test_the_run_in_hand_is_what_it_will_be_when_it_is_stored(tmp_path, one):
    write_run(tmp_path, [benchmark(one, "test_it.py::test_it")], **RUN_INFO)
    history = only(tmp_path)
    mine = make_history_key(one, "test_it.py::test_it")
    assert mine == history.key
    assert make_history_key(replace(one, device="NVIDIA A100"), "test_it.py::test_it") != mine
    (stored,) = history.runs
    assert repr(replace(in_hand(one), name="0001_run")) == repr(stored)


# What is passed over


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"schema": 2}, "schema 2 is not 1"),
        ({"schema": None}, "schema None is not 1"),
        ({"speedup": "fast"}, "ValueError: speedup is 'fast'; valid: a finite number"),
        ({"speedup": True}, "speedup is True"),
        ({"low": math.nan}, "low is nan"),
        ({"high": 10**400}, "OverflowError"),
        ({"high": -1.0}, "high is -1.0; valid: above 0"),
        ({"verdict": "maybe"}, "verdict 'maybe'; valid: pass, fail"),
        ({"verdict": []}, "verdict []"),
        ({"image_verdict": 3, "verdict": "fail"}, "image_verdict 3; valid: pass, fail, powerless"),
        ({"verdict": "fail", "floor": None}, "floor is None"),
        ({"samples_s": {}}, "KeyError"),
        ({"samples_s": {"baseline": [[1, 1]], "control": [[1, 1]], "fp16": []}}, "StatisticsError"),
        ({"samples_s": {"baseline": [[1, 1]], "control": [[1, 1]], "fp16": [["x", 1]]}}, "a slot is 'x'"),
        ({"samples_s": {"baseline": [[1, 1]], "control": [[1, 1]], "fp16": [[0, 1]]}}, "a slot is 0; valid: above 0"),
        ({"samples_s": [1]}, "AttributeError"),
        ({"versions": None}, "AttributeError"),
        ({"versions": {"torch": 2}}, "AttributeError"),
        ({"versions": {"torch": "\ud800"}}, "UnicodeEncodeError"),
        ({"canary_s": {"matmul": ["x"]}}, "canary matmul is 'x'"),
        ({"canary_s": {"matmul": 3}}, "TypeError"),
        ({"setup": 3}, "setup is 3; valid: a text"),
        ({"setup": []}, "setup is []; valid: a text"),
        ({"table": {}}, "table is {}; valid: a text"),
        ({"device": "\ud800"}, "UnicodeEncodeError"),
        ({"recipe": "x"}, "AttributeError"),
    ],
    ids=str,
)
def test_a_damaged_record_is_named_and_passed_over(tmp_path, facts, said):
    file = write_run(tmp_path, [benchmark(changed(result(), **facts), "test_bad"), tf32()])
    for _ in range(2):
        found, (problem,) = load_histories(tmp_path)
        assert [history.setup for history in found] == ["tf32"]
        assert problem.startswith(f"sd history: passed over {file}: ")
        assert said in problem


@pytest.mark.parametrize("stored", [[], "text", {}, {"schema": 1}])
def test_what_is_no_record_is_passed_over(tmp_path, stored):
    write_run(tmp_path, [benchmark(stored), tf32()])
    found, problems = load_histories(tmp_path)
    assert (len(found), len(problems)) == (1, 1)


def test_records_without_any_of_their_keys_raise_nothing(tmp_path):
    whole = to_json(result(canary_s=CANARY))
    needed = {"schema", "table", "setup", "baseline", "device", "speedup", "low", "high", "verdict", "samples_s", "recipe", "versions"}
    for number, name in enumerate(sorted(whole), start=1):
        write_run(tmp_path / name, [{key: value for key, value in whole.items() if key != name}], number)
    (history,), _ = load_histories(tmp_path)
    assert len(history.runs) == len(whole) - len(needed)


@pytest.mark.parametrize("text", ["", '{"benchmarks": [', "[]", "{}", '{"benchmarks": 3}', '{"benchmarks": [{}]}', "\xff", "[" * 100_000])
def test_a_damaged_file_is_named_and_passed_over(tmp_path, text):
    write_run(tmp_path, [result()], 1)
    half = tmp_path / "0002_half.json"
    half.write_bytes(text.encode("latin-1"))
    for _ in range(2):
        (history,), (problem,) = load_histories(tmp_path)
        assert len(history.runs) == 1
        assert problem.startswith(f"sd history: passed over {half}: not a run that pytest-benchmark stored: ")


@pytest.mark.parametrize(
    "run", [{"machine_info": 3, "commit_info": []}, {"machine_info": {"node": 3}, "commit_info": {"id": 3, "dirty": 1}}]
)
def test_a_run_that_says_nothing_sensible_of_itself_is_read(tmp_path, run):
    write_run(tmp_path, [result()], **run)
    (known,) = only(tmp_path).runs
    assert (known.commit, known.dirty, known.host) == (None, False, None)


def test_outside_a_repository_there_is_no_commit(tmp_path):
    write_run(tmp_path, [result()], commit_info={"id": "unversioned", "dirty": False})
    assert only(tmp_path).runs[0].commit is None


def test_at_most_five_files_of_a_kind_are_named(tmp_path):
    for number in range(1, 43):
        (tmp_path / f"{number:04}_half.json").write_text("{")
    for number in range(50, 56):
        write_run(tmp_path, [changed(result(), schema=2), changed(tf32(), schema=2)], number)
    (tmp_path / "0099_x.json.77.part").write_text("{")
    _, problems = load_histories(tmp_path)
    assert [str(tmp_path / f"{number:04}_half.json") in problem for number, problem in enumerate(problems[:5], start=1)] == [True] * 5
    assert problems[5] == "sd history: passed over, and 37 more damaged files"
    assert "0099_x.json.77.part: left by a run that was killed" in problems[6]
    assert [problem.endswith("schema 2 is not 1") for problem in problems[7:12]] == [True] * 5
    assert problems[12:] == ("sd history: passed over, and 1 more files of another schema",)


def test_what_others_measured_is_counted_in_one_line(tmp_path):
    write_run(tmp_path, [result(), None, None], 1)
    for number in (2, 3, 4):
        write_run(tmp_path, [None, None], number)
    write_run(tmp_path, [], 5)
    (history,), problems = load_histories(tmp_path)
    assert len(history.runs) == 1
    assert problems == ("sd history: not this plugin's: 3 files, and 2 benchmarks in files that hold its own too",)
