"""Pictures that rows are compared with in their baseline's place: one that cannot draw them leaves, and the others go on."""

from __future__ import annotations

import pytest
from fakes import FakeClock

from pytest_sdspeed.errors import GenerationError
from pytest_sdspeed.judge.pictures.slots import ArmPictures
from pytest_sdspeed.measure.campaign_data import Arm, Progress
from pytest_sdspeed.measure.memory import UnknownMemory
from pytest_sdspeed.measure.roster import Roster
from pytest_sdspeed.measure.warm_up import build_arms, draw_references
from pytest_sdspeed.model import Case

CASES = (Case(1), Case(0))


def arm(name, *, reference=None, prepare=lambda: None):
    def generate(_case):
        if name == "fails":
            raise RuntimeError("out of paint")

    return Arm(name=name, generate=generate, reference=reference, prepare=prepare)


@pytest.fixture
def roster():
    """A baseline, and rows of which one has a reference that fails, one none, and one a good one."""
    rows = [arm("first", reference=arm("fails")), arm("plain"), arm("last", reference=arm("draws"))]
    return Roster(arm("base"), rows, FakeClock([]), UnknownMemory())


def test_a_reference_that_raises_takes_its_row_out_by_name_and_the_next_one_is_drawn(roster):
    told = []
    found = draw_references(roster, CASES, FakeClock([]), told.append)
    assert [*roster.errors] == ["first"]
    assert str(roster.errors["first"]).startswith("first raised RuntimeError: out of paint")
    assert told == [Progress(phase="reference pictures", arm=name) for name in ("first", "last", "last")]
    assert [len(found[name].looks) for name in ("first", "last")] == [0, 2]


def test_nothing_is_drawn_if_the_campaign_has_ended(roster):
    roster.remove(roster.baseline, GenerationError("base raised"))
    assert draw_references(roster, CASES, FakeClock([]), pytest.fail) == dict.fromkeys(("first", "last"), ArmPictures())


def test_what_cannot_be_built_leaves_by_its_name():
    def prepare():
        raise RuntimeError("no such weights")

    here = Roster(arm("base"), [arm("row", prepare=prepare)], FakeClock([]), UnknownMemory())
    build_arms(here, lambda _progress: None)
    assert str(here.errors["row"]).startswith("row raised RuntimeError: no such weights")
