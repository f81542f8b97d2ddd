"""Lasting shifts of a series: found when they should be, quiet when they should not, the same told to everybody who asks earlier."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sdspeed.judge.changes.change_points import ChangePoint, find_change_points, select_lasting


def noise(n, cv=0.005, seed=0):
    return cv * np.random.default_rng(seed).standard_normal(n)


def found(values, reference=None):
    values = np.asarray(values, dtype=float)
    return find_change_points(values, np.ones(len(values), dtype=bool) if reference is None else reference)


def told(values, until):
    """What the whole series says was told before a run: the shifts found by then, and which of them were gone."""
    known = [shift for shift in found(values) if shift.detected_at < until]
    return [
        (shift.since, shift.detected_at, shift.retracted_at if shift.retracted_at is not None and shift.retracted_at < until else None)
        for shift in known
    ]


# Finds what is there


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("seed", range(5))
def test_a_step_of_six_percent_is_found_at_its_second_run_either_way(direction, seed):
    values = noise(60, seed=seed)
    values[40:] += direction * math.log(1.06)
    (shift,) = found(values)
    assert (shift.since, shift.detected_at, shift.retracted_at) == (40, 41, None)
    assert shift.change == pytest.approx(direction * math.log(1.06), abs=0.005)
    assert shift.before == pytest.approx(0, abs=0.005)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("seed", range(3))
def test_a_drift_is_found_within_fifteen_runs(direction, seed):
    values = noise(80, seed=seed)
    values[60:] += direction * math.log(1.005) * np.arange(1, 21)
    first = select_lasting(found(values))[0]
    assert 60 <= first.detected_at < 75
    assert math.copysign(1, first.change) == direction


def test_what_creeps_is_found_at_last():
    values = noise(200) + math.log(1.001) * np.arange(200)
    first = select_lasting(found(values))[0]
    assert first.change > 0
    assert first.detected_at < 100
    assert select_lasting(found(noise(200))) == []


def test_two_steps_are_two_shifts():
    values = noise(90)
    values[30:] += 0.1
    values[60:] -= 0.2
    assert [(shift.since, shift.detected_at) for shift in select_lasting(found(values))] == [(30, 31), (60, 61)]
    assert [shift.change for shift in found(values)] == pytest.approx([0.1, -0.2], abs=0.01)


def test_a_constant_series_has_no_noise_and_still_a_limit():
    assert found(np.zeros(50)) == []
    assert [(shift.since, shift.detected_at) for shift in found(np.repeat([0.0, 0.05], 20))] == [(20, 21)]
    assert found(np.repeat([0.0, 0.02], 20)) == []


# Is quiet otherwise


@pytest.mark.parametrize("spikes", [[30], [30, 40], [30, 32], [20, 30, 40, 50]])
def test_single_spikes_are_no_shift(spikes):
    values = noise(70)
    values[spikes] += math.log(1.3)
    assert found(values) == []


def test_a_machine_of_two_speeds_is_rarely_a_lasting_shift():
    two_speeds = [noise(300, seed=seed) + math.log(1.05) * (np.random.default_rng(seed).random(300) < 0.2) for seed in range(10)]
    assert sum(len(select_lasting(found(values))) for values in two_speeds) <= 9  # of 3,000 runs


def test_noise_alone_has_no_lasting_shift():
    assert sum(len(select_lasting(found(noise(300, cv, seed)))) for cv in (0.005, 0.01, 0.02) for seed in range(5)) == 0


def test_a_return_withdraws_what_was_told():
    values = noise(60)
    values[30:32] += 0.1
    (shift,) = found(values)
    assert (shift.since, shift.detected_at, shift.retracted_at) == (30, 31, 33)
    assert select_lasting([shift]) == []
    (earlier,) = found(values[:33])
    assert (earlier.since, earlier.detected_at, earlier.retracted_at) == (30, 31, None)
    assert select_lasting([earlier]) == [earlier]


def test_what_returns_late_is_another_shift():
    values = noise(60)
    values[30:42] += 0.1
    assert [(shift.since, shift.detected_at, shift.retracted_at) for shift in found(values)] == [(30, 31, None), (42, 43, None)]


@pytest.mark.parametrize(("step", "at"), [(0.085, []), (0.1, [(60, 78)])])
def test_a_small_step_in_much_noise_is_found_by_twenty_runs_if_the_error_of_medians_allows(step, at):
    """Runs in turn above and below by 4%: one of noise is 6.2%, and the median of 20 against 20 has an error of 40% of that, of which 3.7."""
    values = 0.04 * (-1.0) ** np.arange(80)
    values[60:] += step
    assert [(shift.since, shift.detected_at) for shift in found(values)] == at


# Missing and foreign runs


def test_runs_without_a_result_are_as_if_they_were_not_there():
    values = noise(60)
    values[35:] += 0.08
    here = np.sort(np.random.default_rng(1).choice(90, 60, replace=False))
    gaps = np.full(90, np.nan)
    gaps[here] = values
    expected = [replace(shift, since=int(here[shift.since]), detected_at=int(here[shift.detected_at])) for shift in found(values)]
    assert expected
    assert found(gaps) == expected


def test_a_withdrawal_counts_runs_without_a_result_too():
    values = noise(40)
    values[30:33] += 0.1
    (whole,) = found(values)
    assert (whole.since, whole.detected_at, whole.retracted_at) == (30, 31, 34)
    with_gaps = np.full(80, np.nan)
    with_gaps[1::2] = values
    (shift,) = found(with_gaps)
    assert (shift.since, shift.detected_at, shift.retracted_at) == (61, 63, 69)


def test_a_change_ends_where_the_next_one_begins():
    values = noise(60)
    values[30:38] += 0.1
    values[38:] += 0.4
    first, second = select_lasting(found(values))
    assert (first.since, second.since) == (30, 38)
    assert first.change == pytest.approx(0.1, abs=0.01)
    assert second.change == pytest.approx(0.3, abs=0.01)


def test_a_change_is_that_of_its_first_twenty_runs():
    values = noise(75)
    values[30:50] += 0.1
    values[50:] += 0.115
    assert found(values)[0].change == pytest.approx(0.1, abs=0.005)


def test_runs_that_are_no_reference_never_make_a_level():
    reference = np.ones(60, dtype=bool)
    reference[20:40] = False
    values = noise(60)
    values[20:40] += 0.2
    told_of = found(values, reference)
    # They are a shift themselves, and the level that the references come back to is no other shift beside theirs.
    assert [(shift.since, shift.detected_at) for shift in told_of] == [(20, 21)]


def test_a_step_whose_new_runs_are_no_references_is_found():
    reference = np.arange(40) < 20
    values = noise(40)
    values[20:] += 0.06
    assert [(shift.since, shift.detected_at, shift.retracted_at) for shift in found(values, reference)] == [(20, 21, None)]
    assert found(values, ~reference) == []


def test_without_references_nothing_is_told():
    values = noise(40)
    values[20:] += 0.06
    assert found(values, np.zeros(40, dtype=bool)) == []


@pytest.mark.parametrize("n", [0, 1, 2, 6])
def test_short_series_have_no_shift(n):
    assert found(noise(n)) == []


def test_nothing_but_missing_results_has_no_shift():
    assert found(np.full(30, np.nan)) == []


def test_five_runs_make_a_level():
    assert [(shift.since, shift.detected_at) for shift in found([0.0] * 5 + [0.2] * 2)] == [(5, 6)]
    assert found([0.0] * 4 + [0.2] * 2) == []


# The same to everybody


@st.composite
def histories(draw, cvs=(0, 0.002, 0.01, 0.03)):
    """Noise of some size with steps, spikes and drifts."""
    n = draw(st.integers(8, 90))
    values = noise(n, draw(st.sampled_from(cvs)), draw(st.integers(0, 999)))
    for start, length, change in draw(
        st.lists(st.tuples(st.integers(0, 89), st.sampled_from([1, 2, 3, 5, 90]), st.floats(-0.3, 0.3)), max_size=4)
    ):
        values[start : start + length] += change
    return values + draw(st.sampled_from([0, 0.004])) * np.arange(n)


@settings(max_examples=60, deadline=None)
@given(histories(), st.integers(0, 90))
def test_what_was_told_does_not_change_as_runs_come_in(values, until):
    assert [(shift.since, shift.detected_at, shift.retracted_at) for shift in found(values[:until])] == told(
        values, min(until, len(values))
    )


def test_nothing_is_told_afterwards():
    values = noise(40, 0.001)
    values[8:13] += 0.1
    values[15:17] += 0.1
    found_at = [shift.detected_at for shift in found(values)]
    assert found_at == sorted(set(found_at))


@settings(max_examples=30, deadline=None)
@given(histories(cvs=(0.002, 0.01, 0.03)), st.sampled_from([-8.0, 2.0, 64.0]))  # without noise, rounding decides between equals
def test_the_unit_does_not_matter(values, unit):
    here, there = found(values), found(values + unit)
    assert [(shift.since, shift.detected_at, shift.retracted_at) for shift in there] == [
        (shift.since, shift.detected_at, shift.retracted_at) for shift in here
    ]
    assert [shift.change for shift in there] == pytest.approx([shift.change for shift in here], abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(histories())
def test_slower_and_faster_are_mirror_images(values):
    mirrored = [ChangePoint(shift.since, shift.detected_at, -shift.change, -shift.before, shift.retracted_at) for shift in found(-values)]
    assert mirrored == found(values)
