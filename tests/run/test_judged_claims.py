"""From a campaign to what is said of a claim: memory, what broke, and how much more would decide."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pytest_sdspeed.errors import ChangedPartError, GenerationError, UnsupportedError
from pytest_sdspeed.measure.campaign_data import Decision
from pytest_sdspeed.model import Claim, Contrast, Interval
from pytest_sdspeed.run import claims
from pytest_sdspeed.run.planned_claims import PlannedClaim

GIB = 2**30
CONTRAST = Contrast("slow", "fast", 1.0)


def plan(kind="less_memory", rows=("fast", "slow"), **facts):
    resolved = tuple(SimpleNamespace(setup=row, row=SimpleNamespace(tolerance=0.05), campaign="one") for row in rows)
    return PlannedClaim(table="t", device="cpu", name="n", claim=Claim(text="s", kind=kind, rows=rows, **facts), rows=resolved)


def measured(peaks=None, errors=None, contrasts=None, **facts):
    known = {"baseline": "base", "block_s": 2.0, "timed_s": 20.0, "cut_short": "", "samples_s": {"base": [()] * 10}}
    return SimpleNamespace(peak_bytes=peaks or {}, errors=errors or {}, contrasts=contrasts or {}, **{**known, **facts})


def decide(verdict, more=None):
    interval = Interval(1.1, 1.05, 1.15)
    return Decision(verdict=verdict, interval=interval, blocks=10, more_blocks=more, minimum_detectable_effect=0.01, floor=1.0)


@pytest.mark.parametrize(("fast", "by", "verdict"), [
    (3 * GIB, None, "pass"),
    (4 * GIB, None, "fail"),
    (5 * GIB, None, "fail"),
    (2 * GIB, 0.5, "pass"),
    (2 * GIB + 1, 0.5, "fail"),
])  # fmt: skip
def test_less_memory_is_less_at_the_peak(fast, by, verdict):
    found = claims._judge_memory(plan(by=by), measured({"fast": fast, "slow": 4 * GIB}))
    assert found.verdict == verdict
    assert found.comparisons[0].measured.endswith(f"({fast / GIB:.2f} GiB of 4.00 GiB)")


def test_memory_is_less_than_that_of_each_other_row():
    found = claims._judge_memory(plan(rows=("fast", "slow", "lean")), measured({"fast": 3 * GIB, "slow": 4 * GIB, "lean": 2 * GIB}))
    assert found.verdict == "fail"
    assert [one.verdict for one in found.comparisons] == ["pass", "fail"]


@pytest.mark.parametrize("peaks", [{"fast": GIB}, {"fast": None, "slow": GIB}, {"fast": GIB, "slow": 0}])
def test_a_peak_that_is_unknown_is_no_pass(peaks):
    with pytest.raises(UnsupportedError, match="is unknown"):
        claims._judge_memory(plan(), measured(peaks))


@pytest.mark.parametrize(("errors", "decision", "raises"), [
    ({}, None, False),
    ({"fast": GenerationError("planted")}, None, True),
    ({"fast": GenerationError("planted")}, decide("inconclusive"), True),
    ({"fast": GenerationError("planted")}, decide("pass"), False),
    ({"base": GenerationError("planted")}, decide("inconclusive"), True),
    ({"other": GenerationError("planted")}, decide("inconclusive"), False),
    ({"fast": ChangedPartError("planted")}, decide("pass"), True),
])  # fmt: skip
def test_what_broke_before_the_ratio_was_decided_is_raised(errors, decision, raises):
    data = measured(errors=errors, contrasts={CONTRAST: decision} if decision else {})
    with pytest.raises((GenerationError, ChangedPartError), match="planted") if raises else nullcontext():
        claims._raise_what_broke(plan("faster"), data, [CONTRAST])


def test_what_would_decide_an_open_ratio_is_said_with_its_options():
    assert claims._describe_more_blocks("it", decide("inconclusive", 8), measured()) == (
        "it: about 8 more blocks would decide it: --sd-budget 44 --sd-max-blocks 18"
    )
    assert claims._describe_more_blocks("it", decide("inconclusive"), measured()).startswith("it: no number of blocks")


@pytest.mark.parametrize(("kind", "facts", "option", "contrast"), [
    ("faster", {}, None, Contrast("slow", "fast", 1.0)),
    ("slower", {}, None, Contrast("fast", "slow", 1.0)),
    ("faster", {"by": 2.0}, None, Contrast("slow", "fast", 1.9)),
    ("faster", {"by": 2.0}, 0.2, Contrast("slow", "fast", 1.6)),
    ("faster", {"by": 2.0, "notes": "claim: it is not so fast"}, 0.2, Contrast("slow", "fast", 2.0)),
])  # fmt: skip
def test_the_ratio_of_a_claim_and_its_bound(kind, facts, option, contrast):
    assert plan(kind, **facts).list_contrasts(option) == (contrast,)


def test_what_is_not_about_time_compares_no_times():
    assert plan("less_memory").list_contrasts(None) == ()
