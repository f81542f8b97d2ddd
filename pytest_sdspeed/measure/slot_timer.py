"""One generation, timed with nothing else inside."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.errors import GenerationError, explain
from pytest_sdspeed.measure.telemetry import spent_j

if TYPE_CHECKING:
    from pytest_sdspeed.measure.campaign_data import Arm
    from pytest_sdspeed.measure.clock import Clock
    from pytest_sdspeed.measure.roster import Roster
    from pytest_sdspeed.model import Case, Reading, Telemetry


class TimedGeneration(NamedTuple):
    """One timed generation, as a slot holds it; it began at ``start_s`` by the campaign's clock."""

    start_s: float
    duration_s: float
    reading: Reading
    energy_j: float | None


class SlotTimer:
    """Times generations and keeps what they returned.

    Attributes:
        pictures: arm -> case -> what the arm returned last.
    """

    def __init__(self, roster: Roster, clock: Clock, telemetry: Telemetry) -> None:
        self.pictures: dict[str, dict[Case, Any]] = {name: {} for name in roster.arms}
        self._roster, self._clock, self._telemetry = roster, clock, telemetry

    def generate(self, arm: Arm, case: Case) -> TimedGeneration | None:
        """Generate once, keep the pictures, and collect the garbage.

        Returns:
            When and how long, or None if the arm raised; it has then left the campaign.
        """
        timed = self._generate(arm, case)
        gc.collect()
        return timed

    def _generate(self, arm: Arm, case: Case) -> TimedGeneration | None:
        try:
            with arm.slot():
                self._clock.synchronize()
                energy_j = self._telemetry.read_energy_j()
                start = self._clock.now()
                pictures, duration = arm.timed(case) if arm.timed else self._time(arm, case, start)
                reading = self._telemetry.read()
        except Exception as error:  # noqa: BLE001 - whatever an arm raises ends that arm, never the others
            self._roster.remove(arm, explain(arm.name, error))
            return None
        if duration <= 0:
            self._roster.remove(
                arm,
                GenerationError(
                    f"{arm.name} took no time that the clock can tell: let one call do more work"
                ),
            )
            return None
        self.pictures[arm.name][case] = pictures
        return TimedGeneration(start, duration, reading, spent_j(energy_j, reading.energy_j))

    def _time(self, arm: Arm, case: Case, start: float) -> tuple[Any, float]:
        pictures = arm.generate(case)
        self._clock.synchronize()
        return pictures, self._clock.now() - start
