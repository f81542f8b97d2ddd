"""What a broken A/A control means for one row: its verdict stands if no bias up to the far end turns it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sdspeed.judge.speed import bias
from pytest_sdspeed.judge.speed.intervals import decide
from pytest_sdspeed.model import Interval

SLOW_OUTER, SLOW_INNER = Interval(1.03, 1.01, 1.05), Interval(1 / 1.03, 1 / 1.05, 1 / 1.01)
HOLDS = Interval(1.01, 0.97, 1.05)


def test_the_bias_is_the_far_end_whichever_pair_is_slower():
    assert bias.find_bias(SLOW_OUTER) == pytest.approx(1.05)
    assert bias.find_bias(SLOW_INNER) == pytest.approx(1.05)
    assert bias.find_bias(HOLDS) == bias.find_bias(None) == 1.0


@pytest.mark.parametrize("control", [SLOW_OUTER, SLOW_INNER])
@pytest.mark.parametrize(
    ("measured", "stands"),
    [
        (Interval(1.2, 1.06, 1.3), True),
        (Interval(1.2, 1.04, 1.3), False),
        (Interval(0.8, 0.7, 0.94), True),
        (Interval(0.8, 0.7, 0.96), False),
        (Interval(1.0, 0.9, 1.1), True),
        (Interval(1.03, 0.97, 1.1), False),
        (Interval(0.97, 0.9, 1.03), False),
    ],
    ids=["passes far", "passes close", "fails far", "fails close", "undecided for sure", "could pass", "could fail"],
)
def test_a_verdict_stands_if_the_far_end_cannot_turn_it(measured, stands, control):
    assert bias.withstands_bias(measured, 1.0, control) is stands
    assert bias.withstands_bias(measured, 1.0, HOLDS)
    assert bias.withstands_bias(measured, 1.0, None)
    assert bias.withstands_bias(measured, None, control)


ends = st.tuples(st.floats(0.5, 2), st.floats(0, 0.5), st.floats(0, 0.5))


@settings(deadline=None)
@given(ends, st.floats(0.5, 2), st.floats(1.001, 1.5))
def test_it_is_the_same_as_asking_every_bias(found, floor, far):
    middle, below, above = found
    measured = Interval(middle, middle - below * middle / 2, middle + above)
    stands = bias.withstands_bias(measured, floor, Interval(far, 1.0005, far))
    verdicts = {decide(Interval(middle, measured.low / factor, measured.high / factor), floor) for factor in np.geomspace(1 / far, far, 41)}
    # Between two of these factors rounding decides.
    assert stands == (len(verdicts) == 1) or min(abs(np.log(np.array([measured.low, measured.high]) / floor)) - np.log(far)) < 1e-9


def test_an_endless_control_turns_everything_and_breaks_nothing():
    endless = Interval(1e200, 1.5, 1e304)
    assert not bias.withstands_bias(Interval(5.0, 4.0, 6.0), 1.0, endless)
    assert not bias.withstands_bias(Interval(0.1, 0.1, 0.1), 1.0, endless)
