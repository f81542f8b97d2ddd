"""Who takes part: an arm that breaks what others share leaves by its name, and ends the campaign if nobody knows since when."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
from fakes import FakeClock

from pytest_sdspeed.errors import GenerationError, OutOfMemoryError, UnusableDeviceError
from pytest_sdspeed.judge.speed import intervals
from pytest_sdspeed.measure.campaign_data import Arm
from pytest_sdspeed.measure.contrasts import Contrasts
from pytest_sdspeed.measure.decisions import Decisions
from pytest_sdspeed.measure.memory import UnknownMemory
from pytest_sdspeed.measure.roster import Roster
from pytest_sdspeed.model import CONTROL, Contrast


def fail(text="the weights changed"):
    raise RuntimeError(text)


def arm(name, check=lambda: None, floor=1.0):
    return Arm(name=name, generate=lambda _case: None, slot=nullcontext, floor=floor, check=check)


def roster(*rows, clock=None):
    return Roster(arm("base", floor=None), rows, clock or FakeClock([]), UnknownMemory())


def test_an_arm_that_changed_what_others_share_leaves_by_its_name():
    here = roster(arm("fused", fail), arm("other"))
    here.check(here.arms["fused"])
    assert [*here.active] == ["other"]
    assert [*here.errors] == ["fused"]
    assert str(here.errors["fused"]).startswith("fused raised RuntimeError: the weights changed")
    assert not here.ended
    assert [one.name for one in here.remaining] == ["base", "other"]


def test_another_may_leave_in_its_place():
    here = roster(arm("fused", fail))
    here.check(here.arms["fused"], leaves=here.baseline)
    assert [*here.errors] == ["base"]
    assert str(here.errors["base"]).startswith("fused raised RuntimeError")
    assert here.ended


def test_what_changed_unseen_ends_the_campaign_and_nobody_else_is_asked():
    asked = []
    here = roster(arm("first", lambda: asked.append("first")), arm("fused", fail), arm("last", lambda: asked.append("last")))
    here.check_all()
    assert asked == ["first"]
    assert [*here.errors] == ["base"]
    assert "fused raised" in str(here.errors["base"])


def test_a_device_that_no_longer_answers_ends_the_campaign_and_keeps_what_was_said_before():
    class Lost(FakeClock):
        lost = False

        def synchronize(self):
            if self.lost:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")

    clock = Lost([])
    here = roster(arm("first"), arm("second"), clock=clock)
    here.remove(here.arms["first"], GenerationError("first raised"))
    assert here.unusable is None
    clock.lost = True
    here.remove(here.arms["second"], GenerationError("second raised"))
    assert isinstance(here.unusable, UnusableDeviceError)
    assert [*here.errors] == ["first", "second", "base"]
    assert here.errors["second"] is here.errors["base"] is here.unusable


def measured(outer=1.0, row=0.9, blocks=6):
    """Samples of blocks with a little noise, the same in every arm."""
    noise = [1 + 0.001 * ((7 * block) % 5 - 2) for block in range(blocks)]
    seconds = {"base": outer, CONTROL: 1.0, "row": row}
    return {name: [(each * one, each * one) for one in noise] for name, each in seconds.items()}


@pytest.mark.parametrize(("outer", "decided"), [(1.0, {"row"}), (1.5, set())])
def test_a_row_is_not_decided_while_the_bias_that_the_control_shows_could_turn_it(outer, decided):
    samples = measured(outer)
    # The control's slots differ from block to block, so that the bias has an interval.
    samples["base"] = [(first * (1 + 0.002 * (block % 3)), second) for block, (first, second) in enumerate(samples["base"])]
    decisions = Decisions(roster(arm("row")), samples, rows=1)
    decisions.look(6, 20)
    assert decisions.decided.keys() == decided


def test_later_blocks_of_the_control_decide_nothing_at_an_earlier_look():
    samples = measured(blocks=20) | {"row": measured(blocks=6)["row"]}
    samples["base"][6:] = [(1.5 * first, 1.5 * second) for first, second in samples["base"][6:]]
    decisions = Decisions(roster(arm("row")), samples, rows=1)
    decisions.look(6, 20)
    assert decisions.decided.keys() == {"row"}


def test_what_so_many_blocks_can_tell_depends_on_how_many_rows_share_the_error():
    said = {}
    for rows in (1, 50):
        decisions = Decisions(roster(arm("row")), measured(), rows)
        decisions.close(20, "")
        said[rows] = decisions.decided["row"].minimum_detectable_effect
    assert said[1] < said[50]


@pytest.mark.parametrize("campaigns", [1, 50])
def test_the_control_is_that_of_the_blocks_asked_for_and_shares_its_error_among_campaigns(campaigns):
    samples = measured(1.01, blocks=8)
    samples["base"] = [(first * (1 + 0.002 * (block % 3)), second) for block, (first, second) in enumerate(samples["base"])]
    samples["base"][7] = (3.0, 3.0)
    decisions = Decisions(roster(arm("row")), samples, 1, campaigns)
    outer, inner = samples["base"][:6], samples[CONTROL][:6]
    assert decisions._find_control(6) == intervals.control_interval(outer, inner, campaigns)
    assert Decisions(roster(arm("row")), samples, 1)._find_control(6) == intervals.control_interval(outer, inner, 1)


def test_a_row_that_fails_at_several_looks_gives_its_share_of_the_error_once():
    rows = [replace(arm(name, floor=2.0), may_stop=lambda _decision: False) for name in ("row", "other")]
    decisions = Decisions(roster(*rows), measured() | {"other": measured()["row"]}, rows=10)
    for blocks in (5, 6):
        decisions.look(blocks, 20)
        assert {decision.verdict for decision in decisions.decided.values()} == {"fail"}
        assert decisions.family_size == 8


def test_of_memory_that_a_platform_does_not_tell_nothing_is_said():
    here = roster(arm("row"))
    here.remove(here.arms["row"], OutOfMemoryError("row needs more memory"))
    assert str(here.errors["row"]) == "row needs more memory"


@pytest.mark.parametrize(("rows", "floors", "family"), [(0, 2, 2), (5, 2, 5), (0, 0, 1)])
def test_the_error_is_shared_by_all_rows_of_the_run_that_can_fail(rows, floors, family):
    here = roster(*(arm(f"row{number}") for number in range(floors)), arm("free", floor=None))
    assert Decisions(here, {}, rows).family_size == family


@pytest.mark.parametrize(("allowance", "verdict"), [(0.0, "pass"), (0.2, "inconclusive")])
def test_intervals_that_are_wider_decide_less_of_rows_and_of_contrasts(allowance, verdict):
    samples = measured() | {"other": measured(row=1.0)["row"]}
    here, contrast = roster(arm("row"), arm("other", floor=None)), Contrast("other", "row", 1.0)
    decisions = Decisions(here, samples, rows=1, contrasts=Contrasts([contrast], here, samples))
    decisions.widen(allowance)
    decisions.look(6, 20)
    decisions.close(20, "")
    for decision in (decisions.decided["row"], decisions.contrasts.decided[contrast]):
        assert decision.verdict == verdict
        assert decision.interval.low == pytest.approx(1 / 0.9 / (1 + allowance), rel=1e-3)
        assert decision.minimum_detectable_effect == pytest.approx(allowance, abs=1e-3)
