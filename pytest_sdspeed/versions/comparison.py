"""One run against another version: two workers, a campaign for every setup, and what came of it."""

from __future__ import annotations

import math
import statistics
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import SdSpeedError, UnsupportedError, UsageMistakeError, WorkerLostError
from pytest_sdspeed.model import Against, Interval
from pytest_sdspeed.run.campaigns import Measured
from pytest_sdspeed.versions.arms import RemoteArm, WorkersMemory
from pytest_sdspeed.versions.workers import Worker

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
"""Seconds of a slot, where generations are shorter than that: a floor of 3% asks for more of them
than the looks have blocks."""
_ROUNDS, _ROUNDS_OF_SLOWER, _MOST_ROUNDS = 1, 3, 50
"""Palindromes of generations that stage times come from: at least, of a row that passes and of one
that does not; and at most."""
_STAGES_S, _STAGES_OF_SLOWER_S = 5.0, 15.0
"""Seconds that as many of them may take as are more than the least."""
_LEAST_STAGE = 0.02
"""Share of a generation below which a stage's time is noise, and no matter."""


class Comparison:
    """Measures the version in hand against another one, each in its own process.

    Args:
        run: of this process, which judges and keeps the results.
        spec: what the other version is, as ``--sd-against`` was given.
        new, old: the two sides.
        errand: what workers are told.
    """

    def __init__(
        self, run: Run, spec: str, *, new: Environment, old: Environment, errand: WorkerConfig
    ) -> None:
        self._run, self._spec = run, spec
        self._new, self._old = Worker("new", new, errand), Worker("old", old, errand)
        self._control = Worker("control", old, errand) if run.options.against_control else None
        self._memory = WorkersMemory()
        self._results: dict[tuple[str, ...], Result] = {}

    @property
    def _workers(self) -> tuple[Worker, ...]:
        return (self._new, self._old, *((self._control,) if self._control else ()))

    def open(self, choices: Iterable[ResolvedSetup]) -> None:
        """Start the workers, and see that each has every setup that will be asked for. Whatever comes of it, ``close`` ends them.

        Raises:
            UsageMistakeError: a side does not start, does not import, or lacks a setup.
        """
        try:
            self._started()
            for choice in choices:
                for worker in self._workers:
                    self._check(worker, choice)
        except SdSpeedError as error:
            raise UsageMistakeError(f"--sd-against={self._spec}: {error}") from None

    def _check(self, worker: Worker, choice: ResolvedSetup) -> None:
        try:
            worker.ask("check", ("setup", choice.table.name, choice.setup))
        except WorkerLostError:
            raise
        except SdSpeedError as error:
            raise UsageMistakeError(
                f"{worker.side.label} cannot draw setup {choice.setup!r}: {error}"
            ) from None

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.stop()

    def release(self) -> None:
        """Give the memory of what the workers built back."""
        for worker in self._workers:
            if worker.alive:
                worker.ask("release")

    def measure(self, candidate: Target, baseline: Target | None, plan: Plan) -> Measured:
        """Measure a target of the version in hand against that of the other one, and judge; see ``Measurer``.

        What it is documented to deliver over its baseline is not asked: the other version is its
        baseline, and neither ``baseline`` nor the marker holds.
        """
        del baseline
        named = _named(candidate)
        if named not in self._results:
            self._results[named] = self._measured(candidate, named, plan.test)
        return Measured(self._results[named], {})

    def _measured(self, candidate: Target, named: tuple[str, ...], test: str) -> Result:
        from pytest_sdspeed.run.criteria import Criteria, RowCase
        from pytest_sdspeed.run.judging import judge_row

        self._started()
        label = self._old.side.label
        decided: list[Decision] = []

        def may_stop(found: Decision) -> bool:
            decided.append(found)
            return True

        new = RemoteArm(self._new, named, self._memory).arm(
            candidate.name, 1 - self._tolerance, may_stop
        )
        old = RemoteArm(self._old, named, self._memory).arm(f"{candidate.name} of {label}")
        arms = [new]
        if self._control is not None:
            # It stays as long as the row does.
            arms.append(
                RemoteArm(self._control, named, self._memory).arm(
                    f"{old.name}, another process", may_stop=lambda _found: bool(decided)
                )
            )
        record = self._campaign(candidate, old, arms, test)
        error = record.errors.get(candidate.name)
        if error is not None and candidate.name not in record.decisions:
            raise error
        base = replace(candidate, name=old.name)
        expected = Criteria(1.0, self._tolerance, None, documented_on=None, recorded_in=None)
        choice = candidate.setup.choice if candidate.setup else None
        result = judge_row(
            RowCase(
                record,
                candidate,
                base,
                choice,
                expected,
                self._run.machine,
                self._run.options,
                _no_scorer,
                same_weights=True,
            )
        )
        control = record.decisions.get(arms[-1].name) if self._control else None
        return self._with_sides(result, record, named, control.interval if control else None)

    def _campaign(self, candidate: Target, old: Arm, arms: list[Arm], test: str) -> CampaignData:
        from pytest_sdspeed.measure.campaign import run_campaign
        from pytest_sdspeed.measure.clock import WallClock

        asked = max(1, self._run.plan.tests)
        limits = self._run.plan.limits(candidate, rows=asked, campaigns=asked)
        with self._run.watcher(f"{candidate.name} against {self._old.side.label}") as watch:
            record = run_campaign(
                old,
                arms,
                replace(limits, slot_s=_SLOT_S),
                WallClock(_nothing),
                memory=self._memory,
                telemetry=self._run.session.telemetry,
                watch=watch,
            )
        self._run.plan.note_failures(record, test or candidate.name)
        return record

    @property
    def _tolerance(self) -> float:
        given = self._run.options.tolerance
        return TOLERANCE if given is None else given

    def _with_sides(
        self,
        result: Result,
        record: CampaignData,
        named: tuple[str, ...],
        control: Interval | None,
    ) -> Result:
        """The result with what both sides are, where the difference is, and whether processes of one side differ as much."""
        versions: Mapping[str, str] = {}
        stages: Mapping[str, float] = {}
        # A worker may be lost here too, and takes nothing of what was measured with it.
        with suppress(SdSpeedError):
            ours, versions = self._new.ask("versions"), self._old.ask("versions")
            result = replace(result, versions=ours, notes=(*result.notes, *self._same_code()))
            stages = self._stages(named, record.case.seed, _rounds(result))
        sides = Against(
            spec=self._spec,
            label=self._old.side.label,
            versions=versions,
            stages=stages,
            identical=_identical(record, result.setup),
            turns=record.repeats,
            process_control=control,
        )
        if (
            control is not None
            and _differ(control, self._tolerance / 2)
            and result.verdict != "invalid"
            and result.image_verdict != "fail"
        ):
            why = (
                f"two processes of {sides.label} differ by as much ({control:.3f}): an effect of the"
                " process, not of the code"
            )
            return replace(result, against=sides, verdict="invalid", reasons=(*result.reasons, why))
        return replace(result, against=sides)

    def _same_code(self) -> tuple[str, ...]:
        """A note where nothing that was imported differs, so that the same code was measured twice."""
        if not self._old.side.roots or self._old.ask("served"):
            return ()
        return (
            (
                f"nothing that was imported comes from {self._old.side.label}: the same code was"
                " measured twice"
            ),
        )

    def _stages(self, named: tuple[str, ...], seed: int, rounds: int) -> Mapping[str, float]:
        """Stage -> latency of the version in hand over that of the other one, median over palindromes of both."""
        found = [self._stage_times(named, seed) for _ in range(rounds)]
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

    def _stage_times(
        self, named: tuple[str, ...], seed: int
    ) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """Stage -> seconds, of the version in hand and of the other one, over one palindrome of both."""
        taken: dict[str, list[Mapping[str, float]]] = {"new": [], "old": []}
        for worker in (self._old, self._new, self._new, self._old):
            taken[worker.role].append(worker.ask("stages", named, seed))
        new, old = (
            {stage: sum(times[stage] for times in taken[role]) for stage in taken[role][0]}
            for role in ("new", "old")
        )
        return new, old

    def _started(self) -> None:
        """Start the workers that do not run: all at the beginning, later those that were lost."""
        missing = [worker for worker in self._workers if not worker.alive]
        with ExitStack() as undo:
            for worker in missing:
                undo.callback(worker.stop)
                worker.start()
            for worker in missing:
                worker.wait()
            undo.pop_all()


def _named(candidate: Target) -> tuple[str, ...]:
    """What workers know it by.

    Raises:
        UnsupportedError: a callable that no other process can import.
    """
    if candidate.setup is not None:
        return ("setup", candidate.setup.choice.table.name, candidate.setup.name)
    if candidate.address is None:
        raise UnsupportedError(
            f"sd_latency({candidate.name}): --sd-against measures in other processes, which must be"
            " able to import a callable by its module and name: define it in a module, or give"
            " 'module:name'"
        )
    return ("call", candidate.address)


def _rounds(result: Result) -> int:
    least, seconds = (
        (_ROUNDS, _STAGES_S)
        if result.verdict == "pass"
        else (_ROUNDS_OF_SLOWER, _STAGES_OF_SLOWER_S)
    )
    affordable = seconds / (2 * (result.latency_s + result.baseline_latency_s))
    return least if math.isnan(affordable) else min(max(least, int(affordable)), _MOST_ROUNDS)


def _identical(record: CampaignData, name: str) -> bool | None:
    import numpy as np

    ours, theirs = record.pictures[name], record.pictures[record.baseline]
    pairs = [(ours[case], theirs[case]) for case in ours.keys() & theirs.keys()]
    if not pairs or any(mine is None or yours is None for mine, yours in pairs):
        return None
    return all(np.array_equal(mine, yours, equal_nan=True) for mine, yours in pairs)


def _differ(found: Interval, tolerance: float) -> bool:
    """Whether a ratio that ought to be 1 is further away than a tolerance."""
    return found.high < 1 - tolerance or found.low > 1 / (1 - tolerance)


def _nothing() -> None:
    """The workers wait for their devices."""


def _no_scorer() -> Any:
    """No bound asks for CLIP scores here."""
    raise NotImplementedError
