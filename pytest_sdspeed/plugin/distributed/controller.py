"""What the controller of pytest-xdist's workers does.

It gives them GPUs, keeps the tests of a campaign together, and keeps the one record of the run.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import SdSpeedError, StoredRunError, UnknownNameError, UsageMistakeError
from pytest_sdspeed.model import UNKNOWN_GPU, CampaignKey, Machine
from pytest_sdspeed.model.claims import claim_from_json
from pytest_sdspeed.plugin.distributed.groups import read_group, read_problem
from pytest_sdspeed.plugin.distributed.placement import (
    assign_gpus,
    find_variable,
    place_workers,
    visible_gpus,
)
from pytest_sdspeed.plugin.distributed.worker import PLACEMENT, REPORT, machine_from_json
from pytest_sdspeed.plugin.options import flag
from pytest_sdspeed.plugin.state import run_of
from pytest_sdspeed.report.pages import WORKER_LOST, add_page

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from pytest_sdspeed.model import ClaimResult, Result
    from pytest_sdspeed.plugin.distributed.groups import Group
    from pytest_sdspeed.plugin.distributed.placement import Placement
    from pytest_sdspeed.run.run import Run
    from pytest_sdspeed.store.spool import Spool
    from pytest_sdspeed.store.transfer import Received, ReceivedAccount


class Controller:
    """Hooks of the controller.

    Until a worker has collected tests that measure, they change nothing but GPU runs.

    Args:
        config: the controller's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._placements: list[tuple[Any, Placement]] = []
        self._others: list[tuple[Any, Sequence[str]]] = []
        self._order: dict[str, int] = {}
        self._gated: set[str] = set()
        self._reported: set[str] = set()
        self._machines: dict[str, Machine] = {}
        self._received: list[tuple[str, Received]] = []
        self._counted: list[tuple[str, ReceivedAccount]] = []
        self._claims: list[tuple[str, ClaimResult]] = []
        self._planned: list[tuple[str, Sequence[str]]] = []
        self._lost: list[tuple[str, Result]] = []

    @property
    def _run(self) -> Run:
        return run_of(self._config)

    # Before the tests

    def pytest_xdist_setupnodes(self, specs: Sequence[Any]) -> None:
        """Place every worker, and give it a GPU under ``--sd-gpu``, before it starts."""
        self._placements = list(zip(specs, place_workers(specs), strict=True))
        if not flag(self._config, "gpu"):
            return
        try:
            assign_gpus(specs, lambda: self._local_gpus, find_variable())
        except SdSpeedError as error:
            raise pytest.UsageError(str(error)) from None

    @cached_property
    def _spool(self) -> Spool:
        from pytest_sdspeed.store.spool import Spool

        return Spool(self._without_pictures)

    def _without_pictures(self, error: OSError) -> None:
        # The figures are worth more than the pictures.
        said = f"sd pictures: some could not be kept: {error.strerror or error}"
        if said not in self._run.problems:
            self._run.problems.append(said)

    @cached_property
    def _local_gpus(self) -> list[str]:
        found = visible_gpus()
        if not found:
            # Its error says why there are none.
            _ = self._run.machine
        return found

    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker its placement: a replacement has that of the worker it replaces."""
        node.workerinput[PLACEMENT] = tuple(
            next(placement for spec, placement in self._placements if spec is node.gateway.spec)
        )

    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """Set up storage and take over the scheduling as soon as a worker has tests that measure.

        Raises:
            pytest.UsageError: a worker says what is wrong with the run, or the run cannot be
                stored, or every worker is to run every test.
        """
        for problem in filter(None, map(read_problem, ids)):
            raise pytest.UsageError(problem)
        groups = {test: group for test, group in map(read_group, ids) if group is not None}
        if self._order:
            return
        if not groups:
            self._others.append((node, ids))
            return
        if self._config.getoption("dist") == "each":
            raise pytest.UsageError(
                "--dist=each runs every test on every worker, and a campaign is measured once:"
                " choose another --dist"
            )
        from pytest_sdspeed.plugin.collecting import set_up_storage
        from pytest_sdspeed.plugin.distributed.scheduler import CampaignScheduling
        from pytest_sdspeed.plugin.row_tally import open_tally
        from pytest_sdspeed.plugin.table_files import load_collected

        load_collected(self._run.session, groups, self._config.rootpath)
        set_up_storage(self._config)
        open_tally(self._config)
        self._order = {test: place for place, (test, _) in enumerate(map(read_group, ids))}
        self._gated = set(groups)
        self._announce(groups.values())
        xdist: Any = self._config.pluginmanager.getplugin("dsession")
        # The hook that makes schedulers is called before it is known what there is to schedule.
        xdist.sched = CampaignScheduling(self._config, xdist.log, xdist.sched.nodes)
        for other, theirs in self._others:
            if other in xdist.sched.nodes:
                xdist.sched.add_node_collection(other, theirs)

    def _announce(self, groups: Iterable[Group]) -> None:
        """Count what the tests will measure, as a process that collects them itself counts it."""
        run = self._run
        for group in groups:
            if group.claim:
                continue
            if group.counts:
                run.plan.add_counted()
            elif group.campaign:
                run.plan.select(group.table, group.setup)
            else:
                run.plan.add_own_campaign()
        if run.options.gpu:
            # The controller itself stays away from the GPUs.
            run.session.use_machine(UNKNOWN_GPU)

    # What was measured

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a worker sent with a report, and note which tests have come to their end."""
        if report.when != "setup" or not report.passed:
            self._reported.add(report.nodeid)
        if report.when == "setup":
            # Another plugin runs the test again: what an earlier attempt brought counts no more.
            self._received = [one for one in self._received if one[0] != report.nodeid]
            self._counted = [one for one in self._counted if one[0] != report.nodeid]
            self._claims = [one for one in self._claims if one[0] != report.nodeid]
            if report.passed:
                self._reported.discard(report.nodeid)
        sent = report.__dict__.pop(REPORT, {})
        if "machine" in sent:
            machine = machine_from_json(sent["machine"])
            self._machines[report.worker_id] = self._run.machines[machine.device] = machine
            self._run.session.use_machine(machine)
        elif sent:
            from pytest_sdspeed.plugin.collecting import STORING
            from pytest_sdspeed.store.transfer import unpack, unpack_account

            self._planned.append((report.nodeid, sent.get("planned", ())))
            try:
                for one in sent.get("accounts", ()):
                    self._counted.append((report.nodeid, unpack_account(one)))
                if "claim" in sent:
                    self._claims.append((report.nodeid, claim_from_json(sent["claim"])))
                if "result" in sent:
                    self._received.append((report.nodeid, unpack(sent["result"], self._spool)))
            except StoredRunError as error:
                storing: Any = self._config.pluginmanager.getplugin(STORING)
                storing.note_loss(f"this run, {report.nodeid} of {report.worker_id}", error)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Put the results together in the order of the tests, as one process has them by now.

        A run that would pass although a test that measures never reported, since its worker broke,
        fails. One that fails, or was interrupted, has said why already.
        """
        silent = sorted(self._gated - self._reported, key=self._order.__getitem__)
        if silent and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            self._run.problems.append(
                f"sd run: failed: a worker ended, and these tests did not run: {', '.join(silent)}"
            )
        if self._order:
            from pytest_sdspeed.store.transfer import store_received, store_received_account
            from pytest_sdspeed.store.whole import SESSION

            stored = self._config.pluginmanager.getplugin(SESSION)
            self._received.sort(key=self._place)
            for _, one in self._received:
                store_received(stored, one)
            self._counted.sort(key=self._place)
            for _, account in self._counted:
                store_received_account(stored, account)
                self._run.accounts.append(self._run.add_account_history(account.result))
            self._run.claims += [one for _, one in sorted(self._claims, key=self._place)]
            for _, lines in sorted(self._planned, key=self._place):
                self._run.planned += lines
            measured = [(test, replace(one.result, test=test)) for test, one in self._received]
            arrived = {test for test, _ in measured}
            lost = [(test, result) for test, result in self._lost if test not in arrived]
            self._run.results += [
                result
                for _, result in sorted([*self._with_histories(measured), *lost], key=self._place)
            ]
        return (yield)

    def pytest_unconfigure(self) -> None:
        """Delete the spooled pictures: all files are written."""
        self._spool.close()

    def _place(self, entry: tuple[str, Any]) -> int:
        return self._order[entry[0]]

    def _with_histories(self, measured: list[tuple[str, Result]]) -> list[tuple[str, Result]]:
        """Add the history of each row, for which it needs the other rows of its campaign."""
        lookup = self._run.lookup
        if lookup is None:
            return measured
        beside: dict[CampaignKey, dict[str, tuple[float, float]]] = {}
        for test, result in measured:
            rows = beside.setdefault(
                _campaign(test, result), {result.baseline: (1.0, result.baseline_latency_s)}
            )
            rows.setdefault(result.setup, (result.speedup, result.latency_s))
        return [
            (
                test,
                replace(
                    result,
                    history=lookup.judge(
                        result, _others(beside[_campaign(test, result)], result.setup), test
                    ),
                ),
            )
            for test, result in measured
        ]

    # What was lost

    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport, sched: Any) -> None:
        """Call the campaign invalid that a worker had begun when it ended.

        The tests of it that have not reported fail, and their rows are invalid. A test that has
        reported, and whose teardown the worker did not survive, fails and keeps its result.
        """
        test, group = read_group(crashitem)
        if group is None:
            return
        worker = report.node.gateway.id
        for lost, row in map(read_group, sched.lost):
            one = report if lost == test else copy.copy(report)
            if lost in self._reported:
                reason = f"worker {worker} ended in the teardown of {lost}"
            else:
                reason = f"worker {worker} ended while it ran {test}: its campaign is invalid"
                if row is not None and row.campaign and not row.claim:
                    self._lost += [(lost, result) for result in self._invalid(row, worker, reason)]
            one.nodeid, one.longrepr = lost, add_page(reason, WORKER_LOST)
            one.location = (lost.split("::")[0], None, lost.partition("::")[2].replace("::", "."))
            if one is not report:
                self._config.hook.pytest_runtest_logreport(report=one)

    def _invalid(self, row: Group, worker: str, reason: str) -> Iterator[Result]:
        """Yield the result of a lost row, if there is anything to hold it to.

        There is not if no table has the row: then it would have been skipped, or only the worker
        knows its setup, from a conftest file that the controller does not read.
        """
        from pytest_sdspeed.run.criteria import find_criteria
        from pytest_sdspeed.run.judging import make_lost_result
        from pytest_sdspeed.run.settings import MarkerOptions

        run = self._run
        run.session.use_machine(self._machines.get(worker, run.machine))
        try:
            resolved = run.session.catalog.choose(row.table, row.setup, "", undocumented=True)
            criteria = find_criteria(row.setup, resolved, MarkerOptions(), run.options)
        except (UnknownNameError, UsageMistakeError):
            return
        yield make_lost_result(resolved, criteria, run.machine, run.options, reason)


def _campaign(test: str, result: Result) -> CampaignKey:
    """Return the key of a result's campaign; callables have a campaign for each test."""
    own = test if result.table is None else ""
    return CampaignKey(result.table, result.device, result.baseline, own)


def _others(rows: dict[str, tuple[float, float]], setup: str) -> dict[str, tuple[float, float]]:
    return {name: found for name, found in rows.items() if name != setup}
