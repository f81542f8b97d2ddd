"""What makes a claim true, false or neither, and what its notes acknowledge."""

from __future__ import annotations

from pathlib import Path

import pytest

import pytest_sdspeed.tables
from pytest_sdspeed.judge.claims import combine, find_acknowledgement, find_least_ratio, judge_contrast, judge_defaults, judge_share
from pytest_sdspeed.lint.acknowledgements import read_acknowledgements
from pytest_sdspeed.model import Claim, ClaimResult, Comparison, Contrast, Interval, name_claims
from pytest_sdspeed.model.claims import claim_from_json, claim_to_json
from pytest_sdspeed.tables import load_table

HOLDS = Interval(1.0, 0.999, 1.001)
BROKEN = Interval(1.05, 1.03, 1.07)
CONTRAST = Contrast("slow", "fast", 1.0)


@pytest.mark.parametrize(("verdicts", "expected"), [
    ((), "pass"),
    (("pass", "pass"), "pass"),
    (("pass", "inconclusive"), "inconclusive"),
    (("inconclusive", "invalid"), "invalid"),
    (("invalid", "fail", "pass"), "fail"),
])  # fmt: skip
def test_a_claim_is_true_if_all_that_it_says_is(verdicts, expected):
    assert combine(verdicts) == expected


@pytest.mark.parametrize(("by", "tolerance", "least"), [(None, 0.05, 1.0), (1.5, 0.1, 1.35), (1.02, 0.05, 1.0), (1.0, 0.0, 1.0)])
def test_the_least_ratio_is_never_that_of_a_slower_row(by, tolerance, least):
    assert find_least_ratio(by, tolerance) == pytest.approx(least)


@pytest.mark.parametrize(("verdict", "interval", "control", "throttled", "expected"), [
    ("pass", Interval(1.2, 1.1, 1.3), HOLDS, "", "pass"),
    ("fail", Interval(0.8, 0.7, 0.9), HOLDS, "", "fail"),
    ("pass", Interval(1.2, 1.1, 1.3), BROKEN, "", "pass"),
    ("pass", Interval(1.06, 1.05, 1.07), BROKEN, "", "invalid"),
    ("fail", Interval(0.96, 0.95, 0.97), BROKEN, "", "invalid"),
    ("pass", Interval(1.2, 1.1, 1.3), None, "", "invalid"),
    ("pass", Interval(1.2, 1.1, 1.3), HOLDS, "the GPU throttled", "invalid"),
    ("inconclusive", Interval(1.0, 0.9, 1.1), None, "", "inconclusive"),
])  # fmt: skip
def test_a_ratio_stands_if_no_bias_could_turn_it(verdict, interval, control, throttled, expected):
    found = judge_contrast(CONTRAST, "fast", (verdict, interval), control, throttled)
    assert (found.verdict, found.subject, found.expected) == (expected, "fast against slow", "faster, more than x1")


def test_without_an_interval_nothing_is_said():
    found = judge_contrast(CONTRAST, "slow", None, HOLDS)
    assert (found.verdict, found.measured, found.expected) == (
        "inconclusive",
        "too few blocks for an interval",
        "slower, more than x1",
    )


@pytest.mark.parametrize(("share", "by", "verdict"), [
    (0.999, None, "pass"),
    (1.0, None, "fail"),
    (0.49, 0.49, "pass"),
    (0.4901, 0.49, "fail"),
])  # fmt: skip
def test_shares_are_exact_and_equal_is_not_less(share, by, verdict):
    assert judge_share("it", ("1", "2"), share, by).verdict == verdict


@pytest.mark.parametrize(("said", "found", "verdict"), [
    (True, {"a": True}, "pass"),
    (True, {"a": False}, "fail"),
    (True, {"a": 1}, "fail"),
    (1, {"a": True}, "fail"),
    ("none", {"a": "none"}, "pass"),
    (True, {}, "invalid"),
])  # fmt: skip
def test_a_setting_is_what_is_said_and_of_its_type(said, found, verdict):
    assert judge_defaults({"a": said}, found).verdict == verdict


@pytest.mark.parametrize(("notes", "reason"), [
    ("claim: it is the other way round", "it is the other way round"),
    ("Some words first.\n  claim: it is the other way round\nMore.", "it is the other way round"),
    ("claim: no", ""),
    ("This claim: it is the other way round", ""),
    ("claims: it is the other way round", ""),
    ("", ""),
])  # fmt: skip
def test_a_line_of_the_notes_acknowledges(notes, reason):
    assert find_acknowledgement(notes) == reason


def test_runs_and_the_lint_read_the_same_acknowledgements():
    """What the lint takes for accepted, a run must not call a failure, and the other way round."""
    found = 0
    for path in Path(pytest_sdspeed.tables.__file__).parent.glob("*.toml"):
        table = load_table(path)
        read = {one.about[0]: one.reason for one in read_acknowledgements(table, {"claim"}) if one.has_reason and one.about}
        ours = {f"claims[{index}]": find_acknowledgement(claim.notes) for index, claim in enumerate(table.claims)}
        assert {key: reason for key, reason in ours.items() if reason} == {key: read[key] for key in read if key.startswith("claims[")}
        found += len(read)
    assert found >= 4


def make_claim(**facts):
    return Claim(**{"text": "It is said.", "kind": "faster", "rows": ("fast", "slow"), **facts})


def test_names_tell_claims_apart_and_do_not_depend_on_their_order():
    claims = [
        make_claim(),
        make_claim(by=1.75),
        make_claim(kind="parameters", part="denoiser", by=0.5),
        make_claim(kind="defaults", rows=(), defaults={"backends.cudnn.allow_tf32": True}),
    ]
    names = {"faster-fast", "faster-fast-1.75", "parameters-fast-denoiser-0.5", "defaults-allow_tf32"}
    for order in (claims, claims[::-1]):
        named = name_claims(order)
        assert named.keys() == names
        assert named["faster-fast"] == claims[0]


def test_claims_with_all_in_common_are_numbered():
    assert list(name_claims([make_claim(), make_claim(text="Again."), make_claim(rows=("fast", "other"))])) == [
        "faster-fast",
        "faster-fast-2",
        "faster-fast-3",
    ]


def make_result(verdict, acknowledged="", *, binding=True):
    return ClaimResult(table="t", name="n", text="s", kind="faster", verdict=verdict, acknowledged=acknowledged, binding=binding)


@pytest.mark.parametrize(("verdict", "binding", "outcome"), [
    ("fail", True, "known to be false"),
    ("pass", True, "wrongly denied"),
    ("pass", False, "true here"),
    ("inconclusive", True, "denied, inconclusive"),
    ("invalid", True, "invalid"),
])  # fmt: skip
def test_what_is_acknowledged_is_neither_passed_nor_failed_forever(verdict, binding, outcome):
    assert make_result(verdict, "it is otherwise", binding=binding).outcome == outcome
    assert make_result(verdict).outcome == verdict


def test_a_result_travels_as_builtins():
    compared = Comparison(subject="a against b", measured="x1.2", expected="more", verdict="pass", ratio=Interval(1.2, 1.1, 1.3))
    other = Comparison(subject="a", measured="50%", expected="less", verdict="pass", share=0.5)
    result = ClaimResult(
        table="t", name="n", text="s", kind="faster", verdict="pass", comparisons=(compared, other), reasons=("r",), notes=("n",)
    )
    sent = claim_to_json(result)
    assert claim_from_json(sent) == result
    assert {type(one) for one in sent["comparisons"]} == {dict}
