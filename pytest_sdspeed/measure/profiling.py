"""Where the time of a campaign's arms goes, without risk to what was measured."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import UnusableDeviceError, explain
from pytest_sdspeed.measure.campaign_data import Progress
from pytest_sdspeed.measure.tracers import call_untraced
from pytest_sdspeed.model import Case, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_sdspeed.measure.campaign_data import Arm
    from pytest_sdspeed.measure.clock import Clock


def profile_arms(
    arms: Iterable[Arm], case: Case, clock: Clock, watch: Callable[[Progress], None]
) -> tuple[dict[str, Profile], UnusableDeviceError | None]:
    """Profile each arm that has a profile; one that raises gets a note in its place.

    Args:
        arms: those that held out.
        case: what the timed slots drew.
        clock: waits for the device.
        watch: called before every profile.

    Returns:
        Arm -> profile, and why the device no longer answers, or None. From then on it is asked
        nothing.
    """
    found: dict[str, Profile] = {}
    for arm in arms:
        if arm.profile is None:
            continue
        watch(Progress(phase="profile", arm=arm.name))
        try:
            found[arm.name] = call_untraced(arm.profile, case)
        except Exception as error:  # noqa: BLE001 - no extra may cost a campaign its result
            found[arm.name] = Profile(
                notes=(f"where a generation's time goes is unknown: {explain(arm.name, error)}",)
            )
        gc.collect()
        lost = check_usable(clock, f"the profile of {arm.name}")
        if lost is not None:
            return found, lost
    return found, None


def check_usable(clock: Clock, since: object) -> UnusableDeviceError | None:
    """Return why the device no longer answers, or None if it does.

    Args:
        clock: waits for the device.
        since: what went before.
    """
    try:
        clock.synchronize()
    except Exception:  # noqa: BLE001 - whatever it raises, no other arm can use the device
        return UnusableDeviceError(
            f"the device is unusable since {since}: nothing more can be measured in this run"
        )
    return None
