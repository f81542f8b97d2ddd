"""Calls by stages that a worker makes for the process that compares, a turn at a time."""

from __future__ import annotations

import gc
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import UnstageableError
from pytest_sdspeed.measure.tracers import call_untraced

if TYPE_CHECKING:
    from pytest_sdspeed.measure.campaign_data import Arm
    from pytest_sdspeed.measure.memory import MemoryMeter
    from pytest_sdspeed.model import Case
    from pytest_sdspeed.model.stages import StagedCall, Stages

Named = tuple[str, ...]


@dataclass(slots=True)
class _Begun:
    """A call that has begun.

    Attributes:
        arm: what it is of.
        call: goes on.
        case: what it draws.
        whole: whether it takes all of its denoising steps.
        meter: meters its memory, or None.
    """

    arm: Arm
    call: StagedCall
    case: Case
    whole: bool
    meter: MemoryMeter | None


class ServedCalls:
    """Makes calls by stages, several at a time, each known by its target and a number."""

    def __init__(self) -> None:
        self._stages: dict[Named, Stages] = {}
        self._begun: dict[tuple[Named, int], _Begun] = {}

    def open(self, named: Named, arm: Arm) -> str:
        """Open what calls a target by stages, for a campaign.

        Returns:
            Why its denoising steps are of unlike cost, or "".

        Raises:
            UnstageableError: it cannot be called by stages.
        """
        if arm.stages is None:
            raise UnstageableError(f"{arm.name} is no pipeline whose stages are known")
        self._stages[named] = stages = arm.stages()
        return stages.uneven

    def describe(self, named: Named) -> tuple[str, bool]:
        """Return what the calls of a target showed: ``Stages.alone`` and ``Stages.casts``."""
        stages = self._stages[named]
        return stages.alone, stages.casts

    def begin(
        self,
        named: Named,
        number: int,
        arm: Arm,
        case: Case,
        steps: int | None,
        *,
        meter: MemoryMeter | None,
    ) -> None:
        """Begin a call, which has done nothing yet; one of before with its number is abandoned.

        Args:
            named: the target, which was opened.
            number: which of the calls of this target that take turns.
            arm: the target's.
            case: what it draws.
            steps: denoising steps after which it goes on to decoding; None for all of them.
            meter: meters the memory of the call, or None.

        Raises:
            UnstageableError: another call must not come between its steps.
        """
        self.abandon(named, number)
        call = self._stages[named].call(case, steps, number)
        self._begun[named, number] = _Begun(arm, call, case, steps is None, meter)
        gc.disable()
        if meter is not None:
            meter.start()

    def take_turn(self, named: Named, number: int, parts: int) -> dict[str, Any]:
        """Go on with a call over so many parts.

        Returns:
            ``parts``, each as ``StageTime``, and ``done``, see ``StagedCall``; of a whole call that
            is done also ``drawn`` and ``case``, and ``peak_bytes`` if it was metered.

        Raises:
            SdSpeedError: the call raised, and is abandoned.
        """
        from pytest_sdspeed.device.quiet import quiet

        one = self._begun[named, number]
        try:
            with quiet(), one.arm.slot():
                taken = call_untraced(one.call.take_turn, parts)
        except BaseException:
            # What it raised tells more than what its frames raise when they are left.
            with suppress(Exception):
                self.abandon(named, number)
            raise
        told: dict[str, Any] = {
            "parts": [tuple(part) for part in taken],
            "done": one.call.done,
        }
        if one.call.done:
            del self._begun[named, number]
            if one.meter is not None:
                told["peak_bytes"] = one.meter.peak_bytes()
            if one.whole:
                told |= {"drawn": one.call.pictures, "case": one.case}
        return told

    def abandon(self, named: Named, number: int) -> None:
        """Abandon a call, if there is one that has not returned."""
        from pytest_sdspeed.device.quiet import quiet

        one = self._begun.pop((named, number), None)
        if one is not None:
            with quiet(), one.arm.slot():
                one.call.close()
            del one
            gc.collect()

    def release(self) -> None:
        """Abandon all calls, and forget the copies of pipelines that they had."""
        for named, number in [*self._begun]:
            self.abandon(named, number)
        self._stages.clear()
