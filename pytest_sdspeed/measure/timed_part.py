"""The timed part of a campaign: blocks, until every row is decided or the budget is spent."""

from __future__ import annotations

import random
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_sdspeed.judge.speed import stopping, throttling
from pytest_sdspeed.measure.block_plan import BlockPlan, plan_at_pace, plan_blocks
from pytest_sdspeed.measure.campaign_data import Limits, Progress, Slot
from pytest_sdspeed.measure.contrasts import Contrasts, Samples
from pytest_sdspeed.measure.decisions import Decisions
from pytest_sdspeed.measure.held_stages import HeldStages, StageSamples
from pytest_sdspeed.measure.order import Palindromes
from pytest_sdspeed.measure.rounds import StagedSlot
from pytest_sdspeed.measure.telemetry import describe_discarded
from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_sdspeed.measure.clock import Clock
    from pytest_sdspeed.measure.countdown import Countdown
    from pytest_sdspeed.measure.roster import Roster
    from pytest_sdspeed.measure.rounds import Rounds
    from pytest_sdspeed.measure.slot_timer import SlotTimer, TimedGeneration
    from pytest_sdspeed.model import Contrast


def _announce_nothing(_plan: BlockPlan, _costs_s: Mapping[str, float]) -> None:
    """Tell nobody what is planned."""


class TimedPart:
    """Measures blocks, and asks for decisions at the looks.

    Attributes:
        samples: arm -> [first, second] slot of every block, seconds.
        decisions: what the looks decided.
        slots: every timed generation in order, except those of discarded blocks.
        discarded: the slots of each block in which the GPU throttled.
        throttled: why throttling ended the campaign, or "".
        plan: how the time is spent.
        spent_s: seconds that the blocks took so far.
        cut_short: what ended the campaign before its budget, and what to set, or "".
        rounds: measures blocks by stages; None if slots are whole calls.
        stage_samples: arm -> stage -> [first, second] call of every block, seconds; empty if slots
            are whole calls.
    """

    def __init__(
        self,
        roster: Roster,
        limits: Limits,
        clock: Clock,
        timer: SlotTimer,
        watch: Callable[[Progress], None],
        *,
        countdown: Countdown,
        contrasts: Sequence[Contrast] = (),
        announce: Callable[[BlockPlan, Mapping[str, float]], None] = _announce_nothing,
    ) -> None:
        self._announce = announce
        self.rounds: Rounds | None = None
        self.stage_samples: StageSamples = {}
        self.samples: Samples = {name: [] for name in (*roster.arms, CONTROL)}
        compared = Contrasts(contrasts, roster, self.samples, limits.contrasts)
        held = HeldStages(roster, self.stage_samples, limits.campaigns)
        self.decisions = Decisions(
            roster, self.samples, limits.rows, limits.campaigns, contrasts=compared, stages=held
        )
        self.slots: list[Slot] = []
        self.discarded: list[tuple[Slot, ...]] = []
        self.throttled = ""
        self.plan = BlockPlan()
        self.spent_s = 0.0
        self.cut_short = ""
        self._started_s = 0.0
        self._roster, self._limits, self._clock = roster, limits, clock
        self._timer, self._watch, self._countdown = timer, watch, countdown

    def run(self, costs_s: Mapping[str, float], after_s: float = 0.0) -> None:
        """Measure blocks until every row is decided, or the budget or the plan is spent.

        Args:
            costs_s: arm -> seconds of one generation, by the warm-up.
            after_s: seconds to leave for what follows before the time limit of another plugin.

        Raises:
            TimeLimitError: that limit leaves too little for the first look.
        """
        roster, asked = self._roster, self._limits
        if self.rounds:
            # A round is long already, and what disturbs it falls on all arms alike.
            most = asked.max_staged_blocks or asked.max_blocks
            asked = replace(asked, slot_s=0.0, max_blocks=most)
        baseline, gated = roster.baseline.name, bool(roster.active)
        self.plan = plan_blocks(asked, costs_s, baseline, roster.active)
        limits = self._limits = self._countdown.fit(
            asked, self.plan.block_s / self.plan.repeats, after_s
        )
        if limits.budget_s < asked.budget_s:
            self.plan = plan_blocks(limits, costs_s, baseline, roster.active)
        self._announce(self.plan, costs_s)
        order = Palindromes(baseline, random.Random(limits.seed))  # noqa: S311 - no secret
        self._started_s = self._clock.now()
        block, done = 0, False
        while block < self.plan.blocks and not done and self._has_time(block, after_s):
            labels = [
                label for _ in range(self.plan.repeats) for label in order.draw(list(roster.active))
            ]
            if not self._measure_block(block + 1, labels):
                break
            block = len(self.samples[baseline])
            # Asked again after a discarded block, a look finds what it found.
            if block in self.plan.looks:
                self.decisions.look(block, self.plan.blocks)
            self.spent_s = self._clock.now() - self._started_s
            if block == stopping.LEAST_BLOCKS:
                # Contention and compiling only slow: warm-up may have been slower than what
                # follows.
                pace = min(self.plan.block_s, self.spent_s / (block + len(self.discarded)))
                self.plan = plan_at_pace(limits, self.plan.repeats, pace)
            done = not roster.active if gated else block in self.plan.looks
            done = done or (block >= stopping.LEAST_BLOCKS and self.spent_s >= limits.budget_s)
        self.spent_s = self._clock.now() - self._started_s
        broke = roster.ended or bool(self.throttled)
        if limits.budget_s < asked.budget_s and roster.active and gated and not broke:
            whole = plan_at_pace(asked, self.plan.repeats, self.plan.block_s).blocks
            self.cut_short = self._describe_cut(block, asked, after_s) if block < whole else ""

    def _has_time(self, block: int, after_s: float) -> bool:
        """Tell whether another plugin's time limit leaves time for one more block."""
        if self._countdown.limit is None:
            return True
        pace = self.spent_s / block if block else self.plan.block_s
        return self._countdown.left_s - after_s >= pace

    def _describe_cut(self, block: int, asked: Limits, after_s: float) -> str:
        """Say what ended the campaign, and what would give it its whole budget."""
        limit = self._countdown.limit
        assert limit is not None  # noqa: S101 - nothing else takes from the budget
        missing_s = max(0.0, asked.budget_s - self.spent_s) + after_s
        return (
            f"ended after {block} whole blocks, before {limit.name} ends the test after"
            f" {limit.seconds:g} s: for all of --sd-budget"
            f" {self._countdown.describe_need(missing_s)}"
        )

    def _measure_block(self, block: int, labels: Sequence[str]) -> bool:
        """Measure one block.

        Only arms that finished all of their slots gain a sample, and none does if the GPU
        throttled.

        Returns:
            False if the campaign ends: the baseline or the device broke, or the GPU throttled
            too often.
        """
        first = len(self.slots)
        taken = self._take_turns(block, labels) if self.rounds else self._take_slots(block, labels)
        if self._roster.ended:
            return False
        if any(throttling.is_distorted(slot.reading.reasons) for slot in self.slots[first:]):
            return self._discard(first)
        for label, found in taken.items():
            if label == CONTROL or label not in self._roster.errors:
                self.samples[label].append(
                    (
                        statistics.median(one.duration_s for one in found[::2]),
                        statistics.median(one.duration_s for one in found[1::2]),
                    )
                )
                self._keep_stages(label, found)
        return True

    def _keep_stages(self, label: str, found: Sequence[TimedGeneration | StagedSlot]) -> None:
        """Keep what each stage of a block's calls took."""
        first, second = found[0], found[-1]
        if isinstance(first, StagedSlot) and isinstance(second, StagedSlot):
            own = self.stage_samples.setdefault(label, {})
            for stage, seconds in first.stages_s.items():
                own.setdefault(stage, []).append((seconds, second.stages_s[stage]))

    def _take_turns(self, block: int, labels: Sequence[str]) -> dict[str, list[StagedSlot]]:
        """Measure a block by stages: two rounds, in the order of the palindrome's halves.

        Returns:
            Label -> its calls.
        """
        assert self.rounds is not None  # noqa: S101 - the caller asked
        half = len(labels) // 2
        taken: dict[str, list[StagedSlot]] = {}
        for order in (labels[:half], labels[half:]):
            self._watch(self._progress(block))
            for label, found in self.rounds.measure(order).items():
                taken.setdefault(label, []).append(found)
                start_s = found.start_s - self._started_s
                self.slots.append(
                    Slot(
                        label,
                        block,
                        start_s,
                        found.duration_s,
                        found.reading,
                        inside_s=found.inside_s,
                    )
                )
            if self._roster.ended:
                break
        return taken

    def _take_slots(self, block: int, labels: Iterable[str]) -> dict[str, list[TimedGeneration]]:
        """Measure the slots of a block, each a whole call, until the campaign ends.

        Returns:
            Label -> its calls.
        """
        taken: dict[str, list[TimedGeneration]] = {}
        for label in labels:
            arm = self._roster.arm_of(label)
            if arm.name in self._roster.errors:
                continue
            self._watch(self._progress(block, arm.name))
            timed = self._timer.generate(arm, self._limits.case)
            if timed is not None:
                taken.setdefault(label, []).append(timed)
                start_s = timed.start_s - self._started_s
                self.slots.append(
                    Slot(label, block, start_s, timed.duration_s, timed.reading, timed.energy_j)
                )
            if self._roster.ended:
                break
        return taken

    def _progress(self, block: int, arm: str = "") -> Progress:
        return Progress(
            phase="block",
            arm=arm,
            block=block,
            blocks=self.plan.blocks,
            left_s=self._left_s(block),
        )

    def _discard(self, first: int) -> bool:
        """Take a block out, the slots from ``first`` on.

        Tell whether another may be measured in its place.
        """
        self.discarded.append(tuple(self.slots[first:]))
        del self.slots[first:]
        planned, measured = self.plan.blocks, len(self.samples[self._roster.baseline.name])
        exposed = throttling.count_exposed(planned, measured)
        if len(self.discarded) <= throttling.most_discarded(exposed):
            return True
        self.throttled = describe_discarded(self.discarded, exposed, planned)
        return False

    def _left_s(self, block: int) -> float:
        """Return the seconds that the plan still takes, at the pace of the blocks before."""
        spent = self._clock.now() - self._started_s
        pace = self.spent_s / (block - 1) if block > 1 else self.plan.block_s
        planned = self.spent_s + pace * (self.plan.blocks - block + 1)
        return max(0.0, min(self._limits.budget_s, planned) - spent)
