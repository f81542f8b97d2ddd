"""A campaign: palindromic blocks over a baseline and its rows, looked at after fixed numbers of blocks."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pytest_sdspeed.errors import GenerationError, OutOfMemoryError, SdSpeedError
from pytest_sdspeed.judge import speed
from pytest_sdspeed.measure.clock import Clock
from pytest_sdspeed.measure.facts import Arm, CampaignRecord, Decision, Limits, Progress, Slot
from pytest_sdspeed.measure.memory import MemoryMeter, UnknownMemory
from pytest_sdspeed.model import CONTROL

Samples = dict[str, list[tuple[float, float]]]


def _unwatched(_progress: Progress) -> None:
    """Nobody watches."""


def palindrome(baseline: str, rows: Sequence[str], order: random.Random) -> tuple[str, ...]:
    """Slot order of one block.

    The first half holds every row once and the baseline twice, shuffled; the second half is its mirror image, so that every arm's mean
    position is the middle of the block and a linear drift cancels. Of the baseline's two pairs the outer one keeps its name and the
    inner one is called ``model.CONTROL``: a dependence on the position in the block separates them.
    """
    half = [baseline, baseline, *rows]
    order.shuffle(half)
    inner = len(half) - 1 - half[::-1].index(baseline)
    half[inner] = CONTROL
    return (*half, *reversed(half))


def run_campaign(
    baseline: Arm,
    rows: Sequence[Arm],
    limits: Limits,
    clock: Clock,
    *,
    memory: MemoryMeter | None = None,
    watch: Callable[[Progress], None] = _unwatched,
) -> CampaignRecord:
    """Measure rows against their baseline until each is decided or the budget is spent.

    Args:
        baseline: the arm all rows are compared with.
        rows: names must differ from each other, the baseline's and ``model.CONTROL``.
        limits: budget, most blocks, seed.
        clock: tells time and waits for the device.
        memory: meter of the warm-up generations.
        watch: called before every generation, outside the timed region.

    Returns:
        The record. An arm that raises leaves the campaign with its error there; everything measured so far is kept. Where the baseline
        raises, the campaign ends, and every row that was not decided carries that error.
    """
    return _Campaign(baseline, rows, limits, clock, memory or UnknownMemory(), watch).run()


class _Campaign:
    def __init__(
        self,
        baseline: Arm,
        rows: Sequence[Arm],
        limits: Limits,
        clock: Clock,
        memory: MemoryMeter,
        watch: Callable[[Progress], None],
    ) -> None:
        self.baseline, self.limits, self.clock, self.memory, self.watch = baseline, limits, clock, memory, watch
        self.arms = {arm.name: arm for arm in (baseline, *rows)}
        if len(self.arms) != len(rows) + 1 or CONTROL in self.arms:
            raise ValueError(f"arms need distinct names other than {CONTROL!r}: {[baseline.name, *(row.name for row in rows)]}")
        self.active = {row.name: row for row in rows}
        self.samples: Samples = {name: [] for name in (*self.arms, CONTROL)}
        self.pictures: dict[str, dict[int, Any]] = {name: {} for name in self.arms}
        self.peaks: dict[str, int | None] = {}
        self.costs: dict[str, float] = {}
        self.errors: dict[str, Exception] = {}
        self.decisions: dict[str, Decision] = {}
        self.slots: list[Slot] = []
        self.looks: tuple[int, ...] = ()
        self.critical: tuple[float, ...] = ()
        self.block_s = self.timed_s = self.started = 0.0

    def run(self) -> CampaignRecord:
        self._warm_up()
        if self.baseline.name not in self.errors:
            self._plan()
            with _collecting_between_slots():
                self._timed_part()
            self._close()
        pairs = self.samples[self.baseline.name], self.samples[CONTROL]
        return CampaignRecord(
            baseline=self.baseline.name,
            samples_s=self.samples,
            slots=tuple(self.slots),
            pictures=self.pictures,
            decisions=self.decisions,
            errors=self.errors,
            peak_bytes=self.peaks,
            control=speed.control_interval(*pairs),
            looks=self.looks,
            block_s=self.block_s,
            timed_s=self.timed_s,
        )

    def _warm_up(self) -> None:
        """Two generations of every arm, of two seeds: compilers and caches settle, and the second tells what a slot costs."""
        for arm in self.arms.values():
            for seed in self.limits.picture_seeds:
                self.watch(Progress(phase="warm-up", arm=arm.name))
                self.memory.start()
                taken = self._generate(arm, seed)
                if taken is None:
                    break
                self.costs[arm.name] = taken
                self.peaks[arm.name] = self.memory.peak_bytes()
            if self.baseline.name in self.errors:
                return

    def _plan(self) -> None:
        """Fix the looks before the first one."""
        self.block_s = 4 * self.costs[self.baseline.name] + 2 * sum(self.costs[name] for name in self.active)
        self.looks = speed.affordable_looks(self.limits.max_blocks, self.block_s, self.limits.budget_s)
        self.critical = speed.boundaries(self.looks)

    def _timed_part(self) -> None:
        gated = bool(self.active)
        order = random.Random(self.limits.seed)  # noqa: S311 - an experiment's order, not a secret
        self.started = self.clock.now()
        for block in range(1, self.looks[-1] + 1):
            if not self._block(block, palindrome(self.baseline.name, list(self.active), order)):
                break
            if block in self.looks:
                self._look(self.looks.index(block))
            self.timed_s = self.clock.now() - self.started
            done = not self.active if gated else block == self.looks[0]
            if done or (block >= speed.LEAST_BLOCKS and self.timed_s >= self.limits.budget_s):
                break
        self.timed_s = self.clock.now() - self.started

    def _block(self, block: int, order: Iterable[str]) -> bool:
        """One block. Only arms that finished both of their slots gain a sample.

        Returns:
            False where the baseline broke.
        """
        taken: dict[str, list[float]] = {}
        for label in order:
            arm = self.baseline if label == CONTROL else self.arms[label]
            if arm.name in self.errors:
                continue
            self.watch(Progress(phase="block", arm=arm.name, block=block, blocks=self.looks[-1], left_s=self._left(block)))
            start = self.clock.now() - self.started
            duration = self._generate(arm, self.limits.seed)
            if duration is not None:
                taken.setdefault(label, []).append(duration)
                self.slots.append(Slot(label, block, start, duration))
        if self.baseline.name in self.errors:
            return False
        for label, durations in taken.items():
            if label == CONTROL or label not in self.errors:
                self.samples[label].append((durations[0], durations[1]))
        return True

    def _left(self, block: int) -> float:
        """Seconds the plan still takes at the pace so far."""
        spent = self.clock.now() - self.started
        pace = spent / (block - 1) if block > 1 else self.block_s
        return min(self.limits.budget_s - spent, pace * (self.looks[-1] - block + 1))

    def _generate(self, arm: Arm, seed: int) -> float | None:
        """Generate once and keep the pictures.

        Returns:
            Seconds, or None where the arm raised; it has then left the campaign.
        """
        try:
            with arm.slot():
                self.clock.synchronize()
                start = self.clock.now()
                pictures = arm.generate(seed)
                self.clock.synchronize()
                duration = self.clock.now() - start
        except Exception as error:  # noqa: BLE001 - whatever an arm raises ends that arm, never the others
            self.errors[arm.name] = explained(arm.name, error)
            self.active.pop(arm.name, None)
            return None
        self.pictures[arm.name][seed] = pictures
        gc.collect()
        return duration

    def _look(self, index: int) -> None:
        for name in list(self.active):
            decision = self._decision(name, self.critical[index], self.active[name].floor)
            if decision.verdict != "inconclusive":
                self.decisions[name] = decision
                del self.active[name]

    def _decision(self, name: str, critical: float, floor: float | None) -> Decision:
        pairs = self.samples[name]
        both = zip(self.samples[self.baseline.name], self.samples[CONTROL], strict=True)
        ratios = speed.log_ratios([(*outer, *inner) for outer, inner in both][: len(pairs)], pairs)
        found = speed.interval(ratios, critical)
        verdict = "pass" if floor is None else speed.decide(found, floor)
        more = None
        if verdict is None and floor is not None:
            needed = speed.blocks_to_decide(ratios, floor, critical)
            more = None if needed is None else max(1, needed - len(pairs))
        return Decision(
            verdict=verdict or "inconclusive",
            interval=found,
            blocks=len(pairs),
            more_blocks=more,
            resolves=found.high / found.speedup - 1,
        )

    def _close(self) -> None:
        """Say where the undecided rows stand; no look was planned here, so nothing is decided any more."""
        for name in self.active:
            if self.baseline.name in self.errors:
                self.errors[name] = self.errors[self.baseline.name]
                continue
            blocks = len(self.samples[name])
            critical = next((c for look, c in zip(self.looks, self.critical, strict=True) if look >= blocks), self.critical[-1])
            self.decisions[name] = _undecided(self._decision(name, critical, self.active[name].floor))


def _undecided(decision: Decision) -> Decision:
    return Decision(
        verdict="inconclusive",
        interval=decision.interval,
        blocks=decision.blocks,
        more_blocks=decision.more_blocks or 1,
        resolves=decision.resolves,
    )


def explained(arm: str, error: Exception) -> SdSpeedError:
    """An arm's exception as one of this package's own, with the first line of its text: torch prints whole tensors into some."""
    if isinstance(error, SdSpeedError):
        return error
    first = (str(error).strip() or "no message").splitlines()[0][:300]
    # By name, since this room does not import torch, whose OutOfMemoryError is no MemoryError.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return OutOfMemoryError(f"{arm} ran out of memory: {first}").with_traceback(error.__traceback__)
    return GenerationError(f"{arm} raised {type(error).__name__}: {first}").with_traceback(error.__traceback__)


@contextmanager
def _collecting_between_slots() -> Iterator[None]:
    """Keep the garbage collector out of the slots, and what exists already out of the collections between them."""
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
