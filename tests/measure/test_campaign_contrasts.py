"""Campaigns on a fake clock whose rows claims compare: the ratios are decided at the looks, and rows are what they were without."""

from __future__ import annotations

import campaigns
import pytest
from fakes import Bench

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.model import CONTROL, Contrast

bench = campaigns.bench
_quick_collector = campaigns.quick_collector


def rows(bench, cv=0.01, **seconds):
    """Rows that claims alone compare, without a floor."""
    return [bench.arm(name, taken, cv=cv) for name, taken in seconds.items()]


def run(bench, compared, *arms, **limits):
    return bench.run(bench.arm("base", 1.5, cv=0.01), *arms, compared=compared, **limits)


def test_two_rows_are_told_apart_by_their_own_blocks(bench):
    contrast = Contrast("quick", "quicker", 1.0)
    record = run(bench, [contrast], *rows(bench, quick=1.0, quicker=0.8))
    decision = record.contrasts[contrast]
    assert (decision.verdict, decision.floor) == ("pass", 1.0)
    pairs = [[record.samples_s[name][: decision.blocks]] for name in ("quick", "quicker")]
    assert decision.interval == intervals.interval(intervals.contrast_log_ratios(*pairs), stopping.critical_value(decision.blocks))
    assert decision.interval.low < 1.25 < decision.interval.high


@pytest.mark.parametrize(("slower", "faster", "least", "verdict"), [
    ("quicker", "quick", 1.0, "fail"),
    ("quick", "quicker", 1.2, "pass"),
    ("quick", "quicker", 1.3, "fail"),
    ("base", "quick", 1.4, "pass"),
    ("quick", "base", 0.5, "pass"),
])  # fmt: skip
def test_the_ratio_is_held_to_what_is_claimed(bench, slower, faster, least, verdict):
    contrast = Contrast(slower, faster, least)
    record = run(bench, [contrast], *rows(bench, quick=1.0, quicker=0.8))
    assert record.contrasts[contrast].verdict == verdict


def test_rows_stay_until_what_compares_them_is_decided_and_others_leave(bench):
    close = Contrast("quick", "alike", 1.0)
    record = run(bench, [close], *rows(bench, quick=1.0, alike=0.995, other=0.5))
    blocks = {name: len(pairs) for name, pairs in record.samples_s.items()}
    assert blocks["other"] == stopping.first_look()
    assert blocks["quick"] == blocks["alike"] == record.contrasts[close].blocks > stopping.first_look()


def test_an_open_ratio_takes_the_whole_budget_and_says_how_much_more(bench):
    same = Contrast("quick", "same", 1.0)
    record = run(bench, [same], *rows(bench, quick=1.0, same=0.999))
    decision = record.contrasts[same]
    assert (decision.verdict, decision.blocks) == ("inconclusive", 20)
    assert decision.more_blocks is None or decision.more_blocks > 0


def test_a_row_that_stays_for_a_claim_keeps_what_decided_it(bench):
    """It is measured on, and not judged again: another look could find something else."""
    gated = [bench.arm("row", 1.0, cv=0.01, floor=1.4), bench.arm("slow", 0.999, cv=0.01, floor=1.2)]
    record = run(bench, [Contrast("slow", "row", 1.0)], *gated)
    decision, samples = record.decisions["row"], record.samples_s
    assert decision.blocks < len(samples["row"]) == 20
    first = {name: samples[name][: decision.blocks] for name in ("base", CONTROL, "row")}
    ratios = intervals.log_ratios([first["base"], first[CONTROL]], [first["row"]])
    family = stopping.critical_value(decision.blocks, 2)
    assert decision.interval == intervals.interval(ratios, stopping.critical_value(decision.blocks), family)


def test_ratios_share_an_error_of_their_own(bench):
    """Failing one takes a higher critical value the more there are; rows know nothing of them."""
    several = [Contrast("quicker", "quick", 1.0), Contrast("quicker", "base", 1.0)]
    others = Bench()
    shared = run(bench, several[:1], *rows(bench, quick=1.0, quicker=0.99), contrasts=8, max_blocks=3).contrasts[several[0]]
    alone = run(others, several[:1], *rows(others, quick=1.0, quicker=0.99), max_blocks=3).contrasts[several[0]]
    assert shared.interval.low == alone.interval.low
    assert shared.interval.high > alone.interval.high


def test_a_ratio_that_fails_leaves_its_share_to_the_others(bench):
    first, second = Contrast("quicker", "quick", 1.0), Contrast("quicker", "base", 1.0)
    record = run(bench, [first, second], *rows(bench, quick=1.0, quicker=0.5))
    blocks = record.contrasts[second].blocks
    assert {one.verdict for one in record.contrasts.values()} == {"fail"}
    pairs = [record.samples_s["quicker"][:blocks]], [record.samples_s[arm][:blocks] for arm in ("base", CONTROL)]
    ratios = intervals.contrast_log_ratios(*pairs)
    widest = intervals.interval(ratios, stopping.critical_value(blocks), stopping.critical_value(blocks, 2))
    assert record.contrasts[second].interval.high <= widest.high


def test_a_row_that_raises_ends_the_ratios_it_is_part_of_and_no_others(bench):
    def broken(_case):
        if bench.block == 2:
            raise RuntimeError("planted")
        bench.clock.spend(0.7)

    with_it, without = Contrast("quick", "broken", 1.0), Contrast("quick", "quicker", 1.0)
    arms = [*rows(bench, quick=1.0, quicker=0.8), bench.calling("broken", broken)]
    record = run(bench, [with_it, without], *arms)
    assert record.contrasts[without].verdict == "pass"
    assert with_it not in record.contrasts
    assert len(record.samples_s["quick"]) < 20
    assert "broken" in record.errors


@pytest.mark.parametrize(("size", "verdict"), [(1.1, "inconclusive"), (1.0, "pass")])
def test_no_ratio_is_decided_that_a_broken_control_could_turn(bench, size, verdict):
    """The first and the last slot of a block take longer, by more than what is to be told apart."""
    effect = lambda: size if bench.block and bench.slot in (0, 7) else 1.0  # noqa: E731
    base, quick, quicker = (
        bench.arm(name, seconds, cv=0.001, effect=effect) for name, seconds in (("base", 1.5), ("quick", 1.0), ("quicker", 0.98))
    )
    contrast = Contrast("quick", "quicker", 1.0)
    record = bench.run(base, quick, quicker, compared=[contrast])
    assert record.control.excludes_one == (size > 1)
    assert record.contrasts[contrast].verdict == verdict


def test_what_is_compared_twice_is_decided_once(bench):
    contrast = Contrast("quick", "quicker", 1.0)
    record = run(bench, [contrast, contrast], *rows(bench, quick=1.0, quicker=0.8))
    assert list(record.contrasts) == [contrast]
