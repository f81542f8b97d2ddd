"""Slow slots of the candidate alone: counted, told from contention, and then not trimmed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pytest_sdspeed.judge.speed import blocks, intervals, slow_pairs


def campaign(count=8, cv=0.003, seed=0, trials=()):
    rng = np.random.default_rng(seed)
    shape = (*trials, count)
    return np.exp(cv * rng.standard_normal((*shape, 2, 2))), np.exp(cv * rng.standard_normal((*shape, 1, 2)))


def slow_in_one_call_of(every, pairs, slower=20.0):
    calls = np.arange(2 * pairs.shape[-3]).reshape(-1, 1, 2)
    return pairs * np.where(calls % every == 0, slower, 1.0)


@pytest.mark.parametrize("every", [2, 3, 4, 5, 6, 7])
def test_a_candidate_that_compiles_anew_every_few_calls_has_the_speed_of_all_its_calls(every):
    baseline, candidate = campaign(20)
    slowed = slow_in_one_call_of(every, candidate)
    assert blocks.judge_ratios(baseline, candidate) == pytest.approx(blocks.block_ratios(baseline, candidate))
    found = blocks.judge_ratios(baseline, slowed)
    assert found == pytest.approx(np.log(baseline.mean(-1)).mean(-1) - np.log(slowed.mean(-1)).mean(-1))
    # What is trimmed, or averaged as logs, would look far too good.
    assert found.mean() < blocks.block_ratios(baseline, slowed).mean() - 0.3


@pytest.mark.parametrize("every", [4, 5, 6])
def test_such_a_candidate_does_not_pass_in_three_blocks(every):
    """Its usual calls are four times as fast as they must be."""
    baseline, candidate = campaign(3)
    slowed = slow_in_one_call_of(every, candidate / 4)
    pairs = [np.moveaxis(arm, 1, 0).tolist() for arm in (baseline, slowed)]
    found = intervals.interval(intervals.log_ratios(*pairs), 23.4)
    assert intervals.decide(found, 1.0) is None
    calm = intervals.interval(intervals.log_ratios(pairs[0], np.moveaxis(candidate / 4, 1, 0).tolist()), 23.4)
    assert intervals.decide(calm, 1.0) == "pass"


@pytest.mark.parametrize(("count", "trimmed"), [(3, False), (7, False), (8, True), (20, True)])
def test_one_stall_is_chance_as_soon_as_it_is_rare(count, trimmed):
    baseline, candidate = campaign(count)
    candidate[1, 0, 0] *= 20
    found = blocks.judge_ratios(baseline, candidate)
    assert (abs(found[1]) < 0.02) == trimmed


def test_a_baseline_that_stalls_as_often_vouches_for_the_candidate():
    baseline, candidate = campaign(12)
    candidate[:4, 0, 0] *= 20
    assert blocks.judge_ratios(baseline, candidate)[0] < -1
    baseline[:8, 1, 1] *= 20
    assert np.abs(blocks.judge_ratios(baseline, candidate)).max() < 0.02


def test_noise_alone_is_nobodys_doing():
    for cv in (0.003, 0.03, 0.1):
        baseline, candidate = campaign(20, cv, trials=(2000,))
        counts = blocks.count_slow_pairs(baseline, candidate)
        assert slow_pairs.are_significant(counts).mean() < 0.001
        assert slow_pairs.are_its_own(counts).mean() < 0.005


def test_contention_of_both_arms_is_significant_at_most_as_often_as_the_level_says():
    rng = np.random.default_rng(1)
    for share in (0.02, 0.1, 0.3):
        counts = slow_pairs.Counts(rng.binomial(20, share, 20_000), 20, rng.binomial(40, share, 20_000), 40)
        assert slow_pairs.are_significant(counts).mean() < slow_pairs.ERROR * 1.3


@pytest.mark.parametrize("counts", [(0, 8, 0, 16), (4, 8, 0, 16), (5, 8, 0, 16), (9, 20, 3, 40), (20, 20, 39, 40), (7, 7, 14, 14)])
def test_the_test_is_fishers(counts):
    theirs, their_pairs, ours, our_pairs = counts
    table = [[theirs, their_pairs - theirs], [ours, our_pairs - ours]]
    p = stats.fisher_exact(table, alternative="greater").pvalue
    assert bool(slow_pairs.are_significant(slow_pairs.Counts(*counts))) == (p < slow_pairs.ERROR)


def test_what_is_rare_is_found_with_more_blocks():
    """Once in twenty calls: too rare for the share, not for the test."""
    baseline, candidate = campaign(90)
    slowed = slow_in_one_call_of(20, candidate)
    counts = blocks.count_slow_pairs(baseline, slowed)
    assert counts.candidate / counts.candidate_pairs < 1 / slow_pairs.SPARED
    assert slow_pairs.are_significant(counts)


def test_slots_that_differ_by_what_no_clock_resolves_are_not_slow():
    baseline, candidate = np.ones((5, 2, 2)), np.ones((5, 1, 2))
    candidate[:, 0, 1] += 1e-6
    assert blocks.count_slow_pairs(baseline, candidate).candidate == 0


@pytest.mark.parametrize(
    ("apart", "slow"),
    [([0.0, 0.02, 0.1], 2), ([0.0, 0.02, 0.05, 0.05, 0.1], 0), ([0.0, 0.0, 0.05, 0.05, 0.1], 3), ([0.0, 0.0, 0.005, 0.005, 0.005], 0)],
)
def test_what_is_usual_for_the_candidate_is_the_lower_quartile_of_its_pairs(apart, slow):
    """2% as usual allow 17.8%; nothing allows 1%."""
    theirs = np.array([[[0.0, one]] for one in apart])
    assert slow_pairs.count(np.zeros((len(apart), 2, 2)), theirs, np.zeros((1, 1))).candidate == slow


def test_campaigns_that_are_judged_together_are_judged_as_each_by_itself():
    baseline, candidate = campaign(20, trials=(3,))
    candidate[1] = slow_in_one_call_of(3, candidate[1])
    candidate[2] **= 30
    baseline[0, :3, 0, 0] *= 2
    together = blocks.judge_ratios(baseline, candidate)
    assert together.dtype == float
    assert together == pytest.approx(np.array([blocks.judge_ratios(*one) for one in zip(baseline, candidate, strict=True)]))
    counts = blocks.count_slow_pairs(baseline, candidate)
    alone = [blocks.count_slow_pairs(*one) for one in zip(baseline, candidate, strict=True)]
    assert counts.candidate.tolist() == [one.candidate for one in alone]
    assert counts.baseline.tolist() == [one.baseline for one in alone]


def describe(*counts, decided=True):
    return list(slow_pairs.describe(slow_pairs.Counts(*counts), decided=decided))


def test_the_note_says_whose_doing_it_is():
    (own,) = describe(8, 12, 0, 24)
    assert own.startswith("one slot is much slower than the other in 8 of its 12 pairs of slots, and in 0 of its baseline's 24")
    assert "The candidate itself is slow in about one call of 3: does it compile or allocate anew?" in own
    assert "not contention" in own
    (base,) = describe(0, 12, 16, 24)
    assert "The baseline itself is slow in about one call of 3" in base
    assert describe(1, 12, 2, 24) == describe(0, 3, 0, 6) == []


def test_slow_slots_that_may_be_chance_are_named_only_while_nothing_is_decided():
    assert describe(1, 3, 0, 6) == []
    (said,) = describe(1, 3, 0, 6, decided=False)
    assert "too few to tell" in said
