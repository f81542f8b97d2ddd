"""Bounds on memory in bytes, on starts and on recompilations: what is good passes, what is over fails, and what cannot be told is said to be."""

from __future__ import annotations

import pytest

from pytest_sdspeed.judge.costs import CostJudgement, Place, decide_start, join, judge_costs, judge_promise, judge_starts
from pytest_sdspeed.judge.verdict import combine_verdicts
from pytest_sdspeed.model import Interval
from pytest_sdspeed.model.costs import GIB, find_cost_bounds, list_documented_costs
from pytest_sdspeed.model.machine import is_another_device
from pytest_sdspeed.model.tables import Recipe, Row

A100 = Place("NVIDIA A100-SXM4-80GB", "cuda", "NVIDIA A100", elsewhere=False, weights="pretrained")
H200 = A100._replace(device="NVIDIA H200", elsewhere=True)
CPU = Place("AMD EPYC", "cpu", "cpu", weights="embedded")
DOCUMENTED = {"peak_memory_bytes": 10.0 * GIB, "load_memory_bytes": 6.0 * GIB}
CONTROL = Interval(1.0, 0.99, 1.01)


def judge(place=A100, documented=None, tolerance=0.05, **measured):
    documented = DOCUMENTED if documented is None else documented
    known = {"peak_memory_bytes": 10 * GIB, "load_memory_bytes": 6 * GIB, **measured}
    return judge_costs(known, documented, find_cost_bounds(documented, tolerance), place)


def starts(place=A100, error="", documented=10.0, figure="first_s", *taken):
    known = {figure: documented}
    return judge_starts({figure: taken}, known, find_cost_bounds(known, 0.05), place, error)


@pytest.mark.parametrize("share", [0.5, 1.0, 1.04, 1.05])
def test_memory_within_the_tolerance_passes(share):
    found = judge(peak_memory_bytes=share * 10 * GIB, load_memory_bytes=share * 6 * GIB)
    assert found == CostJudgement(judged=frozenset(DOCUMENTED))


def test_a_peak_six_percent_over_fails_and_says_both_devices():
    found = judge(H200, peak_memory_bytes=10.6 * GIB)
    assert found.reasons == (
        "it takes 10.60 GiB of memory at its peak on NVIDIA H200, 6.0% more than the 10.00 GiB that are documented on NVIDIA A100",
    )
    assert not judge(H200, tolerance=0.07, peak_memory_bytes=10.6 * GIB).reasons


def test_weights_that_take_more_after_loading_fail_though_the_peak_holds():
    (reason,) = judge(load_memory_bytes=6.4 * GIB).reasons
    assert reason.startswith("it takes 6.40 GiB of memory after loading on NVIDIA A100-SXM4-80GB, 6.7% more")


def test_reserved_memory_is_told_and_not_held_to_what_is_documented_of_the_allocated():
    assert not judge(peak_reserved_bytes=20 * GIB, load_reserved_bytes=20 * GIB).reasons


@pytest.mark.parametrize(("kind", "why"), [("cpu", "on a CPU peaks are lower bounds"), ("mps", "on MPS torch tells")])
def test_a_peak_that_is_not_exact_is_not_judged_and_says_so(kind, why):
    found = judge(CPU._replace(kind=kind), peak_memory_bytes=100 * GIB)
    assert not found.reasons
    (note,) = found.notes
    assert note.startswith(f"the bound on memory at its peak was not judged: {why}")
    assert found.judged == {"load_memory_bytes"}


def test_weights_on_a_cpu_are_counted_and_so_judged():
    assert judge(CPU, load_memory_bytes=7 * GIB).reasons


def test_toys_are_held_to_no_bound():
    found = judge(A100._replace(weights="tiny"), peak_memory_bytes=100 * GIB, load_memory_bytes=100 * GIB)
    assert not found.reasons
    assert len(found.notes) == 2
    assert not found.judged


def test_unknown_memory_is_not_judged_and_says_so():
    found = judge(peak_memory_bytes=None, load_memory_bytes=None)
    assert (found.reasons, found.judged) == ((), frozenset())
    assert found.notes == (
        "the bound on memory at its peak was not judged: the peak is unknown",
        "the bound on memory after loading was not judged: it is unknown",
    )


@pytest.mark.parametrize(("counted", "most", "fails"), [(0, 0, False), (1, 0, True), (2, 2, False), (3, 2, True)])
def test_recompilations_have_no_tolerance(counted, most, fails):
    found = judge(documented={"recompilations": float(most)}, tolerance=0.9, recompilations=counted)
    assert bool(found.reasons) is fails
    assert found.judged == {"recompilations"}


def test_a_row_that_was_not_seen_to_compile_has_no_recompilations_to_judge():
    found = judge(documented={"recompilations": 0.0}, recompilations=None)
    assert found.notes == ("the bound on recompilations in a second call was not judged: nothing was seen to compile",)


# Starts


@pytest.mark.parametrize("taken", [(10.5,), (30.0, 10.4), (12.0, 11.0, 9.0)])
def test_the_fastest_start_counts(taken):
    assert decide_start(taken, 10.5) == "pass"


@pytest.mark.parametrize(
    ("taken", "verdict"),
    [
        ((20.0, 20.1, 20.2), "fail"),
        ((11.0, 11.1, 30.0), "fail"),
        ((11.0, 14.0, 30.0), "inconclusive"),
        ((20.0,), "inconclusive"),
        ((), None),
    ],
)
def test_a_missed_bound_fails_if_the_starts_agree_more_than_they_miss_it(taken, verdict):
    assert decide_start(taken, 10.5) == verdict


def test_a_start_twice_as_long_fails_with_what_was_measured_and_documented():
    found = starts(A100, "", 10.0, "first_s", 20.3, 20.0, 20.6)
    assert found.reasons == (
        "time to the first picture: 20.00 s in the fastest of 3 new processes, 10.00 s are documented, at most 10.50 s pass",
    )


def test_a_warm_cache_that_is_cold_fails():
    (reason,) = starts(A100, "", 2.0, "warm_compile_s", 40.0, 40.2, 41.0).reasons
    assert reason.startswith("time to compile with a warm cache: 40.00 s")


def test_starts_that_differ_too_much_neither_fail_nor_pass():
    found = starts(A100, "", 10.0, "first_s", 11.0, 14.0, 30.0)
    assert not found.reasons
    assert "differ by more than that" in found.doubts[0]


def test_a_process_that_died_leaves_a_doubt():
    found = starts(A100, "signal 9 ended the process")
    assert found.doubts == ("the time to the first picture is unknown: signal 9 ended the process",)


@pytest.mark.parametrize(("place", "why"), [(H200, "say nothing on NVIDIA H200"), (A100._replace(weights="tiny"), "toys")])
def test_seconds_of_another_device_are_not_judged(place, why):
    found = starts(place, "", 10.0, "first_s", 99.0, 99.0, 99.0)
    assert (found.reasons, found.doubts) == ((), ())
    assert why in found.notes[0]


# Rows that promise memory


def test_a_slower_row_passes_if_all_of_its_memory_was_judged():
    assert judge_promise(["memory_share", "peak_memory_bytes"], {"memory_share", "peak_memory_bytes", "load_memory_bytes"}) == ""


@pytest.mark.parametrize("judged", [set(), {"load_memory_bytes"}])
def test_a_slower_row_whose_peak_could_not_be_judged_has_a_doubt(judged):
    assert "not all of it could be judged" in judge_promise(["peak_memory_bytes", "load_memory_bytes"], judged)


def test_a_slower_row_without_a_bound_has_promised_nothing():
    assert "has no bound on it" in judge_promise([], {"peak_memory_bytes"})


# The verdict


def test_too_much_memory_fails_whatever_the_speed():
    assert combine_verdicts("pass", None, CONTROL, costs=("too much",)) == ("fail", ("too much",))
    assert combine_verdicts("inconclusive", None, CONTROL, costs=("too much",), throttled="hot")[0] == "fail"


def test_a_doubt_takes_a_pass_and_no_failure():
    assert combine_verdicts("pass", None, CONTROL, doubts=("unknown",)) == ("inconclusive", ("unknown",))
    assert combine_verdicts("fail", None, CONTROL, doubts=("unknown",))[0] == "fail"
    assert combine_verdicts("pass", None, CONTROL, doubts=("unknown",), throttled="hot")[0] == "invalid"


def test_judgements_are_joined():
    one, other = CostJudgement(("a",), judged=frozenset("x")), CostJudgement(("b",), ("c",), ("d",), frozenset("y"))
    assert join(one, other) == CostJudgement(("a", "b"), ("c",), ("d",), frozenset("xy"))


# What a row documents


def test_a_row_documents_bytes_in_units_of_two_to_the_thirty_and_rates_have_no_bound():
    recipe = Recipe(model="m", prompt="p", height=8, width=8, steps=1, scheduler=None)
    row = Row(
        setup="s",
        optimizations=(),
        baseline="b",
        recipe=recipe,
        speedup=1.0,
        memory_gb=2.0,
        load_gb=0.5,
        warm_compile_s=3.0,
        iterations_per_s=9.0,
        account={"recompilations": 0},
    )
    documented = list_documented_costs(row)
    assert documented == {
        "peak_memory_bytes": 2.0 * GIB,
        "load_memory_bytes": 0.5 * GIB,
        "warm_compile_s": 3.0,
        "iterations_per_s": 9.0,
        "recompilations": 0.0,
    }
    assert find_cost_bounds(documented, 0.1) == {
        "peak_memory_bytes": pytest.approx(2.2 * GIB),
        "load_memory_bytes": pytest.approx(0.55 * GIB),
        "warm_compile_s": pytest.approx(3.3),
        "recompilations": 0.0,
    }


def test_a_row_without_figures_documents_nothing():
    recipe = Recipe(model="m", prompt="p", height=8, width=8, steps=1, scheduler=None)
    assert list_documented_costs(Row(setup="s", optimizations=(), baseline="b", recipe=recipe, speedup=1.0)) == {}


@pytest.mark.parametrize(
    ("device", "documented", "another"),
    [("NVIDIA A100-SXM4-80GB", "NVIDIA A100", False), ("NVIDIA H200", "NVIDIA A100", True), ("AMD EPYC", "cpu", False), ("x", None, False)],
)
def test_a_device_is_another_one_or_not(device, documented, another):
    assert is_another_device(device, documented) is another
