"""Lasting shifts at the edges of the rule: series that one run, or one hundredth, more or less would decide otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from test_judge_change_points import found


def told(values):
    return [(point.since, point.detected_at, point.retracted_at) for point in found(values)]


def detected(values):
    return [point.detected_at for point in found(values)]


def steady(runs=60, **changed):
    """Zeros, but for what is changed: ``_30=0.1`` that run, ``_30_40=0.1`` the runs 30 to 39, ``_30_=0.1`` all from 30 on."""
    values = np.zeros(runs)
    for name, value in changed.items():
        first, *end = name[1:].split("_")
        values[int(first) : int(end[0]) if end and end[0] else None if end else int(first) + 1] = value
    return values


UNSTEADY = [-0.02, -0.02, 0.0, 0.02, 0.02]
"""Five runs around 0 whose noise counts as 4.7%."""


@pytest.mark.parametrize("runs", [5, 18, 19, 20, 21, 59, 60, 61])
def test_a_step_is_found_after_however_many_runs(runs):
    assert told(np.repeat([0.0, 0.06], [runs, 10])) == [(runs, runs + 1, None)]


def test_the_run_after_a_withdrawal_is_asked_again():
    # Two runs that are as slow, then lasting ones that are faster: their first pair since then ends with run 34.
    assert told(steady(_30_32=0.3, _32_=-0.1))[:2] == [(30, 31, 33), (33, 34, None)]
    # A little slower for good: no pair is slower than the third-slowest run, the median of five is.
    assert detected(steady(_30_32=0.3, _32_=0.1))[:2] == [31, 34]


def test_the_noise_of_before_is_remembered_across_a_step():
    noisy = 0.02 * (-1.0) ** np.arange(40)
    calm = np.repeat([0.3, 0.345, 0.3], [7, 2, 6])
    assert told(np.concatenate([noisy, calm])) == [(40, 41, None)]


@pytest.mark.parametrize(("again", "at"), [(0.1, []), (0.109, []), (0.112, [41])])
def test_a_pair_must_clearly_exceed_the_third_farthest_of_the_runs_before(again, at):
    assert detected(steady(_20=0.1, _25=0.1, _30=0.1, _40_42=again)) == at
    assert detected(-steady(_20=0.1, _25=0.1, _30=0.1, _40_42=again)) == at


def test_five_runs_of_which_four_are_slower_are_a_step_although_no_pair_is_clearly_slower_than_before():
    assert told(steady(_20=0.1, _22=0.1, _24=0.1, _26=0.1, _40_=0.1)) == [(40, 43, None)]


def test_runs_that_agree_after_some_that_did_not_are_found():
    assert detected(steady(_20=0.1, _22=0.1, _24=0.1, _40=0.1, _42=0.1, _44_=0.1)) == [46]


def test_five_runs_are_compared_with_a_level_of_five_and_thirteen_with_one_of_six():
    assert detected([*UNSTEADY, 0.2, 0.11, 0.2, 0.11, 0.2]) == [9]
    assert found([*UNSTEADY, *[0.12] * 13], np.arange(18) < 5) == []
    assert [point.detected_at for point in found([0.0, *UNSTEADY, *[0.105] * 13], np.arange(19) < 6)] == [18]


@pytest.mark.parametrize(("since", "at"), [(45, 47), (46, 49)])
def test_five_runs_must_clearly_exceed_the_five_before_them(since, at):
    """2.8% for a while, which is too little, and then 3.5%."""
    assert detected(steady(_40_=0.028) + steady(**{f"_{since}_": 0.007}))[:1] == [at]


def test_what_creeps_is_found_once_the_level_has_left_its_place_by_three_percent():
    assert detected(0.0012 * np.arange(56))[:1] == [45]


def test_what_creeps_is_asked_right_after_a_withdrawal():
    creeping = 0.0012 * np.arange(60)
    assert detected(creeping + steady(_44_46=-0.3))[:2] == [45, 48]


def test_what_was_sixty_runs_ago_hides_no_step():
    hiding = dict.fromkeys(("_100", "_102", "_104"), 0.1)
    assert detected(steady(160, _40_50=0.028, _130_=0.035, **hiding))[:1] == [133]
    assert detected(steady(160, _66_76=0.028, _130_=0.035, **hiding))[:1] != [133]


def test_a_new_level_begins_at_most_forty_runs_before_it_is_found():
    (since, found_at, _), *_ = told(0.0004 * np.arange(120))
    assert since == found_at - 39


def test_the_very_first_run_is_remembered_too():
    assert found(steady(_0=0.1, _20=0.1, _30=0.1, _35_37=0.1)) == []
