"""Campaigns of a run: each is measured once, when its first test runs, and shared by its tests."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pytest_sdspeed.device.accelerator import synchronize
from pytest_sdspeed.errors import (
    ChangedPartError,
    SdSpeedError,
    TimeLimitError,
    UnsupportedError,
    UsageMistakeError,
    read_first_line,
)
from pytest_sdspeed.measure.collector import Standing
from pytest_sdspeed.run.outcomes import (
    find_without_effect,
    has_compared,
    has_decided,
    raise_what_broke,
)
from pytest_sdspeed.run.rehearsed_arms import RehearsedArms
from pytest_sdspeed.run.row_starts import find_starts
from pytest_sdspeed.run.targets import Target

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pytest_sdspeed.measure.campaign_data import Arm, CampaignData, Watcher
    from pytest_sdspeed.model import CampaignKey, Contrast, Result
    from pytest_sdspeed.run.criteria import Criteria
    from pytest_sdspeed.run.plan import Plan, RunPlan
    from pytest_sdspeed.run.planned_claims import PlannedClaim
    from pytest_sdspeed.run.session import Session
    from pytest_sdspeed.setups.catalog import ResolvedSetup


class Measured(NamedTuple):
    """What was found of one target.

    Attributes:
        result: its result.
        others: what its campaign says of the other setups: name -> speed-up and latency in seconds.
    """

    result: Result
    others: Mapping[str, tuple[float, float]]


class Measurer(Protocol):
    """Measures what a test asks for: here, or against another version."""

    def measure(self, candidate: Target, baseline: Target | None, plan: Plan) -> Measured:
        """Measure, or take what was measured before, and judge.

        Args:
            candidate: a setup, or a callable.
            baseline: what it is compared with; None for the baseline of its setup's table.
            plan: what the test asks for.

        Raises:
            SdSpeedError: it could not be measured; the message says why.
        """
        ...

    def release(self) -> None:
        """Give the memory of what was built back."""
        ...


class Campaigns:
    """Measures in this process.

    Args:
        session: what the run measures with.
        plan: what its tests ask for.
        watcher: opens the progress display of a campaign by its name.
    """

    def __init__(self, session: Session, plan: RunPlan, watcher: Watcher) -> None:
        self._session, self._plan, self._watcher = session, plan, watcher
        self._shared: dict[CampaignKey, CampaignData] = {}
        self._open: CampaignKey | None = None
        self._unusable: SdSpeedError | None = None
        self._ended: dict[CampaignKey, TimeLimitError] = {}
        self._standing, self._rehearsed = Standing(), RehearsedArms()

    @property
    def shared(self) -> Mapping[CampaignKey, CampaignData]:
        """What the tables' campaigns found, those that were measured."""
        return self._shared

    def measure(self, candidate: Target, baseline: Target | None, plan: Plan) -> Measured:
        """Measure, or take what its campaign measured before, and judge; see ``Measurer``."""
        from pytest_sdspeed.run.criteria import RowCase, find_criteria
        from pytest_sdspeed.run.judging import (
            judge_row,
            make_result_without_effect,
            relative_speeds,
        )
        from pytest_sdspeed.run.rehearsal import find_unrehearsed

        session = self._session
        if session.options.rehearses:
            _refuse_callables(candidate, baseline)
        resolved = candidate.setup.resolved if candidate.setup else None
        base = baseline or self._plan.find_baseline(candidate)
        documented = resolved is not None and is_documented(resolved, base)
        if resolved and resolved.row and not documented and plan.marker.speedup is None:
            raise UsageMistakeError(
                f"sd_latency({candidate.name}, baseline={base.name}): table"
                f" {resolved.table.name!r} documents {candidate.name} over {resolved.baseline}, not"
                f" over {base.name}: give the marker a speedup"
            )
        criteria = find_criteria(candidate.name, resolved, plan.marker, session.options)
        if resolved is not None and documented and plan.marker.is_documented:
            data = self._shared_campaign(resolved, plan)
        else:
            arms = [] if candidate.name == base.name else [self._arm(candidate, criteria)]
            name = f"{candidate.name} against {base.name}"
            shown = name if resolved else plan.test or name
            data = self._run(shown, base, arms, plan, counts_as=plan.test)
        idle = find_without_effect(data, candidate, base)
        if idle is None:
            raise_what_broke(data, candidate, base)
        case = RowCase(
            data,
            candidate,
            base,
            resolved,
            criteria,
            session.machine,
            session.options,
            lambda: session.clip_scorer,
            metrics=session.registry.metrics,
        )
        if idle is not None:
            return Measured(make_result_without_effect(case, idle), {})
        case = case._replace(starts=find_starts(resolved, criteria, plan, session))
        speeds = relative_speeds(data)
        speeds.pop(candidate.name, None)
        result = judge_row(case)
        if session.options.rehearses and (unrehearsed := find_unrehearsed(result)):
            raise UnsupportedError(unrehearsed)
        return Measured(result, speeds)

    def measure_claim(self, planned: PlannedClaim, plan: Plan) -> CampaignData:
        """Measure the campaign of a claim's rows, or take what was measured of it before.

        A claim that no test announced gets its own campaign, and so does one whose test runs again.

        Args:
            planned: the claim.
            plan: what its test asks for.

        Raises:
            SdSpeedError: it could not be measured; the message says why.
        """
        rows = [row for row in planned.rows if row.setup != row.baseline]
        contrasts = planned.list_contrasts(self._session.options.tolerance)
        key = planned.rows[0].campaign
        known = self._shared.get(key)
        if plan.earlier or (known and not has_compared(known, planned, contrasts)):
            own = f"{planned.name}, attempt {len(plan.earlier) + 1}"
            key = replace(key, own=own if plan.earlier else planned.name)
            gated = set[str]()
        else:
            rows, contrasts = self._plan.rows_beside(rows[0]), self._plan.list_contrasts(key)
            gated = {row.setup for row in rows if self._plan.is_gated(row)}
        return self._measure_once(key, rows, plan, gated, contrasts, baseline_of=rows[0])

    def _shared_campaign(self, resolved: ResolvedSetup, plan: Plan) -> CampaignData:
        """Measure a row's campaign once.

        A row that no test announced gets its own campaign, and so does one whose test runs again:
        what was measured before would only repeat its verdict.
        """
        key = resolved.campaign
        again = bool(plan.earlier) and key in self._shared
        late = again or (key in self._shared and not has_decided(self._shared[key], resolved))
        if late:
            own = f"{resolved.setup}, attempt {len(plan.earlier) + 1}" if again else resolved.setup
            key = replace(key, own=own)
        alone = late and resolved.setup != resolved.baseline
        rows = [resolved] if alone else self._plan.rows_beside(resolved)
        gated = {resolved.setup, *(row.setup for row in rows if self._plan.is_gated(row))}
        contrasts = () if late else self._plan.list_contrasts(key)
        return self._measure_once(key, rows, plan, gated, contrasts, baseline_of=resolved)

    def _measure_once(
        self,
        key: CampaignKey,
        rows: list[ResolvedSetup],
        plan: Plan,
        gated: Collection[str],
        contrasts: tuple[Contrast, ...],
        *,
        baseline_of: ResolvedSetup,
    ) -> CampaignData:
        """Measure a campaign of a table, unless it was measured before.

        Args:
            key: its identity.
            rows: its rows.
            plan: what the test asks for that measures it.
            gated: names of the rows that tests hold to the table.
            contrasts: ratios of two of its arms that claims compare.
            baseline_of: a row whose baseline is that of the campaign, or that baseline.
        """
        session = self._session
        if key not in self._shared:
            self._raise_if_ended(key, plan)
            base = Target.of(session.setup(session.catalog.find_baseline(baseline_of)))
            arms = [
                self._documented_arm(Target.of(session.setup(row)), gated=row.setup in gated)
                for row in rows
            ]
            name = baseline_of.table.name
            with self._noting_end(key, plan):
                self._shared[key] = self._run(name, base, arms, plan, contrasts=contrasts)
        return self._shared[key]

    def _raise_if_ended(self, key: CampaignKey, plan: Plan) -> None:
        """Raise what ended a campaign before; only a test with more time measures it again."""
        ended = self._ended.get(key)
        if ended is not None and (
            plan.time_limit is not None and plan.time_limit.seconds <= ended.seconds
        ):
            raise ended.with_traceback(None)

    @contextmanager
    def _noting_end(self, key: CampaignKey, plan: Plan) -> Iterator[None]:
        """Note that a time limit ended a campaign, so that the next row does not begin it again."""
        try:
            yield
        except TimeLimitError as error:
            self._ended[key] = error
            raise
        except BaseException as error:
            limit = plan.time_limit
            if limit is not None and not isinstance(error, Exception):
                self._ended[key] = TimeLimitError(
                    f"the campaign of this row was ended while {plan.test} measured it"
                    f" ({read_first_line(error, type(error).__name__)}), and is not begun again:"
                    f" set {limit.name} to more than {limit.seconds:g}",
                    limit.seconds,
                )
            raise

    def _documented_arm(self, row: Target, *, gated: bool) -> Arm:
        """Make an arm of a row that its table alone holds, whatever the marker of a test says.

        Args:
            row: the row.
            gated: whether a test asks for it; one that claims alone compare has no floor.
        """
        from pytest_sdspeed.run.criteria import find_criteria
        from pytest_sdspeed.run.settings import MarkerOptions

        resolved = row.setup.resolved if row.setup else None
        if not gated:
            return row.arm(None)
        held_to = find_criteria(row.name, resolved, MarkerOptions(), self._session.options)
        return self._arm(row, held_to)

    def _arm(self, row: Target, criteria: Criteria) -> Arm:
        """Make a row's arm; under ``--sd-record`` it stays until its figure can be a reference."""
        arm = row.arm(criteria.floor)
        if criteria.tolerance_s:
            arm = replace(arm, floor_at=criteria.floor_at)
        if self._session.options.record is None or row.setup is None:
            return arm
        from pytest_sdspeed.run.recording import too_rough

        return replace(
            arm,
            may_stop=lambda found: (
                too_rough(
                    found.blocks,
                    found.interval,
                    1 - (found.floor or criteria.floor) / criteria.speedup,
                )
                is None
            ),
        )

    def _run(
        self,
        name: str,
        base: Target,
        arms: list[Arm],
        plan: Plan,
        *,
        counts_as: str = "",
        contrasts: tuple[Contrast, ...] = (),
    ) -> CampaignData:
        from pytest_sdspeed.device.canary import make_canary
        from pytest_sdspeed.device.load import LoadWatch
        from pytest_sdspeed.device.quiet import quiet
        from pytest_sdspeed.measure.campaign import run_campaign
        from pytest_sdspeed.measure.clock import WallClock
        from pytest_sdspeed.pipelines.rehearsing import rehearse

        if self._unusable is not None:
            raise self._unusable
        self._let_go_of_other_campaigns(base)
        baseline = base.arm(None)
        self._check_before(baseline, *arms)
        session, run_plan = self._session, self._plan
        limits = run_plan.limits(
            base,
            rows=run_plan.rows,
            campaigns=run_plan.campaigns,
            time_limit=plan.time_limit,
        )
        load = LoadWatch()
        manner = rehearse() if session.options.rehearses else nullcontext()
        with quiet(), manner, self._watcher(name) as watch:
            draw = partial(
                run_campaign,
                baseline,
                limits=limits,
                clock=WallClock(synchronize),
                memory=session.memory() if limits.timed else None,
                telemetry=session.telemetry,
                canary=partial(make_canary, session.machine.kind, session.machine.capability),
                watch=watch,
                contrasts=contrasts,
            )
            once = None if limits.timed else self._rehearsed.complete
            data = once(baseline, arms, limits.cases, draw) if once else draw(arms)
        self._unusable = data.unusable
        run_plan.note_failures(data, counts_as or name)
        return replace(data, load=load.describe())

    def _check_before(self, *arms: Arm) -> None:
        """Check that a test or a fixture changed nothing that the arms share; else load it again.

        Raises:
            ChangedPartError: something was changed; the test that asks fails, the next measures.
        """
        try:
            for arm in arms:
                arm.check()
        except ChangedPartError:
            self._session.release()
            raise

    def _let_go_of_other_campaigns(self, base: Target) -> None:
        """Release a finished campaign's weights and graphs: the next one needs their memory."""
        if base.setup is None:
            return
        campaign = base.setup.resolved.campaign
        if self._open not in (None, campaign):
            self._session.release(keep=campaign, usable=self._unusable is None)
        if self._open != campaign and self._session.options.rehearses:
            self._standing.leave_out()
        self._open = campaign

    def release(self) -> None:
        """Free the memory of pipelines; one that is used again is built again."""
        if self._open is not None:
            self._session.release(usable=self._unusable is None)

    def end(self) -> None:
        """Put back what rehearsals changed of the process."""
        self._standing.take_back()


def is_documented(resolved: ResolvedSetup, base: Target) -> bool:
    """Tell whether a row is documented against a baseline, in any table of the same name."""
    if resolved.row is None or base.setup is None or base.name != resolved.baseline:
        return False
    theirs = base.setup.resolved
    return (
        theirs.table.name == resolved.table.name
        and replace(theirs.recipe.as_calls, repeats=resolved.recipe.repeats)
        == resolved.recipe.as_calls
    )


def _refuse_callables(*targets: Target | None) -> None:
    """Refuse what cannot be drawn at toy size.

    Raises:
        UnsupportedError: one of the targets is a callable.
    """
    for target in targets:
        if target is not None and target.setup is None:
            raise UnsupportedError(
                f"--sd-weights=tiny draws setups at toy size, and {target.name} is a callable,"
                " which draws what it draws: run without --sd-weights=tiny"
            )
