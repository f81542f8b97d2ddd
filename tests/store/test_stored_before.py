"""A run that version 0.1.0 stored before the package was moved into rooms is read as that version read it.

``before`` has the file with its pictures, as ``pytest --benchmark-autosave`` wrote them for two callables and a benchmark of pytest-benchmark
alone; only the machine's name, its kernel and most of its processor's facts were taken out by hand. ``index.sqlite3`` is that version's index.
"""

import shutil
from pathlib import Path

import pytest

from pytest_sdspeed.history.loading import load_histories
from pytest_sdspeed.history.storages import NAME
from pytest_sdspeed.history.stored_run import read_run
from pytest_sdspeed.model import HistoryKey, HistoryRun

BEFORE = Path(__file__).parent / "before"
RUN = {
    "name": "0001_before",
    "date": "2026-11-29T13:34:07.269185+00:00",
    "commit": "0210ded5de673d31256407a68b46e3116e19b652",
    "dirty": False,
    "host": "host",
    "versions": {
        "diffusers": "0.42.1",
        "numpy": "2.4.6",
        "pytest-sdspeed": "0.1.0",
        "python": "3.11.7",
        "safetensors": "0.8.0",
        "torch": "2.13.0+cpu",
        "transformers": "5.23.0",
    },
    "canary_s": {},
    "reference": True,
}
FAILED = HistoryRun(
    **RUN,
    verdict="fail",
    speedup=1.6332924474516017,
    low=1.5586641744490812,
    high=1.7462509701646103,
    latency_s=0.006194549499923596,
    baseline_latency_s=0.010128532000180712,
)
PASSED = HistoryRun(
    **RUN,
    verdict="pass",
    speedup=1.6275081810531589,
    low=1.594760484756643,
    high=1.6609283367082928,
    latency_s=0.006243240000003425,
    baseline_latency_s=0.010149486500040439,
)
"""What the code of before read from the file, printed by it."""


@pytest.fixture
def folder(tmp_path):
    """A copy of the folder, which an index may be written to."""
    return Path(shutil.copytree(BEFORE, tmp_path / "stored", ignore=shutil.ignore_patterns("*.sqlite3")))


def check(folder):
    """See that the histories are those that the code of before found."""
    found, problems = load_histories(folder)
    assert problems == ("sd history: not this plugin's: 0 files, and 1 benchmarks in files that hold its own too",)
    tests = ("test_slow_engine", "test_engine")
    assert [history.key for history in found] == [
        HistoryKey(table=None, setup="engine", baseline="reference", device="AMD EPYC", recipe=f"test_engine.py::{test}") for test in tests
    ]
    assert [history.runs for history in found] == [(FAILED,), (PASSED,)]


def test_its_histories_are_what_they_were(folder):
    for _ in ("from the file", "from the index"):
        check(folder)


def test_an_index_of_before_is_made_anew(folder):
    shutil.copy(BEFORE / "index.sqlite3", folder / NAME)
    before = (folder / NAME).read_bytes()
    check(folder)
    assert (folder / NAME).read_bytes() != before
    check(folder)


def test_its_results_and_pictures_are_what_they_were(folder):
    run = read_run(folder / "0001_before.json")
    assert run.passed_over == ("test_engine.py::test_of_others: not a benchmark of this plugin",)
    assert (run.facts["device"], run.facts["commit"], run.facts["branch"]) == ("AMD EPYC", RUN["commit"], "master")
    slow, passed = run.results
    for one, expected in ((slow, FAILED), (passed, PASSED)):
        assert (one.verdict, one.speedup, one.low, one.high) == (expected.verdict, expected.speedup, expected.low, expected.high)
        assert (one.latency_s, one.baseline_latency_s) == (expected.latency_s, expected.baseline_latency_s)
    assert slow.reasons == ("slower than its floor: at most x1.746, the floor is x8.100",)
    assert slow.blocks == len(slow.samples_s["engine"]) == 3
    shown = [exhibit for exhibit in passed.exhibits if not exhibit.control]
    assert [set(exhibit.pictures) for exhibit in shown] == [{"baseline", "candidate"}] * len(shown)
    assert shown
    assert all(png.startswith(b"\x89PNG") for exhibit in shown for png in exhibit.pictures.values())
