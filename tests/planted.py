"""Stored runs of a campaign with planted changes: files as pytest-benchmark writes them, one a day."""

import json
import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from fakes import result
from stored import write_run

from pytest_sdspeed.__main__ import main
from pytest_sdspeed.history.lookup import HistoryLookup
from pytest_sdspeed.judge.changes.causes import unresolved_regression
from pytest_sdspeed.model import CONTROL

FIRST = datetime(2026, 1, 1, 8, tzinfo=UTC)
LATENCIES_S = {"baseline": 2.0, "tf32": 1.6, "fp16": 1.4}
TEST = "test_it.py::test_it[fp16]"


def day(number):
    """The date of a run."""
    return (FIRST + timedelta(days=number)).isoformat()


def measured(setup, own_s, base_s, **facts):
    """A result of a setup with that latency and that of its baseline."""
    samples = {"baseline": [(base_s, base_s)] * 6, CONTROL: [(base_s, base_s)] * 6, setup: [(own_s, own_s)] * 6}
    ratio = base_s / own_s
    known = {
        "speedup": ratio,
        "low": ratio * 0.99,
        "high": ratio * 1.01,
        "samples_s": samples,
        "latency_s": own_s,
        "baseline_latency_s": base_s,
    }
    return result(setup, **{**known, **facts})


def campaign(number, *, slower=(), common=(), facts=None, seed=1, noise=0.003):
    """The results of the run of that number.

    Args:
        number: of the run, from 0.
        slower: (first run, setup, by how much) of what became slower from a run on; they add up.
        common: (first run, by how much) of what made all slower.
        facts: of the results; a function of the number, or a mapping.
        seed: of the noise.
        noise: of each setup by itself, a fraction; the machine's is 1%.
    """
    draw = random.Random(f"{seed}:{number}")
    machine = math.exp(0.01 * draw.gauss(0, 1) + sum(size for first, size in common if number >= first))
    times = {
        setup: latency
        * machine
        * math.exp(noise * draw.gauss(0, 1) + sum(size for first, row, size in slower if row == setup and number >= first))
        for setup, latency in LATENCIES_S.items()
    }
    canary = {name: [0.01 * math.exp(0.003 * draw.gauss(0, 1))] * 2 for name in ("matmul", "copy")}
    own = facts(number) if callable(facts) else facts or {}
    return [measured(setup, times[setup], times["baseline"], **{"canary_s": canary, **own}) for setup in times]


def store(folder, runs, *, run=None, **planted):
    """Store runs, a file each.

    Args:
        folder: folder to write them to.
        runs: numbers of the runs, or how many.
        run: other facts of the files, a function of the number.
        planted: as ``campaign`` takes it.
    """
    for number in range(runs) if isinstance(runs, int) else runs:
        facts = {"commit_info": {"id": f"{number:04x}" * 10, "dirty": False}, "datetime": day(number)}
        write_run(folder, campaign(number, **planted), number + 1, **{**facts, **(run(number) if run else {})})


def look(folder, number, *, setup="fp16", aliases=(), run=None, **planted):
    """What a run in hand sees: the history of a row, the change it is told of, and what was passed over."""
    results = {one.setup: one for one in campaign(number, **planted)}
    info = {"machine_info": {"node": "host"}, "commit_info": {"id": "f" * 40, "dirty": False}, "datetime": day(number), **(run or {})}
    lookup = HistoryLookup(folder, lambda: info, aliases)
    others = {name: (one.speedup, one.latency_s) for name, one in results.items() if name != setup}
    history = lookup.judge(results[setup], others, TEST)
    return history, unresolved_regression(history), lookup.problems


SIX, TEN = 0.06, 0.10
REASON = "the new safety checker"


def ask(capsys, folder, *arguments):
    """What the command prints as JSON, by setup."""
    capsys.readouterr()
    assert main(["history", str(folder), "--json", *arguments]) == 0
    return {one["setup"]: one for one in json.loads(capsys.readouterr().out)}


def words(capsys, folder, *arguments):
    capsys.readouterr()
    assert main(["history", str(folder), *arguments]) == 0
    return capsys.readouterr()


def accept(folder, change, *arguments, reason=REASON):
    return main(["history", str(folder), "--acknowledge", change, "--reason", reason, *arguments])


@pytest.fixture(name="slower")
def make_slower(tmp_path, capsys):
    """A folder of 30 runs whose ``fp16`` is 6% slower from the 21st on, and the id of that change."""
    store(tmp_path / "runs", 30, slower=[(20, "fp16", SIX)])
    found = ask(capsys, tmp_path / "runs")["fp16"]
    assert found["kind"] == "code"
    return tmp_path / "runs", found["id"]
