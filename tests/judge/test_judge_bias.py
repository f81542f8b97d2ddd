"""What a broken A/A control means for one row: its verdict stands if no bias up to the far end turns it."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import result
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sdspeed.judge.speed import bias
from pytest_sdspeed.judge.speed.intervals import decide
from pytest_sdspeed.judge.verdict import combine_verdicts
from pytest_sdspeed.model import Interval
from pytest_sdspeed.report.pages import is_biased
from pytest_sdspeed.run.recording import _find_refusal
from pytest_sdspeed.store.records import from_json, to_json

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


def test_without_a_control_nothing_that_was_decided_stands():
    for speed in ("pass", "fail"):
        assert combine_verdicts(speed, None, None, withstands=False) == (
            "invalid",
            ("no A/A control: nothing tells whether equal work takes equal time",),
        )


def test_a_broken_control_leaves_a_verdict_that_withstands_it_and_none_where_the_gpu_throttled():
    assert combine_verdicts("pass", None, SLOW_OUTER, withstands=True) == ("pass", ())
    assert combine_verdicts("pass", None, SLOW_OUTER, withstands=False)[0] == "invalid"
    assert combine_verdicts("pass", None, SLOW_OUTER, withstands=True, throttled="hot") == ("invalid", ("hot",))


@pytest.mark.parametrize(("far", "recorded"), [(1.02, True), (1.03, False)])
def test_a_reference_is_not_made_under_a_bias_of_more_than_half_its_tolerance(far, recorded):
    """Its verdict withstands the bias, but every later run would be held to it."""
    made = result(control=Interval(far, 1.001, far), biased=False, speedup=1.6, low=1.59, high=1.61, tolerance=0.05)
    refused = _find_refusal(made)
    assert (refused is None) == recorded
    assert recorded or refused.startswith("its A/A control broke (x1.03")


def test_the_record_keeps_what_the_control_means_and_whose_slots_are_slow(tmp_path):
    made = result(biased=False, slow_pairs={"fp16": (3, 6), "baseline": (0, 12)})
    stored = to_json(made)
    assert stored["slow_pairs"] == {"fp16": [3, 6], "baseline": [0, 12]}
    read = from_json(stored, tmp_path)
    assert (read.biased, read.slow_pairs) == (False, {"fp16": (3, 6), "baseline": (0, 12)})
    before = {name: value for name, value in stored.items() if name not in ("biased", "slow_pairs")}
    read = from_json(before, tmp_path)
    assert (read.biased, read.slow_pairs) == (None, {})


@pytest.mark.parametrize(("biased", "held"), [(True, True), (False, False), (None, True)])
def test_a_result_of_before_is_biased_if_its_control_excludes_one(biased, held):
    assert is_biased(result(verdict="invalid", control=SLOW_OUTER, biased=biased)) is held
