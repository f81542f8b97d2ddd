"""New processes that start with a row: real ones, with pipelines and a compiler that are stand-ins."""

from __future__ import annotations

import json

import pytest
from children import OWN_CLOCK, PLUGINS

from pytest_sdspeed.plugin.cold_start import _FirstImport

CONFTEST = (
    OWN_CLOCK
    + """
import os
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from pytest_sdspeed import Optimization
from pytest_sdspeed.model import Profile
from pytest_sdspeed.setups.setup import Setup

DRAWN = []


def draw(self, case):
    CLOCK.spend(2.0 if self.name == "baseline" else 1.0)
    cache = os.environ.get("TORCHINDUCTOR_CACHE_DIR", "")
    # torch sets it too, once its compiler is imported.
    cache = cache if "sdspeed-" in cache else ""
    with open("drawn.txt", "a") as log:
        log.write(f"{os.getpid()} {self.name} {case.seed} {cache or None}\\n")
    if cache and not DRAWN:
        graph = Path(cache, "graph")
        time.sleep(0.1 if graph.exists() else 1.5)
        graph.parent.mkdir(parents=True, exist_ok=True)
        graph.touch()
    DRAWN.append(case)
    if cache and os.environ.get("DIE"):
        raise RuntimeError("no such kernel")
    return np.random.default_rng(case.seed).random((1, 32, 32, 3), dtype=np.float32)


Setup.draw, Setup.slot, Setup.build = draw, lambda self: nullcontext(), lambda self: None
Setup.weight_bytes, Setup.profile = lambda self: 0, lambda self, case: Profile()


def pytest_sdspeed_register(registry):
    registry.add_optimization(Optimization(name="plain", summary="nothing", changes=frozenset(), apply=lambda *_: None))
"""
)
TABLE = """
schema = 2
name = "own"
title = "Made up"
source = "https://example.org"
device = "cpu"
tolerance = 0.1
[recipe]
model = "miniature"
prompt = "a vase"
height = 32
width = 32
steps = 2
[[rows]]
setup = "baseline"
optimizations = []
speedup = 1
[[rows]]
setup = "quick"
optimizations = ["plain"]
speedup = 2.0
{bounds}
"""


@pytest.fixture
def run(pytester):
    """Runs the row of a table in a process of its own, which starts others; its record, and what was drawn by which process."""

    def go(bounds, *arguments):
        pytester.makeconftest(CONFTEST)
        (pytester.path / "own.sdspeed.toml").write_text(TABLE.format(bounds=bounds))
        outcome = pytester.runpytest_subprocess(
            *PLUGINS, "own.sdspeed.toml::quick", "--benchmark-json=out.json", "-W", "default", *arguments
        )
        stored = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
        drawn = [line.split(maxsplit=3) for line in (pytester.path / "drawn.txt").read_text().splitlines()]
        return outcome, stored[0]["extra_info"]["sdspeed"], drawn

    return go


@pytest.mark.slow
def test_a_new_process_starts_with_an_empty_cache_and_another_with_what_that_one_cached(run, pytester):
    outcome, found, drawn = run("first_s = 100\ncompile_s = 60\nwarm_compile_s = 1.2")
    outcome.assert_outcomes(passed=1)
    assert found["first_s"] > 1.5
    assert 1.4 < found["compile_s"] < 60
    assert found["warm_compile_s"] < 1.2
    children = {pid: cache for pid, _, _, cache in drawn if cache != "None"}
    assert len(children) == 2
    assert len(set(children.values())) == 1
    assert [name for pid, name, *_ in drawn if pid in children] == ["quick"] * 6
    # They leave nothing: no record, no cache, no table of their own.
    left = {path.name for path in pytester.path.iterdir() if not path.name.startswith((".", "_", "runpytest"))}
    assert left - {"stdout", "stderr"} == {"conftest.py", "drawn.txt", "out.json", "own.sdspeed.toml", "sdspeed-pictures"}
    assert str(outcome.stdout).count("sd speed-ups") == 1


@pytest.mark.slow
def test_a_process_that_raises_is_told_with_what_it_raised(run, monkeypatch):
    monkeypatch.setenv("DIE", "1")
    outcome, found, _ = run("first_s = 100")
    outcome.assert_outcomes(failed=1)
    assert found["verdict"] == "inconclusive"
    outcome.stdout.fnmatch_lines(["*the time to the first picture is unknown: quick raised RuntimeError: no such kernel*"])


def test_the_first_import_of_what_draws_begins_a_start_and_is_not_hindered():
    noted = _FirstImport()
    assert noted.find_spec("json") is None
    assert noted.begun_s is None
    assert noted.find_spec("torch") is None
    begun = noted.begun_s
    assert begun is not None
    assert noted.find_spec("diffusers", None) is None
    assert noted.begun_s == begun
