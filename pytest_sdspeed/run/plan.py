"""What tests ask for, and so of the run: what is measured together, and what shares the error."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import UsageMistakeError
from pytest_sdspeed.judge.memory import INEXACT
from pytest_sdspeed.run.settings import MarkerOptions
from pytest_sdspeed.run.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pytest_sdspeed.measure.campaign_data import CampaignData, Limits
    from pytest_sdspeed.measure.time_limit import TimeLimit
    from pytest_sdspeed.model import CampaignKey, Contrast
    from pytest_sdspeed.run.cold_starts import Starter
    from pytest_sdspeed.run.planned_claims import PlannedClaim
    from pytest_sdspeed.run.session import Session
    from pytest_sdspeed.run.total_budget import TotalBudget
    from pytest_sdspeed.setups.catalog import ResolvedSetup


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one test asks for, as its collection found it.

    Attributes:
        test: id of the test.
        path: file of the test, as a command names it.
        marker: arguments of its ``sd_latency`` marker.
        setups: setups that its fixtures name, in order of their names.
        earlier: how earlier attempts of it ended in this run, a clause each; the last one counts.
        time_limit: when another plugin ends it, or None.
        bounds: arguments of its ``sd_account`` marker: the most that an account may have.
        table_file: file whose row it is, or None for a test in Python.
        start: starts a new process with a row, for bounds on that; None if another process of this
            run asks for them.
        claim: the claim that it judges, or None.
    """

    test: str = ""
    path: str = ""
    marker: MarkerOptions = field(default_factory=MarkerOptions)
    setups: tuple[ResolvedSetup, ...] = ()
    earlier: tuple[str, ...] = ()
    time_limit: TimeLimit | None = None
    bounds: Mapping[str, int] = field(default_factory=dict)
    table_file: Path | None = None
    start: Starter | None = None
    claim: PlannedClaim | None = None


class RunPlan:
    """What the tests of a run ask for together.

    Args:
        session: what the run measures with.

    Attributes:
        total: what the whole run may spend, or None if there is no limit.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.total: TotalBudget | None = None
        self._selected: set[tuple[str | None, str]] = set()
        self._claims: dict[tuple[str, str], PlannedClaim] = {}
        self._own_campaigns = self._counted = 0
        self._failed: set[tuple[str, str]] = set()
        self._failed_contrasts: set[tuple[str, Contrast]] = set()

    def add(self, plan: Plan) -> None:
        """Count what a test that will run asks for, or one that is found to while it runs."""
        # What was looked up before does not know of it.
        self.__dict__.pop("measurable", None)
        if plan.claim is not None:
            self._claims[plan.claim.table, plan.claim.name] = plan.claim
            if not plan.setups:
                return
        against = self._session.options.against is not None
        if plan.setups and (plan.marker.is_documented or against):
            for resolved in plan.setups:
                self.select(plan.marker.table, resolved.setup)
        else:
            self.add_own_campaign()

    def select(self, table: str | None, setup: str) -> None:
        """Count a row of a table's campaign.

        Args:
            table: name of the table, None for the default one.
            setup: name of the row.
        """
        self._selected.add((table, setup))

    def add_own_campaign(self) -> None:
        """Count a campaign that belongs to one test: of callables, or of a ratio in the marker."""
        self._own_campaigns += 1

    def add_counted(self) -> None:
        """Count a test that counts and measures no time: it shares nothing with the others."""
        self._counted += 1

    @property
    def tests(self) -> int:
        """Count what is asked for: rows of tables, campaigns of tests' own, and accounts."""
        return len(self._selected) + self._own_campaigns + self._counted

    @cached_property
    def measurable(self) -> tuple[ResolvedSetup, ...]:
        """List the selected rows and baselines of tables that this machine can measure."""
        return tuple(
            resolved
            for resolved in self.resolve_selected()
            if resolved.row
            and self._session.options.measures(on_cpu=resolved.table.on_cpu)
            and self._session.setup(resolved).unsupported is None
            and (self.total is None or self.total.explain_misfit(resolved) is None)
        )

    def resolve_selected(self) -> list[ResolvedSetup]:
        """Look up what is asked for by its names."""
        named = sorted(self._selected, key=str)
        choose = self._session.catalog.choose
        return [choose(table, setup, "", undocumented=True) for table, setup in named]

    @property
    def claims(self) -> tuple[PlannedClaim, ...]:
        """List the claims of the run that campaigns of this machine judge."""
        measured = (one for one in self._claims.values() if one.is_measured)
        return tuple(one for one in measured if self._find_obstacle(one, Plan()) is None)

    def find_obstacle(self, planned: PlannedClaim, plan: Plan) -> str | None:
        """Say why a claim is not judged in this run, with what would help, or None.

        A claim that has to be measured is refused by a total budget as its rows are.

        Args:
            planned: the claim.
            plan: what its test asks for.
        """
        if not planned.is_measured:
            return None
        obstacle = self._find_obstacle(planned, plan)
        if obstacle is None and self.total is not None:
            return next(filter(None, map(self.total.refuse, planned.rows)), None)
        return obstacle

    def _find_obstacle(self, planned: PlannedClaim, plan: Plan) -> str | None:
        """Say what stands in the way of a claim that has to be measured, but for the time."""
        return next(filter(None, self._list_obstacles(planned, plan)), None)

    def _list_obstacles(self, planned: PlannedClaim, plan: Plan) -> Iterator[str | None]:
        kind = planned.claim.kind
        yield self._find_manner(kind)
        for row in planned.rows:
            yield self._explain_skip(row, plan)
            yield None if self.total is None else self.total.explain_misfit(row)
        if not planned.is_of_one_campaign:
            yield (
                "its rows are in several tables of this name, which are not measured together:"
                " record the whole table again"
            )
        machine = self._session.machine
        if kind == "less_memory" and machine.kind in INEXACT:
            yield f"its memory cannot be compared: {INEXACT[machine.kind]}"

    def _find_manner(self, kind: str) -> str | None:
        """Say why runs of this manner judge no claim of a kind that has to be measured, or None."""
        options = self._session.options
        if options.dry:
            return "--sd-dry counts and measures nothing, and this claim compares what is measured"
        if options.rehearses and kind != "comparable":
            return f"a rehearsal measures neither time nor memory, and this claim says {kind}"
        if options.against is not None:
            return (
                "--sd-against measures each row against the other version of itself, and this claim"
                " compares rows with each other: run without it"
            )
        return None

    def list_contrasts(self, campaign: CampaignKey | None = None) -> tuple[Contrast, ...]:
        """List the ratios that the claims of the run compare, each once.

        Args:
            campaign: the campaign that measures them; None for all of the run.
        """
        tolerance = self._session.options.tolerance
        found = {
            (one.rows[0].campaign, contrast): contrast
            for one in self.claims
            if campaign in (None, one.rows[0].campaign)
            for contrast in one.list_contrasts(tolerance)
        }
        return tuple(found.values())

    @property
    def rows(self) -> int:
        """Count the rows of the whole run that could fail: they share the error of "fail"."""
        rows = {(one.campaign, one.setup) for one in self.measurable if one.setup != one.baseline}
        return len(rows) + self._own_campaigns

    @property
    def campaigns(self) -> int:
        """Count the campaigns of the whole run: they share the error of the A/A control."""
        compared = {one.rows[0].campaign for one in self.claims}
        return max(
            1, len({one.campaign for one in self.measurable} | compared) + self._own_campaigns
        )

    def is_gated(self, row: ResolvedSetup) -> bool:
        """Tell whether a test holds a row to its table; a claim may only compare it."""
        return any(
            (one.campaign, one.setup) == (row.campaign, row.setup) for one in self.measurable
        )

    def rows_beside(self, asked: ResolvedSetup) -> list[ResolvedSetup]:
        """List the rows of a row's campaign, in the table's order, itself included.

        They are those that tests select, and those that claims compare.
        """
        selected = {one.setup for one in self.measurable if one.campaign == asked.campaign}
        selected |= {
            row.setup for one in self.claims for row in one.rows if row.campaign == asked.campaign
        }
        selected = (selected | {asked.setup}) - {asked.baseline}
        rows = [row.setup for row in asked.table.rows if row.setup in selected]
        return [self._session.catalog.choose(asked.table.name, row, "") for row in rows]

    def find_baseline(self, candidate: Target) -> Target:
        """Find the baseline that a candidate is documented against.

        Raises:
            UsageMistakeError: it is a callable, which no table knows.
        """
        if candidate.setup is None:
            raise UsageMistakeError(
                f"sd_latency({candidate.name}): a callable needs a baseline:"
                f" sd_latency({candidate.name}, baseline=...)"
            )
        resolved = self._session.catalog.find_baseline(candidate.setup.resolved)
        return Target.of(self._session.setup(resolved))

    def skip_reason(self, resolved: ResolvedSetup, plan: Plan) -> str | None:
        """Say why a setup cannot be measured in this run, with what would help, or None.

        Args:
            resolved: the setup.
            plan: what its test asks for.
        """
        reason = self._explain_skip(resolved, plan)
        if reason is None and self.total is not None and self._session.options.against is None:
            return self.total.refuse(resolved)
        return reason

    def _explain_skip(self, resolved: ResolvedSetup, plan: Plan) -> str | None:
        """Say why a setup cannot be measured in this run, whatever its time is, or None."""
        table, session = resolved.table, self._session
        gpu = session.options.gpu or session.options.rehearses
        suits = session.options.measures(on_cpu=table.on_cpu)
        if not suits and gpu:
            return f"table {table.name!r} is for the CPU: run without --sd-gpu"
        if not suits:
            command = f"run pytest {plan.path} --sd-gpu"
            return f"table {table.name!r} is documented on {table.device}: {command}"
        unsupported = session.setup(resolved).unsupported
        if session.options.against is not None:
            # The other version is what it is held to.
            return unsupported
        if unsupported is None and resolved.setup != resolved.baseline:
            unsupported = session.setup(session.catalog.find_baseline(resolved)).unsupported
        if unsupported is None and resolved.row is None and plan.marker.speedup is None:
            help_ = "" if gpu else ", or run with --sd-gpu"
            return (
                f"table {table.name!r} has no row {resolved.setup!r} to hold it to: give the"
                f" marker a speedup{help_}"
            )
        return unsupported

    def limits(
        self, base: Target, *, rows: int, campaigns: int, time_limit: TimeLimit | None = None
    ) -> Limits:
        """Say what a campaign may spend.

        Args:
            base: target whose recipe says what is drawn.
            rows: rows of the whole run that could fail, including those that have failed.
            campaigns: campaigns of the whole run.
            time_limit: when another plugin ends the test that measures, or None.

        Raises:
            UnsupportedError: nothing is left of the total budget.
        """
        from pytest_sdspeed.measure.campaign_data import Limits

        options = self._session.options
        campaign = base.setup.resolved.campaign if base.setup else None
        recipe = base.setup.recipe if base.setup else None
        prompts, steps = recipe.more_prompts if recipe else (), 0
        if recipe and options.rehearses:
            from pytest_sdspeed.run.rehearsal import choose_cases

            prompts, steps = choose_cases(recipe)
        return Limits(
            budget_s=(
                self.total.cut(options.budget_s, campaign) if self.total else options.budget_s
            ),
            max_blocks=options.max_blocks,
            max_staged_blocks=options.max_staged_blocks,
            seed=recipe.seed if recipe else options.seed or 0,
            prompts=tuple(prompt for prompt in prompts if recipe and prompt != recipe.prompt),
            rows=rows - len(self._failed),
            campaigns=campaigns,
            contrasts=len(self.list_contrasts()) - len(self._failed_contrasts),
            time_limit=None if options.rehearses else time_limit,
            steps=steps,
            timed=not options.rehearses,
            unit=options.choose_unit(recipe),
        )

    def note_failures(self, data: CampaignData, name: str) -> None:
        """Note the rows that failed: the others share the error without them.

        Args:
            data: what their campaign measured.
            name: name of the test or campaign; one that a plugin runs again counts once.
        """
        decisions = data.decisions.items()
        self._failed |= {(name, row) for row, decision in decisions if decision.verdict == "fail"}
        self._failed_contrasts |= {
            (name, contrast)
            for contrast, decision in data.contrasts.items()
            if decision.verdict == "fail"
        }
