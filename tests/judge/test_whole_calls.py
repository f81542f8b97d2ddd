"""Whole calls beside the sums of their stages: what noise explains, and when a verdict does not stand."""

from __future__ import annotations

import math
import random
import statistics

import pytest

from pytest_sdspeed.judge.speed.intervals import log_ratios
from pytest_sdspeed.judge.speed.whole_calls import (
    LEAST_DIFFERENCE,
    NOISE_ERRORS,
    SUM_ERRORS,
    compare_whole_calls,
    count_palindromes,
    estimate_sum_error,
    withstands_whole_calls,
)
from pytest_sdspeed.model import Interval

NARROW = Interval(1.3, 1.29, 1.31)


def test_calls_that_take_what_their_stages_do_agree():
    found = compare_whole_calls([2.0, 2.0], 2.0, [3.0, 3.0], 3.0)
    assert (found.candidate, found.baseline, found.excess, found.doubt) == (0, 0, 1, 1)


@pytest.mark.parametrize(("candidate", "baseline"), [(1.06, 1.0), (1.0, 1.06), (0.94, 1.0), (1.1, 1.04)])
def test_time_that_no_stage_owns_counts_beyond_a_hundredth(candidate, baseline):
    found = compare_whole_calls([2.0 * candidate] * 2, 2.0, [3.0 * baseline] * 2, 3.0)
    assert found.candidate == pytest.approx(candidate - 1)
    assert found.baseline == pytest.approx(baseline - 1)
    beyond = math.log(candidate / baseline)
    assert math.log(found.excess) == pytest.approx(math.copysign(abs(beyond) - LEAST_DIFFERENCE, beyond))
    assert found.doubt == found.excess


def test_what_both_have_turns_no_ratio():
    assert compare_whole_calls([2.4, 2.4], 2.0, [3.6, 3.6], 3.0).excess == 1


def test_the_mean_call_counts_and_only_the_noise_of_the_baseline_excuses_it():
    even = compare_whole_calls([2.12, 2.12], 2.0, [3.0, 3.0], 3.0)
    assert even.excess == pytest.approx(1.06 / math.exp(LEAST_DIFFERENCE))
    # A stall in every second call is the candidate's own.
    stalls = compare_whole_calls([2.0, 2.24], 2.0, [3.0, 3.0], 3.0)
    assert stalls.excess == pytest.approx(even.excess)
    found = compare_whole_calls([2.12, 2.12], 2.0, [2.9, 3.1], 3.0)
    assert found.excess == 1
    assert found.doubt == pytest.approx(even.doubt)


@pytest.mark.parametrize(("calls", "deviations"), [(6, 2.5), (12, 1.77), (4, 3.06)])
def test_noise_of_the_baseline_excuses_four_errors_and_a_third_and_no_more(calls, deviations):
    """Of six calls that is two and a half standard deviations, of more of them less."""
    noisy = [3.0 * math.exp(by) for by in (-0.02, 0.02) * (calls // 2)]
    assert NOISE_ERRORS * math.sqrt(2 / calls) == pytest.approx(deviations, abs=0.005)
    excused = NOISE_ERRORS * math.sqrt(2 / calls) * 0.02 * math.sqrt(calls / (calls - 1))
    kept = calls - calls // 6
    theirs = math.log(sum(sorted(noisy)[:kept]) / (3 * kept))
    for beyond in (-0.001, 0.001):
        ours = [2.0 * math.exp(theirs + excused + beyond)] * calls
        found = compare_whole_calls(ours, 2.0, noisy, 3.0)
        assert math.log(found.excess) == pytest.approx(max(0.0, beyond))
        assert math.log(found.doubt) == pytest.approx(excused + beyond - LEAST_DIFFERENCE)


def test_noise_of_the_sums_excuses_two_of_their_errors_and_counts_beside_that_of_calls():
    quiet, noisy = [3.0] * 6, [3.0 * math.exp(by) for by in (-0.02, 0.02) * 3]
    for calls, own in ((quiet, 0.0), (noisy, 2.5 * 0.02 * math.sqrt(6 / 5))):
        theirs = math.log(sum(sorted(calls)[:5]) / 15)
        excused = math.hypot(own, SUM_ERRORS * 0.03)
        for beyond in (-0.001, 0.001):
            found = compare_whole_calls([2.0 * math.exp(theirs + excused + beyond)] * 6, 2.0, calls, 3.0, sum_error=0.03)
            assert math.log(found.excess) == pytest.approx(max(0.0, beyond), abs=2e-4)
            assert math.log(found.doubt) == pytest.approx(excused + beyond - LEAST_DIFFERENCE)


def test_the_error_of_a_ratio_is_known_from_the_baseline_alone():
    """Of rows and baselines in the same noise, the spread of many campaigns' mean log ratios."""
    draw, blocks = random.Random(1), 5

    def pairs():
        return [(math.exp(draw.gauss(0, 0.05)), math.exp(draw.gauss(0, 0.05))) for _ in range(blocks)]

    errors, means = [], []
    for _ in range(2000):
        outer, inner, row = pairs(), pairs(), pairs()
        errors.append(estimate_sum_error(outer, inner))
        means.append(statistics.fmean(log_ratios([outer, inner], [row])))
    assert math.sqrt(statistics.fmean(error**2 for error in errors)) == pytest.approx(statistics.stdev(means), rel=0.05)
    assert estimate_sum_error([(1.0, 1.1)], [(1.0, 1.0)]) == 0


@pytest.mark.parametrize(("blocks", "palindromes"), [(0, (1, 3)), (3, (1, 3)), (10, (2, 3)), (29, (3, 3)), (30, (4, 4)), (200, (21, 21))])
def test_what_many_blocks_decide_is_held_against_more_whole_calls(blocks, palindromes):
    assert count_palindromes(blocks) == palindromes


def test_one_slow_call_of_six_is_left_out():
    slow = compare_whole_calls([2.0, 2.0, 2.0, 9.0, 2.0, 2.0], 2.0, [3.0, 3.0, 9.0, 3.0, 3.0, 3.0], 3.0)
    assert (slow.excess, slow.doubt) == (1, 1)
    assert compare_whole_calls([2.0, 2.0, 2.0, 9.0, 9.0, 2.0], 2.0, [3.0] * 6, 3.0).excess > 1.5


@pytest.mark.parametrize(
    ("interval", "floor", "excess", "stands"),
    [
        (NARROW, 1.2, 1.0, True),
        (NARROW, 1.2, 1.05, True),
        (NARROW, 1.2, 1.12, False),
        (NARROW, 1.2, 1.08, False),
        (NARROW, 1.35, 1.1, True),
        (NARROW, 1.35, 0.9, False),
        (Interval(1.3, 1.1, 1.5), 1.2, 1.02, True),
        (Interval(1.3, 1.1, 1.5), 1.2, 0.9, True),
        (Interval(1.3, 1.1, 1.5), 1.2, 1.3, False),
        (NARROW, None, 2.0, True),
    ],
    ids=[
        "agree",
        "still a pass",
        "a fail",
        "undecided",
        "fails all the more",
        "no fail",
        "undecided anyway",
        "undecided, faster",
        "undecided, slower",
        "no floor",
    ],
)
def test_a_verdict_stands_if_it_is_the_same_by_whole_calls(interval, floor, excess, stands):
    found = compare_whole_calls([1.0, 1.0], 1.0, [1.0, 1.0], 1.0)._replace(excess=excess)
    assert withstands_whole_calls(interval, floor, found) == stands


@pytest.mark.parametrize(("ours", "theirs"), [([1.0], [1.0, 1.0]), ([1.0, 1.0], [])])
def test_one_call_says_nothing_of_its_noise(ours, theirs):
    with pytest.raises(ValueError, match=r"valid: two or more"):
        compare_whole_calls(ours, 1.0, theirs, 1.0)


@pytest.mark.parametrize("noise", [0.005, 0.02])
def test_noise_alone_seldom_turns_a_verdict(noise):
    """Arms whose calls are their sums, 2% of noise in each: a verdict 3% from its floor stands."""
    draw, fallen = random.Random(1), 0
    for _ in range(1000):
        calls = [[1 + abs(draw.gauss(0, noise)) for _ in range(2)] for _ in range(2)]
        found = compare_whole_calls(calls[0], 1 + 0.8 * noise, calls[1], 1 + 0.8 * noise)
        fallen += not withstands_whole_calls(Interval(1.04, 1.03, 1.05), 1.0, found)
    assert fallen <= 10
