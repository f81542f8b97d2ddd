"""What measuring will cost, in words: a campaign before its blocks, a run before its tests."""

from __future__ import annotations

import pytest

from pytest_sdspeed.model.campaign_plan import CampaignPlan
from pytest_sdspeed.report.prospect import describe_plan, describe_prospect, format_seconds


def plan(**facts):
    known = {"call_s": 1.7, "block_s": 2.04, "by_calls_s": 8.4, "rows_s": {"row": 0.6}, "calls": 6, "first_look": 3, "blocks": 20}
    return CampaignPlan(**{**known, "resolves": 0.0071, **facts})


STAGED = {"steps": 50, "sampled_steps": 7, "whole_calls": 4, "whole_s": 6.8, "palindromes": 3}


def test_a_campaign_by_stages_says_its_blocks_beside_those_of_calls():
    assert describe_plan("mini50", plan(**STAGED)) == (
        "sd plan: mini50 by stages, 7 of 50 steps of each call: a block takes 2.0 s (1.2 calls of the baseline; by calls 8.4 s,"
        " 6 calls), 3 to 20 blocks and 4 to 12 whole calls take 13 s to 61 s; at 1% noise of a block 20 blocks resolve 0.7%"
    )


def test_a_campaign_by_calls_says_how_many():
    assert describe_plan("inference", plan(block_s=8.4)) == (
        "sd plan: inference by calls: a block takes 8.4 s (6 calls), 3 to 20 blocks take 25 s to 2 min 48 s;"
        " at 1% noise of a block 20 blocks resolve 0.7%"
    )


def test_profiles_are_told_beside_what_is_timed():
    assert ", 3 to 20 blocks take 6.1 s to 41 s, profiles up to 6.8 s more; at" in describe_plan("mine", plan(profiles_s=6.8))


def test_a_campaign_that_cannot_be_staged_says_why():
    said = describe_plan("mine", plan(block_s=8.4, why="row is no pipeline whose stages are known"))
    assert said.startswith(
        "sd plan: mine by calls, not by stages (row is no pipeline whose stages are known): a block takes 8.4 s (6 calls)"
    )


def test_a_campaign_of_all_steps_says_why():
    said = describe_plan("mine", plan(**STAGED | {"sampled_steps": 50}, why="row: its steps are few"))
    assert "by stages, all 50 steps of each call (row: its steps are few): a block" in said


@pytest.mark.parametrize(
    ("rows_s", "said"),
    [({"a": 0.5, "b": 3.0, "c": 1.0}, ", 500 ms to 3.0 s of it for a row,"), ({"a": 1.0, "b": 1.0}, ", 1.0 s of it for a row,")],
)
def test_the_rows_of_a_table_have_their_part_of_a_block(rows_s, said):
    assert said in describe_plan("mine", plan(rows_s=rows_s))
    assert "for a row" not in describe_plan("mine", plan())


@pytest.mark.parametrize(("blocks", "said"), [(3, ", 3 blocks take 6.1 s;"), (2, ", 2 blocks take 4.1 s;")])
def test_a_budget_of_one_look_is_no_range(blocks, said):
    assert said in describe_plan("mine", plan(blocks=blocks))


def test_a_budget_without_a_look_is_told_before_it_is_spent():
    said = describe_plan("mine", plan(blocks=2, resolves=None))
    assert said.endswith("; 2 blocks decide nothing, the first look comes after 3: a greater --sd-budget or --sd-max-blocks")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0421, "42 ms"),
        (0.9994, "999 ms"),
        (1.0, "1.0 s"),
        (9.94, "9.9 s"),
        (10.2, "10 s"),
        (119.0, "119 s"),
        (120.0, "2 min 0 s"),
        (7320.0, "2 h 2 min"),
    ],
)
def test_seconds_have_two_or_three_digits(seconds, said):
    assert format_seconds(seconds) == said


# The run


def test_a_run_says_the_sum_of_its_campaigns():
    found = describe_prospect([(300.0, 900.0, 18.0), (120.0, 420.0, 24.4)], rows=3, by_stages=0, blocks=3)
    assert found == (
        "sd plan: 2 campaigns, 3 rows: about 7 min 0 s to first looks (3 blocks, the time of 42 calls), at most 22 min 0 s,"
        " by published latencies and stored counts"
    )


@pytest.mark.parametrize(("by_stages", "said"), [(0, "2 rows: about"), (1, "2 rows (1 by stages): about"), (2, "2 rows, by stages: about")])
def test_a_run_says_how_many_of_its_campaigns_go_by_stages(by_stages, said):
    assert said in describe_prospect([(300.0, 900.0, 18.0)] * 2, rows=2, by_stages=by_stages, blocks=3)


def test_what_nobody_published_is_named_and_not_made_up():
    found = describe_prospect([(300.0, 900.0, 18.0), (None, 5.0, 1.0)], rows=2, by_stages=0, blocks=3)
    assert "about 5 min 0 s to first looks (3 blocks, the time of 18 calls), at most 15 min 0 s" in found
    assert found.endswith("; 1 campaign of unknown cost beside them")
    assert describe_prospect([(None, 5.0, 1.0)], rows=1, by_stages=0, blocks=3) == ""
    assert describe_prospect([], rows=0, by_stages=0, blocks=3) == ""
