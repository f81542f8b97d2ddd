"""Where the time of an arm goes, without risk to what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.measure.explaining import explained
from pytest_sdspeed.model import Case, Profile

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_sdspeed.measure.facts import Arm


def profiled(arm: Arm, profile: Callable[[Case], Profile], case: Case) -> Profile:
    """What an arm's profile says; nothing but a note where it raises.

    Args:
        arm: whose slot is held around it.
        profile: the arm's own.
        case: what the timed slots drew.
    """
    try:
        with arm.slot():
            return profile(case)
    except Exception as error:  # noqa: BLE001 - no extra may cost a campaign its result
        return Profile(notes=(f"where a generation's time goes is unknown: {explained(arm.name, error)}",))
