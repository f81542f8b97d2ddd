"""Rounds of a campaign by stages: every arm's call once, taking turns at single parts of it."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.speed import throttling
from pytest_sdspeed.judge.speed.put_together import put_together
from pytest_sdspeed.model import CONTROL, UNREAD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.judge.speed.put_together import Sampling
    from pytest_sdspeed.measure.roster import Roster
    from pytest_sdspeed.measure.slot_timer import SlotTimer
    from pytest_sdspeed.measure.staging import Staging
    from pytest_sdspeed.model import Reading
    from pytest_sdspeed.model.stages import StagedCall, StageTime


class StagedSlot(NamedTuple):
    """One call by stages, put together.

    Attributes:
        start_s: when it began, by the campaign's clock.
        stages_s: stage -> seconds of the whole call.
        inside_s: seconds that were measured of it.
        reading: what the device said after its last part, or after one in which it throttled.
    """

    start_s: float
    stages_s: Mapping[str, float]
    inside_s: float
    reading: Reading

    @property
    def duration_s(self) -> float:
        """Return the latency of the whole call, seconds."""
        return sum(self.stages_s.values())


class Rounds:
    """Measures rounds: every arm's call once, all of them taking turns at single parts.

    Args:
        roster: who takes part.
        timer: times the parts.
        staging: calls the arms by stages.
        sampling: how many denoising steps of each call are measured.
    """

    def __init__(
        self, roster: Roster, timer: SlotTimer, staging: Staging, sampling: Sampling
    ) -> None:
        self._roster, self._timer, self._staging = roster, timer, staging
        self._sampling = sampling

    @property
    def sampling(self) -> Sampling:
        """Return how many denoising steps of each call are measured."""
        return self._sampling

    def measure(self, labels: Sequence[str]) -> dict[str, StagedSlot]:
        """Measure one round.

        At every other part the order is reversed, so that two parts make a palindrome.

        Args:
            labels: order of the arms at the first part; ``CONTROL`` is another call of the
                baseline.

        Returns:
            Label -> its call, of those that did not raise.
        """
        turns = {label: _Turns(label, self._begin(label)) for label in labels}
        order = list(labels)
        try:
            while any(one.call and not one.call.done for one in turns.values()):
                for label in order:
                    self._advance(turns[label])
                    if self._roster.ended:
                        return {}
                order.reverse()
        finally:
            for one in turns.values():
                if one.call:
                    one.call.close()
            gc.collect()
        return {
            label: one.close(self._sampling.steps)
            for label, one in turns.items()
            if one.call and self._roster.arm_of(label).name not in self._roster.errors
        }

    def _begin(self, label: str) -> StagedCall | None:
        arm, sampling = self._roster.arm_of(label), self._sampling
        if arm.name in self._roster.errors:
            return None
        steps = sampling.sampled if sampling.sampled < sampling.steps else None
        return self._staging.call(arm, steps, control=label == CONTROL)

    def _advance(self, one: _Turns) -> None:
        arm = self._roster.arm_of(one.label)
        if one.call is None or one.call.done or arm.name in self._roster.errors:
            return
        found = self._timer.advance(arm, one.call)
        if found is not None:
            one.add(*found)


class _Turns:
    """What was measured of one call so far."""

    def __init__(self, label: str, call: StagedCall | None) -> None:
        self.label, self.call = label, call
        self._start_s: float | None = None
        self._parts: list[StageTime] = []
        self._reading = UNREAD

    def add(self, start_s: float, part: StageTime, reading: Reading) -> None:
        """Add a part."""
        self._start_s = start_s if self._start_s is None else self._start_s
        self._parts.append(part)
        if not throttling.is_distorted(self._reading.reasons):
            self._reading = reading

    def close(self, steps: int) -> StagedSlot:
        """Put the call together."""
        return StagedSlot(
            self._start_s or 0.0,
            put_together(self._parts, steps),
            sum(part.seconds for part in self._parts),
            self._reading,
        )
