"""The speed rules: algebra by properties, error rates and power by seeded simulation; nothing here is timed."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_sdspeed.judge import speed
from pytest_sdspeed.model import Interval

LOOKS = (4, 6, 8, 12, 16, 20)
TRIALS = 20_000
DOCUMENTED = -math.log(0.95)
"""Log distance of the documented speed-up from its floor at 5% tolerance."""

durations = st.floats(1e-3, 1e3)
blocks = st.lists(
    st.tuples(st.lists(durations, min_size=1, max_size=4), st.lists(durations, min_size=1, max_size=4)), min_size=2, max_size=20
)
ratio_lists = st.lists(st.floats(-3, 3), min_size=2, max_size=30)


def arms(paired):
    return [ours for ours, _ in paired], [theirs for _, theirs in paired]


# log ratios and their interval


def test_log_ratio_is_the_difference_of_mean_logs():
    (ratio,) = speed.log_ratios([[2.0, 8.0]], [[1.0, 4.0, 2.0]])
    assert ratio == pytest.approx(math.log(2.0))


def test_every_slot_counts():
    ratios = speed.log_ratios([[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, 100.0]])
    assert ratios == (0.0, pytest.approx(-math.log(10)))


@pytest.mark.parametrize(
    ("baseline", "candidate", "says"),
    [
        ([[1.0]], [[1.0], [1.0]], "paired"),
        ([[1.0]], [[0.0]], "lasted 0.0"),
        ([[-1.0]], [[1.0]], "lasted -1.0"),
        ([[math.nan]], [[1.0]], "lasted nan"),
        ([[1.0]], [[math.inf]], "lasted inf"),
        ([[]], [[1.0]], "no slots"),
    ],
)
def test_impossible_durations_are_refused(baseline, candidate, says):
    with pytest.raises(ValueError, match=says):
        speed.log_ratios(baseline, candidate)


@settings(deadline=None)
@given(blocks, st.floats(1e-3, 1e3))
def test_another_unit_of_time_changes_nothing(paired, unit):
    baseline, candidate = arms(paired)
    scaled = [[[unit * slot for slot in block] for block in arm] for arm in (baseline, candidate)]
    assert speed.log_ratios(*scaled) == pytest.approx(speed.log_ratios(baseline, candidate), abs=1e-9)


@settings(deadline=None)
@given(blocks, st.floats(0, 10))
def test_swapping_the_arms_inverts_the_interval(paired, critical):
    baseline, candidate = arms(paired)
    there = speed.interval(speed.log_ratios(baseline, candidate), critical)
    back = speed.interval(speed.log_ratios(candidate, baseline), critical)
    assert (1 / back.speedup, 1 / back.high, 1 / back.low) == pytest.approx((there.speedup, there.low, there.high), rel=1e-9)


@settings(deadline=None)
@given(ratio_lists.flatmap(lambda ratios: st.tuples(st.just(ratios), st.permutations(ratios))), st.floats(0, 10))
def test_the_order_of_blocks_leaves_no_trace(orders, critical):
    first, second = orders
    assert speed.interval(first, critical) == speed.interval(second, critical)


@settings(deadline=None)
@given(ratio_lists, st.floats(0, 10))
def test_an_interval_holds_its_speedup(ratios, critical):
    found = speed.interval(ratios, critical)
    assert 0 < found.low <= found.speedup <= found.high < math.inf
    assert all(type(value) is float for value in (found.low, found.speedup, found.high))


def test_interval_is_the_t_interval_of_the_logs():
    ratios = [0.1, 0.2, 0.4, 0.15]
    low, high = stats.t.interval(0.98, 3, loc=np.mean(ratios), scale=stats.sem(ratios))
    found = speed.interval(ratios, speed.boundaries((4,))[0])
    assert (found.speedup, found.low, found.high) == pytest.approx(tuple(np.exp([np.mean(ratios), low, high])))


def test_equal_blocks_give_a_point():
    found = speed.interval([0.1] * 7, 30.0)
    assert found.low == found.speedup == found.high == pytest.approx(math.exp(0.1))


def test_wild_blocks_stay_finite():
    found = speed.interval([-300.0, 300.0], 31.8)
    assert 0 < found.low < found.high < math.inf


@pytest.mark.parametrize("ratios", [[], [0.1], [0.1, math.nan], [0.1, math.inf]])
def test_no_interval_without_two_finite_blocks(ratios):
    with pytest.raises(ValueError, match=r"block\(s\) have no interval|not finite"):
        speed.interval(ratios, 3.0)


# verdicts and what an undecided row needs


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(1.21, 1.3, "pass"), (1.1, 1.19, "fail"), (1.1, 1.3, None), (1.2, 1.3, None), (1.1, 1.2, None), (1.2, 1.2, None)],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(low, high, says):
    assert speed.decide(Interval((low + high) / 2, low, high), 1.2) == says


@settings(deadline=None)
@given(
    st.lists(st.integers(-500, 500).map(lambda thousandths: thousandths / 1000), min_size=2, max_size=20),
    st.floats(0.8, 1.3),
    st.floats(2, 8),
)
def test_blocks_to_decide_is_the_least_number_that_does(ratios, floor, critical):
    needed = speed.blocks_to_decide(ratios, floor, critical)
    gap, spread = abs(np.mean(ratios) - math.log(floor)), np.std(ratios, ddof=1)
    if needed is None:
        assert critical * spread / math.sqrt(speed.MOST_BLOCKS) >= gap * (1 - 1e-6)
        return
    assert type(needed) is int
    assert critical * spread / math.sqrt(needed) <= gap * (1 + 1e-6)
    assert needed == 2 or critical * spread / math.sqrt(needed - 1) >= gap * (1 - 1e-6)


def test_a_mean_on_the_floor_is_never_decided():
    assert speed.blocks_to_decide([-0.1, 0.1], 1.0, 3.0) is None
    assert speed.blocks_to_decide([0.2, 0.2], 1.0, 3.0) == 2


def test_blocks_to_decide_needs_a_floor():
    with pytest.raises(ValueError, match="floor"):
        speed.blocks_to_decide([0.1, 0.2], 0.0, 3.0)


def test_resolvable_is_the_half_width_as_a_fraction():
    assert speed.resolvable(0.04, 16, 3.0) == pytest.approx(math.exp(0.03) - 1)
    assert speed.resolvable(0.04, 64, 3.0) < speed.resolvable(0.04, 16, 3.0)
    assert speed.resolvable(1e6, 2, 31.8) < math.inf
    with pytest.raises(ValueError, match="blocks"):
        speed.resolvable(0.04, 0, 3.0)


# the A/A control


def test_control_is_wrong_once_in_a_hundred_and_finds_a_planted_difference():
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal((2, 4000, 8, 1)))
    held = [speed.control_interval(first, second) for first, second in zip(*noise.tolist(), strict=True)]
    assert 0.006 < np.mean([control.excludes_one for control in held]) < 0.014
    found = [speed.control_interval(first, second) for first, second in zip((1.1 * noise[0]).tolist(), noise[1].tolist(), strict=True)]
    assert min(control.low for control in found) > 1


def test_control_is_a_99_percent_interval():
    ratios = [0.01, -0.02, 0.005, 0.0]
    low, high = stats.t.interval(0.99, 3, loc=np.mean(ratios), scale=stats.sem(ratios))
    found = speed.control_interval([[math.exp(ratio)] for ratio in ratios], [[1.0]] * 4)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((math.exp(low), math.exp(high)), rel=1e-8)


def test_control_forgives_what_no_clock_resolves():
    found = speed.control_interval([[0.3]] * 4, [[0.1 + 0.2]] * 4)
    assert found is not None
    assert not found.excludes_one


def test_control_needs_two_blocks():
    assert speed.control_interval([[1.0]], [[1.0]]) is None
    assert speed.control_interval([], []) is None


# looks


@pytest.mark.parametrize(
    ("most", "looks"),
    [
        (0, (2,)),
        (2, (2,)),
        (3, (3,)),
        (4, (4,)),
        (5, (5,)),
        (6, (4, 6)),
        (7, (4, 7)),
        (10, (4, 6, 8, 10)),
        (20, LOOKS),
        (21, (4, 6, 8, 12, 16, 21)),
        (40, (*LOOKS, 24, 29, 35, 40)),
    ],
)
def test_looks_follow_the_ladder_and_end_at_what_is_affordable(most, looks):
    assert speed.affordable_looks(most, 1.0, 1e9) == looks
    assert speed.affordable_looks(10_000, 2.0, 2.0 * most) == looks


@settings(deadline=None)
@given(st.integers(0, 3000), st.floats(1e-3, 1e4), st.floats(0, 1e6))
def test_looks_keep_to_blocks_and_budget(most, block_s, budget_s):
    looks = speed.affordable_looks(most, block_s, budget_s)
    assert all(later - sooner >= 2 for sooner, later in itertools.pairwise(looks))
    assert looks[-1] == max(2, min(most, math.floor(budget_s / block_s)))


def test_an_endless_budget_is_bounded_by_blocks():
    assert speed.affordable_looks(20, 1.0, math.inf) == LOOKS


@pytest.mark.parametrize(("block_s", "budget_s"), [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (math.inf, 1.0), (1.0, -1.0), (1.0, math.nan)])
def test_impossible_budgets_are_refused(block_s, budget_s):
    with pytest.raises(ValueError, match="valid"):
        speed.affordable_looks(20, block_s, budget_s)


# critical values


def test_a_single_look_is_the_t_quantile():
    assert speed.boundaries((2,)) == pytest.approx((stats.t.isf(0.01, 1),))
    assert speed.boundaries((9,), 0.05) == pytest.approx((stats.t.isf(0.05, 8),))


def test_boundaries_are_builtin_positive_reproducible_and_fall():
    found = speed.boundaries(LOOKS)
    assert all(type(value) is float and value > 0 for value in found)
    assert list(found) == sorted(found, reverse=True)
    assert speed.boundaries.__wrapped__(LOOKS) == found


def test_more_looks_cost_something():
    assert speed.boundaries(LOOKS)[-1] > speed.boundaries((20,))[0]


def test_a_tiny_error_stays_finite():
    assert all(math.isfinite(value) for value in speed.boundaries((4, 6), 1e-9))


@pytest.mark.parametrize("looks", [(), (1,), (0, 4), (4, 4), (6, 4)])
def test_looks_that_do_not_rise_are_refused(looks):
    with pytest.raises(ValueError, match="looks"):
        speed.boundaries(looks)


@pytest.mark.parametrize("alpha", [0.0, -0.1, 0.5, math.nan])
def test_an_error_that_is_none_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        speed.boundaries((4,), alpha)


@pytest.mark.parametrize(("gamma", "half"), [(0.0, 0.5), (1.0, 1 / (1 + math.exp(-0.5))), (-4.0, 1 / (1 + math.exp(2)))])
def test_spending_ends_at_all_of_it(gamma, half):
    assert speed._spent(0.0, gamma) == 0.0
    assert speed._spent(0.5, gamma) == pytest.approx(half)
    assert speed._spent(1.0, gamma) == pytest.approx(1.0)


# error rates and power, simulated


def campaigns(rng, cv, *, effect, harsh, baseline_slots):
    """Log ratios (trials, 20) of palindromic blocks; harsh noise is AR(1) of .5 with drift and 2% spikes of x1.3."""
    slots = baseline_slots + 2
    noise = rng.standard_normal((TRIALS, 20 * slots))
    if harsh:
        for slot in range(1, noise.shape[1]):
            noise[:, slot] = 0.5 * noise[:, slot - 1] + math.sqrt(0.75) * noise[:, slot]
    noise *= cv
    if harsh:
        noise += 0.02 * np.linspace(0, 1, noise.shape[1]) + math.log(1.3) * (rng.random(noise.shape) < 0.02)
    noise = noise.reshape(TRIALS, 20, slots)
    candidate = [1, 2] if baseline_slots == 2 else [1, 4]
    baseline = [slot for slot in range(slots) if slot not in candidate]
    return effect + noise[..., baseline].mean(-1) - noise[..., candidate].mean(-1)


def outcomes(ratios, looks):
    """Shares of pass and fail, and mean blocks, of the stopping rule at floor 1."""
    verdict, taken = np.zeros(len(ratios)), np.full(len(ratios), looks[-1])
    for look, critical in zip(looks, speed.boundaries(looks), strict=True):
        seen = ratios[:, :look]
        t = seen.mean(1) / seen.std(1, ddof=1) * math.sqrt(look)
        decided = (verdict == 0) & (np.abs(t) > critical)
        verdict[decided], taken[decided] = np.sign(t[decided]), look
    return (verdict > 0).mean(), (verdict < 0).mean(), taken.mean()


def test_the_simulated_rule_is_the_rule():
    ratios = campaigns(np.random.default_rng(3), 0.03, effect=0.02, harsh=True, baseline_slots=2)[:200]
    found = []
    for row in ratios.tolist():
        steps = zip(LOOKS, speed.boundaries(LOOKS), strict=True)
        verdicts = ((speed.decide(speed.interval(row[:look], critical), 1.0), look) for look, critical in steps)
        found.append(next(((verdict, look) for verdict, look in verdicts if verdict), (None, LOOKS[-1])))
    shares = [np.mean([verdict == wanted for verdict, _ in found]) for wanted in ("pass", "fail")]
    assert (*shares, np.mean([look for _, look in found])) == pytest.approx(outcomes(ratios, LOOKS))


@pytest.mark.parametrize("looks", [(2,), (3,), (5,), (4, 7), (4, 6, 9), LOOKS], ids=str)
def test_wrong_verdicts_at_the_floor_stay_within_the_promise(looks):
    passed, failed, _ = outcomes(np.random.default_rng(1).standard_normal((10 * TRIALS, looks[-1])), looks)
    assert 0.009 < passed < 0.0111
    assert 0.009 < failed < 0.0111


@pytest.mark.parametrize("baseline_slots", [2, 4])
@pytest.mark.parametrize("harsh", [False, True])
@pytest.mark.parametrize("cv", [0.01, 0.03])
def test_noise_of_machines_does_not_break_the_promise(cv, harsh, baseline_slots):
    passed, failed, _ = outcomes(campaigns(np.random.default_rng(2), cv, effect=0, harsh=harsh, baseline_slots=baseline_slots), LOOKS)
    assert passed <= 0.013
    assert failed <= 0.013


@pytest.mark.parametrize(
    ("cv", "harsh", "baseline_slots", "power", "blocks"),
    [
        (0.01, False, 2, 0.999, 4.4),
        (0.01, False, 4, 0.999, 4.3),
        (0.03, False, 2, 0.999, 8.5),
        (0.03, False, 4, 0.999, 7.5),
        (0.01, True, 2, 0.97, 7.2),
        (0.03, True, 2, 0.95, 9.9),
        (0.03, True, 4, 0.97, 8.3),
    ],
)
def test_a_documented_speedup_passes_and_a_tenth_less_fails(cv, harsh, baseline_slots, power, blocks):
    rng = np.random.default_rng(4)
    passed, _, taken = outcomes(campaigns(rng, cv, effect=DOCUMENTED, harsh=harsh, baseline_slots=baseline_slots), LOOKS)
    assert passed >= power
    assert taken <= blocks
    short = math.log(0.9 / 0.95)
    _, failed, _ = outcomes(campaigns(rng, cv, effect=short, harsh=harsh, baseline_slots=baseline_slots), LOOKS)
    assert failed >= power
