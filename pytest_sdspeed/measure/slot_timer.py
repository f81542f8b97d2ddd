"""One generation, timed with nothing else inside."""

from __future__ import annotations

import gc
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.errors import GenerationError, UnstageableError, explain
from pytest_sdspeed.measure.picture_log import PictureLog
from pytest_sdspeed.measure.telemetry import spent_j
from pytest_sdspeed.measure.tracers import call_traced, call_untraced

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_sdspeed.judge.pictures.slots import ArmPictures
    from pytest_sdspeed.measure.campaign_data import Arm
    from pytest_sdspeed.measure.clock import Clock
    from pytest_sdspeed.measure.memory import MemoryMeter
    from pytest_sdspeed.measure.roster import Roster
    from pytest_sdspeed.measure.staging import Staging
    from pytest_sdspeed.model import Case, Reading, Telemetry
    from pytest_sdspeed.model.stages import StagedCall, StageTime


class TimedGeneration(NamedTuple):
    """One timed generation, as a slot holds it; it began at ``start_s`` by the campaign's clock.

    ``peak_bytes`` is the memory that the generation needed, None if it was not metered.
    """

    start_s: float
    duration_s: float
    reading: Reading
    energy_j: float | None
    peak_bytes: int | None = None


class SlotTimer:
    """Times generations, and looks at what they returned right afterwards.

    Attributes:
        tracers: names of the tracers that could not be kept out of the slots.
    """

    def __init__(
        self,
        roster: Roster,
        clock: Clock,
        telemetry: Telemetry,
        main: Case,
        staging: Staging | None = None,
    ) -> None:
        self._logs = {name: PictureLog() for name in roster.arms}
        self.tracers: set[str] = set()
        self._seen: set[str] = set()
        self._roster, self._clock, self._telemetry = roster, clock, telemetry
        self._main, self._staging = main, staging

    @property
    def pictures(self) -> dict[str, ArmPictures]:
        """Return arm -> what it returned in all of its slots so far."""
        return {name: log.close() for name, log in self._logs.items()}

    def generate(
        self, arm: Arm, case: Case, meter: MemoryMeter | None = None
    ) -> TimedGeneration | None:
        """Generate once, look at the pictures outside of the time, and collect the garbage.

        Args:
            arm: what generates.
            case: what it draws.
            meter: measures the memory of the generation alone, or None.

        Returns:
            When and how long, or None if the arm raised; it has then left the campaign.
        """
        if meter is not None:
            meter.start()
        timed, pictures = self._generate(arm, case)
        # Looking takes memory of its own.
        peak_bytes = meter.peak_bytes() if meter is not None else None
        if timed is not None:
            self._logs[arm.name].look(case if arm.draws_cases else self._main, pictures)
        del pictures
        gc.collect()
        return timed._replace(peak_bytes=peak_bytes) if timed is not None else None

    def _generate(self, arm: Arm, case: Case) -> tuple[TimedGeneration | None, Any]:
        try:
            with arm.slot():
                self._clock.synchronize()
                energy_j = self._telemetry.read_energy_j()
                start, pictures, duration = self._call(arm)(self._time, arm, case)
                reading = self._telemetry.read()
        except Exception as error:  # noqa: BLE001 - whatever an arm raises ends that arm, never the others
            self._roster.remove(arm, explain(arm.name, error))
            return None, None
        if duration <= 0:
            self._roster.remove(
                arm,
                GenerationError(
                    f"{arm.name} took no time that the clock can tell: let one call do more work"
                ),
            )
            return None, None
        spent = spent_j(energy_j, reading.energy_j)
        return TimedGeneration(start, duration, reading, spent), pictures

    def _call(self, arm: Arm) -> Callable[..., Any]:
        """Return what calls the timed part: tracers see the first generation of an arm only."""
        first = arm.name not in self._seen
        self._seen.add(arm.name)
        return call_traced if first else partial(call_untraced, left=self.tracers)

    def take_turn(
        self, arm: Arm, call: StagedCall, parts: int
    ) -> tuple[float, list[StageTime], Reading]:
        """Go on with a call over so many parts, and time each.

        Args:
            arm: what the call is of.
            call: goes on.
            parts: how many.

        Returns:
            When it went on, what each part took, and what the device said right after the last.
        """
        with arm.slot():
            start = self._clock.now()
            taken = call_untraced(call.take_turn, parts, left=self.tracers)
            reading = self._telemetry.read()
        return start, taken, reading

    def _time(self, arm: Arm, case: Case) -> tuple[float, Any, float]:
        if self._staging and self._staging.draws(case):
            start = self._clock.now()
            try:
                return start, *self._staging.draw(arm, case)
            except UnstageableError as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001 - a whole call shows whether the arm is at fault
                why = f"{arm.name} cannot be called by stages: {explain(arm.name, error)}"
            found = self._time_whole(arm, case)
            self._staging.refuse(why)
            return found
        return self._time_whole(arm, case)

    def _time_whole(self, arm: Arm, case: Case) -> tuple[float, Any, float]:
        start = self._clock.now()
        if arm.timed:
            pictures, duration_s = arm.timed(case)
        else:
            pictures = arm.generate(case)
            self._clock.synchronize()
            duration_s = self._clock.now() - start
        if self._staging:
            self._staging.note(duration_s)
        return start, pictures, duration_s
