"""Users' machines and engines: what a broken control, slow calls and a loaded machine are said to mean."""

from __future__ import annotations

import json
import textwrap

import pytest

from pytest_sdspeed.device import load

TEST = """
@pytest.mark.sd_latency(speedup={speedup}, tolerance=0.05)
def test_engine(sd_latency):
    # In every block the baseline's slots come outer, inner, inner, outer: the inner two take 6% longer.
    calls = iter(range(-2, 100_000))
    def base():
        return engine({baseline} * (1.06 if next(calls) % 4 in (1, 2) else 1.0))()
    sd_latency(engine(1.0), baseline=base)
"""


def record(pytester):
    (bench,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    return bench["extra_info"]["sdspeed"]


def own_pairs(stored):
    return stored["slow_pairs"][stored["setup"]]


def base_pairs(stored):
    return stored["slow_pairs"][stored["baseline"]]


def run(gated, source, *arguments):
    return gated(textwrap.dedent(source), "--benchmark-json=out.json", *arguments)


def test_a_bias_far_from_turning_a_row_is_a_note(gated, pytester):
    result = run(gated, TEST.format(speedup=1.5, baseline=2.5))
    result.assert_outcomes(passed=1)
    stored = record(pytester)
    assert (stored["verdict"], stored["biased"]) == ("pass", False)
    (note,) = [note for note in stored["notes"] if "A/A control" in note]
    assert "excludes x1: equal work took unequal time, which may bias ratios by up to" in note
    assert "turns no verdict here" in note
    assert "(excludes x1), at this noise" in result.stdout.str()
    assert note in result.stdout.str()


def test_a_bias_that_could_turn_a_row_is_invalid_and_says_how_far_it_goes(gated, pytester):
    result = run(gated, TEST.format(speedup=1.0, baseline=0.96))
    result.assert_outcomes(failed=1)
    stored = record(pytester)
    assert (stored["verdict"], stored["biased"], stored["blocks"]) == ("invalid", True, 20)
    assert stored["reasons"][0].endswith("excludes x1: equal work took unequal time")
    assert "either way could turn what x" in stored["reasons"][1]
    assert "says about its floor x0.950" in stored["reasons"][1]
    result.stdout.fnmatch_lines(["*The baseline differs from itself: stop what else uses this machine and rerun.*"])


def test_a_failure_far_below_its_floor_stays_one(gated, pytester):
    result = run(gated, TEST.format(speedup=3.0, baseline=2.0))
    result.assert_outcomes(failed=1)
    stored = record(pytester)
    assert (stored["verdict"], stored["biased"]) == ("fail", False)
    assert any("turns no verdict here" in note for note in stored["notes"])


SLOW = """
@pytest.mark.sd_latency(speedup=1.5)
def test_engine(sd_latency):
    calls = iter(range(100_000))
    compiles = lambda: engine({slow} if next(calls) % {every} == 0 else 1.0)()
    base = lambda: engine(4.0)()
    sd_latency({order})
"""


@pytest.mark.parametrize("every", [3, 4, 5])
def test_a_candidate_that_compiles_anew_every_few_calls_does_not_pass_and_is_told_why(gated, pytester, every):
    """The issue's engine: four times as fast as its baseline, but in every few calls."""
    result = run(gated, SLOW.format(slow=30.0, every=every, order="compiles, baseline=base"), "--sd-budget=5000")
    result.assert_outcomes(failed=1)
    stored = record(pytester)
    assert stored["verdict"] in ("inconclusive", "fail")
    slow, pairs = own_pairs(stored)
    assert slow / pairs == pytest.approx(2 / every, abs=0.1)
    assert base_pairs(stored)[0] <= 1
    (note,) = [note for note in stored["notes"] if "slow" in note]
    assert f"The candidate itself is slow in about one call of {every}" in note
    assert "does it compile or allocate anew?" in note
    assert "contention" in note


def test_a_candidate_slow_in_every_second_call_fails(gated, pytester):
    """All of its pairs have a slow slot, so that none stands out."""
    run(gated, SLOW.format(slow=30.0, every=2, order="compiles, baseline=base")).assert_outcomes(failed=1)
    stored = record(pytester)
    assert stored["verdict"] == "fail"
    assert own_pairs(stored)[0] == own_pairs(stored)[1]


def test_a_candidate_that_is_fast_enough_with_its_slow_calls_passes(gated, pytester):
    run(gated, SLOW.format(slow=1.3, every=5, order="compiles, baseline=base")).assert_outcomes(passed=1)


def test_a_baseline_that_compiles_anew_makes_no_candidate_fast(gated, pytester):
    """With all its calls the baseline would be 20% slower, and the candidate fast enough."""
    run(gated, SLOW.format(slow=2.0, every=5, order="engine(0.75), baseline=compiles")).assert_outcomes(failed=1)
    stored = record(pytester)
    assert stored["verdict"] in ("fail", "inconclusive")
    assert own_pairs(stored)[0] == 0 < base_pairs(stored)[0]


UNDECIDED = """
@pytest.mark.sd_latency(speedup=1.0, tolerance=0.05)
def test_engine(sd_latency):
    sd_latency(engine(1.0 / 0.95, cv=0.05), baseline=engine(1.0, cv=0.05))
"""


@pytest.fixture
def real_load(monkeypatch):
    """The machine says that it is under load."""
    monkeypatch.setattr(load, "_describe_load", lambda: "load average 31.0 on 2 processors")


def test_an_undecided_row_says_what_else_ran(gated, pytester, real_load):
    result = run(gated, UNDECIDED, "--sd-max-blocks=4")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["inconclusive:*meanwhile on this machine: load average 31.0 on 2 processors*"])


def test_a_decided_row_says_nothing_of_the_load(gated, pytester, real_load):
    result = run(gated, SLOW.format(slow=1.0, every=5, order="compiles, baseline=base"))
    result.assert_outcomes(passed=1)
    assert "meanwhile" not in json.dumps(record(pytester))


def test_nothing_is_said_of_a_machine_that_tells_nothing(gated, pytester):
    run(gated, UNDECIDED, "--sd-max-blocks=4").assert_outcomes(failed=1)
    assert "meanwhile" not in json.dumps(record(pytester))
