"""One run of tests: what it measures with, what was planned, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.judge.speed.stopping import ERROR_PER_SIDE
from pytest_sdspeed.measure.campaign_data import show_nothing
from pytest_sdspeed.run.campaigns import Campaigns
from pytest_sdspeed.run.plan import RunPlan
from pytest_sdspeed.run.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from pytest_sdspeed.history.lookup import HistoryLookup
    from pytest_sdspeed.measure.campaign_data import Watcher
    from pytest_sdspeed.model import AccountResult, ClaimResult, Machine, Result
    from pytest_sdspeed.run.campaigns import Measurer
    from pytest_sdspeed.run.claims import Claims
    from pytest_sdspeed.run.plan import Plan
    from pytest_sdspeed.run.settings import Options
    from pytest_sdspeed.run.targets import Target
    from pytest_sdspeed.setups.registry import Registry

    Counting: TypeAlias = Callable[[Target, Mapping[str, int], str, str], AccountResult]


class Run:
    """One run of tests.

    Args:
        options: options of the run.
        registry: optimizations and setups that users registered.
        watcher: opens the progress display of a campaign by its name.

    Attributes:
        session: what it measures with.
        plan: what its tests ask for.
        campaigns: measures in this process.
        against: measures in the place of ``campaigns`` under ``--sd-against``, else None.
        counting: counts in the place of this process under ``--sd-against``, else None.
        lookup: the stored runs, or None if they are not asked.
        watcher: opens the progress display of a campaign by its name.
        results: every result so far, in order, without the candidate's full pictures.
        accounts: what was counted so far, in order.
        claims: what became of claims so far, in order.
        problems: what could not be stored, a line each.
        recorded: what became of ``--sd-record``, a line each.
        written: what became of each file that was asked for, a line each.
        planned: what each campaign was planned to cost, a line each.
        machines: machines that workers of pytest-xdist measured on, by device; empty if this
            process measures.
    """

    def __init__(
        self, options: Options, registry: Registry, watcher: Watcher = show_nothing
    ) -> None:
        self.session = Session(options, registry)
        self.plan = RunPlan(self.session)
        self.campaigns = Campaigns(self.session, self.plan, watcher)
        self.against: Measurer | None = None
        self.counting: Counting | None = None
        self.lookup: HistoryLookup | None = None
        self.watcher = watcher
        self.results: list[Result] = []
        self.accounts: list[AccountResult] = []
        self.claims: list[ClaimResult] = []
        self.problems: list[str] = []
        self.recorded: list[str] = []
        self.written: list[str] = []
        self.planned: list[str] = []
        self.machines: dict[str, Machine] = {}

    @property
    def options(self) -> Options:
        """The options of the run."""
        return self.session.options

    @property
    def machine(self) -> Machine:
        """The machine that is measured on."""
        return self.session.machine

    def measure(
        self,
        candidate: Target,
        baseline: Target | None,
        plan: Plan,
        confirm: Callable[[Result], Result] | None = None,
    ) -> Result:
        """Measure a target, judge it, and keep its result.

        Args:
            candidate: a setup, or a callable.
            baseline: what it is compared with; None for the baseline of its setup's table.
            plan: what the test asks for.
            confirm: asked for the last word on a row that fails on its speed alone; None leaves it
                the failure it is.

        Raises:
            SdSpeedError: it could not be measured; the message says why.
        """
        measurer: Measurer = self.against or self.campaigns
        result, others = measurer.measure(candidate, baseline, plan)
        result = replace(result, test=plan.test or None)
        if confirm is not None and result.too_slow:
            result = confirm(result)
        timed = result.rehearsal is None
        notes = [describe_attempts(plan.earlier)] if plan.earlier and timed else []
        if not result.is_baseline and self.against is None:
            notes += _note_other_table(plan)
        result = replace(result, notes=(*result.notes, *notes))
        if self.lookup is not None:
            result = replace(result, history=self.lookup.judge(result, others, plan.test))
        # The test alone holds the pictures: a run of many would keep them all.
        self.results.append(replace(result, images=None))
        return result

    def count(
        self, target: Target, bounds: Mapping[str, int], test: str = "", gate: str = ""
    ) -> AccountResult:
        """Count what a target asks of a GPU, hold it to its bounds, and keep what came of it.

        Args:
            target: a setup, or a callable that takes the name of the device.
            bounds: those of the test, which take precedence over those of the table.
            test: id of the test that asks.
            gate: name of the gate that it asks.

        Raises:
            SdSpeedError: it could not be counted; the message says why.
        """
        from pytest_sdspeed.run.account_results import count_target

        if self.counting is not None:
            result = self.counting(target, bounds, test, gate)
        else:
            result = count_target(target, self.session, bounds, test)
        result = self.add_account_history(result)
        self.accounts.append(result)
        return self.accounts[-1]

    @cached_property
    def _claims(self) -> Claims:
        from pytest_sdspeed.run.claims import Claims

        return Claims(self.session, self.plan, self.campaigns)

    def judge_claim(self, plan: Plan) -> ClaimResult:
        """Judge the claim that a test asks for, and keep what came of it.

        Args:
            plan: what the test asks for.

        Raises:
            UnsupportedError: this run cannot judge it; the message says why.
            SdSpeedError: what it compares could not be measured or counted.
        """
        assert plan.claim is not None  # noqa: S101 - the test asks for one
        result = self._claims.judge(plan.claim, plan)
        if plan.earlier and plan.claim.is_timed:
            result = replace(
                result, notes=(*result.notes, describe_attempts(plan.earlier, "claim"))
            )
        self.claims.append(result)
        return result

    def add_account_history(self, result: AccountResult) -> AccountResult:
        """Add what the stored runs counted of the same, if they are asked."""
        if self.lookup is None:
            return result
        return replace(result, history=self.lookup.judge_account(result, result.test or ""))

    def forget(self, test: str) -> None:
        """Take out what a test found that runs again: its attempts are one measurement."""
        self.results[:] = [result for result in self.results if result.test != test]
        self.accounts[:] = [result for result in self.accounts if result.test != test]
        self.claims[:] = [result for result in self.claims if result.test != test]

    def release(self) -> None:
        """Give the memory of all that was built back."""
        self.campaigns.release()
        if self.against is not None:
            self.against.release()

    def end(self) -> None:
        """Put back what it changed of the process."""
        self.campaigns.end()


def describe_attempts(earlier: Sequence[str], about: str = "row") -> str:
    """Say how the attempts before the one that counts ended, and what that means for its error.

    Args:
        earlier: how each of them ended.
        about: what is judged, in a word.
    """
    many = len(earlier) > 1
    edge = "a row on its floor" if about == "row" else "a claim that is just not true"
    return (
        f"{len(earlier)} attempt{'s' if many else ''} of this test came before this one, which"
        f" alone counts ({' | '.join(earlier)}): each attempt lets {edge} pass by"
        f" mistake in up to {ERROR_PER_SIDE:.1%} of cases, {len(earlier) + 1} of them in up to"
        f" {(len(earlier) + 1) * ERROR_PER_SIDE:.1%}"
    )


def _note_other_table(plan: Plan) -> Iterator[str]:
    """Note that the row of a table's file is held to another table of that name."""
    for resolved in plan.setups:
        table = resolved.table
        if plan.table_file is not None and plan.table_file.resolve() != Path(table.path).resolve():
            how = "recorded" if table.recorded else "documented"
            yield (
                f"{resolved.setup} is held to {table.path}, {how} on {table.device}, and not to"
                f" {plan.table_file}: of tables of one name, one recorded on this device counts,"
                " then a documented one"
            )
