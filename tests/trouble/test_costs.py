"""Rows with bounds on memory in bytes, on recompilations and on starts: a table alone gates them, on stand-ins for a GPU's memory and on a fake clock."""

from __future__ import annotations

import json
from textwrap import indent

import pytest

from pytest_sdspeed.judge import memory
from pytest_sdspeed.plugin import cold_start
from pytest_sdspeed.run.cold_starts import Started
from pytest_sdspeed.tables import load_table

CONFTEST = """
import sys
from contextlib import nullcontext

from pytest_sdspeed import Optimization
from pytest_sdspeed.model import Profile
from pytest_sdspeed.model.costs import Loaded
from pytest_sdspeed.run import session, targets
from pytest_sdspeed.setups.setup import Setup

GIB = 2**30
# Seconds, bytes of weights, of a generation beside them, reserved beyond, graphs of each generation.
ARMS = {{"baseline": (3.0, 4 * GIB, 6 * GIB, 0, ()), "row": ({seconds}, {load} * GIB, {beside} * GIB, {reserved} * GIB, {graphs})}}
now = {{"extra": 0, "graphs": 0, "left": {{name: list(arm[4]) for name, arm in ARMS.items()}}}}


class Meter:
    def start(self):
        now["extra"] = 0

    def peak_bytes(self):
        return now["extra"]


def draw(self, case, *output):
    seconds, _, now["extra"], _, _ = ARMS[self.name]
    now["graphs"] += now["left"][self.name].pop(0) if now["left"][self.name] else 0
    builtins.sd_fake_time.spend(seconds * NOISE.gauss(1, 0.001))
    return picture(case.seed)


def profile(self, case):
    return Profile(stages_s={{"denoising": ARMS[self.name][0] / 2}}, reserved_bytes=ARMS[self.name][2] + ARMS[self.name][3])


@pytest.fixture(autouse=True)
def no_pipelines(monkeypatch):
    for name, made in {{"build": None, "slot": nullcontext()}}.items():
        monkeypatch.setattr(Setup, name, lambda self, made=made: made)
    monkeypatch.setattr(Setup, "weight_bytes", lambda self: ARMS[self.name][1])
    monkeypatch.setattr(Setup, "measure_loaded", lambda self: Loaded(ARMS[self.name][1], ARMS[self.name][1] + GIB))
    monkeypatch.setattr(Setup, "profile", profile)
    monkeypatch.setattr(Setup, "draw", draw)
    monkeypatch.setattr(session.Session, "memory", lambda self: Meter())
    monkeypatch.setattr(targets, "count_compiled", lambda: now["graphs"])


def pytest_sdspeed_register(registry):
    registry.add_optimization(Optimization(name="act", summary="", changes=frozenset(), apply=lambda *_: None))
"""

TABLE = """
schema = 2
name = "own"
title = "Rows with costs"
source = "https://example.org"
device = "{device}"
{recorded}
[recipe]
model = "miniature"
prompt = "a golden vase"
height = 16
width = 16
steps = 30
scheduler = "ddim"

[[rows]]
setup = "baseline"
optimizations = []
speedup = 1
{base}

[[rows]]
setup = "row"
optimizations = ["act"]
speedup = {speedup}
{bounds}
"""
ELSEWHERE = '[recorded]\nkind = "cpu"\ndate = "2026-01-01"\n'
PEAK = "memory_gb = 10.0"


@pytest.fixture
def run(gated, pytester, monkeypatch):
    """Runs the row of a table: what it documents, what it takes, and whether peaks are exact as on a GPU."""
    monkeypatch.setattr(memory, "INEXACT", memory.INEXACT.copy())
    started = []

    def go(
        bounds,
        *arguments,
        exact=True,
        speedup=1.5,
        seconds=2.0,
        load=4.0,
        beside=6.0,
        reserved=0,
        graphs=(),
        elsewhere=False,
        starts=(),
        base="",
    ):
        if exact:
            monkeypatch.delitem(memory.INEXACT, "cpu", raising=False)
            for room in ("judge.costs", "run.recording"):
                monkeypatch.setattr(f"pytest_sdspeed.{room}.INEXACT", memory.INEXACT)
        left = list(starts)

        def start(_item, table, setup, _cache):
            started.append((table, setup))
            return left.pop(0)

        monkeypatch.setattr(cold_start, "start_process", start)
        told = {"device": "Another CPU", "recorded": ELSEWHERE} if elsewhere else {"device": "cpu", "recorded": ""}
        (pytester.path / "own.sdspeed.toml").write_text(TABLE.format(bounds=bounds, speedup=speedup, base=base, **told))
        takes = {"seconds": seconds, "load": load, "beside": beside, "reserved": reserved, "graphs": tuple(graphs)}
        conftest = indent(CONFTEST.format(**takes), " " * 12)
        outcome = gated("", "own.sdspeed.toml::row", "--benchmark-json=out.json", *arguments, conftest=conftest)
        (stored,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
        return outcome, stored["extra_info"]["sdspeed"]

    go.started = started
    return go


def test_memory_within_its_bounds_passes_with_every_figure_in_table_and_record(run, pytester):
    outcome, found = run("memory_gb = 10.0\nload_gb = 4.0", "--sd-report=page.html", reserved=2)
    outcome.assert_outcomes(passed=1)
    outcome.stdout.fnmatch_lines(
        [
            "setup * pictures * memory * loaded * verdict",
            "row * 10.00 of 10.50 GiB (13.00 reserved) * 4.00 of 4.20 GiB (5.00 reserved) * pass",
        ]
    )
    gib = 2**30
    figures = ("peak_memory_bytes", "peak_reserved_bytes", "load_memory_bytes", "load_reserved_bytes")
    assert [found[name] / gib for name in figures] == [10.0, 13.0, 4.0, 5.0]
    assert found["documented_costs"] == {"peak_memory_bytes": 10 * gib, "load_memory_bytes": 4 * gib}
    page = (pytester.path / "page.html").read_text()
    assert "10.00 of 10.50 GiB (13.00 reserved)" in page
    assert "4.00 of 4.20 GiB (5.00 reserved)" in page


def test_the_step_summary_has_the_columns_too(run, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    run(PEAK)
    assert "| memory |" in (pytester.path / "summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [(), ("--sd-tolerance=0.5",)])
def test_memory_six_percent_over_fails_whatever_tolerance_the_speed_is_given(run, arguments):
    outcome, found = run(PEAK, *arguments, beside=6.6)
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(
        ["*it takes 10.60 GiB of memory at its peak on *, 6.0% more than the 10.00 GiB that are documented on cpu*"]
    )
    outcome.stdout.fnmatch_lines(["See https://*/explanations/verdicts/#memory"])
    assert found["verdict"] == "fail"


def test_weights_that_are_too_large_after_loading_fail(run):
    run("load_gb = 4.0", load=4.3, beside=5.0)[0].assert_outcomes(failed=1)


def test_memory_that_is_only_reserved_fails_nothing(run):
    outcome, found = run("memory_gb = 10.0\nload_gb = 4.0", reserved=30)
    outcome.assert_outcomes(passed=1)
    assert found["peak_reserved_bytes"] == 41 * 2**30


def test_on_another_device_memory_is_held_to_its_bound_all_the_same_and_both_are_named(run):
    outcome, _ = run(PEAK, elsewhere=True, beside=6.6)
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(["*10.60 GiB of memory at its peak on *, 6.0% more than * documented on Another CPU*"])


def test_on_a_cpu_a_peak_is_told_and_not_judged(run):
    outcome, found = run(PEAK, exact=False, beside=60)
    outcome.assert_outcomes(passed=1)
    assert found["notes"][0] == "the bound on memory at its peak was not judged: on a CPU peaks are lower bounds"


def test_a_row_that_is_too_large_is_no_reference(run, pytester):
    outcome, _ = run(PEAK, "--sd-record=here.toml", beside=6.6)
    outcome.stdout.fnmatch_lines(["sd record: own: row left out: it needs too much memory: *"])
    assert not (pytester.path / "here.toml").exists()


def test_a_reference_has_the_memory_of_this_device(run, pytester):
    run("memory_gb = 10.0\nload_gb = 4.1", "--sd-record=here.toml", load=4.0, beside=5.5)
    row = load_table(pytester.path / "here.toml").row("row")
    assert (row.memory_gb, row.load_gb) == (9.5, 4.0)


def test_a_reference_has_the_seconds_of_this_device_which_another_ones_table_does_not_judge(run, pytester):
    starts = [Started(18.0, (7.0, 2.0)), Started(17.0, (7.0, 2.0)), Started(19.0, (7.0, 2.0))]
    outcome, _ = run("first_s = 9", "--sd-record=here.toml", elsewhere=True, starts=starts)
    outcome.assert_outcomes(passed=1)
    assert load_table(pytester.path / "here.toml").row("row").first_s == 17.0


def test_a_reference_on_a_cpu_keeps_the_documented_peak(run, pytester):
    run(PEAK, "--sd-record=here.toml", exact=False, beside=1.0)
    assert load_table(pytester.path / "here.toml").row("row").memory_gb == 10.0


def test_a_start_that_is_too_slow_is_no_reference(run, pytester):
    outcome, _ = run("first_s = 9", "--sd-record=here.toml", starts=[Started(18.0, (7.0, 2.0))] * 3)
    outcome.stdout.fnmatch_lines(["sd record: own: row left out: it costs more than documented: *"])


# Rows that promise memory

SLOWER = "slower = true\nmemory_gb = 5.0"
CHEAP = {"speedup": 0.5, "seconds": 6.0, "load": 1.0}


def test_a_row_that_costs_time_for_memory_passes_by_both(run):
    run(SLOWER, **CHEAP, beside=4.0)[0].assert_outcomes(passed=1)


def test_a_row_that_saves_too_little_memory_fails_at_its_low_floor(run):
    outcome, found = run(SLOWER, **CHEAP, beside=4.5)
    outcome.assert_outcomes(failed=1)
    assert found["low"] > found["floor"]


def test_a_row_that_costs_too_much_time_fails_though_it_saves_memory(run):
    run(SLOWER, **{**CHEAP, "seconds": 9.0}, beside=4.0)[0].assert_outcomes(failed=1)


def test_a_row_that_takes_what_its_baseline_takes_saves_nothing_however_loose_its_bound_is(run):
    outcome, found = run("slower = true\nmemory_gb = 500.0", **{**CHEAP, "load": 4.0}, beside=6.0)
    outcome.assert_outcomes(failed=1)
    assert found["reasons"] == ["the row promises memory, and its peak is x1.000 of its baseline's"]
    run("slower = true\nmemory_gb = 500.0", **{**CHEAP, "load": 4.0}, beside=5.9)[0].assert_outcomes(passed=1)


def test_a_row_of_which_the_only_promise_could_not_be_judged_is_no_pass(run):
    outcome, found = run(SLOWER, **CHEAP, beside=40.0, exact=False)
    outcome.assert_outcomes(failed=1)
    assert found["verdict"] == "inconclusive"
    assert "the row promises memory, and not all of it could be judged here" in found["reasons"]
    run(SLOWER, "--sd-inconclusive=warn", **CHEAP, beside=40.0, exact=False)[0].assert_outcomes(passed=1, warnings=1)


WARNING = 'slower = true\nnotes = "Its source publishes it as a warning."\n'
LARGER = {**CHEAP, "load": 4.0, "base": "memory_gb = 10.0"}


def test_a_row_that_is_published_as_a_warning_needs_no_promise_of_memory(run):
    run(WARNING, **{**CHEAP, "load": 4.0}, beside=6.0)[0].assert_outcomes(passed=1)


def test_a_warning_is_held_to_the_time_that_is_documented(run):
    outcome, found = run(WARNING, **{**CHEAP, "load": 4.0, "seconds": 9.0}, beside=6.0)
    outcome.assert_outcomes(failed=1)
    assert found["high"] < found["floor"]


def test_a_warning_that_is_documented_to_take_more_memory_is_held_to_that(run):
    run(WARNING + "memory_gb = 11.0", **LARGER, beside=7.5)[0].assert_outcomes(passed=1)
    run(WARNING + "memory_gb = 11.0", **LARGER, beside=8.0)[0].assert_outcomes(failed=1)


def test_notes_do_not_take_back_a_promise_of_memory(run):
    outcome, found = run(WARNING + "memory_gb = 9.9", **LARGER, beside=6.0)
    outcome.assert_outcomes(failed=1)
    assert found["reasons"] == ["the row promises memory, and its peak is x1.000 of its baseline's"]
    outcome, found = run(WARNING + "load_gb = 3.0", **{**LARGER, "load": 3.0}, beside=7.5)
    assert found["reasons"] == ["the row promises memory, and its peak is x1.050 of its baseline's"]


# Recompilations

STEADY = "account = {recompilations = 0}"


def test_a_row_that_compiles_once_passes(run):
    outcome, found = run(STEADY, graphs=(2, 0))
    outcome.assert_outcomes(passed=1)
    assert (found["recompilations"], found["compile_s"]) == (0, pytest.approx(0, abs=0.1))


def test_a_row_that_compiles_again_in_its_second_call_fails(run):
    outcome, found = run(STEADY, graphs=(2, 1))
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(["*torch compiled 1 graphs in a second call of the same sizes, at most 0 is documented*"])
    assert found["recompilations"] == 1


def test_a_row_that_compiles_nothing_says_that_nothing_was_judged(run):
    outcome, found = run(STEADY)
    outcome.assert_outcomes(passed=1)
    assert found["recompilations"] is None
    assert "nothing was seen to compile" in found["notes"][0]


# Starts


def test_no_process_is_started_for_a_row_without_a_bound_on_it(run):
    run(PEAK)[0].assert_outcomes(passed=1)
    assert run.started == []


def test_a_start_within_its_bounds_passes_with_its_figures(run):
    cold, warm = Started(9.0, (7.0, 2.5, 2.0)), Started(6.0, (3.0, 2.0, 2.0))
    outcome, found = run("first_s = 9\ncompile_s = 5\nwarm_compile_s = 1", starts=[cold, warm])
    outcome.assert_outcomes(passed=1)
    assert run.started == [("own", "row")] * 2
    assert [found[name] for name in ("first_s", "compile_s", "warm_compile_s")] == [9.0, 5.0, 1.0]
    outcome.stdout.fnmatch_lines(["setup * first picture * compile * warm compile * verdict", "row * 9.00 of 9.45 s *"])


def test_a_start_twice_as_long_fails(run):
    outcome, _ = run("first_s = 9", starts=[Started(18.0, (7.0, 2.0))] * 3)
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(["*time to the first picture: 18.00 s in the fastest of 3 new processes, 9.00 s are documented*"])


def test_a_cache_that_should_be_warm_and_is_cold_fails(run):
    outcome, _ = run("warm_compile_s = 1", starts=[Started(9.0, (7.0, 2.0))] * 4)
    outcome.assert_outcomes(failed=1)
    outcome.stdout.fnmatch_lines(["*time to compile with a warm cache: 5.00 s in the fastest of 3 new processes*"])


def test_a_start_that_died_is_no_pass(run):
    outcome, found = run("first_s = 9", starts=[Started(error="signal 9 ended the process")])
    outcome.assert_outcomes(failed=1)
    assert found["verdict"] == "inconclusive"
    outcome.stdout.fnmatch_lines(["*the time to the first picture is unknown: signal 9 ended the process*"])


def test_seconds_of_another_device_start_no_process_and_say_so(run):
    outcome, found = run("first_s = 9", elsewhere=True)
    outcome.assert_outcomes(passed=1)
    assert run.started == []
    assert found["notes"][0].startswith("the bound on time to the first picture was not judged: seconds documented on Another CPU")


def test_a_slow_start_is_not_confirmed_away_by_a_second_process(run):
    outcome, found = run("first_s = 9", "--sd-confirm", seconds=2.5, starts=[Started(18.0, (7.0, 2.0))] * 3)
    outcome.assert_outcomes(failed=1)
    assert found["confirmation"] is None
