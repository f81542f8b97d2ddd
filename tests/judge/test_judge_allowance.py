"""Intervals that are wider by what nobody sees, and whole calls that scatter."""

import math

import pytest

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.judge.speed.whole_calls import LEAST_DIFFERENCE, compare_whole_calls
from pytest_sdspeed.model import Interval

RATIOS = tuple(math.log(1.05) + by for by in (0.004, -0.004, 0.002, -0.002))


def test_both_ends_lie_further_out_and_the_estimate_stays():
    found = intervals.widen(Interval(1.5, 1.2, 2.0), 0.25)
    assert (found.speedup, found.low, found.high) == (1.5, pytest.approx(0.96), 2.5)
    assert intervals.widen(Interval(1.5, 1.2, 2.0), 0.0) == Interval(1.5, 1.2, 2.0)


@pytest.mark.parametrize("floor", [1.0, 1.1])
def test_an_allowance_takes_more_blocks_and_none_decide_what_is_closer_to_its_floor(floor):
    wide = tuple(4 * (one - math.log(1.05)) + math.log(1.05) for one in RATIOS)
    plain, widened = (intervals.blocks_to_decide(wide, floor, 1, allowance) for allowance in (0.0, 0.02))
    assert plain < widened
    assert intervals.blocks_to_decide(wide, floor, 1, 0.05) is None


def test_what_blocks_resolve_is_further_from_the_floor_by_the_allowance():
    plain, widened = (intervals.minimum_detectable_effect(RATIOS, 20, 1, allowance) for allowance in (0.0, 0.01))
    assert (1 + widened) / (1 + plain) == pytest.approx(1.01)


def test_the_blocks_that_are_said_to_decide_do_so_with_the_allowance():
    floor, allowance = 1.02, 0.01
    blocks = intervals.blocks_to_decide(RATIOS, floor, 1, allowance)
    again = RATIOS * (blocks // len(RATIOS) + 1)
    measured = intervals.interval(again[:blocks], stopping.critical_value(blocks))
    assert intervals.decide(intervals.widen(measured, allowance), floor) == "pass"


def test_whole_calls_of_one_arm_that_take_longer_are_found():
    found = compare_whole_calls([1.06, 1.061], 1.0, [2.0, 2.001], 2.0)
    assert found.candidate == pytest.approx(0.0605)
    assert found.excess == pytest.approx(1.0605 / (1 + LEAST_DIFFERENCE), rel=1e-3)
    assert compare_whole_calls([1.009, 1.01], 1.0, [2.0, 2.001], 2.0).excess == 1.0


def test_calls_of_the_baseline_that_scatter_excuse_what_those_of_the_row_do_not():
    scattered = [1.0, 1.03, 1.06, 1.09, 1.12, 9.0]
    by_row = compare_whole_calls(scattered, 1.0, [2.0] * 6, 2.0)
    assert by_row.candidate == pytest.approx(0.06)
    assert by_row.excess == by_row.doubt == pytest.approx(1.06 / math.exp(LEAST_DIFFERENCE))
    by_baseline = compare_whole_calls([1.06] * 6, 1.0, [0.96, 0.98, 1.0, 1.02, 1.04, 9.0], 1.0)
    assert by_baseline.excess == 1.0
    assert by_baseline.doubt > 1.04
