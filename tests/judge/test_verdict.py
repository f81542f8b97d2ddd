"""One verdict out of three: wrong pictures beat a broken control, which beats the speed."""

from __future__ import annotations

import itertools

import pytest

from pytest_sdspeed.judge.pictures.gate import ImageJudgement
from pytest_sdspeed.judge.verdict import combined
from pytest_sdspeed.model import Interval

SPEEDS = ("pass", "fail", "inconclusive")
PICTURES = {
    "none": None,
    "pass": ImageJudgement("pass", {"psnr": 60.0}, ()),
    "powerless": ImageJudgement("powerless", {"psnr": 60.0}, ("gate has no power",)),
    "fail": ImageJudgement("fail", {}, ("seed 0: black",)),
}
CONTROLS = {"none": None, "good": Interval(1.0, 0.99, 1.01), "slow": Interval(1.1, 1.05, 1.15), "fast": Interval(0.9, 0.85, 0.95)}


def expected(speed, pictures, control):
    """The rule, written down a second time as a table of cases."""
    if pictures == "fail":
        return "fail", ["seed 0: black"]
    said = ["gate has no power"] if pictures == "powerless" else []
    return ("invalid", ["A/A control", *said]) if control in ("slow", "fast") else (speed, said)


@pytest.mark.parametrize(("speed", "pictures", "control"), list(itertools.product(SPEEDS, PICTURES, CONTROLS)))
def test_every_combination(speed, pictures, control):
    verdict, reasons = combined(speed, PICTURES[pictures], CONTROLS[control])
    wanted, starts = expected(speed, pictures, control)
    assert verdict == wanted
    assert len(reasons) == len(starts)
    assert all(reason.startswith(start) for reason, start in zip(reasons, starts, strict=True))


def test_wrong_pictures_fail_however_the_timing_went():
    assert combined("pass", PICTURES["fail"], CONTROLS["slow"]) == ("fail", ("seed 0: black",))


def test_a_broken_control_is_no_failure_of_the_code():
    verdict, reasons = combined("fail", PICTURES["pass"], CONTROLS["slow"])
    assert verdict == "invalid"
    assert reasons == ("A/A control x1.100 [1.050, 1.150] excludes x1: equal work took unequal time",)


def test_a_powerless_gate_is_said_and_changes_nothing():
    assert combined("pass", PICTURES["powerless"], CONTROLS["good"]) == ("pass", ("gate has no power",))


def test_too_much_memory_fails_beside_wrong_pictures_and_however_the_timing_went():
    assert combined("pass", None, CONTROLS["good"], memory="too much") == ("fail", ("too much",))
    assert combined("pass", PICTURES["fail"], CONTROLS["slow"], memory="too much", throttled="hot") == (
        "fail",
        ("seed 0: black", "too much"),
    )


def test_throttling_leaves_no_verdict_on_speed():
    for speed in SPEEDS:
        assert combined(speed, PICTURES["powerless"], CONTROLS["good"], throttled="hot") == ("invalid", ("hot", "gate has no power"))
    assert [reason.split()[0] for reason in combined("pass", None, CONTROLS["slow"], throttled="hot")[1]] == ["hot", "A/A"]


@pytest.mark.parametrize("control", [Interval(1.0, 1.0, 1.0), Interval(1.01, 1.0, 1.02), Interval(0.99, 0.98, 1.0)])
def test_a_control_that_touches_one_holds(control):
    assert combined("pass", None, control) == ("pass", ())
