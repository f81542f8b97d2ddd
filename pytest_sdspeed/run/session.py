"""One test run: its tables, machine and setups, its campaigns, each measured once and shared by its tests, and its results."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Protocol

from pytest_sdspeed.device.cuda import free_device_memory, synchronize
from pytest_sdspeed.errors import OutOfMemoryError, SdSpeedError, UsageMistakeError
from pytest_sdspeed.measure.campaign_data import Watcher, show_nothing
from pytest_sdspeed.run.targets import Target
from pytest_sdspeed.setups.catalog import Catalog, ResolvedSetup
from pytest_sdspeed.setups.names import BUILTIN_SETUPS, RESERVED

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_sdspeed.history.lookup import HistoryLookup
    from pytest_sdspeed.measure.campaign_data import Arm, CampaignData, Limits
    from pytest_sdspeed.measure.memory import MemoryMeter
    from pytest_sdspeed.model import Machine, Result, Table, Telemetry
    from pytest_sdspeed.pipelines.clip import ClipScorer
    from pytest_sdspeed.pipelines.optimization import Optimization
    from pytest_sdspeed.pipelines.pool import Pool
    from pytest_sdspeed.run.criteria import Criteria
    from pytest_sdspeed.run.settings import MarkerOptions, Options
    from pytest_sdspeed.setups.registry import Registry
    from pytest_sdspeed.setups.setup import Setup


class Measurer(Protocol):
    """Measures what a test asks for: here, or against another version."""

    def measure(
        self,
        candidate: Target,
        baseline: Target | None,
        expectation: MarkerOptions,
        confirm: Callable[[Result], Result] | None = None,
        test: str = "",
    ) -> Result:
        """Measure and judge; see ``Session.measure``."""
        ...

    def release(self) -> None:
        """Give the memory of what was built back."""
        ...


class Session:
    """The state of a run.

    Args:
        options: of the run.
        registry: what users registered.

    Attributes:
        results: every result so far, in order.
        problems: what could not be stored, a line each; recorded: what became of ``--sd-record``.
        past: the stored runs, or None where they are not asked.
        against: measures in the place of this under ``--sd-against``, else None.
        watcher: opens the progress display of a campaign by its name.
        campaigns: records of the tables' campaigns, by table, device and baseline.
        selected: setups that the collected tests ask for, by the table name they were asked of
            (None: the default table).
        own_campaigns: how many collected tests bring a campaign of their own: callables, or a ratio
            in the marker.
        machines: those that workers of pytest-xdist measured on, by device; empty where this
            process measures.
    """

    def __init__(self, options: Options, registry: Registry) -> None:
        self.options, self.registry = options, registry
        self.results: list[Result] = []
        self.problems: list[str] = []
        self.past: HistoryLookup | None = None
        self.against: Measurer | None = None
        self.recorded: list[str] = []
        self.watcher: Watcher = show_nothing
        self.selected: set[tuple[str | None, str]] = set()
        self._setups: dict[tuple[str, str, str], Setup] = {}
        self.campaigns: dict[tuple[str, ...], CampaignData] = {}
        self._open_campaign: tuple[str, str, str] | None = None
        self.own_campaigns = 0
        self.machines: dict[str, Machine] = {}
        self._failed_rows: set[tuple[str, str]] = set()
        self._unusable: SdSpeedError | None = None

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        """Every table: the built-in ones and those of ``--sd-tables``."""
        from pytest_sdspeed.tables import load_tables

        return load_tables(self.options.tables)

    @cached_property
    def machine(self) -> Machine:
        """This machine, or its GPU under ``--sd-gpu``."""
        from pytest_sdspeed.device.machine import cpu_machine, cuda_machine

        return cuda_machine() if self.options.gpu else cpu_machine()

    @cached_property
    def catalog(self) -> Catalog:
        """Setups by name."""
        return Catalog(
            self.tables, self.registry, gpu=self.options.gpu, device=lambda: self.machine.device
        )

    @cached_property
    def _pool(self) -> Pool:
        from pytest_sdspeed.pipelines.pool import Pool
        from pytest_sdspeed.pipelines.sources import EmbeddedFirst, PretrainedSource, RandomSource

        trained = PretrainedSource(self.machine.kind)
        return Pool(
            EmbeddedFirst(trained, RandomSource(self.machine.kind))
            if self.options.random_weights
            else trained
        )

    @cached_property
    def _clip_scorer(self) -> ClipScorer:
        from pytest_sdspeed.pipelines.clip import ClipScorer

        # On the CPU: a campaign's pipelines have the GPU's memory, and the pictures are few.
        return ClipScorer(self.options.clip)

    def own_setups(self) -> dict[str, str]:
        """Setups of the user's own tables that have no built-in fixture, with what ``pytest --fixtures`` says of them."""
        rows = {
            row.setup: f"Row {row.setup!r} of table {table.name!r}."
            for table in self.tables
            for row in table.rows
        }
        return {
            name: doc
            for name, doc in rows.items()
            if name not in BUILTIN_SETUPS and name not in RESERVED
        }

    def setup(self, choice: ResolvedSetup) -> Setup:
        """The setup of a choice; the same object for the same choice, so that its pipeline is built once."""
        from pytest_sdspeed.setups.setup import Setup

        key = (choice.table.name, choice.table.device, choice.setup)
        if key not in self._setups:
            recipe = (
                choice.recipe
                if self.options.seed is None
                else replace(choice.recipe, seed=self.options.seed)
            )
            stack = self.stack_of(choice)
            self._setups[key] = Setup(
                choice.setup, recipe, stack, machine=self.machine, pool=self._pool, choice=choice
            )
        return self._setups[key]

    def stack_of(self, choice: ResolvedSetup) -> tuple[Optimization, ...]:
        """The optimizations of a choice, in order.

        Raises:
            SdSpeedError: one is unknown, or its recipe lacks a model that one needs.
        """
        return self.registry.stack(
            choice.optimizations,
            f"setup {choice.setup!r} of table {choice.table.name!r}",
            choice.recipe,
        )

    def skip_reason(
        self, choice: ResolvedSetup, expectation: MarkerOptions, path: str
    ) -> str | None:
        """Why a setup cannot be measured in this run, with what would help, or None.

        Args:
            choice: the setup.
            expectation: of the test's marker.
            path: of the test's file, for the command that would run it.
        """
        table, gpu = choice.table, self.options.gpu
        if table.on_cpu and gpu:
            return f"table {table.name!r} is for the CPU: run without --sd-gpu"
        if not table.on_cpu and not gpu:
            return (
                f"table {table.name!r} is documented on {table.device}: run pytest {path} --sd-gpu"
            )
        unsupported = self.setup(choice).unsupported
        if self.options.against is not None:
            # The other version is what it is held to.
            return unsupported
        if unsupported is None and choice.setup != choice.baseline:
            unsupported = self.setup(self.catalog.baseline_of(choice)).unsupported
        if unsupported is None and choice.row is None and expectation.speedup is None:
            help_ = "" if gpu else ", or run with --sd-gpu"
            return (
                f"table {table.name!r} has no row {choice.setup!r} to hold it to: give the marker a"
                f" speedup{help_}"
            )
        return unsupported

    def measure(
        self,
        candidate: Target,
        baseline: Target | None,
        expectation: MarkerOptions,
        confirm: Callable[[Result], Result] | None = None,
        test: str = "",
    ) -> Result:
        """Measure, or take what its campaign measured before, and judge.

        Args:
            candidate: a setup, or a callable.
            baseline: what it is compared with; None for the baseline of its setup's table.
            expectation: of the test's marker.
            confirm: asked for the last word on a row that fails on its speed alone; None leaves it
                the failure it is.
            test: id of the test, by which a failing row is known where a plugin runs tests again.

        Raises:
            SdSpeedError: the arm or its baseline could not be measured; the message says why.
        """
        from pytest_sdspeed.run.criteria import RowCase, find_criteria
        from pytest_sdspeed.run.judging import judge_row, relative_speeds

        choice = candidate.setup.choice if candidate.setup else None
        base = baseline or self._documented_baseline(candidate, choice)
        documented = choice is not None and self._documented(choice, base)
        if (
            choice is not None
            and choice.row is not None
            and not documented
            and expectation.speedup is None
        ):
            raise UsageMistakeError(
                f"sd_latency({candidate.name}, baseline={base.name}): table {choice.table.name!r}"
                f" documents {candidate.name} over {choice.baseline}, not over {base.name}: give"
                " the marker a speedup"
            )
        expected = find_criteria(candidate.name, choice, expectation, self.options)
        if choice is not None and documented and expectation.is_documented:
            record = self._shared_campaign(choice)
        else:
            arms = [] if candidate.name == base.name else [self._gated(candidate, expected)]
            record = self._run(f"{candidate.name} against {base.name}", base, arms, test)
        error = record.errors.get(candidate.name) or record.errors.get(base.name)
        decision = record.decisions.get(candidate.name)
        # A row decided before its baseline broke keeps its verdict. One that no longer fits says
        # nothing of its speed.
        if error is not None and (
            decision is None
            or (isinstance(error, OutOfMemoryError) and decision.verdict == "inconclusive")
        ):
            raise error
        result = judge_row(
            RowCase(
                record,
                candidate,
                base,
                choice,
                expected,
                self.machine,
                self.options,
                lambda: self._clip_scorer,
            )
        )
        if confirm is not None and result.too_slow:
            result = confirm(result)
        if self.past is not None:
            others = {
                name: found
                for name, found in relative_speeds(record).items()
                if name != result.setup
            }
            result = replace(result, history=self.past.judged(result, others, test))
        self.results.append(result)
        return result

    def _documented_baseline(self, candidate: Target, choice: ResolvedSetup | None) -> Target:
        if choice is None:
            raise UsageMistakeError(
                f"sd_latency({candidate.name}): a callable needs a baseline:"
                f" sd_latency({candidate.name}, baseline=...)"
            )
        setup = self.setup(self.catalog.baseline_of(choice))
        return Target(setup.name, setup, None)

    @staticmethod
    def _documented(choice: ResolvedSetup, base: Target) -> bool:
        """Whether a baseline is the one that a row is documented against, be it from another table of the same name."""
        if choice.row is None or base.setup is None or base.name != choice.baseline:
            return False
        theirs = base.setup.choice
        return (
            theirs.table.name == choice.table.name
            and replace(theirs.recipe, repeats=choice.recipe.repeats) == choice.recipe
        )

    def _shared_campaign(self, choice: ResolvedSetup) -> CampaignData:
        """The campaign of a row's table. A row that no collected test announced gets one of its own."""
        from pytest_sdspeed.run.criteria import find_criteria
        from pytest_sdspeed.run.settings import MarkerOptions

        key: tuple[str, ...] = choice.campaign
        if key in self.campaigns and choice.setup not in self.campaigns[key].samples_s:
            key = (*key, choice.setup)
        if key not in self.campaigns:
            base = self.setup(self.catalog.baseline_of(choice))
            rows = [
                self.setup(row)
                for row in (
                    [choice]
                    if key[-1] == choice.setup != choice.baseline
                    else self._campaign_rows(choice)
                )
            ]
            unmarked = [
                find_criteria(row.name, row.choice, MarkerOptions(), self.options) for row in rows
            ]
            arms = [
                self._gated(Target(row.name, row, None), held_to)
                for row, held_to in zip(rows, unmarked, strict=True)
            ]
            self.campaigns[key] = self._run(choice.table.name, Target(base.name, base, None), arms)
        return self.campaigns[key]

    def _gated(self, row: Target, expected: Criteria) -> Arm:
        """A row as an arm. One that is recorded stays until its figure can hold another run."""
        arm = row.arm(expected.floor)
        if self.options.record is None or row.setup is None:
            return arm
        from pytest_sdspeed.run.recording import too_rough

        return replace(
            arm,
            may_stop=lambda found: (
                too_rough(found.blocks, found.interval, expected.tolerance) is None
            ),
        )

    def _campaign_rows(self, asked: ResolvedSetup) -> list[ResolvedSetup]:
        """The rows that tests of this run select from a campaign, in the table's order."""
        selected = {
            choice.setup for choice in self._selected_choices if choice.campaign == asked.campaign
        } | {asked.setup}
        rows = [row.setup for row in asked.table.rows if row.setup in selected - {asked.baseline}]
        return [self.catalog.choose(asked.table.name, row, "") for row in rows]

    def _run(self, name: str, base: Target, arms: list[Arm], test: str = "") -> CampaignData:
        from pytest_sdspeed.device.canary import make_canary
        from pytest_sdspeed.device.quiet import quiet
        from pytest_sdspeed.measure.campaign import run_campaign
        from pytest_sdspeed.measure.clock import WallClock

        if self._unusable is not None:
            raise self._unusable
        self._let_go_of_other_campaigns(base)
        limits = self.limits(base, self._planned_rows(), self._planned_campaigns())
        work = partial(make_canary, self.machine.kind, self.machine.capability)
        with quiet(), self.watcher(name) as watch:
            record = run_campaign(
                base.arm(None),
                arms,
                limits,
                WallClock(synchronize),
                memory=self.memory(),
                telemetry=self.telemetry,
                canary=work,
                watch=watch,
            )
        self._unusable = record.unusable
        self.note_failures(record, test or name)
        return record

    def limits(self, base: Target, rows: int, campaigns: int) -> Limits:
        """What a campaign may spend.

        Args:
            base: whose recipe says what is drawn.
            rows: of the whole run, that could fail.
            campaigns: of the whole run.
        """
        from pytest_sdspeed.measure.campaign_data import Limits

        recipe = base.setup.recipe if base.setup else None
        return Limits(
            budget_s=self.options.budget_s,
            max_blocks=self.options.max_blocks,
            seed=recipe.seed if recipe else self.options.seed or 0,
            prompts=(
                tuple(prompt for prompt in recipe.more_prompts if prompt != recipe.prompt)
                if recipe
                else ()
            ),
            rows=rows - len(self._failed_rows),
            campaigns=campaigns,
        )

    def note_failures(self, record: CampaignData, name: str) -> None:
        """Note the rows that failed, whose share of the error is left to the others.

        Args:
            record: of their campaign.
            name: of the test or campaign. One that a plugin runs again leaves its share once.
        """
        self._failed_rows |= {
            (name, row) for row, decision in record.decisions.items() if decision.verdict == "fail"
        }

    @cached_property
    def _selected_choices(self) -> list[ResolvedSetup]:
        """The documented rows and baselines that collected tests ask for and that this machine can measure."""
        choices = [self.catalog.choose(name, setup, "") for name, setup in self.selected]
        return [
            choice
            for choice in choices
            if choice.row
            and choice.table.on_cpu != self.options.gpu
            and self.setup(choice).unsupported is None
        ]

    def _planned_rows(self) -> int:
        """Rows of the whole run that could fail: the error of "fail" is shared among them."""
        rows = {
            (choice.campaign, choice.setup)
            for choice in self._selected_choices
            if choice.setup != choice.baseline
        }
        return len(rows) + self.own_campaigns

    def _planned_campaigns(self) -> int:
        """Campaigns of the whole run: the error of the A/A control is shared among them."""
        return max(
            1, len({choice.campaign for choice in self._selected_choices}) + self.own_campaigns
        )

    def _let_go_of_other_campaigns(self, base: Target) -> None:
        """Full-size weights and compiled graphs of a campaign that is done would take the memory of the next one's."""
        if base.setup is None:
            return
        campaign = base.setup.choice.campaign
        if self._open_campaign not in (None, campaign):
            self.release(keep=campaign)
        self._open_campaign = campaign

    def release(self, keep: tuple[str, str, str] | None = None) -> None:
        """Give the memory of pipelines back; whoever uses one again builds it again.

        Args:
            keep: the campaign whose pipelines stay, or None.
        """
        if self._open_campaign is None:
            return
        self._pool.clear()
        for setup in self._setups.values():
            if setup.choice.campaign != keep:
                setup.release()
        if self._unusable is None:
            free_device_memory()

    @cached_property
    def telemetry(self) -> Telemetry:
        """What the GPU says of itself."""
        from pytest_sdspeed.device.nvml import open_telemetry
        from pytest_sdspeed.model import UnknownTelemetry

        if self.machine.kind == "cpu":
            return UnknownTelemetry()
        import torch

        return open_telemetry(
            lambda: str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        )

    def memory(self) -> MemoryMeter:
        """A meter of this device's memory."""
        from pytest_sdspeed.device.memory import CudaMemory, ResidentMemory

        if self.machine.kind == "cpu":
            return ResidentMemory()
        import torch

        return CudaMemory(torch.cuda)
