"""What moved with a step, figure by figure: latencies of others, the canary, versions, hosts, and the words for it."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from test_judge_changes import after, campaign, change_of, upgraded

from pytest_sdspeed.judge.changes import causes, evidence
from pytest_sdspeed.judge.changes.change_points import ChangePoint
from pytest_sdspeed.judge.changes.evidence import Movement, gather_evidence
from pytest_sdspeed.judge.changes.hosts import describe_host_change


def movement(latency=0.1, **facts):
    known = {"baseline": 0.0, "canary": None, "canary_moved": False, "versions": {}, "hosts": ""}
    return Movement(latency=latency, **{**known, **facts})


def point(since, change=0.1):
    return ChangePoint(since=since, detected_at=since + 1, change=change, before=0.0)


def member(plant, runs=12, first=0):
    """A row whose latency is planted, without noise, from a run on."""
    history = campaign(runs=runs, plant={"fp16": plant}, noise=0.0)[2]
    found = [replace(run, latency_s=math.exp(plant(number)), speedup=1.0, canary_s={}) for number, run in enumerate(history.runs)]
    return causes._Member(replace(history, runs=tuple(found[first:])))


# Others


@pytest.mark.parametrize(("size", "moved"), [(0.1, True), (0.06, True), (0.04, False), (0.0, False), (-0.1, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_another_row_moved_too_if_it_did_by_half_as_much_the_same_way(size, moved, sign):
    own, other = member(after(0.1, 6)), member(after(sign * size, 6))
    assert causes._has_moved_too(other, own, movement(sign * 0.1), SimpleNamespace(point=point(6))) is moved


@pytest.mark.parametrize(("runs", "first", "moved"), [(12, 3, True), (12, 5, True), (12, 6, False), (6, 0, False)])
def test_another_row_that_began_later_is_asked_at_the_same_run_and_one_that_has_ended_moved_nowhere(runs, first, moved):
    own, other = member(after(0.1, 6)), member(after(0.1, 6), runs=runs, first=first)
    assert causes._has_moved_too(other, own, movement(), SimpleNamespace(point=point(6))) is moved


@pytest.mark.parametrize(("since", "same"), [(7, False), (8, True), (10, True), (12, True), (13, False)])
def test_a_step_within_two_runs_is_the_same(since, same):
    own = member(after(0.1, 10), runs=20)
    other = SimpleNamespace(history=own.history, steps=[causes._Step(point(since), ratio=True, latest=0.1)])
    assert causes._has_same_step(other, own, causes._Step(point(10), ratio=True, latest=0.1)) is same


# The canary


def test_an_operation_that_is_unknown_on_either_side_did_not_move():
    times = np.array([math.nan] * 4 + [0.1] * 4)
    before, since = slice(0, 4), slice(4, 8)
    assert math.isnan(evidence._compare_medians(times, before, since))
    assert math.isnan(evidence._compare_medians(times[::-1], before, since))
    assert not evidence._follows(times, before, since, 0.1)
    assert not evidence._follows(np.repeat([0.0, 0.1], 4), before, since, math.nan)


@pytest.mark.parametrize(("moved", "follows"), [(0.035, False), (0.044, True)])
def test_an_operation_moved_if_it_did_by_three_errors_of_a_difference_of_medians(moved, follows):
    # Runs in turn 1% above and below: the error of the difference is 1.3%.
    times = 0.01 * np.array([1, -1] * 4) + np.repeat([0.0, moved], 4)
    assert evidence._follows(times, slice(0, 4), slice(4, 8), 0.05) is follows


def test_the_canary_is_compared_with_the_runs_before():
    slower = [math.exp(0.1 * (run >= 4)) for run in range(12)]
    moved = runs_with(canary_s=[{"matmul": 0.01 * one} for one in slower], latency_s=slower).measure_movement(point(4), 0, 12)
    assert (moved.canary, moved.latency) == pytest.approx((0.1, 0.1))
    assert moved.canary_moved


# Versions and hosts


def runs_with(**facts):
    """Runs with these facts, a value for each of them."""
    (runs,) = {len(values) for values in facts.values()}
    told = campaign(runs=runs, facts=lambda run: {name: values[run] for name, values in facts.items()})[0].runs
    return gather_evidence(told)


def changing_at(*places, runs=12):
    return runs_with(versions=[{"torch": str(sum(place <= run for place in places))} for run in range(runs)])


@pytest.mark.parametrize(
    ("places", "since", "named"),
    [
        ((6,), 6, ("0", "1")),
        ((5,), 6, ("0", "1")),
        ((7,), 6, ("0", "1")),
        ((4,), 6, ("0", "1")),
        ((8,), 6, ("0", "1")),
        ((3,), 6, None),
        ((9,), 6, None),
        ((4, 7), 6, ("1", "2")),
        ((5, 8), 6, ("0", "1")),
        ((1,), 1, ("0", "1")),
        ((11,), 11, ("0", "1")),
        ((), 0, None),
        ((6,), 1, None),
    ],
    ids=str,
)
def test_the_nearest_change_of_versions_within_two_runs_belongs_to_a_step(places, since, named):
    assert changing_at(*places)._find_versions(since) == ({"torch": named} if named else {})


def test_hosts_are_those_of_all_runs_before():
    found = runs_with(host=["a", "a", "b"])
    assert found.measure_movement(point(2), 0, 3).hosts == "a -> b"


@pytest.mark.parametrize(
    ("before", "later", "said"),
    [
        # Three runs that never stay, of which each is asked about one run.
        ("abc", "ddddd", ""),
        # Only the later half tells the habit.
        ([*map(str, range(12)), *["lab"] * 18], "xxxxx", "10, 11, lab -> x"),
        # Once in ten is seldom, twice is not.
        ("a" * 18 + "b" * 10, "ccccc", "a, b -> c"),
        ("a" * 16 + "b" * 5 + "c" * 7, "ddddd", ""),
        # Three runs of four had a host of their own.
        ("abcdefff", "gg", "a, b, c and 3 more -> g"),
        ("abcdeeff", "gg", "a, b, c and 3 more -> g"),
        ("abcdeeee", "gg", ""),
    ],
    ids=str,
)
def test_the_habit_of_hosts_is_counted(before, later, said):
    assert describe_host_change(list(before), list(later)) == said


# Words


def test_the_canary_is_said_to_have_moved_or_stayed():
    assert causes._describe_canary(movement(canary=0.1, canary_moved=True)) == "the canary moved (+10.5%)"
    assert causes._describe_canary(movement(canary=0.0)) == "the canary stayed (+0.0%)"


def test_a_package_that_came_or_went_was_none():
    assert causes._format_versions({"torch": (None, "2"), "xformers": ("1", None)}) == "torch none -> 2, xformers 1 -> none"


@pytest.mark.parametrize(("difference", "said"), [(math.log(2), "+100.0%"), (math.log(0.5), "-50.0%"), (math.nan, "unknown")])
def test_differences_are_said_in_percent(difference, said):
    assert causes._format_percent(difference) == said


@pytest.mark.parametrize(
    ("planted", "setup", "last"),
    [
        ({"common": after(-0.08), "facts": upgraded}, "fp16", "with torch 2.13.0 -> 2.14.0"),
        ({"plant": {"fp16": after(-0.08)}}, "fp16", "the canary stayed"),
        ({"plant": {"baseline": after(0.08)}}, "baseline", "no other row moved"),
    ],
    ids=["all faster", "one faster", "baseline slower"],
)
def test_what_is_found_has_its_reasons(planted, setup, last):
    assert change_of(campaign(noise=0.001, **planted), setup).reasons[-1].startswith(last)
