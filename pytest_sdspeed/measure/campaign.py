"""A campaign: palindromic blocks over a baseline and its rows, looked at after fixed numbers of blocks."""

from __future__ import annotations

import gc
import math
import random
import statistics
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.errors import (
    GenerationError,
    OutOfMemoryError,
    SdSpeedError,
    ThrottledError,
    explain,
)
from pytest_sdspeed.judge.speed import intervals, stopping, throttling
from pytest_sdspeed.measure.campaign_data import Arm, CampaignData, Decision, Limits, Progress, Slot
from pytest_sdspeed.measure.canary import CanaryTimes, pair_times, time_canary
from pytest_sdspeed.measure.collector import collecting_between_slots
from pytest_sdspeed.measure.memory import MemoryMeter, UnknownMemory
from pytest_sdspeed.measure.order import palindrome
from pytest_sdspeed.measure.profiling import check_usable, profile_arms
from pytest_sdspeed.measure.telemetry import describe_discarded, spent_j
from pytest_sdspeed.model import CONTROL, Case, Reading, Telemetry, UnknownTelemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pytest_sdspeed.errors import UnusableDeviceError
    from pytest_sdspeed.measure.canary import Operations
    from pytest_sdspeed.measure.clock import Clock
    from pytest_sdspeed.model import Profile

Samples = dict[str, list[tuple[float, float]]]


class _Timed(NamedTuple):
    """One timed generation, as a slot has it; it began at ``start_s`` by the campaign's clock."""

    start_s: float
    duration_s: float
    reading: Reading
    energy_j: float | None


def _unwatched(_progress: Progress) -> None:
    """Nobody watches."""


def run_campaign(
    baseline: Arm,
    rows: Sequence[Arm],
    limits: Limits,
    clock: Clock,
    *,
    memory: MemoryMeter | None = None,
    telemetry: Telemetry | None = None,
    canary: Callable[[], Operations] = dict,
    watch: Callable[[Progress], None] = _unwatched,
) -> CampaignData:
    """Measure rows against their baseline until each is decided or the budget is spent.

    Args:
        baseline: the arm all rows are compared with.
        rows: names must differ from each other, the baseline's and ``model.CONTROL``.
        limits: budget, most blocks, seed.
        clock: tells time and waits for the device.
        memory: meter of the warm-up generations.
        telemetry: asked right before and right after every timed region.
        canary: the operations that are timed right before and right after the timed part, asked for
            after warm-up.
        watch: called before every generation, outside the timed region.

    Returns:
        The record. An arm that raises leaves the campaign with its error there; everything measured
        so far is kept. Where the baseline raises, or the device no longer answers, the campaign
        ends, and every row that was not decided carries that error.
    """
    meter, said = memory or UnknownMemory(), telemetry or UnknownTelemetry()
    return _Campaign(
        baseline, rows, limits, clock, memory=meter, telemetry=said, canary=canary, watch=watch
    ).run()


class _Campaign:
    def __init__(
        self,
        baseline: Arm,
        rows: Sequence[Arm],
        limits: Limits,
        clock: Clock,
        *,
        memory: MemoryMeter,
        telemetry: Telemetry,
        canary: Callable[[], Operations],
        watch: Callable[[Progress], None],
    ) -> None:
        self.baseline, self.limits, self.clock = baseline, limits, clock
        self.memory, self.telemetry, self.canary, self.watch = memory, telemetry, canary, watch
        self.arms = {arm.name: arm for arm in (baseline, *rows)}
        if len(self.arms) != len(rows) + 1 or CONTROL in self.arms:
            raise ValueError(
                f"arms need distinct names other than {CONTROL!r}:"
                f" {[baseline.name, *(row.name for row in rows)]}"
            )
        self.active = {row.name: row for row in rows}
        self.samples: Samples = {name: [] for name in (*self.arms, CONTROL)}
        self.pictures: dict[str, dict[Case, Any]] = {name: {} for name in self.arms}
        self.references: dict[str, dict[Case, Any]] = {
            name: {} for name, arm in self.arms.items() if arm.reference
        }
        self.peaks: dict[str, int | None] = {}
        self.costs: dict[str, float] = {}
        self.warm_up_s: dict[str, list[float]] = {}
        self.errors: dict[str, Exception] = {}
        self.decisions: dict[str, Decision] = {}
        self.failed: set[str] = set()
        self.slots: list[Slot] = []
        self.discarded: list[tuple[Slot, ...]] = []
        self.throttled = ""
        self.unusable: UnusableDeviceError | None = None
        self.canary_before = self.canary_after = CanaryTimes({}, {})
        self.profiles: dict[str, Profile] = {}
        self.blocks, self.turns = 0, 1
        self.looks: tuple[int, ...] = ()
        self.at_stake = max(limits.rows, sum(row.floor is not None for row in rows), 1)
        self.block_s = self.timed_s = self.started = 0.0

    def run(self) -> CampaignData:
        for phase in (self._prepare, self._warm_up, self._draw_references):
            if not self._ended:
                phase()
        if not self._ended:
            operations = self.canary()
            with collecting_between_slots():
                self.canary_before = self._time_canary(operations)
                self._timed_part()
                self.canary_after = self._time_canary({} if self.unusable else operations)
                if not self.unusable:
                    held_out = [arm for arm in self.arms.values() if arm.name not in self.errors]
                    self.profiles, self.unusable = profile_arms(
                        held_out, self.limits.case, self.clock, self.watch
                    )
        self._close()
        return CampaignData(
            baseline=self.baseline.name,
            samples_s=self.samples,
            slots=tuple(self.slots),
            pictures=self.pictures,
            references=self.references,
            decisions=self.decisions,
            errors=self.errors,
            peak_bytes=self.peaks,
            warm_up_s=self.warm_up_s,
            control=intervals.control_interval(
                self.samples[self.baseline.name], self.samples[CONTROL], self.limits.campaigns
            ),
            looks=self.looks,
            planned_blocks=self.blocks,
            turns=self.turns,
            block_s=self.block_s,
            timed_s=self.timed_s,
            case=self.limits.case,
            canary_s=pair_times(self.canary_before, self.canary_after),
            canary_errors=self.canary_before.errors | self.canary_after.errors,
            profiles=self.profiles,
            discarded=tuple(self.discarded),
            throttled=self.throttled,
            unusable=self.unusable,
            telemetry_note=self.telemetry.note,
        )

    @property
    def _ended(self) -> bool:
        """Whether the baseline, or the device, broke."""
        return self.baseline.name in self.errors

    @collecting_between_slots()
    def _warm_up(self) -> None:
        """A generation of every arm for every case, two at least: compilers and caches settle, and the fastest tells what a slot costs."""
        for arm in [arm for arm in self.arms.values() if arm.name not in self.errors]:
            for case in self.limits.cases:
                self.watch(Progress(phase="warm-up", arm=arm.name))
                self.memory.start()
                taken = self._generate(arm, case)
                if taken is None:
                    break
                self.warm_up_s.setdefault(arm.name, []).append(taken.duration_s)
                # Compiling and contention only slow.
                self.costs[arm.name] = min(
                    taken.duration_s, self.costs.get(arm.name, taken.duration_s)
                )
                extra = self.memory.peak_bytes()
                self.peaks[arm.name] = None if extra is None else arm.held_bytes() + extra
            if self._ended:
                return

    def _prepare(self) -> None:
        """Build every arm before the first warm-up, so that one arm's peak memory does not hold the building of another."""
        for arm in self.arms.values():
            self.watch(Progress(phase="build", arm=arm.name))
            try:
                arm.prepare()
                if arm.reference:
                    arm.reference.prepare()
            except Exception as error:  # noqa: BLE001 - whatever an arm raises ends that arm, never the others
                self._leave(arm, explain(arm.name, error))
            if self._ended:
                return

    def _draw_references(self) -> None:
        """The pictures that some arms are compared with in the baseline's place."""
        for arm in [arm for arm in self.arms.values() if arm.name not in self.errors]:
            if arm.reference is None:
                continue
            for case in self.limits.cases:
                self.watch(Progress(phase="reference pictures", arm=arm.name))
                try:
                    self.references[arm.name][case] = self._drawn(arm.reference, case)
                except Exception as error:  # noqa: BLE001 - whatever an arm raises ends that arm, never the others
                    self._leave(arm, explain(arm.name, error))
                    break
                gc.collect()
            if self._ended:
                return

    def _drawn(self, arm: Arm, case: Case) -> Any:
        """What an arm generates, waited for, whatever time it takes."""
        with arm.slot():
            pictures = arm.generate(case)
            self.clock.synchronize()
            return pictures

    def _time_canary(self, operations: Operations) -> CanaryTimes:
        if operations:
            self.watch(Progress(phase="canary"))
        return time_canary(operations, self.clock)

    def _enough_turns(self, turn_s: float) -> int:
        """How many palindromes make a block: enough for slots of the wanted length, and not so many that they cost blocks."""
        wanted = math.ceil(self.limits.slot_s / min(self.costs.values()))
        return max(1, min(wanted, int(self.limits.budget_s / (self.limits.max_blocks * turn_s))))

    def _plan(self, block_s: float) -> None:
        """Fix the looks, always before the first one."""
        self.block_s = block_s
        self.blocks = stopping.affordable_blocks(
            self.limits.max_blocks, block_s, self.limits.budget_s
        )
        self.looks = stopping.looks(self.blocks)

    def _timed_part(self) -> None:
        gated = bool(self.active)
        turn_s = 4 * self.costs[self.baseline.name] + 2 * sum(
            self.costs[name] for name in self.active
        )
        self.turns = self._enough_turns(turn_s)
        self._plan(self.turns * turn_s)
        order = random.Random(self.limits.seed)  # noqa: S311 - an experiment's order, not a secret
        self.started = self.clock.now()
        block, done = 0, False
        while block < self.blocks and not done:
            if not self._block(
                block + 1,
                chain(
                    *(
                        palindrome(self.baseline.name, list(self.active), order)
                        for _ in range(self.turns)
                    )
                ),
            ):
                break
            block = len(self.samples[self.baseline.name])
            # Asked again after a discarded block, a look finds what it found.
            if block in self.looks:
                self._look(block)
            self.timed_s = self.clock.now() - self.started
            if block == stopping.LEAST_BLOCKS:
                # Contention and compiling only slow: warm-up may have been slower than what
                # follows.
                self._plan(min(self.block_s, self.timed_s / (block + len(self.discarded))))
            done = not self.active if gated else block in self.looks
            done = done or (block >= stopping.LEAST_BLOCKS and self.timed_s >= self.limits.budget_s)
        self.timed_s = self.clock.now() - self.started

    def _block(self, block: int, order: Iterable[str]) -> bool:
        """One block. Only arms that finished all of their slots gain a sample, and none does where the GPU throttled.

        Returns:
            False where the campaign ends: the baseline or the device broke, or the GPU throttled
                too often.
        """
        taken: dict[str, list[float]] = {}
        first = len(self.slots)
        for label in order:
            arm = self.baseline if label == CONTROL else self.arms[label]
            if arm.name in self.errors:
                continue
            self.watch(
                Progress(
                    phase="block",
                    arm=arm.name,
                    block=block,
                    blocks=self.blocks,
                    left_s=self._left(block),
                )
            )
            timed = self._generate(arm, self.limits.case)
            if timed is not None:
                taken.setdefault(label, []).append(timed.duration_s)
                self.slots.append(Slot(label, block, timed.start_s - self.started, *timed[1:]))
            if self._ended:
                return False
        if any(throttling.distorted(slot.reading.reasons) for slot in self.slots[first:]):
            return self._discard(first)
        for label, durations in taken.items():
            if label == CONTROL or label not in self.errors:
                self.samples[label].append(
                    (statistics.median(durations[::2]), statistics.median(durations[1::2]))
                )
        return True

    def _discard(self, first: int) -> bool:
        """Take a block out, the slots from ``first`` on. Returns whether another may be measured in its place."""
        self.discarded.append(tuple(self.slots[first:]))
        del self.slots[first:]
        if len(self.discarded) <= throttling.most_discarded(self.blocks):
            return True
        self.throttled = describe_discarded(self.discarded, self.blocks)
        return False

    def _left(self, block: int) -> float:
        """Seconds the plan still takes at the pace of the blocks before this one."""
        spent = self.clock.now() - self.started
        pace = self.timed_s / (block - 1) if block > 1 else self.block_s
        planned = self.timed_s + pace * (self.blocks - block + 1)
        return max(0.0, min(self.limits.budget_s, planned) - spent)

    def _generate(self, arm: Arm, case: Case) -> _Timed | None:
        """Generate once, keep the pictures, and collect the garbage.

        Returns:
            When and how long, or None where the arm raised; it has then left the campaign.
        """
        timed = self._generate_timed(arm, case)
        gc.collect()
        return timed

    def _generate_timed(self, arm: Arm, case: Case) -> _Timed | None:
        try:
            with arm.slot():
                self.clock.synchronize()
                energy_j = self.telemetry.read_energy_j()
                start = self.clock.now()
                pictures, duration = arm.timed(case) if arm.timed else self._timed(arm, case, start)
                reading = self.telemetry.read()
        except Exception as error:  # noqa: BLE001 - whatever an arm raises ends that arm, never the others
            self._leave(arm, explain(arm.name, error))
            return None
        if duration <= 0:
            self._leave(
                arm,
                GenerationError(
                    f"{arm.name} took no time that the clock can tell: let one call do more work"
                ),
            )
            return None
        self.pictures[arm.name][case] = pictures
        return _Timed(start, duration, reading, spent_j(energy_j, reading.energy_j))

    def _timed(self, arm: Arm, case: Case, start: float) -> tuple[Any, float]:
        pictures = arm.generate(case)
        self.clock.synchronize()
        return pictures, self.clock.now() - start

    def _leave(self, arm: Arm, error: SdSpeedError) -> None:
        self.active.pop(arm.name, None)
        self.unusable = check_usable(self.clock, error)
        if self.unusable:
            self.errors |= {arm.name: self.unusable, self.baseline.name: self.unusable}
        else:
            self.errors[arm.name] = (
                OutOfMemoryError(f"{error}{self.memory.shortage()}")
                if isinstance(error, OutOfMemoryError)
                else error
            )

    def _look(self, blocks: int) -> None:
        """Decide what can be decided. A row that fails leaves its share of the error to the others (Holm 1979), which are then asked again."""
        asked_again = True
        while asked_again:
            found = {name: self._decision(name, blocks) for name in self.active}
            decided = {
                name: decision
                for name, decision in found.items()
                if decision.verdict != "inconclusive"
            }
            failed = {
                name for name, decision in decided.items() if decision.verdict == "fail"
            } - self.failed
            self.decisions |= decided
            self.active = {
                name: row
                for name, row in self.active.items()
                if name not in decided or not _may_leave(row, decided[name])
            }
            self.failed |= failed
            self.at_stake = max(1, self.at_stake - len(failed))
            asked_again = bool(failed)

    def _decision(self, name: str, look: int) -> Decision:
        # Arms only ever leave: a row took part in the first blocks of the baseline, without a gap.
        pairs, floor = self.samples[name], self.arms[name].floor
        outer, inner = (self.samples[arm][: len(pairs)] for arm in (self.baseline.name, CONTROL))
        ratios = intervals.log_ratios([outer, inner], [pairs])
        found = intervals.interval(
            ratios, stopping.critical_value(look), stopping.critical_value(look, self.at_stake)
        )
        verdict = "pass" if floor is None else intervals.decide(found, floor)
        more = None
        if verdict is None and floor is not None:
            needed = intervals.blocks_to_decide(ratios, floor, self.at_stake)
            more = None if needed is None else needed - len(pairs)
        return Decision(
            verdict=verdict or "inconclusive",
            interval=found,
            blocks=len(pairs),
            more_blocks=more,
            resolves=intervals.resolvable(ratios, self.blocks, self.at_stake),
        )

    def _close(self) -> None:
        """Say where the undecided rows stand; no look was planned here, so nothing is decided any more.

        An arm that raised keeps what its whole blocks say beside its error.
        """
        if self.throttled and len(self.samples[self.baseline.name]) < stopping.LEAST_BLOCKS:
            self.errors[self.baseline.name] = ThrottledError(
                f"invalid: {self.throttled}, and fewer than {stopping.LEAST_BLOCKS} are left"
            )
        for name, arm in self.arms.items():
            if name in self.decisions or arm is self.baseline:
                continue
            if self.baseline.name in self.errors:
                self.errors.setdefault(name, self.errors[self.baseline.name])
            blocks = len(self.samples[name])
            if blocks >= stopping.LEAST_BLOCKS:
                decision = self._decision(name, blocks)
                self.decisions[name] = decision if arm.floor is None else _undecided(decision)


def _may_leave(row: Arm, decision: Decision) -> bool:
    return row.settled is None or row.settled(decision)


def _undecided(decision: Decision) -> Decision:
    """What the interval says where no look was planned: it needs the next look, even where it seems to decide."""
    more = decision.more_blocks
    if decision.verdict != "inconclusive":
        more = next(
            (look - decision.blocks for look in stopping.later_looks(decision.blocks)), None
        )
    return replace(decision, verdict="inconclusive", more_blocks=more)
