"""How many blocks a budget buys, of how many palindromes, and when they are looked at."""

from __future__ import annotations

import pytest

from pytest_sdspeed.measure.block_plan import BlockPlan, plan_at_pace, plan_blocks
from pytest_sdspeed.measure.campaign_data import Limits

COSTS_S = {"base": 0.5, "row": 0.25, "gone": 0.125}
"""A palindrome of the baseline and the row takes 4 x 0.5 + 2 x 0.25 = 2.5 s."""


def plan(costs=COSTS_S, rows=("row",), **limits):
    return plan_blocks(Limits(**{"budget_s": 1000.0, "max_blocks": 8, **limits}), costs, "base", rows)


def test_a_block_is_a_palindrome_in_which_the_baseline_has_four_generations_and_a_row_two():
    assert plan() == BlockPlan(repeats=1, block_s=2.5, blocks=8, looks=(3, 4, 5, 6, 7, 8))
    assert plan(rows=("row", "gone")).block_s == 2.75
    assert plan(rows=()).block_s == 2.0


def test_a_slot_that_should_be_longer_than_the_fastest_generation_has_as_many_more():
    # The fastest arm counts, taken part or not: 0.125 s.
    assert (plan(slot_s=0.125).repeats, plan(slot_s=0.126).repeats, plan(slot_s=1.0).repeats) == (1, 2, 8)
    assert plan(slot_s=1.0).block_s == 20.0


def test_longer_slots_cost_no_blocks():
    # 8 blocks of 2.5 s: 59 s buy them twice, 60 s three times.
    assert (plan(slot_s=1.0, budget_s=59.9).repeats, plan(slot_s=1.0, budget_s=60.0).repeats) == (2, 3)
    assert plan(slot_s=1.0, budget_s=60.0) == BlockPlan(repeats=3, block_s=7.5, blocks=8, looks=(3, 4, 5, 6, 7, 8))
    tight = plan(slot_s=1.0, budget_s=10.0)
    assert (tight.repeats, tight.block_s, tight.blocks) == (1, 2.5, 4)


@pytest.mark.parametrize(("block_s", "blocks"), [(1.0, 8), (10.0, 6), (30.0, 2), (100.0, 2)])
def test_a_plan_at_a_pace_holds_what_the_budget_buys(block_s, blocks):
    found = plan_at_pace(Limits(budget_s=60.0, max_blocks=8), 3, block_s)
    assert found == BlockPlan(3, block_s, blocks, tuple(range(3, blocks + 1)))


def test_nothing_is_planned_before_the_warm_up():
    assert BlockPlan() == BlockPlan(repeats=1, block_s=0.0, blocks=0, looks=())
