"""A fleet: processors that have a history each, attempts that are one run, links that are followed."""

import json
import os
import sys

import pytest
from fakes import result, tf32
from stored import COMMIT, HOST, benchmark, write_run

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.history.loading import load_from, load_histories
from pytest_sdspeed.history.parsing import parse_file
from pytest_sdspeed.history.storages import Folder
from pytest_sdspeed.history.stored_run import list_run_files
from pytest_sdspeed.report.devices import describe_splits
from pytest_sdspeed.store.ci import VARIABLES, read_ci_run

EPYC, XEON = "AMD EPYC 7763 64-Core Processor", "Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz"


def measured(latency=1.5, **facts):
    """A result whose samples tell it from others."""
    setup = facts.pop("setup", "fp16")
    samples = {"baseline": [[2, 2]], "control": [[2, 2]], setup: [[latency, latency]]}
    return result(setup, latency_s=latency, samples_s=samples, **facts)


def machine(cpu=None, host="host", **own):
    info = {**HOST, "node": host, "machine": "x86_64", "sdspeed": {"kind": "cuda", "device": "NVIDIA H200", **own}}
    return info | ({"cpu": {"brand_raw": cpu}} if cpu else {})


def store(folder, number, latency, info, **facts):
    return write_run(folder, [measured(latency, **facts)], number, machine_info=info)


def models(folder):
    """Model -> latencies of the runs beside it."""
    found = load_histories(folder)[0]
    return {history.cpu: [run.latency_s for run in history.runs] for history in found}


# Processors


def test_each_model_of_processor_has_a_history_of_its_own(tmp_path, capsys):
    for number in range(1, 7):
        store(tmp_path, number, 1 + number / 10, machine((EPYC, XEON)[number % 3 == 0], host=f"runner{number}"))
    assert models(tmp_path) == {EPYC: [1.1, 1.2, 1.4, 1.5], XEON: [1.3, 1.6]}
    assert main(["history", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.rpartition("   ")[2] for line in told if line.startswith("fp16")] == [
        f"NVIDIA H200 beside {EPYC}",
        f"NVIDIA H200 beside {XEON}",
    ]
    assert told[-1] == (
        f"split: inference: 4 runs on NVIDIA H200 beside {EPYC}, 2 runs on NVIDIA H200 beside {XEON}: each has a history of its own"
    )
    assert main(["history", str(tmp_path), "--json"]) == 0
    assert [one["cpu"] for one in json.loads(capsys.readouterr().out)] == [EPYC, XEON]
    assert main(["report", str(tmp_path), str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count(f"on NVIDIA H200 beside {EPYC}") == page.count(f"on NVIDIA H200 beside {XEON}") == 2


def test_processors_that_are_the_device_are_split_by_its_name_and_said(tmp_path):
    for number, name in enumerate((EPYC, XEON, EPYC), start=1):
        info = machine(name, kind="cpu", device=name)
        store(tmp_path, number, 1 + number / 10, info, device=name)
    found = load_histories(tmp_path)[0]
    assert [(one.device, one.cpu, len(one.runs)) for one in found] == [(EPYC, None, 2), (XEON, None, 1)]
    assert describe_splits(found) == [f"inference: 2 runs on {EPYC}, 1 run on {XEON}: each has a history of its own"]
    assert describe_splits(found[:1]) == []


@pytest.mark.parametrize("device", ["x86_64", "arm", "CPU"])
def test_a_device_without_a_model_is_told_by_the_processor(tmp_path, device):
    for number, name in enumerate(("Apple M1", "Apple M2"), start=1):
        info = machine(name, kind="cpu", device=device) | {"processor": "arm"}
        store(tmp_path, number, 1 + number / 10, info, device=device)
    assert set(models(tmp_path)) == {"Apple M1", "Apple M2"}


def test_a_history_whose_runs_begin_to_tell_their_model_keeps_its_past(tmp_path):
    for number in (1, 2, 3):
        store(tmp_path, number, 1 + number / 10, machine())
    assert models(tmp_path) == {None: [1.1, 1.2, 1.3]}
    store(tmp_path, 4, 1.4, machine(EPYC))
    assert models(tmp_path) == {EPYC: [1.1, 1.2, 1.3, 1.4]}
    store(tmp_path, 5, 1.5, machine(XEON, host="other"))
    assert models(tmp_path) == {EPYC: [1.1, 1.2, 1.3, 1.4], XEON: [1.5]}


def test_a_run_that_does_not_tell_its_model_has_that_of_its_host(tmp_path):
    store(tmp_path, 1, 1.1, machine(EPYC, host="a"))
    store(tmp_path, 2, 1.2, machine(XEON, host="b"))
    store(tmp_path, 3, 1.3, machine(host="b"))
    assert models(tmp_path) == {EPYC: [1.1], XEON: [1.2, 1.3]}


@pytest.mark.parametrize("cpu", [None, 3, [], {"brand_raw": 3}, {"brand_raw": ""}, {"brand_raw": "\ud800"}])
def test_a_processor_that_is_no_text_is_unknown(tmp_path, cpu):
    store(tmp_path, 1, 1.1, machine() | {"cpu": cpu})
    ((name, runs),) = models(tmp_path).items()
    assert (name in (None, "\\ud800"), len(runs)) == (True, 1)


def test_spaces_in_a_model_tell_nothing(tmp_path):
    store(tmp_path, 1, 1.1, machine("Intel  Xeon "))
    store(tmp_path, 2, 1.2, machine("Intel Xeon"))
    assert models(tmp_path) == {"Intel Xeon": [1.1, 1.2]}


# Attempts


def attempt(number, run="7", job="speed", host=None, **facts):
    own = {"ci_run": f"github {run}", "ci_job": job, "ci_attempt": number, "run": f"{run}{job}{number}{host}"}
    return machine(host=host or f"runner{number}", **own) | facts


def latencies(folder, **current):
    found = load_histories(folder)[0]
    return {history.setup: [run.latency_s for run in history.runs] for history in found}


def test_attempts_of_a_ci_run_are_one_run_and_the_last_of_each_row_counts(tmp_path):
    store(tmp_path, 1, 1.1, machine())
    write_run(tmp_path, [measured(1.2), measured(1.9, setup="tf32")], 2, machine_info=attempt(1))
    store(tmp_path, 3, 1.3, attempt(2))
    store(tmp_path, 4, 1.4, attempt(1, run="8"))
    assert latencies(tmp_path) == {"fp16": [1.1, 1.3, 1.4], "tf32": [1.9]}


def test_the_last_attempt_counts_whatever_the_dates(tmp_path):
    store(tmp_path, 1, 1.2, attempt(2))
    store(tmp_path, 2, 1.1, attempt(1))
    assert latencies(tmp_path) == {"fp16": [1.2]}


def test_jobs_of_a_matrix_are_no_attempts_of_each_other(tmp_path):
    store(tmp_path, 1, 1.1, attempt(1, job="a"))
    store(tmp_path, 2, 1.2, attempt(1, job="b"))
    store(tmp_path, 3, 1.3, attempt(2, job="b", host="z"))
    store(tmp_path, 4, 1.4, attempt(1, job="c", host="x"))
    store(tmp_path, 5, 1.5, attempt(1, job="c", host="y"))
    assert latencies(tmp_path) == {"fp16": [1.1, 1.3, 1.4, 1.5]}


def test_rows_with_other_versions_or_of_another_commit_are_other_measurements(tmp_path):
    store(tmp_path, 1, 1.1, attempt(1))
    store(tmp_path, 2, 1.2, attempt(2), versions={"torch": "2.14.0"})
    write_run(tmp_path, [measured(1.3)], 3, machine_info=attempt(3), commit_info=COMMIT | {"id": "def"})
    assert latencies(tmp_path) == {"fp16": [1.1, 1.2, 1.3]}


def test_a_job_that_runs_its_tests_again_on_its_host_has_attempts_too(tmp_path):
    for number, latency in enumerate((1.1, 1.2, 1.3), start=1):
        store(tmp_path, number, latency, attempt(1, host="runner") | {"sdspeed": {**attempt(1)["sdspeed"], "run": str(number)}})
    assert latencies(tmp_path) == {"fp16": [1.3]}


def test_without_a_ci_every_run_counts(tmp_path):
    for number in (1, 2, 3):
        store(tmp_path, number, 1 + number / 10, machine(run=str(number), ci_run=None, ci_attempt=None))
    assert latencies(tmp_path) == {"fp16": [1.1, 1.2, 1.3]}


def test_the_run_in_hand_is_the_last_attempt(tmp_path):
    store(tmp_path / "a", 1, 1.1, machine())
    store(tmp_path / "a", 2, 1.2, attempt(1))
    here = parse_file(store(tmp_path / "hand", 3, 1.3, attempt(2)).read_bytes(), 0).run
    (history,) = load_from([Folder(tmp_path / "a")], None, here).histories
    assert [run.latency_s for run in history.runs] == [1.1]


def test_copies_of_an_attempt_are_no_attempts(tmp_path):
    for folder in ("a", "b"):
        write_run(tmp_path / folder, [measured(1.1), tf32()], 1, machine_info=attempt(1))
    assert latencies(tmp_path) == {"fp16": [1.1], "tf32": [1.47]}


def test_a_test_that_stands_twice_in_a_file_was_rerun_and_counts_once(tmp_path):
    entries = [benchmark(measured(latency), "test_a.py::test_x") for latency in (1.1, 1.2, 1.3)]
    write_run(tmp_path, [*entries, benchmark(measured(1.4), "test_a.py::test_y")])
    assert latencies(tmp_path) == {"fp16": [1.3, 1.4]}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (None, None, None)),
        ({"GITHUB_RUN_ID": "5", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_JOB": "test"}, ("github 5", "test", 2)),
        ({"GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1", "ACT": "true"}, (None, None, None)),
        ({"GITHUB_RUN_ID": ""}, (None, None, None)),
        ({"GITHUB_RUN_ID": "5", "GITHUB_RUN_ATTEMPT": "two"}, ("github 5", None, None)),
        ({"CI_PIPELINE_ID": "9", "CI_JOB_NAME": "speed 1/2", "CI_JOB_ID": "77"}, ("gitlab 9", "speed 1/2", 77)),
        (
            {"BUILDKITE_BUILD_ID": "b", "BUILDKITE_STEP_ID": "s", "BUILDKITE_PARALLEL_JOB": "1", "BUILDKITE_RETRY_COUNT": "0"},
            ("buildkite b", "s 1", 0),
        ),
        ({"BUILD_BUILDID": "3", "SYSTEM_JOBNAME": "j", "SYSTEM_JOBATTEMPT": "4"}, ("azure 3", "j", 4)),
        ({"CIRCLE_WORKFLOW_ID": "w", "CIRCLE_JOB": "j", "CIRCLE_BUILD_NUM": "8"}, ("circleci w", "j", 8)),
        ({"BUILD_TAG": "jenkins-x-12"}, ("jenkins jenkins-x-12", None, None)),
    ],
    ids=str,
)
def test_what_ci_systems_call_their_runs(environment, expected):
    assert tuple(read_ci_run(environment).values()) == expected
    assert environment.keys() - {"ACT"} <= set(VARIABLES)


@pytest.mark.parametrize("wrong", [{"ci_attempt": True}, {"ci_attempt": "2"}, {"ci_attempt": 10**30}, {"ci_run": 3}, {"ci_job": []}])
def test_attempts_that_make_no_sense_are_unknown(tmp_path, wrong):
    for number in (1, 2):
        info = attempt(number)
        store(tmp_path, number, 1 + number / 10, info | {"sdspeed": info["sdspeed"] | wrong})
    assert len(latencies(tmp_path)["fp16"]) == 2 - ("ci_job" in wrong)


# Links

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")


@needs_links
def test_linked_folders_and_files_are_read(tmp_path):
    store(tmp_path / "nightlies" / "deep", 1, 1.1, machine())
    file = store(tmp_path / "elsewhere", 2, 1.2, machine())
    root = tmp_path / "store"
    root.mkdir()
    (root / "sub").symlink_to(tmp_path / "nightlies")
    (root / "0002_link.json").symlink_to(file)
    (root / "0003_gone.json").symlink_to(tmp_path / "nowhere.json")
    (tmp_path / ".benchmarks").symlink_to(root)
    for folder in (root, tmp_path / ".benchmarks"):
        for _ in ("from the files", "from the index"):
            assert latencies(folder) == {"fp16": [1.1, 1.2]}
            assert load_histories(folder)[1] == ()


@needs_links
@pytest.mark.parametrize("target", [".", "..", "loop", "a"])
def test_links_in_a_circle_do_not_hang(tmp_path, target):
    store(tmp_path / "a", 1, 1.1, machine())
    (tmp_path / "a" / "loop").symlink_to(target)
    (tmp_path / "b").symlink_to(tmp_path)
    assert latencies(tmp_path / "a") == {"fp16": [1.1]}


@needs_links
def test_a_file_that_is_reached_in_two_ways_counts_once_under_its_own_name(tmp_path):
    file = store(tmp_path / "m", 1, 1.1, machine())
    (tmp_path / "a").symlink_to(tmp_path / "m")
    (tmp_path / "0000_first.json").symlink_to(file)
    os.link(file, tmp_path / "m" / "0002_hard.json")
    listing = Folder(tmp_path).scan()
    assert list(listing.files) == ["m/0001_run.json"]
    assert [path.name for path in list_run_files(tmp_path)] == ["0001_run.json", "0002_hard.json"]
    assert latencies(tmp_path) == {"fp16": [1.1]}


@needs_links
def test_a_folder_that_cannot_be_read_behind_a_link_is_named(tmp_path, monkeypatch):
    store(tmp_path / "a", 1, 1.1, machine())
    (tmp_path / "locked").mkdir()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "locked")
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("link"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    (_,), (problem,) = load_histories(tmp_path / "a")
    assert problem == f"sd history: {tmp_path / 'a' / 'link'}: Permission denied"
