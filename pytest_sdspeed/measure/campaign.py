"""A campaign: a baseline and its rows, built, warmed up, proven, timed block by block, profiled."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_sdspeed.judge.speed import intervals
from pytest_sdspeed.judge.speed.whole_calls import LEAST_DIFFERENCE
from pytest_sdspeed.measure.campaign_data import (
    Arm,
    CampaignData,
    Limits,
    Progress,
    StageData,
    ignore_progress,
)
from pytest_sdspeed.measure.canary import CanaryTimes, pair_times, time_canary
from pytest_sdspeed.measure.collector import collect_between_slots
from pytest_sdspeed.measure.countdown import Countdown
from pytest_sdspeed.measure.foresight import foresee
from pytest_sdspeed.measure.memory import MemoryMeter, UnknownMemory
from pytest_sdspeed.measure.profiling import profile_arms
from pytest_sdspeed.measure.proving import prove_arms
from pytest_sdspeed.measure.roster import Roster
from pytest_sdspeed.measure.rounds import open_rounds
from pytest_sdspeed.measure.slot_timer import SlotTimer
from pytest_sdspeed.measure.staging import Staging
from pytest_sdspeed.measure.timed_part import TimedPart
from pytest_sdspeed.measure.tracers import list_unstoppable, name_tracer
from pytest_sdspeed.measure.warm_up import (
    References,
    WarmUp,
    build_arms,
    draw_references,
    warm_up_arms,
)
from pytest_sdspeed.measure.whole_calls import draw_whole_calls
from pytest_sdspeed.model import CONTROL, Telemetry, UnknownTelemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_sdspeed.measure.block_plan import BlockPlan
    from pytest_sdspeed.measure.canary import Operations
    from pytest_sdspeed.measure.clock import Clock
    from pytest_sdspeed.measure.rounds import Rounds
    from pytest_sdspeed.measure.staging import StagedPlan
    from pytest_sdspeed.measure.whole_calls import Compared
    from pytest_sdspeed.model import Contrast, Profile, Proof
    from pytest_sdspeed.model.costs import Loaded


def run_campaign(
    baseline: Arm,
    rows: Sequence[Arm],
    limits: Limits,
    clock: Clock,
    *,
    memory: MemoryMeter | None = None,
    telemetry: Telemetry | None = None,
    canary: Callable[[], Operations] = dict,
    watch: Callable[[Progress], None] = ignore_progress,
    contrasts: Sequence[Contrast] = (),
) -> CampaignData:
    """Measure rows against their baseline until each is decided or the budget is spent.

    Args:
        baseline: the arm all rows are compared with.
        rows: names must differ from each other, the baseline's and ``model.CONTROL``.
        limits: budget, most blocks, seed.
        clock: tells time and waits for the device.
        memory: meter of the warm-up generations.
        telemetry: what the device says, asked right before and right after every timed region.
        canary: the operations that are timed right before and right after the timed part, asked for
            after warm-up.
        watch: called before every generation, outside the timed region.
        contrasts: arms whose ratio to each other is to be decided as well.

    Returns:
        The data. An arm that raises leaves the campaign with its error there; everything measured
        so far is kept. If the baseline raises, or the device no longer answers, the campaign ends,
        and every row that was not decided carries that error.
    """
    meter, reader = memory or UnknownMemory(), telemetry or UnknownTelemetry()
    return _Campaign(
        baseline,
        rows,
        limits,
        clock,
        memory=meter,
        telemetry=reader,
        canary=canary,
        watch=watch,
        contrasts=contrasts,
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
        contrasts: Sequence[Contrast],
    ) -> None:
        self.limits, self.clock, self.memory = limits, clock, memory
        self.telemetry, self.canary, self.watch = telemetry, canary, watch
        self.countdown = Countdown(limits.time_limit, clock)
        self.roster = Roster(baseline, rows, clock, memory)
        self.staging = Staging(limits.unit if limits.timed else "call", limits.case)
        self.timer = SlotTimer(self.roster, clock, telemetry, limits.case, self.staging)
        self.timed_part = TimedPart(
            self.roster,
            limits,
            clock,
            self.timer,
            watch,
            countdown=self.countdown,
            contrasts=contrasts,
            announce=self._announce,
        )
        self.warm_up = WarmUp({}, {}, {})
        self.loaded: dict[str, Loaded] = {}
        self.stages: StageData | None = None
        self.references: References = {}
        self.canary_before = self.canary_after = CanaryTimes({}, {})
        self.profiles: dict[str, Profile] = {}
        self.proofs: dict[str, tuple[Proof, ...]] = {}

    def run(self) -> CampaignData:
        """Run every phase that can still be run, and return what was measured."""
        self.loaded = build_arms(self.roster, self._watch_building)
        if not self.roster.ended:
            self.warm_up = warm_up_arms(
                self.roster, self.limits.cases, self.timer, self.memory, self._watch_warm_up
            )
        self.proofs = prove_arms(self.roster, self.limits.case, self.watch)
        self.references = draw_references(self.roster, self.limits.cases, self.clock, self.watch)
        if self.limits.timed and not self.roster.ended:
            self._measure()
        elif not self.roster.ended:
            self.roster.check_all()
        timed = self.timed_part
        timed.decisions.close(timed.plan.blocks, timed.throttled)
        return self._data()

    def _measure(self) -> None:
        """Time the canary, the blocks, the canary again, and profile the arms that are left."""
        operations = self.canary()
        with collect_between_slots():
            begun = self.countdown.left_s
            self.canary_before = self._time_canary(operations)
            after_s = _spent(begun, self.countdown.left_s)
            plan = self.staging.plan(self.roster)
            opened = plan and open_rounds(self.roster, self.timer, self.staging, plan)
            if opened:
                self._measure_by_stages(*opened, after_s)
            else:
                self.staging.close()
                self.timed_part.run(self.warm_up.costs_s, after_s=after_s)
            self.roster.check_all()
            self.canary_after = self._time_canary({} if self.roster.unusable else operations)
            profiles = self.countdown.allows_profiles(self.warm_up.costs_s)
            if profiles and not self.roster.unusable:
                self.profiles, self.roster.unusable = profile_arms(
                    self.roster.remaining, self.limits.case, self.clock, self.watch
                )

    def _measure_by_stages(self, rounds: Rounds, plan: StagedPlan, after_s: float) -> None:
        """Measure blocks by stages, and whole calls after them."""
        self.timed_part.rounds = rounds
        self.timed_part.decisions.widen(LEAST_DIFFERENCE)
        costs_s = self.warm_up.costs_s
        whole_s = 2 * sum(costs_s[arm.name] for arm in self.roster.remaining)
        self.timed_part.run(dict(plan.costs_s), after_s=after_s + whole_s)
        self.staging.close()
        timed = self.timed_part
        whole = draw_whole_calls(
            self.roster,
            self.timer,
            self.limits.case,
            self.watch,
            compared=self._list_compared(),
            samples_s=timed.samples,
            has_time=lambda: self.countdown.left_s - after_s > whole_s,
        )
        self.stages = StageData(
            sampling=plan.sampling,
            samples_s=timed.stage_samples,
            whole_s=whole,
            verdicts=timed.decisions.stages.verdicts,
        )

    def _list_compared(self) -> list[Compared]:
        """List what the looks decided: rows with a floor beside the baseline, and contrasts."""
        decisions, base = self.timed_part.decisions, self.roster.baseline.name
        rows = [
            ((name, base), one) for name, one in decisions.decided.items() if one.floor is not None
        ]
        contrasts = decisions.contrasts.decided.items()
        return rows + [((pair.faster, pair.slower), one) for pair, one in contrasts]

    def _announce(self, blocks: BlockPlan, costs_s: Mapping[str, float]) -> None:
        """Tell the watcher what the campaign will cost, before its first block."""
        rounds = self.timed_part.rounds
        plan = foresee(
            blocks,
            costs_s,
            self.warm_up.costs_s,
            self.roster.baseline.name,
            list(self.roster.active),
            family_size=self.timed_part.decisions.family_size,
            profiled=[arm.name for arm in self.roster.remaining if arm.profile],
            sampling=rounds.sampling if rounds else None,
            refused=self.staging.refused,
        )
        self.watch(Progress(phase="plan", plan=plan))

    def _watch_building(self, progress: Progress) -> None:
        self.countdown.check_building()
        self.watch(progress)

    def _watch_warm_up(self, progress: Progress) -> None:
        self.countdown.note_generation(len(self.roster.arms), len(self.limits.cases))
        self.watch(progress)

    def _time_canary(self, operations: Operations) -> CanaryTimes:
        if operations:
            self.watch(Progress(phase="canary"))
        return time_canary(operations, self.clock)

    def _data(self) -> CampaignData:
        roster, timed, baseline = self.roster, self.timed_part, self.roster.baseline.name
        return CampaignData(
            baseline=baseline,
            samples_s=timed.samples,
            slots=tuple(timed.slots),
            pictures=self.timer.pictures,
            references=self.references,
            decisions=timed.decisions.decided,
            errors=roster.errors,
            peak_bytes=self.warm_up.peak_bytes,
            loaded=self.loaded,
            warm_up_s=self.warm_up.seconds,
            compiled=self.warm_up.compiled,
            control=intervals.control_interval(
                timed.samples[baseline], timed.samples[CONTROL], self.limits.campaigns
            ),
            looks=timed.plan.looks,
            planned_blocks=timed.plan.blocks,
            repeats=timed.plan.repeats,
            block_s=timed.plan.block_s,
            timed_s=timed.spent_s,
            case=self.limits.case,
            canary_s=pair_times(self.canary_before, self.canary_after),
            canary_errors=self.canary_before.errors | self.canary_after.errors,
            profiles=self.profiles,
            proofs=self.proofs,
            discarded=tuple(timed.discarded),
            throttled=timed.throttled,
            unusable=roster.unusable,
            telemetry_note=self.telemetry.note,
            tracers=(
                *(f"{name} cannot be suspended" for name in sorted(self.timer.tracers)),
                *list_unstoppable(),
            ),
            traced=name_tracer(),
            cut_short=timed.cut_short,
            contrasts=timed.decisions.contrasts.decided,
            stages=self.stages,
            unstaged=self.staging.refused,
        )


def _spent(before_s: float, after_s: float) -> float:
    """Return what a countdown has lost; 0 if nothing is counted down."""
    return before_s - after_s if math.isfinite(before_s) else 0.0
