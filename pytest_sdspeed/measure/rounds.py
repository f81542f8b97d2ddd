"""Rounds of a campaign by stages: every arm's call once, taking turns at parts of it."""

from __future__ import annotations

import gc
from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import GenerationError, UnstageableError, explain
from pytest_sdspeed.judge.speed import throttling
from pytest_sdspeed.judge.speed.put_together import keep_faster, put_together
from pytest_sdspeed.model import CONTROL, UNREAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_sdspeed.judge.speed.put_together import Sampling
    from pytest_sdspeed.measure.campaign_data import Arm
    from pytest_sdspeed.measure.roster import Roster
    from pytest_sdspeed.measure.slot_timer import SlotTimer
    from pytest_sdspeed.measure.staging import StagedPlan, Staging
    from pytest_sdspeed.model import Reading
    from pytest_sdspeed.model.stages import StagedCall, StageTime


class StagedSlot(NamedTuple):
    """One call by stages, put together.

    Attributes:
        start_s: when it began, by the campaign's clock.
        stages_s: stage -> seconds of the whole call.
        inside_s: seconds that were measured of it.
        reading: what the device said after its last turn, or after one in which it throttled.
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
    """Measures rounds: every arm's call once, all of them taking turns at a few parts each.

    Args:
        roster: who takes part.
        timer: times the parts.
        staging: calls the arms by stages.
        plan: how many denoising steps of each call are measured, and the turns they take.

    Attributes:
        sampling: how many denoising steps of each call are measured.
    """

    def __init__(
        self, roster: Roster, timer: SlotTimer, staging: Staging, plan: StagedPlan
    ) -> None:
        self._roster, self._timer, self._staging = roster, timer, staging
        self._parts_of_turns = plan.turns
        self.sampling: Sampling = plan.sampling

    def measure(self, labels: Sequence[str]) -> dict[str, StagedSlot]:
        """Measure one round.

        At every other turn the order is reversed, so that two turns make a palindrome.

        Args:
            labels: order of the arms at the first turn; ``CONTROL`` is another call of the
                baseline.

        Returns:
            Label -> its call, of those that did not raise.
        """
        left = [label for label in labels if self._is_left(self._roster.arm_of(label))]
        turns = self._take_turns(left, self._go_on_or_remove)
        for one in turns:
            self._check(one)
        return {
            one.label: one.close(self.sampling.steps) for one in turns if self._is_left(one.arm)
        }

    def rehearse(self, labels: Sequence[str]) -> str:
        """Take one round that does not count, to see whether calls can take turns.

        What a call of each arm keeps for the next ones is made in it too. If only the clock says
        that a call does not end as a whole one does, the machine may have slowed the call that was
        cut short: another round tells.

        Args:
            labels: as for ``measure``.

        Returns:
            Why the calls are not those that are wanted, or "".
        """
        turns = self._take_turns(labels, self._go_on)
        unlike = next(filter(None, map(self._describe_unlike, turns)), "")
        if unlike or self.sampling.sampled == self.sampling.steps:
            return unlike
        if not self._find_other_end(turns):
            return ""
        again = self._take_turns(labels, self._go_on)
        for before, one in zip(turns, again, strict=True):
            one.parts = keep_faster(before.parts, one.parts)
        return self._find_other_end(again)

    def _find_other_end(self, turns: Iterable[_Turns]) -> str:
        """Say why a call does not end as a whole one of its arm does, or return ""."""
        ends = (self._staging.describe_other_end(one.arm, one.parts) for one in turns)
        return next(filter(None, ends), "")

    def _take_turns(self, labels: Sequence[str], go_on: Callable[[_Turns], None]) -> list[_Turns]:
        steps = self.sampling.sampled if self.sampling.sampled < self.sampling.steps else None
        turns: list[_Turns] = []
        try:
            for label in labels:
                arm = self._roster.arm_of(label)
                call = self._staging.call(arm, steps, control=label == CONTROL)
                turns.append(_Turns(label, arm, call, self._parts_of_turns[arm.name]))
            order = list(turns)
            while any(map(self._is_going, turns)):
                for one in order:
                    if self._is_going(one):
                        go_on(one)
                order.reverse()
        finally:
            for one in turns:
                one.call.close()
            gc.collect()
        return turns

    def _is_left(self, arm: Arm) -> bool:
        return arm.name not in self._roster.errors and not self._roster.ended

    def _is_going(self, one: _Turns) -> bool:
        return not one.call.done and self._is_left(one.arm)

    def _go_on(self, one: _Turns) -> None:
        one.add(*self._timer.take_turn(one.arm, one.call, one.begin_turn()))

    def _go_on_or_remove(self, one: _Turns) -> None:
        try:
            self._go_on(one)
        except Exception as error:  # noqa: BLE001 - whatever an arm raises ends that arm, never the others
            self._roster.remove(one.arm, explain(one.arm.name, error))

    def _check(self, one: _Turns) -> None:
        """Take an arm out whose call was another one than in the rehearsal."""
        unlike = self._describe_unlike(one) if self._is_left(one.arm) else ""
        if unlike:
            self._roster.remove(one.arm, GenerationError(f"{unlike}: measure it by --sd-unit=call"))

    def _describe_unlike(self, one: _Turns) -> str:
        return self._staging.describe_unlike(one.arm, one.parts, self.sampling)


class _Turns:
    """What was measured of one call so far."""

    def __init__(self, label: str, arm: Arm, call: StagedCall, parts: Iterable[int]) -> None:
        self.label, self.arm, self.call = label, arm, call
        # A call that goes on for longer than it should takes turns of one part.
        self._lengths = chain(parts, repeat(1))
        self._start_s: float | None = None
        self.parts: list[StageTime] = []
        self._reading = UNREAD

    def begin_turn(self) -> int:
        """Return how many parts its next turn has."""
        return next(self._lengths)

    def add(self, start_s: float, parts: Sequence[StageTime], reading: Reading) -> None:
        """Add the parts of a turn."""
        self._start_s = start_s if self._start_s is None else self._start_s
        self.parts += parts
        if not throttling.is_distorted(self._reading.reasons):
            self._reading = reading

    def close(self, steps: int) -> StagedSlot:
        """Put the call together."""
        return StagedSlot(
            self._start_s or 0.0,
            put_together(self.parts, steps),
            sum(part.seconds for part in self.parts),
            self._reading,
        )


def open_rounds(
    roster: Roster, timer: SlotTimer, staging: Staging, plan: StagedPlan
) -> tuple[Rounds, StagedPlan] | None:
    """Try how calls take turns, before any of them counts.

    Calls that do not end when they are asked to are measured with all of their steps.

    Args:
        roster: who takes part.
        timer: times the parts.
        staging: calls the arms by stages; it notes why, if they cannot take turns.
        plan: how many denoising steps of each call are measured.

    Returns:
        What measures rounds, and the plan as it is then; None if they cannot take turns.
    """
    labels = [roster.baseline.name, CONTROL, *roster.active]
    try:
        rounds = Rounds(roster, timer, staging, plan)
        unlike = rounds.rehearse(labels)
        if unlike and plan.sampling.sampled < plan.sampling.steps:
            plan = staging.plan_all_steps(plan, unlike)
            rounds = Rounds(roster, timer, staging, plan)
            unlike = rounds.rehearse(labels)
    except UnstageableError as error:
        unlike = str(error)
    except Exception as error:  # noqa: BLE001 - whole calls show whether an arm is at fault
        unlike = f"calls cannot take turns: {error or type(error).__name__}"
    if unlike:
        staging.refuse(unlike)
        return None
    return rounds, plan
