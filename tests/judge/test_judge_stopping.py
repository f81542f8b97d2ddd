"""When the gate looks, and its critical values: fixed for every budget, and calibrated."""

from __future__ import annotations

import itertools
import json
import math

import calibrate
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.judge.speed.blocks import block_ratios

STORED = json.loads(stopping.files("pytest_sdspeed.judge.speed").joinpath(stopping.CONSTANTS).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("most", "blocks"),
    [(0, 2), (1, 2), (2, 2), (3, 3), (4, 4), (19, 19), (20, 20), (21, 20), (22, 22), (24, 22), (25, 25), (199, 192), (9999, 200)],
)
def test_a_campaign_takes_what_is_affordable_and_ends_with_a_look(most, blocks):
    assert stopping.affordable_blocks(most, 1.0, 1e9) == blocks
    assert stopping.affordable_blocks(10_000, 2.0, 2.0 * most) == blocks
    assert stopping.affordable_blocks(most, 1.0, math.inf) == blocks


@settings(deadline=None)
@given(st.integers(0, 3000), st.floats(1e-3, 1e4), st.floats(0, 1e6))
def test_blocks_keep_to_the_limit_and_the_budget(most, block_s, budget_s):
    blocks = stopping.affordable_blocks(most, block_s, budget_s)
    assert blocks == 2 or (blocks <= most and blocks * block_s <= budget_s * (1 + 1e-9) and stopping.looks(blocks)[-1] == blocks)


@pytest.mark.parametrize(("block_s", "budget_s"), [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (math.inf, 1.0), (1.0, -1.0), (1.0, math.nan)])
def test_impossible_budgets_are_refused(block_s, budget_s):
    with pytest.raises(ValueError, match="valid"):
        stopping.affordable_blocks(20, block_s, budget_s)


def test_looks_are_after_every_block_from_the_third_then_sparser():
    assert stopping.looks(2) == ()
    assert stopping.looks(20) == tuple(range(3, 21))
    late = stopping.looks(stopping.LAST_LOOK)
    assert late[-1] == stopping.LAST_LOOK
    assert all(1 < later / sooner < 1.2 for sooner, later in itertools.pairwise(late[18:]))


def decided(slots, floor, budget, rows=1):
    """The verdict of one row's blocks under a budget, and after how many of them; slots have shape (blocks, 3 pairs, 2)."""
    blocks = stopping.affordable_blocks(budget, 1.0, 1e9)
    for look in stopping.looks(blocks):
        ratios = block_ratios(slots[:look, :2], slots[:look, 2:]).tolist()
        found = intervals.interval(ratios, stopping.critical_value(look), stopping.critical_value(look, rows))
        if verdict := intervals.decide(found, floor):
            return verdict, look
    return None, blocks


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10_000),
    st.floats(0.002, 0.1),
    st.floats(-0.1, 0.1),
    st.booleans(),
    st.lists(st.integers(3, 60), min_size=2, max_size=2).map(sorted),
)
def test_a_longer_budget_never_turns_a_decided_row(seed, cv, effect, stalls, budgets):
    rng = np.random.default_rng(seed)
    slots = np.exp(cv * rng.standard_normal((60, 3, 2)) + stalls * 3.0 * (rng.random((60, 3, 2)) < 0.02))
    slots[:, 2] *= math.exp(effect)
    shorter, longer = (decided(slots, 1.0, budget) for budget in budgets)
    assert shorter[0] is None or shorter == longer


def test_a_rule_whose_critical_values_depend_on_the_budget_does_turn_decided_rows():
    """The property has teeth: spending all of the error by each budget's own end is such a rule."""

    def naive(ratios, blocks):
        critical = {look: stats.t.isf(0.01 * look / blocks, look - 1) for look in stopping.looks(blocks)}
        return next((look for look, value in critical.items() if intervals.interval(ratios[:look], value).low > 1), None)

    rng = np.random.default_rng(0)
    rows = [rng.normal(0.02, 0.03, 20).tolist() for _ in range(200)]
    assert any(naive(row, 6) is not None and naive(row, 20) != naive(row, 6) for row in rows)


def test_critical_values_are_what_the_file_holds_and_the_file_says_how_it_was_made():
    assert stopping.critical_value(3) == STORED["critical"]["1"][0]
    assert stopping.critical_value(20, 8) == STORED["critical"]["8"][17]
    assert stopping.critical_value(2) == stopping.critical_value(3)
    assert stopping.critical_value(21) == stopping.critical_value(22)
    assert stopping.critical_value(5000) == stopping.critical_value(200)
    assert STORED["error_per_side"] == stopping.ERROR_PER_SIDE
    assert all(word in STORED["how"] for word in ("simulated campaigns", "seed", "numpy"))
    for value in (20, 3):
        written = eval(STORED["spending"], {"__builtins__": {}}, {"exp": math.exp, "sqrt": math.sqrt, "blocks": value})
        assert calibrate.spent(value) == pytest.approx(written)


def test_the_first_critical_value_is_close_to_the_t_quantile_it_simulates():
    for rows, within in ((1, 0.02), (2, 0.02), (4, 0.02), (8, 0.06), (16, 0.06), (32, 0.06), (64, 0.1)):
        exact = stats.t.isf(stopping.ERROR_PER_SIDE / rows * calibrate.spent(3), 2)
        assert stopping.critical_value(3, rows) == pytest.approx(exact, rel=within)


@pytest.mark.parametrize(("rows", "within"), [(1, 0.15), (2, 0.15), (4, 0.15), (8, 0.35)])
def test_every_critical_value_has_its_neighbours_beside_it(rows, within):
    """The nominal level over what a look may spend grows smoothly up to twenty blocks; a look that spends too much or too little bends it."""
    looks = np.array(STORED["looks"])
    may = stopping.ERROR_PER_SIDE / rows * np.diff([0.0, *map(calibrate.spent, looks)])
    over = np.log(stats.t.sf(STORED["critical"][str(rows)], looks - 1) / may)
    assert np.abs(over[1:17] - (over[:16] + over[2:18]) / 2).max() < within
    if rows < 8:  # the simulation tells no more of later looks
        assert 0 < over[18:-1].min() < over[18:-1].max() < np.log(5)


def test_more_rows_ask_for_more():
    for blocks in (3, 5, 10, 20, 60, 200):
        values = [stopping.critical_value(blocks, rows) for rows in (1, 2, 3, 4, 5, 8, 20, 32, 33, 128, 500)]
        assert values == sorted(values)
        assert values[-1] > values[0]
    assert stopping.critical_value(6, 3) == stopping.critical_value(6, 4)


@pytest.mark.parametrize("blocks", [3, 20, 200])
def test_beyond_the_calibrated_rows_the_nominal_level_is_divided_further(blocks):
    last, many = (stats.t.sf(stopping.critical_value(blocks, rows), blocks - 1) for rows in (128, 512))
    assert many == pytest.approx(last / 4)


def test_spending_starts_at_nothing_and_never_exceeds_all():
    shares = [calibrate.spent(blocks) for blocks in range(2, 10_000)]
    assert shares[0] == pytest.approx(0)
    assert shares == sorted(shares)
    assert shares[-1] < 1


@pytest.mark.parametrize(("blocks", "rows"), [(1, 1), (0, 1), (3, 0), (3, -1)])
def test_impossible_looks_are_refused(blocks, rows):
    with pytest.raises(ValueError, match="valid"):
        stopping.critical_value(blocks, rows)


def test_what_is_refused_is_named_with_what_is_valid():
    with pytest.raises(ValueError, match=r"^block_s is 0\.0; valid: a positive number of seconds$"):
        stopping.affordable_blocks(20, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"^budget_s is -1\.0; valid: a number of seconds, 0 or more$"):
        stopping.affordable_blocks(20, 1.0, -1.0)
    with pytest.raises(ValueError, match=r"^1 blocks, 3 rows; valid: 2 or more blocks, 1 or more rows$"):
        stopping.critical_value(1, 3)


def test_a_budget_of_nothing_and_one_of_half_a_second_are_budgets():
    assert (stopping.affordable_blocks(20, 1.0, 0.0), stopping.affordable_blocks(20, 0.1, 0.5)) == (2, 5)


def test_no_look_comes_before_the_first():
    first = stopping.first_look()
    assert first == 3
    assert stopping.looks(first) == (first,)
    assert stopping.looks(first - 1) == ()


def test_later_looks_are_those_after_so_many_blocks():
    assert stopping.later_looks(2)[:2] == (3, 4)
    assert stopping.later_looks(20)[:2] == (22, 25)
    assert stopping.later_looks(192) == (200,)
    assert stopping.later_looks(200) == ()
