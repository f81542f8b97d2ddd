"""``auto`` is settled by the calls of arms that another process times, too."""

import pytest
from fakes import FakeClock

from pytest_sdspeed.measure.campaign_data import Arm
from pytest_sdspeed.measure.roster import Roster
from pytest_sdspeed.measure.slot_timer import SlotTimer
from pytest_sdspeed.measure.staging import AUTO_S, Staging
from pytest_sdspeed.model import Case, UnknownTelemetry


@pytest.mark.parametrize(("seconds", "staged"), [(0.9 * AUTO_S, False), (1.1 * AUTO_S, True)])
def test_calls_that_another_process_times_settle_what_a_slot_is(seconds, staged):
    arm = Arm(name="base", generate=str, timed=lambda _case: (None, seconds))
    clock, staging = FakeClock(), Staging("auto", Case(0))
    timer = SlotTimer(Roster(arm, [], clock, None), clock, UnknownTelemetry(), Case(0), staging)
    assert timer.generate(arm, Case(1)).duration_s == seconds
    assert staging.draws(Case(0)) == staged
