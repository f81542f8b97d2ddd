"""Several rows, several campaigns: the error of "fail" is shared, and what a failing row leaves goes to the others."""

from __future__ import annotations

import campaigns
import pytest
from fakes import Bench

from pytest_sdspeed.judge import speed, stopping
from pytest_sdspeed.model import CONTROL

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


def slow(bench, name, cv=0.01):
    """A row 10% short of its floor."""
    return bench.arm(name, 1 / 0.9, cv=cv, floor=1.0)


def ratios(record, row, blocks):
    return speed.log_ratios([record.samples_s[arm][:blocks] for arm in (record.baseline, CONTROL)], [record.samples_s[row][:blocks]])


def test_a_row_fails_sooner_alone_than_as_one_of_many(bench):
    def blocks(rows):
        own = Bench(3)
        record = own.run(own.arm("base", 1.0, cv=0.02), slow(own, "row", 0.02), rows=rows)
        assert record.decisions["row"].verdict == "fail"
        return record.decisions["row"].blocks

    assert blocks(1) < blocks(128)


def test_a_row_passes_as_soon_in_company_as_alone():
    def blocks(rows):
        own = Bench(3)
        record = own.run(own.arm("base", 1.0, cv=0.02), own.arm("row", 0.9, cv=0.02, floor=1.0), rows=rows)
        assert record.decisions["row"].verdict == "pass"
        return record.decisions["row"].blocks

    assert blocks(1) == blocks(128)


def test_a_failing_row_leaves_its_share_to_the_others_at_the_same_look(bench):
    arms = [slow(bench, "clear", cv=0.0), *(slow(bench, f"row{index}", cv=0.02) for index in range(3))]
    record = bench.run(bench.arm("base", 1.0, cv=0.02), *arms)
    failed = sorted(record.decisions.items(), key=lambda item: item[1].blocks)
    assert {decision.verdict for _, decision in failed} == {"fail"}
    # Every row was decided by the value of what was at stake then, and by no smaller one.
    for name, decision in failed:
        blocks = decision.blocks
        sooner = sum(other.blocks < blocks for _, other in failed)
        company = sum(other.blocks == blocks for _, other in failed)
        allowed = {
            speed.interval(ratios(record, name, blocks), stopping.critical(blocks), stopping.critical(blocks, 4 - gone))
            for gone in range(sooner, sooner + company)
        }
        assert decision.interval in allowed


def test_the_rows_of_a_campaign_are_at_stake_even_where_nobody_counted_them(bench):
    one = bench.run(bench.arm("base", 1.0, cv=0.01), slow(bench, "a"), slow(bench, "b"), rows=1)
    first = min(one.decisions.items(), key=lambda item: item[1].blocks)
    blocks = first[1].blocks
    assert first[1].interval in {
        speed.interval(ratios(one, first[0], blocks), stopping.critical(blocks), stopping.critical(blocks, rows)) for rows in (1, 2)
    }


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "a", "b"), ("b", "c", "a")])
def test_the_order_of_arms_changes_no_verdict(bench, order):
    made = {
        "a": bench.arm("a", 1 / 1.2, cv=0.01, floor=1.1),
        "b": bench.arm("b", 1 / 1.2, cv=0.01, floor=1.35),
        "c": bench.arm("c", 1 / 1.0, cv=0.0, floor=1.2),
    }
    record = bench.run(bench.arm("base", 1.0, cv=0.01), *(made[name] for name in order))
    assert {name: decision.verdict for name, decision in record.decisions.items()} == {"a": "pass", "b": "fail", "c": "fail"}


def test_the_control_is_shared_among_the_campaigns_of_a_run():
    def control(count):
        own = Bench(5)
        return own.run(own.arm("base", 1.0, cv=0.01), campaigns=count).control

    one, many = control(1), control(25)
    assert one.speedup == many.speedup
    assert many.low < one.low
    assert many.high > one.high
