"""Several rows, several campaigns: the error of "fail" is shared, and what a failing row leaves goes to the others."""

from __future__ import annotations

import campaigns
import pytest
from fakes import Bench

from pytest_sdspeed.errors import GenerationError
from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.measure import campaign
from pytest_sdspeed.model import CONTROL, Machine

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


def slow(bench, name, cv=0.01):
    """A row 10% short of its floor."""
    return bench.arm(name, 1 / 0.9, cv=cv, floor=1.0)


def ratios(record, row, blocks):
    return intervals.log_ratios([record.samples_s[arm][:blocks] for arm in (record.baseline, CONTROL)], [record.samples_s[row][:blocks]])


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
            intervals.interval(ratios(record, name, blocks), stopping.critical_value(blocks), stopping.critical_value(blocks, 4 - gone))
            for gone in range(sooner, sooner + company)
        }
        assert decision.interval in allowed


def test_what_a_failing_row_leaves_is_used_at_the_same_look(bench):
    # Its t is 28 after three blocks: enough for a row alone (23.4), not for one of two (33.4).
    row = bench.arm("row", 1.1, floor=1.0, effect=lambda: 1 + 0.0059 * (bench.block - 2))
    assert bench.run(bench.arm("base", 1.0), row, rows=2).decisions["row"].blocks == 4
    assert bench.run(bench.arm("base", 1.0), slow(bench, "clear", cv=0.0), row).decisions["row"].blocks == 3


def test_when_every_row_has_failed_an_arm_that_raised_is_still_shown(bench):
    broken = bench.arm("broken", 1.0, effect=lambda: 1 / (bench.block < 3))
    record = bench.run(bench.arm("base", 1.0), broken, slow(bench, "row", cv=0.0))
    assert (record.decisions["row"].verdict, record.decisions["broken"].blocks) == ("fail", 2)


def test_a_passing_row_keeps_its_share(bench):
    record = bench.run(bench.arm("base", 1.0, cv=0.02), bench.arm("quick", 0.5, floor=1.0), slow(bench, "late", cv=0.02), rows=1)
    quick, late = record.decisions["quick"], record.decisions["late"]
    assert (quick.verdict, late.verdict) == ("pass", "fail")
    assert quick.blocks < late.blocks
    blocks = late.blocks
    assert late.interval == intervals.interval(
        ratios(record, "late", blocks), stopping.critical_value(blocks), stopping.critical_value(blocks, 2)
    )


def test_a_row_that_raised_keeps_its_share(bench):
    broken = bench.arm("broken", 1.0, floor=1.0, effect=lambda: 1 / (bench.block < 2))
    record = bench.run(bench.arm("base", 1.0, cv=0.02), broken, slow(bench, "late", cv=0.02))
    blocks = record.decisions["late"].blocks
    assert "broken" in record.errors
    assert (
        record.decisions["late"].interval.high
        == intervals.interval(ratios(record, "late", blocks), stopping.critical_value(blocks, 2)).high
    )


def test_a_row_without_a_floor_is_at_no_stake(bench):
    record = bench.run(bench.arm("base", 1.0, cv=0.02), bench.arm("free", 1.0), slow(bench, "row", cv=0.02))
    blocks = record.decisions["row"].blocks
    assert record.decisions["row"].interval == intervals.interval(ratios(record, "row", blocks), stopping.critical_value(blocks))


def test_what_would_decide_a_row_depends_on_what_is_at_stake():
    def more(rows):
        own = Bench(4)
        return own.run(own.arm("base", 1.0, cv=0.05), own.arm("row", 1.06, cv=0.05, floor=1.0), rows=rows, max_blocks=4).decisions["row"]

    alone, shared = more(1), more(64)
    assert alone.verdict == shared.verdict == "inconclusive"
    assert 0 < alone.more_blocks < shared.more_blocks


def test_the_rows_of_a_campaign_are_at_stake_even_where_nobody_counted_them(bench):
    one = bench.run(bench.arm("base", 1.0, cv=0.01), slow(bench, "a"), slow(bench, "b"), rows=1)
    first = min(one.decisions.items(), key=lambda item: item[1].blocks)
    blocks = first[1].blocks
    assert first[1].interval in {
        intervals.interval(ratios(one, first[0], blocks), stopping.critical_value(blocks), stopping.critical_value(blocks, rows))
        for rows in (1, 2)
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


# What a run counts


@pytest.fixture
def shared(monkeypatch):
    """The rows and the campaigns that each campaign of a run is told of."""
    found, run = [], campaign.run_campaign

    def noted(baseline, rows, limits, *arguments, **named):
        found.append((limits.rows, limits.campaigns))
        return run(baseline, rows, limits, *arguments, **named)

    monkeypatch.setattr(campaign, "run_campaign", noted)
    return found


def test_every_callable_counts_as_row_and_campaign_and_a_failing_one_leaves_its_share(gated, shared):
    source = "".join(
        f"@pytest.mark.sd_latency(speedup=1.5)\ndef test_{name}(sd_latency):\n    sd_latency(engine({seconds}), baseline=engine(1.5))\n"
        for name, seconds in (("good", 1.0), ("slow", 1.5), ("slower", 1.7), ("fine", 1.0), ("deselected", 1.0))
    )
    skipped = "@pytest.mark.skip\ndef test_skipped(sd_latency):\n    pass\n"
    gated(source + skipped, "-k", "not deselected").assert_outcomes(passed=2, failed=2, skipped=1, deselected=1)
    assert shared == [(4, 4), (4, 4), (3, 4), (2, 4)]


OWN_TABLE = """
schema = 1
name = "mine"
title = "Mine"
source = "https://example.org/mine"
device = "cpu"
[recipe]
model = "org/model"
prompt = "a prompt"
height = 64
width = 64
steps = 2
scheduler = "ddim"
student = "org/student"
[[rows]]
setup = "baseline"
optimizations = []
speedup = 1
[[rows]]
setup = "distilled"
optimizations = ["distilled_unet"]
speedup = 1.4
[[rows]]
setup = "fp16"
optimizations = ["fp16"]
speedup = 1.5
"""
EVERY_KIND = """
@pytest.mark.sd_latency(table="miniature")
def test_every_row(sd_latency, sd_setup):
    sd_latency(sd_setup)

def test_one_again(sd_latency, sd_distilled):
    sd_latency(sd_distilled)

@pytest.mark.sd_latency(table="mine")
def test_the_same_name_in_another_table(sd_latency, sd_distilled):
    sd_latency(sd_distilled)

@pytest.mark.sd_latency(table="mine")
def test_what_no_cpu_runs(sd_latency, sd_fp16):
    sd_latency(sd_fp16)

@pytest.mark.sd_latency(table="inference")
def test_what_is_for_gpus(sd_latency, sd_baseline):
    sd_latency(sd_baseline)

@pytest.mark.sd_latency({own})
def test_own_campaign(sd_latency, sd_distilled):
    sd_latency(sd_distilled)
"""


@pytest.mark.parametrize("own", ["speedup=1.1", "tolerance=0.5"])
def test_rows_of_tables_count_once_and_their_campaigns_beside_them(gated, pytester, shared, monkeypatch, own):
    """Six rows of two tables that this machine can run in two campaigns, and one campaign of its own."""

    def refuse(_campaign):
        raise GenerationError("measured elsewhere")

    monkeypatch.setattr(campaign._Campaign, "run", refuse)
    (pytester.path / "mine.toml").write_text(OWN_TABLE)
    monkeypatch.setattr("pytest_sdspeed.device.machine.describe_cpu", lambda: Machine(kind="cpu", device="test CPU", versions={}))
    gated(EVERY_KIND.format(own=own), "--sd-tables=mine.toml").assert_outcomes(failed=9, skipped=2)
    assert set(shared) == {(7, 3)}


@pytest.mark.parametrize(("options", "tolerance"), [((), 0.1), (("--sd-tolerance=0.25",), 0.25)])
def test_rows_of_a_table_are_held_to_its_tolerance_or_that_of_the_run(gated, pytester, monkeypatch, options, tolerance):
    floors = {}

    def refuse(own):
        floors.update({name: row.floor for name, row in own.roster.active.items()})
        raise GenerationError("measured elsewhere")

    monkeypatch.setattr(campaign._Campaign, "run", refuse)
    (pytester.path / "mine.toml").write_text(OWN_TABLE.replace('device = "cpu"', 'device = "cpu"\ntolerance = 0.1'))
    source = '@pytest.mark.sd_latency(table="mine")\ndef test_row(sd_latency, sd_distilled):\n    sd_latency(sd_distilled)\n'
    gated(source, "--sd-tables=mine.toml", *options).assert_outcomes(failed=1)
    assert floors == {"distilled": pytest.approx(1.4 * (1 - tolerance))}
