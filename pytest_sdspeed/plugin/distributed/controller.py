"""What the controller of pytest-xdist's workers does: it gives them GPUs, keeps campaigns together, and keeps the one record of the run."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import SdSpeedError, StoredRunError, UnknownNameError
from pytest_sdspeed.model import UNKNOWN_GPU, CampaignKey, Machine
from pytest_sdspeed.plugin.distributed.groups import read_group, read_problem
from pytest_sdspeed.plugin.distributed.placement import assign_gpus, place_workers, visible_gpus
from pytest_sdspeed.plugin.distributed.worker import REPORT, SEAT, machine_from_json
from pytest_sdspeed.plugin.options import flag
from pytest_sdspeed.plugin.state import run_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from pytest_sdspeed.model import Result
    from pytest_sdspeed.plugin.distributed.groups import Group
    from pytest_sdspeed.plugin.distributed.placement import Placement
    from pytest_sdspeed.run.run import Run
    from pytest_sdspeed.store.spool import Spool
    from pytest_sdspeed.store.transfer import Received


class Controller:
    """Hooks of the controller. Until a worker has collected tests that measure, they change nothing but GPU runs.

    Args:
        config: of the controller.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._seats: list[tuple[Any, Placement]] = []
        self._others: list[tuple[Any, Sequence[str]]] = []
        self._order: dict[str, int] = {}
        self._gated: set[str] = set()
        self._reported: set[str] = set()
        self._machines: dict[str, Machine] = {}
        self._received: list[tuple[str, Received]] = []
        self._lost: list[tuple[str, Result]] = []

    @property
    def _run(self) -> Run:
        return run_of(self._config)

    # Before the tests

    def pytest_xdist_setupnodes(self, specs: Sequence[Any]) -> None:
        """Give every worker a seat, and under ``--sd-gpu`` a GPU, before it starts."""
        self._seats = list(zip(specs, place_workers(specs), strict=True))
        if not flag(self._config, "gpu"):
            return
        try:
            assign_gpus(specs, lambda: self._local_gpus)
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
            # It says why there are none.
            _ = self._run.machine
        return found

    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker its seat; one that replaces another has that one's."""
        node.workerinput[SEAT] = tuple(
            next(seat for spec, seat in self._seats if spec is node.gateway.spec)
        )

    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """At the first worker's tests: refuse what cannot be, and where some measure, make the record's way ready and deal out campaigns.

        Raises:
            pytest.UsageError: a worker says why not, or the run cannot be stored, or every worker
            is to run every test.
        """
        for problem in filter(None, map(read_problem, ids)):
            raise pytest.UsageError(problem)
        tags = {test: tag for test, tag in map(read_group, ids) if tag is not None}
        if self._order:
            return
        if not tags:
            self._others.append((node, ids))
            return
        if self._config.getoption("dist") == "each":
            raise pytest.UsageError(
                "--dist=each runs every test on every worker, and a campaign is measured once:"
                " choose another --dist"
            )
        from pytest_sdspeed.plugin.collecting import set_up_storage
        from pytest_sdspeed.plugin.distributed.scheduler import CampaignScheduling

        set_up_storage(self._config)
        self._order = {test: place for place, (test, _) in enumerate(map(read_group, ids))}
        self._gated = set(tags)
        self._announce(tags.values())
        xdist: Any = self._config.pluginmanager.getplugin("dsession")
        # The hook that makes schedulers is called before anybody knows what there is to schedule.
        xdist.sched = CampaignScheduling(self._config, xdist.log, xdist.sched.nodes)
        for other, theirs in self._others:
            if other in xdist.sched.nodes:
                xdist.sched.add_node_collection(other, theirs)

    def _announce(self, tags: Iterable[Group]) -> None:
        """Note what the tests will measure, as a process notes it that collects them itself."""
        run = self._run
        for tag in tags:
            if tag.campaign:
                run.plan.select(tag.table, tag.setup)
            else:
                run.plan.add_own_campaign()
        if run.options.gpu:
            # The controller itself stays away from the GPUs.
            run.session.use_machine(UNKNOWN_GPU)

    # What was measured

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a worker sent with a report."""
        if report.when != "setup" or not report.passed:
            self._reported.add(report.nodeid)
        sent = report.__dict__.pop(REPORT, {})
        if "machine" in sent:
            machine = machine_from_json(sent["machine"])
            self._machines[report.worker_id] = self._run.machines[machine.device] = machine
            self._run.session.use_machine(machine)
        elif sent:
            from pytest_sdspeed.plugin.collecting import STORING
            from pytest_sdspeed.store.transfer import unpack

            try:
                self._received.append((report.nodeid, unpack(sent["result"], self._spool)))
            except StoredRunError as error:
                storing: Any = self._config.pluginmanager.getplugin(STORING)
                storing.note_loss(f"this run, {report.nodeid} of {report.worker_id}", error)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Put the results together as one process would have them by now, in the order of the tests, before any of them is written.

        A run that passed although a test that measures never reported (a worker broke) fails.
        """
        silent = sorted(self._gated - self._reported, key=self._order.__getitem__)
        if silent and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            self._run.problems.append(
                f"sd run: nothing was heard of {', '.join(silent)}: its worker broke"
            )
        if self._order:
            from pytest_sdspeed.store.transfer import store_received
            from pytest_sdspeed.store.whole import SESSION

            self._received.sort(key=self._place)
            for _, one in self._received:
                store_received(self._config.pluginmanager.getplugin(SESSION), one)
            measured = [(test, one.result) for test, one in self._received]
            self._run.results += [
                result
                for _, result in sorted(
                    [*self._with_histories(measured), *self._lost], key=self._place
                )
            ]
        return (yield)

    def pytest_unconfigure(self) -> None:
        """Let the pictures go: all files are written."""
        self._spool.close()

    def _place(self, entry: tuple[str, Any]) -> int:
        return self._order[entry[0]]

    def _with_histories(self, measured: list[tuple[str, Result]]) -> list[tuple[str, Result]]:
        past = self._run.lookup
        if past is None:
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
                    history=past.judge(
                        result, _others(beside[_campaign(test, result)], result.setup), test
                    ),
                ),
            )
            for test, result in measured
        ]

    # What was lost

    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport, sched: Any) -> None:
        """Call the campaign invalid that a worker had open when it ended: those of its tests that have not reported."""
        test, tag = read_group(crashitem)
        if tag is None:
            return
        worker = report.node.gateway.id
        measured = {one for one, _ in self._received}
        for lost, row in map(read_group, sched.lost):
            one = report if lost == test else copy.copy(report)
            reason = f"worker {worker} ended while it ran {test}: its campaign is invalid"
            if lost in measured:
                reason = f"worker {worker} ended after {test} was measured"
            one.nodeid, one.longrepr = lost, reason
            one.location = (lost.split("::")[0], None, lost.partition("::")[2].replace("::", "."))
            if row is not None and row.campaign and lost not in measured:
                self._lost += [(lost, result) for result in self._invalid(row, worker, reason)]
            if one is not report:
                self._config.hook.pytest_runtest_logreport(report=one)

    def _invalid(self, row: Group, worker: str, reason: str) -> Iterator[Result]:
        """What a lost row comes to; nothing where only the worker knew its setup, by a conftest file that the controller does not read."""
        from pytest_sdspeed.run.criteria import find_criteria
        from pytest_sdspeed.run.judging import make_lost_result
        from pytest_sdspeed.run.settings import MarkerOptions

        run = self._run
        run.session.use_machine(self._machines.get(worker, run.machine))
        with suppress(UnknownNameError):
            choice = run.session.catalog.choose(row.table, row.setup, "")
            yield make_lost_result(
                choice,
                find_criteria(row.setup, choice, MarkerOptions(), run.options),
                run.machine,
                run.options,
                reason,
            )


def _campaign(test: str, result: Result) -> CampaignKey:
    """Tell campaigns apart; callables have one for each test."""
    own = test if result.table is None else ""
    return CampaignKey(result.table, result.device, result.baseline, own)


def _others(rows: dict[str, tuple[float, float]], setup: str) -> dict[str, tuple[float, float]]:
    return {name: found for name, found in rows.items() if name != setup}
