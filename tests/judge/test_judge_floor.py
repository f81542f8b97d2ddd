"""The floor of a row with a tolerance in percent and one in seconds: what either allows passes."""

import math

import pytest

from pytest_sdspeed.judge.speed.floor import find_floor


@pytest.mark.parametrize(
    ("tolerance", "tolerance_s", "baseline_s", "slowest_s"),
    [
        (0.05, None, 0.04, 0.02 / 0.95),
        (0.05, 0.0, 0.04, 0.02 / 0.95),
        (0.05, 0.002, 0.04, 0.022),
        (0.05, 0.001, 0.04, 0.02 / 0.95),
        (0.05, 0.002, 4.0, 2 / 0.95),
        (0.0, 0.002, 4.0, 2.002),
        (0.0, None, 4.0, 2.0),
    ],
)
def test_a_row_may_take_as_long_as_the_larger_of_both_allows(tolerance, tolerance_s, baseline_s, slowest_s):
    """The row is twice as fast as its baseline."""
    assert baseline_s / find_floor(2.0, tolerance, tolerance_s, baseline_s) == pytest.approx(slowest_s)


@pytest.mark.parametrize("baseline_s", [math.nan, 0.0, -1.0])
def test_seconds_allow_nothing_of_a_baseline_that_is_not_known(baseline_s):
    assert find_floor(2.0, 0.05, 10.0, baseline_s) == 1.9


def test_one_never_makes_the_other_stricter():
    for baseline_s in (1e-6, 1e-3, 1.0, 1e3):
        floors = [find_floor(1.5, 0.05, seconds, baseline_s) for seconds in (None, 1e-6, 1e-3, 1.0)]
        assert floors == sorted(floors, reverse=True)
        assert all(0 < floor <= 1.425 for floor in floors)
