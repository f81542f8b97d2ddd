"""The speed-up's interval, what an undecided row needs, and the A/A control; error rates are in test_gate_power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.model import Interval

ratio_lists = st.lists(st.floats(-3, 3), min_size=2, max_size=30)


# log ratios and their interval


def test_log_ratios_are_those_of_the_blocks():
    outer, inner, row = [[2.0, 2.0], [4.0, 4.0]], [[2.0, 2.0], [4.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]
    found = intervals.log_ratios([outer, inner], [row])
    assert found == pytest.approx((math.log(2), math.log(4)))
    assert all(type(value) is float for value in found)
    assert intervals.log_ratios([[], []], [[]]) == ()


@pytest.mark.parametrize("lengths", [(1, 1, 2), (2, 1, 2), (0, 0, 1)])
def test_unpaired_blocks_are_refused(lengths):
    outer, inner, row = ([[1.0, 1.0]] * length for length in lengths)
    with pytest.raises(ValueError, match="paired"):
        intervals.log_ratios([outer, inner], [row])


@settings(deadline=None)
@given(ratio_lists, st.floats(0, 10), st.floats(0, 10))
def test_swapping_the_arms_inverts_the_interval(ratios, below, above):
    there = intervals.interval(ratios, below, above)
    back = intervals.interval([-ratio for ratio in ratios], above, below)
    assert (1 / back.speedup, 1 / back.high, 1 / back.low) == pytest.approx((there.speedup, there.low, there.high), rel=1e-9)


@settings(deadline=None)
@given(ratio_lists.flatmap(lambda ratios: st.tuples(st.just(ratios), st.permutations(ratios))), st.floats(0, 10))
def test_the_order_of_blocks_leaves_no_trace(orders, critical):
    first, second = orders
    assert intervals.interval(first, critical) == intervals.interval(second, critical)


@settings(deadline=None)
@given(ratio_lists, st.floats(0, 10))
def test_an_interval_holds_its_speedup(ratios, critical):
    found = intervals.interval(ratios, critical)
    assert 0 < found.low <= found.speedup <= found.high < math.inf
    assert all(type(value) is float for value in (found.low, found.speedup, found.high))


def test_interval_is_the_t_interval_of_the_logs():
    ratios = [0.1, 0.2, 0.4, 0.15]
    low, high = stats.t.interval(0.98, 3, loc=np.mean(ratios), scale=stats.sem(ratios))
    found = intervals.interval(ratios, stats.t.isf(0.01, 3))
    assert (found.speedup, found.low, found.high) == pytest.approx(tuple(np.exp([np.mean(ratios), low, high])))


def test_equal_blocks_give_a_point():
    found = intervals.interval([0.1] * 7, 30.0)
    assert found.low == found.speedup == found.high == pytest.approx(math.exp(0.1))


def test_wild_blocks_stay_finite():
    found = intervals.interval([-300.0, 300.0], 31.8)
    assert 0 < found.low < found.high < math.inf


@pytest.mark.parametrize("ratios", [[], [0.1], [0.1, math.nan], [0.1, math.inf]])
def test_no_interval_without_two_finite_blocks(ratios):
    with pytest.raises(ValueError, match=r"block\(s\) have no interval|not finite"):
        intervals.interval(ratios, 3.0)


# verdicts and what an undecided row needs


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(1.21, 1.3, "pass"), (1.1, 1.19, "fail"), (1.1, 1.3, None), (1.2, 1.3, None), (1.1, 1.2, None), (1.2, 1.2, None)],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(low, high, says):
    assert intervals.decide(Interval((low + high) / 2, low, high), 1.2) == says


@settings(deadline=None)
@given(
    st.lists(st.integers(-500, 500).map(lambda thousandths: thousandths / 1000), min_size=2, max_size=20),
    st.floats(0.8, 1.3),
    st.sampled_from([1, 4]),
)
def test_blocks_to_decide_is_the_next_look_that_would(ratios, floor, rows):
    gap, spread = np.mean(ratios) - math.log(floor), np.std(ratios, ddof=1)

    def decides(look):
        return intervals._reach(look, rows if gap < 0 else 1) * spread < abs(gap)

    later = [look for look in stopping.looks(200) if look > len(ratios)]
    assert intervals.blocks_to_decide(ratios, floor, rows) == next(filter(decides, later), None)


def test_a_mean_on_the_floor_is_never_decided():
    assert intervals.blocks_to_decide([-0.1, 0.1], 1.0) is None
    assert intervals.blocks_to_decide([0.0, 0.0], 1.0) is None
    assert intervals.blocks_to_decide([0.2, 0.2], 1.0) == 3


def test_blocks_to_decide_needs_a_floor():
    with pytest.raises(ValueError, match="floor"):
        intervals.blocks_to_decide([0.1, 0.2], 0.0)


def test_so_many_blocks_resolve_what_their_last_look_decides_nine_times_in_ten():
    rng = np.random.default_rng(0)
    for blocks, rows in ((4, 1), (6, 1), (20, 1), (20, 8)):
        noise = rng.normal(0, 0.03, (5000, blocks))
        below = -math.log1p(intervals.minimum_detectable_effect((noise[0] / noise[0].std(ddof=1) * 0.03).tolist(), blocks, rows))
        upper = noise.mean(1) + below + stopping.critical_value(blocks, rows) * noise.std(1, ddof=1) / math.sqrt(blocks)
        assert 0.87 < (upper < 0).mean() < 0.93


def test_more_blocks_resolve_more_and_too_few_nothing():
    ratios = [0.1, 0.2, 0.4, 0.15]
    assert (
        intervals.minimum_detectable_effect(ratios, 64)
        < intervals.minimum_detectable_effect(ratios, 16)
        < intervals.minimum_detectable_effect(ratios, 16, 8)
    )
    assert intervals.minimum_detectable_effect([0.1, 0.1], 3) == 0
    assert intervals.minimum_detectable_effect([-300.0, 300.0], 3) < math.inf
    assert intervals.minimum_detectable_effect(ratios, 2) is None


# the A/A control


def control(noise, factor=1.0, campaigns=1):
    """Whether the control breaks in each campaign; noise has shape (campaigns, blocks, 2 pairs, 2)."""
    found = [
        intervals.control_interval((factor * outer).tolist(), inner.tolist(), campaigns) for outer, inner in noise.transpose(0, 2, 1, 3)
    ]
    return np.mean([held.excludes_one for held in found])


@pytest.mark.slow
def test_control_is_wrong_at_most_once_in_a_hundred_and_finds_a_planted_difference():
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal((4000, 8, 2, 2)))
    assert 0.005 < control(noise) < 0.0125
    assert control(noise, campaigns=25) < 0.002
    assert control(noise[:500], factor=1.05) > 0.99


def test_control_is_a_t_interval():
    ratios = [0.01, -0.02, 0.005, 0.0]
    low, high = stats.t.interval(1 - intervals.CONTROL_ERROR / 3, 3, loc=np.mean(ratios), scale=stats.sem(ratios))
    found = intervals.control_interval([[math.exp(ratio)] * 2 for ratio in ratios], [[1.0, 1.0]] * 4, 3)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)), rel=1e-8)


def test_control_forgives_what_no_clock_resolves():
    found = intervals.control_interval([[0.3, 0.3]] * 4, [[0.1 + 0.2] * 2] * 4)
    assert found is not None
    assert not found.excludes_one


def test_control_needs_two_blocks():
    assert intervals.control_interval([[1.0, 1.0]], [[1.0, 1.0]]) is None
    assert intervals.control_interval([], []) is None
    assert intervals.control_interval([[1.0, 1.0], [1.0, 1.1]], [[1.0, 1.0]] * 2) is not None


@pytest.mark.parametrize(("first", "second"), [(0.3, 0.1 + 0.2), (0.1 + 0.2, 0.3)])
def test_control_is_widened_by_a_nanosecond_in_a_second_to_both_sides(first, second):
    found = intervals.control_interval([[first] * 2] * 4, [[second] * 2] * 4)
    assert not found.excludes_one
    assert found.low / found.speedup == pytest.approx(1 - 1e-9, rel=1e-12, abs=0)
    assert found.high / found.speedup == pytest.approx(1 + 1e-9, rel=1e-12, abs=0)


# what is said of impossible input, and the formulas as they are documented


def test_what_cannot_be_estimated_is_named_with_what_is_valid():
    pair = [(1.0, 1.0)]
    with pytest.raises(ValueError, match=r"^blocks are paired, but the arms have \[1, 2\] of them$"):
        intervals.log_ratios([pair, pair], [pair * 2])
    with pytest.raises(ValueError, match=r"^1 block\(s\) have no interval; valid: 2 or more$"):
        intervals.interval([0.1], 3.0)
    with pytest.raises(ValueError, match=r"^a block's log ratio is not finite$"):
        intervals.interval([0.1, math.nan], 3.0)
    with pytest.raises(ValueError, match=r"^floor is 0\.0; valid: a ratio above 0$"):
        intervals.blocks_to_decide([0.1, 0.2], 0.0)
    assert intervals.log_ratios([[], []], [[]]) == ()


def test_log_ratios_are_those_of_the_blocks_both_pairs_of_the_baseline_in_each():
    outer, inner, pairs = [(2.0, 2.0), (4.0, 4.0)], [(8.0, 8.0), (4.0, 4.0)], [(1.0, 1.0), (2.0, 2.0)]
    assert intervals.log_ratios([outer, inner], [pairs]) == pytest.approx((math.log(4), math.log(2)))


def test_an_interval_has_a_critical_value_for_each_side():
    ratios = [0.1, 0.2, 0.4, 0.15]
    error = stats.sem(ratios)
    found = intervals.interval(ratios, 2.0, 5.0)
    assert (found.low, found.high) == pytest.approx((math.exp(np.mean(ratios) - 2 * error), math.exp(np.mean(ratios) + 5 * error)))


@pytest.mark.parametrize(("blocks", "rows"), [(3, 1), (6, 1), (20, 8), (200, 1)])
def test_what_a_look_resolves_is_the_normal_approximation(blocks, rows):
    critical, freedom = stopping.critical_value(blocks, rows), blocks - 1
    reach = critical * (1 - 1 / (4 * freedom)) + stats.norm.ppf(0.9) * math.sqrt(1 + critical**2 / (2 * freedom))
    ratios = [0.1, 0.2, 0.4, 0.15]
    expected = math.expm1(reach / math.sqrt(blocks) * np.std(ratios, ddof=1))
    assert intervals.minimum_detectable_effect(ratios, blocks, rows) == pytest.approx(expected)


def test_one_row_has_all_of_the_error_unless_told_otherwise():
    ratios = [-0.3, -0.2, -0.1, -0.25]
    assert intervals.minimum_detectable_effect(ratios, 6) == intervals.minimum_detectable_effect(ratios, 6, 1)
    assert intervals.minimum_detectable_effect(ratios, 6) < intervals.minimum_detectable_effect(ratios, 6, 2)
    needed = {rows: intervals.blocks_to_decide(ratios, 0.86, rows) for rows in (1, 2, 32)}
    assert needed[1] < needed[32]
    assert intervals.blocks_to_decide(ratios, 0.86) == needed[1]
    # Only "fail" is shared: above its floor a row needs no more for its company.
    above = [-ratio for ratio in ratios]
    assert len({intervals.blocks_to_decide(above, 1 / 0.86, rows) for rows in (1, 2, 32)}) == 1
    block = [(1.0, 1.1), (1.2, 1.0), (1.0, 1.3)]
    assert intervals.control_interval(block, block[::-1]) == intervals.control_interval(block, block[::-1], 1)
