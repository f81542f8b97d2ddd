"""One run against another version: two workers, and a campaign for every setup."""

from __future__ import annotations

import math
import statistics
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import (
    ChangedPartError,
    SdSpeedError,
    UnsupportedError,
    UsageMistakeError,
    WorkerLostError,
)
from pytest_sdspeed.model import Against, Interval
from pytest_sdspeed.run.campaigns import Measured
from pytest_sdspeed.run.outcomes import find_without_effect
from pytest_sdspeed.versions.arms import RemoteArm, WorkersMemory
from pytest_sdspeed.versions.workers import Worker, note_same_code, start_missing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_sdspeed.measure.campaign_data import Arm, CampaignData, Decision
    from pytest_sdspeed.model import Result
    from pytest_sdspeed.run.plan import Plan
    from pytest_sdspeed.run.run import Run
    from pytest_sdspeed.run.targets import Target
    from pytest_sdspeed.setups.catalog import ResolvedSetup
    from pytest_sdspeed.versions.environments import Environment
    from pytest_sdspeed.versions.workers import WorkerConfig

TOLERANCE = 0.03
"""Fraction that the version in hand may be slower by, unless ``--sd-tolerance`` says otherwise."""
_SLOT_S = 0.1
"""Least seconds of a slot, which repeats shorter generations: a floor of 3% needs more single
ones than the last look has blocks."""
_ROUNDS, _ROUNDS_OF_SLOWER, _MOST_ROUNDS = 1, 3, 50
"""Palindromes of generations that stages are timed over: the least for a row that passes, the least
for one that does not, and the most for both."""
_STAGES_S, _STAGES_OF_SLOWER_S = 5.0, 15.0
"""Seconds that these palindromes may take if they are more than the least."""
_LEAST_STAGE = 0.02
"""Share of a generation below which a stage is left out: the time of a few palindromes is noise."""


class Comparison:
    """Measures the version in hand against another one, each in its own process.

    Args:
        run: run of this process, which judges and keeps the results.
        spec: what the other version is, as ``--sd-against`` was given.
        new: environment of the version in hand.
        old: environment of the other version.
        told: what every worker is told.
    """

    def __init__(
        self, run: Run, spec: str, *, new: Environment, old: Environment, told: WorkerConfig
    ) -> None:
        self._run, self._spec = run, spec
        self._new, self._old = Worker("new", new, told), Worker("old", old, told)
        self._control = Worker("control", old, told) if run.options.against_control else None
        self._memory = WorkersMemory()
        self._results: dict[tuple[str, ...], Result] = {}

    @property
    def _workers(self) -> tuple[Worker, ...]:
        return (self._new, self._old, *((self._control,) if self._control else ()))

    def open(self, setups: Iterable[ResolvedSetup]) -> None:
        """Start the workers, and check that each has every setup that will be asked for.

        ``close`` must follow, even if this raises.

        Raises:
            UsageMistakeError: a version does not start, does not import, or lacks a setup.
        """
        try:
            start_missing(self._workers)
            for resolved in setups:
                for worker in self._workers:
                    self._check(worker, resolved)
        except SdSpeedError as error:
            raise UsageMistakeError(f"--sd-against={self._spec}: {error}") from None

    def _check(self, worker: Worker, resolved: ResolvedSetup) -> None:
        try:
            worker.ask("check", ("setup", resolved.table.name, resolved.setup))
        except WorkerLostError:
            raise
        except SdSpeedError as error:
            raise UsageMistakeError(
                f"{worker.environment.label} cannot draw setup {resolved.setup!r}: {error}"
            ) from None

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.stop()

    def release(self) -> None:
        """Free the memory of what the workers built."""
        for worker in self._workers:
            if worker.alive:
                worker.ask("release")

    def measure(self, candidate: Target, baseline: Target | None, plan: Plan) -> Measured:
        """Measure a target in both versions, and judge; see ``Measurer``.

        The other version is the baseline: the documented speed-up, ``baseline`` and the marker do
        not count.
        """
        del baseline
        named = _name_for_workers(candidate)
        if named not in self._results or plan.earlier:
            # Of targets before this one the figures stay, for tests that share them.
            self._results = {
                known: replace(result, images=None) for known, result in self._results.items()
            }
            self._results[named] = self._measure(candidate, named, plan)
        return Measured(self._results[named], {})

    def _measure(self, candidate: Target, named: tuple[str, ...], plan: Plan) -> Result:
        from pytest_sdspeed.run.criteria import Criteria, RowCase
        from pytest_sdspeed.run.judging import judge_row, make_result_without_effect

        start_missing(self._workers)
        label = self._old.environment.label
        decided: list[Decision] = []

        def may_stop(found: Decision) -> bool:
            decided.append(found)
            return True

        floor = 1 - self._tolerance
        new = RemoteArm(self._new, named, self._memory).arm(
            candidate.name, floor, may_stop, stage_floor=floor
        )
        old = RemoteArm(self._old, named, self._memory).arm(f"{candidate.name} of {label}")
        arms = [new]
        if self._control is not None:
            # It is measured until the row is decided.
            arms.append(
                RemoteArm(self._control, named, self._memory).arm(
                    _name_control(old.name), may_stop=lambda _found: bool(decided)
                )
            )
        data = self._campaign(candidate, old, arms, plan)
        for changed in data.errors.values():
            if isinstance(changed, ChangedPartError):
                raise changed
        base = replace(candidate, name=old.name)
        idle = find_without_effect(data, candidate, base)
        error = data.errors.get(candidate.name)
        if error is not None and idle is None and candidate.name not in data.decisions:
            raise error
        criteria = Criteria(1.0, self._tolerance, None, documented_on=None, recorded_in=None)
        resolved = candidate.setup.resolved if candidate.setup else None
        case = RowCase(
            data,
            candidate,
            base,
            resolved,
            criteria,
            self._run.machine,
            self._run.options,
            _refuse_to_score,
            same_weights=True,
        )
        result = judge_row(case) if idle is None else make_result_without_effect(case, idle)
        control = data.decisions.get(arms[-1].name) if self._control else None
        limited = plan.time_limit is not None or idle is not None
        interval = control.interval if control else None
        return self._add_versions(result, data, named, interval, limited=limited)

    def _campaign(self, candidate: Target, old: Arm, arms: list[Arm], plan: Plan) -> CampaignData:
        from pytest_sdspeed.device.load import LoadWatch
        from pytest_sdspeed.measure.campaign import run_campaign
        from pytest_sdspeed.measure.clock import WallClock

        asked = max(1, self._run.plan.tests)
        limits = self._run.plan.limits(
            candidate, rows=asked, campaigns=asked, time_limit=plan.time_limit
        )
        named = candidate.name if candidate.setup or not plan.test else plan.test
        load = LoadWatch()
        with self._run.watcher(f"{named} against {self._old.environment.label}") as watch:
            data = run_campaign(
                old,
                arms,
                replace(limits, slot_s=_SLOT_S),
                WallClock(_wait_for_nothing),
                memory=self._memory,
                telemetry=self._run.session.telemetry,
                watch=watch,
            )
        self._run.plan.note_failures(data, plan.test or candidate.name)
        return replace(data, load=load.describe())

    @property
    def _tolerance(self) -> float:
        given = self._run.options.tolerance
        return TOLERANCE if given is None else given

    def _add_versions(
        self,
        result: Result,
        data: CampaignData,
        named: tuple[str, ...],
        control: Interval | None,
        *,
        limited: bool,
    ) -> Result:
        """Add to a result what both versions are, and which stage differs.

        A row is invalid if two processes of one version differ by as much as it does. Stages take
        time after the campaign, which a time limit of the test may not leave.
        """
        from pytest_sdspeed.versions.stage_comparison import list_changes

        versions: Mapping[str, str] = {}
        stages: Mapping[str, float] = list_changes(result.by_stage) if result.by_stage else {}
        # A worker may be lost here too; what was measured before stays.
        with suppress(SdSpeedError):
            ours, versions = self._new.ask("versions"), self._old.ask("versions")
            result = replace(
                result, versions=ours, notes=(*result.notes, *note_same_code(self._old))
            )
            if not limited and result.by_stage is None:
                stages = self._compare_stages(named, data.case.seed, _count_rounds(result))
        versions_of = Against(
            spec=self._spec,
            label=self._old.environment.label,
            versions=versions,
            stages=stages,
            identical=_are_identical(data, result.setup),
            turns=data.repeats,
            process_control=control,
        )
        result = replace(result, against=versions_of)
        why = self._explain_by_process(result, data, control)
        if why and result.verdict != "invalid" and result.image_verdict != "fail":
            return replace(result, verdict="invalid", reasons=(*result.reasons, why))
        return result

    def _explain_by_process(
        self, result: Result, data: CampaignData, control: Interval | None
    ) -> str:
        """Say why the process made what was measured, and not the code, or return ""."""
        from pytest_sdspeed.versions.stage_comparison import explain_by_process

        label = self._old.environment.label
        if control is None:
            return ""
        if _differs(control, self._tolerance / 2):
            return (
                f"two processes of {label} differ by as much ({control:.3f}): an effect of the"
                " process, not of the code"
            )
        decision = data.decisions.get(result.setup)
        if result.by_stage is None or decision is None or decision.verdict == "fail":
            return ""
        return explain_by_process(
            result.by_stage,
            data,
            _name_control(data.baseline),
            label,
            lambda found: _differs(found, self._tolerance / 2),
        )

    def _compare_stages(
        self, named: tuple[str, ...], seed: int, rounds: int
    ) -> Mapping[str, float]:
        """Compare stages: name -> latency of the version in hand over that of the other one.

        The ratio is the median over palindromes of both.
        """
        found = [self._time_stages(named, seed) for _ in range(rounds)]
        new, old = found[0]
        share = {
            stage: statistics.median(old[stage] / sum(old.values()) for _, old in found)
            for stage in old.keys() & new.keys()
        }
        return {
            stage: statistics.median(new[stage] / old[stage] for new, old in found)
            for stage in old
            if share.get(stage, 0) > _LEAST_STAGE
        }

    def _time_stages(
        self, named: tuple[str, ...], seed: int
    ) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """Time stages over one palindrome: name -> seconds, new version first."""
        taken: dict[str, list[Mapping[str, float]]] = {"new": [], "old": []}
        for worker in (self._old, self._new, self._new, self._old):
            taken[worker.role].append(worker.ask("stages", named, seed))
        new, old = (
            {stage: sum(times[stage] for times in taken[role]) for stage in taken[role][0]}
            for role in ("new", "old")
        )
        return new, old


def _name_for_workers(candidate: Target) -> tuple[str, ...]:
    """Name a target as workers know it.

    Raises:
        UnsupportedError: a callable that no other process can import.
    """
    if candidate.setup is not None:
        return ("setup", candidate.setup.resolved.table.name, candidate.setup.name)
    if candidate.address is None:
        raise UnsupportedError(
            f"sd_latency({candidate.name}): --sd-against measures in other processes, which must be"
            " able to import a callable by its module and name: define it in a module, or give"
            " 'module:name'"
        )
    return ("call", candidate.address)


def _name_control(old: str) -> str:
    return f"{old}, another process"


def _count_rounds(result: Result) -> int:
    least, seconds = (
        (_ROUNDS, _STAGES_S)
        if result.verdict == "pass"
        else (_ROUNDS_OF_SLOWER, _STAGES_OF_SLOWER_S)
    )
    affordable = seconds / (2 * (result.latency_s + result.baseline_latency_s))
    return least if math.isnan(affordable) else min(max(least, int(affordable)), _MOST_ROUNDS)


def _are_identical(data: CampaignData, name: str) -> bool | None:
    """Tell whether both sides drew the same in all slots; None if one drew nothing."""
    ours, theirs = data.pictures[name], data.pictures[data.baseline]
    mine, yours = ours.first, theirs.first
    cases = mine.keys() & yours.keys()
    if not cases or not all(look.form for look in (*ours.looks, *theirs.looks)):
        return None
    steady = not ours.differing and not theirs.differing
    return steady and all(mine[case].like(yours[case]).equals(yours[case]) for case in cases)


def _differs(found: Interval, tolerance: float) -> bool:
    """Tell whether a ratio that ought to be 1 is further away than a tolerance."""
    return found.high < 1 - tolerance or found.low > 1 / (1 - tolerance)


def _wait_for_nothing() -> None:
    """Wait for nothing here: the workers wait for their devices."""


def _refuse_to_score() -> Any:
    """Refuse to score: no bound asks for CLIP scores here."""
    raise NotImplementedError
