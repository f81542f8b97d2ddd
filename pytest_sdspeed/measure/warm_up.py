"""What comes before the timed part: building the arms, warm-up, reference pictures."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.errors import explain
from pytest_sdspeed.measure.campaign_data import Progress
from pytest_sdspeed.measure.collector import collect_between_slots
from pytest_sdspeed.measure.picture_log import PictureLog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_sdspeed.judge.pictures.slots import ArmPictures
    from pytest_sdspeed.measure.campaign_data import Arm
    from pytest_sdspeed.measure.clock import Clock
    from pytest_sdspeed.measure.memory import MemoryMeter
    from pytest_sdspeed.measure.roster import Roster
    from pytest_sdspeed.measure.slot_timer import SlotTimer
    from pytest_sdspeed.model import Case
    from pytest_sdspeed.model.costs import Loaded

References = dict[str, "ArmPictures"]


class WarmUp(NamedTuple):
    """What the warm-up found.

    Attributes:
        seconds: arm -> its generations in order, seconds.
        peak_bytes: arm -> what the arm holds and the most a generation needed beside it, or None if
            the platform does not tell.
        compiled: arm -> graphs that torch compiled in each of these generations, if it tells.
    """

    seconds: dict[str, list[float]]
    peak_bytes: dict[str, int | None]
    compiled: dict[str, list[int]]

    @property
    def costs_s(self) -> dict[str, float]:
        """Return each arm's fastest generation, seconds: compiling and contention only slow."""
        return {name: min(seconds) for name, seconds in self.seconds.items()}


def build_arms(roster: Roster, watch: Callable[[Progress], None]) -> dict[str, Loaded]:
    """Build every arm before the first warm-up.

    So one arm's peak memory does not hold the building of another.

    Returns:
        Arm -> its memory after loading, for the arms that tell.
    """
    loaded: dict[str, Loaded] = {}
    for arm in roster.arms.values():
        watch(Progress(phase="build", arm=arm.name))
        try:
            arm.prepare()
            if arm.reference:
                arm.reference.prepare()
            if arm.loaded:
                loaded[arm.name] = arm.loaded()
        except Exception as error:  # noqa: BLE001 - whatever an arm raises ends that arm, never the others
            roster.remove(arm, explain(arm.name, error))
        if roster.ended:
            break
    return loaded


@collect_between_slots()
def warm_up_arms(
    roster: Roster,
    cases: Sequence[Case],
    timer: SlotTimer,
    memory: MemoryMeter,
    watch: Callable[[Progress], None],
) -> WarmUp:
    """Generate once with every arm for every case, so that compilers and caches settle.

    Args:
        roster: the arms; those that raise leave it.
        cases: what to draw, two at least: the fastest generation tells what a slot costs.
        timer: generates.
        memory: meter of every generation.
        watch: called before every generation.
    """
    found = WarmUp({}, {}, {})
    for arm in roster.remaining:
        for case in cases:
            watch(Progress(phase="warm-up", arm=arm.name))
            try:
                # What an arm offloads may be elsewhere afterwards.
                held, before = arm.held_bytes(), arm.count_compiled()
            except Exception as error:  # noqa: BLE001 - whatever an arm raises ends that arm, never the others
                roster.remove(arm, explain(arm.name, error))
                break
            timed = timer.generate(arm, case, memory)
            if timed is None:
                break
            found.seconds.setdefault(arm.name, []).append(timed.duration_s)
            extra, after = timed.peak_bytes, arm.count_compiled()
            found.peak_bytes[arm.name] = None if extra is None else held + extra
            if before is not None and after is not None and after >= before:
                found.compiled.setdefault(arm.name, []).append(after - before)
        if arm.name not in roster.errors:
            roster.check(arm)
        if roster.ended:
            break
    return found


def draw_references(
    roster: Roster, cases: Sequence[Case], clock: Clock, watch: Callable[[Progress], None]
) -> References:
    """Draw the pictures that some arms are compared with in the baseline's place.

    Returns:
        Arm -> what its reference returned, for every arm that has one; nothing if the campaign has
        ended.
    """
    logs = {name: PictureLog() for name, arm in roster.arms.items() if arm.reference}
    for arm in roster.remaining:
        if roster.ended:
            break
        if arm.reference is None:
            continue
        for case in cases:
            watch(Progress(phase="reference pictures", arm=arm.name))
            try:
                logs[arm.name].look(case, _draw(arm.reference, case, clock))
            except Exception as error:  # noqa: BLE001 - whatever an arm raises ends that arm, never the others
                roster.remove(arm, explain(arm.name, error))
                break
            gc.collect()
    return {name: log.close() for name, log in logs.items()}


def _draw(arm: Arm, case: Case, clock: Clock) -> Any:
    """Return what an arm generates, waited for, whatever time it takes."""
    with arm.slot():
        # What is timed of its arm is what that is compared with.
        pictures = arm.timed(case)[0] if arm.timed else arm.generate(case)
        clock.synchronize()
        return pictures
