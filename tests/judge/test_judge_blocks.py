"""What one block says: algebra by properties, stalls and unequal noise by planted durations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pytest_sdspeed.judge.speed import blocks
from pytest_sdspeed.model import CONTROL

durations = st.floats(1e-3, 1e3)
arms = st.integers(2, 12).flatmap(
    lambda count: st.tuples(
        *(
            st.lists(st.lists(st.tuples(durations, durations), min_size=pairs, max_size=pairs), min_size=count, max_size=count)
            for pairs in (2, 1)
        )
    )
)


def settled(baseline, candidate):
    """Whether no pair sits on the edge of the guard, where rounding would decide."""
    ours, theirs = np.log(baseline), np.log(candidate)
    limit = blocks.GUARD * np.maximum(blocks._slot_deviation(ours), blocks._slot_deviation(theirs))
    return all(np.all(np.abs(np.abs(np.diff(arm)[..., 0]) - limit) > 1e-9) for arm in (ours, theirs))


def test_a_block_is_the_difference_of_mean_logs():
    (ratio,) = blocks.block_ratios([[[2.0, 8.0]]], [[[1.0, 4.0]]])
    assert ratio == pytest.approx(math.log(2.0))


def test_the_baselines_pairs_count_equally():
    (ratio,) = blocks.block_ratios([[[2.0, 2.0], [8.0, 8.0]]], [[[1.0, 1.0]]])
    assert ratio == pytest.approx(math.log(4.0))


@settings(deadline=None)
@given(arms, st.floats(1e-3, 1e3))
def test_another_unit_of_time_changes_nothing(given_arms, unit):
    baseline, candidate = map(np.array, given_arms)
    assume(settled(baseline, candidate))
    assert blocks.block_ratios(unit * baseline, unit * candidate) == pytest.approx(blocks.block_ratios(baseline, candidate), abs=1e-9)


@settings(deadline=None)
@given(arms, st.floats(0.5, 2))
def test_a_slower_candidate_shifts_every_block_by_its_log(given_arms, factor):
    baseline, candidate = map(np.array, given_arms)
    assume(settled(baseline, candidate))
    shifted = blocks.block_ratios(baseline, factor * candidate)
    assert shifted == pytest.approx(blocks.block_ratios(baseline, candidate) - math.log(factor), abs=1e-9)


@settings(deadline=None)
@given(arms)
def test_swapping_the_arms_changes_the_sign_and_nothing_else(given_arms):
    baseline, candidate = given_arms
    assert np.array_equal(blocks.block_ratios(baseline, candidate), -blocks.block_ratios(candidate, baseline))


@settings(deadline=None)
@given(arms)
def test_the_order_of_slots_and_of_the_baselines_pairs_leaves_no_trace(given_arms):
    baseline, candidate = map(np.array, given_arms)
    turned = blocks.block_ratios(baseline[:, ::-1, ::-1], candidate[:, :, ::-1])
    assert turned == pytest.approx(blocks.block_ratios(baseline, candidate), abs=1e-12)


@settings(deadline=None)
@given(arms.flatmap(lambda found: st.tuples(st.just(found), st.permutations(range(len(found[0]))))))
def test_the_order_of_blocks_leaves_no_trace(found):
    (baseline, candidate), order = found
    there = blocks.block_ratios(baseline, candidate)
    assert np.array_equal(blocks.block_ratios([baseline[i] for i in order], [candidate[i] for i in order]), there[list(order)])


def campaign(cv_baseline=0.01, cv_candidate=0.01, count=8, trials=(), seed=0):
    rng = np.random.default_rng(seed)
    shape = (*trials, count)
    return np.exp(cv_baseline * rng.standard_normal((*shape, 2, 2))), np.exp(cv_candidate * rng.standard_normal((*shape, 1, 2)))


@pytest.mark.parametrize("arm", [0, 1])
@pytest.mark.parametrize("stall", [1.3, 3.0, 20.0])
def test_a_stalled_slot_counts_as_its_faster_neighbour(arm, stall):
    calm = campaign()
    stalled = campaign()
    stalled[arm][3, 0, 1] *= stall
    shift = np.abs(blocks.block_ratios(*stalled) - blocks.block_ratios(*calm))
    assert shift.max() < 0.02
    assert np.delete(shift, 3).max() == 0
    # The mean of logs would be off by a fraction of the stall.
    assert math.log(stall) / 4 > 2 * shift.max()


def test_what_slows_both_slots_of_a_pair_is_the_arms_own_slowness():
    baseline, candidate = campaign()
    assert blocks.block_ratios(baseline, 1.5 * candidate) == pytest.approx(blocks.block_ratios(baseline, candidate) - math.log(1.5))


def test_a_noisier_arm_is_not_favoured():
    """Taking the faster slot of each pair would make it look 1.7% faster."""
    for cvs in ((0.003, 0.03), (0.03, 0.003)):
        found = blocks.block_ratios(*campaign(*cvs, trials=(4000,)))
        assert abs(found.mean()) < 0.001
        baseline, candidate = campaign(*cvs, trials=(4000,))
        faster = np.log(baseline.min(-1)).mean(-1) - np.log(candidate.min(-1)).mean(-1)
        assert abs(faster.mean()) > 0.01


def test_campaigns_are_judged_alone_whatever_their_company():
    baseline, candidate = campaign(trials=(5,))
    together = blocks.block_ratios(baseline, candidate)
    assert all(np.array_equal(together[i], blocks.block_ratios(baseline[i], candidate[i])) for i in range(5))


@pytest.mark.parametrize(
    ("baseline", "candidate", "says"),
    [
        ([[[1.0, 1.0]]], [[[1.0, 1.0]], [[1.0, 1.0]]], "paired"),
        ([[[1.0, 1.0]]], [[[1.0, 0.0]]], "lasted 0.0"),
        ([[[-1.0, 1.0]]], [[[1.0, 1.0]]], "lasted -1.0"),
        ([[[1.0, math.nan]]], [[[1.0, 1.0]]], "lasted nan"),
        ([[[1.0, 1.0]]], [[[math.inf, 1.0]]], "lasted inf"),
        ([[[1.0]]], [[[1.0, 1.0]]], "shape"),
        ([[1.0, 1.0]], [[[1.0, 1.0]]], "shape"),
        (np.ones((0, 2, 2)), np.ones((0, 1, 2)), "shape"),
    ],
)
def test_impossible_durations_are_refused(baseline, candidate, says):
    with pytest.raises(ValueError, match=says):
        blocks.block_ratios(baseline, candidate)


def test_a_refused_duration_is_named_with_what_is_valid():
    with pytest.raises(ValueError, match=r"^a slot lasted 0\.0 s; valid: positive and finite$"):
        blocks.block_ratios([[[1.0, 2.0]]], [[[3.0, 0.0]]])
    with pytest.raises(ValueError, match=r"^durations have shape \(1, 2\); valid: \(\.\.\., blocks, pairs, 2\), none of them 0$"):
        blocks.block_ratios([[1.0, 2.0]], [[[3.0, 1.0]]])
    with pytest.raises(ValueError, match=r"^blocks are paired, but the baseline has \(1,\) and the candidate \(2,\)$"):
        blocks.block_ratios([[[1.0, 2.0]]], [[[1.0, 2.0]], [[1.0, 2.0]]])


def test_the_deviation_of_a_slot_is_the_median_difference_over_that_of_two_normal_values():
    deviation = blocks._slot_deviation(np.log([[[1.0, math.e**0.3]], [[math.e**0.1, 1.0]], [[1.0, math.e**0.2]]]))
    assert deviation.shape == (1, 1)
    assert deviation == pytest.approx(0.2 / (math.sqrt(2) * 0.6744897501960817))


def test_a_pair_is_disturbed_beyond_four_deviations_of_the_noisier_arm():
    """The larger deviation of both holds for both, whichever has it."""
    calm, noisy = [[[1.0, math.e**0.01]]] * 4, [[[1.0, math.e**0.1]]] * 4
    limit = 4 * 0.1 / 0.9538725524089
    for excess, disturbed in ((0.999, False), (1.001, True)):
        stalled = [*calm[:3], [[1.0, math.exp(excess * limit)]]]
        there, back = blocks.block_ratios(noisy, stalled), blocks.block_ratios(stalled, noisy)
        assert there[3] == pytest.approx(0.05 if disturbed else 0.05 - excess * limit / 2)
        assert np.array_equal(back, -there)


def test_single_precision_durations_are_reckoned_in_double():
    assert blocks.block_ratios(np.float32([[[1.1, 1.2]]]), np.float32([[[1.3, 1.4]]])).dtype == np.float64


def test_latencies_are_medians_over_all_slots_and_the_control_counts_for_the_baseline():
    samples = {"base": [(1.0, 2.0), (3.0, 4.0)], CONTROL: [(10.0, 20.0), (30.0, 40.0)], "row": [(5.0, 6.0), (8.0, 9.0)]}
    assert blocks.latencies(samples, "row", "base") == (7.0, 7.0)
    assert blocks.latencies(samples, "base", "base") == (7.0, 7.0)
    assert blocks.latencies({**samples, "row": [(5.0, 6.0), (6.5, 9.0)]}, "row", "base") == (6.25, 7.0)
