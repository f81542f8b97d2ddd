"""What a worker of pytest-xdist does besides testing: it takes its cores, tags its tests, and sends what they measured with their reports."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import DistributedError
from pytest_sdspeed.plugin.distributed.groups import Group, add_group, add_problem
from pytest_sdspeed.plugin.distributed.placement import Placement, pin
from pytest_sdspeed.plugin.state import PROBLEMS, RESULT, is_gated, own_id, run_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from pytest_sdspeed.model import Machine

REPORT = "sdspeed"
"""Attribute of a report: what a worker sends with it."""
SEAT = "sdspeed_seat"
"""Key of a worker's input: its ``Seat``."""


class Worker:
    """Hooks of a worker; none of them does anything where no test measures.

    Args:
        config: of the worker.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._seat = config, Placement(*config.workerinput[SEAT])  # type: ignore[attr-defined]

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_finish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Tag the ids of tests that measure, while xdist sends them: afterwards they have those of tests that run in one process."""
        items = session.items
        names = dict(
            self._tags(
                items,
                [item for item in items if is_gated(item) and not item.get_closest_marker("skip")],
            )
        )
        session.items = [_Renamed(item, names[item]) if item in names else item for item in items]  # type: ignore[misc]
        try:
            yield
        finally:
            session.items = items

    def _tags(
        self, items: list[pytest.Item], gated: list[pytest.Item]
    ) -> Iterator[tuple[pytest.Item, str]]:
        problems: list[str] = [*self._config.stash[PROBLEMS]]
        if gated and not problems:
            from pytest_sdspeed.store.benchmark import is_measuring_off

            if is_measuring_off(self._config.option):
                return
            self._keep_quiet(items)
            try:
                self._take_cores()
            except DistributedError as error:
                problems.append(str(error))
        if problems:
            yield from (
                (item, add_problem(item.nodeid, "\n".join(dict.fromkeys(problems))))
                for item in items[:1]
            )
        else:
            yield from ((item, add_group(item.nodeid, self._tag(item))) for item in gated)

    def _keep_quiet(self, items: list[pytest.Item]) -> None:
        """Where every benchmark is one of this plugin, pytest-benchmark would say without need that it measures nothing here."""
        from pytest_sdspeed.store.transfer import silence_warning
        from pytest_sdspeed.store.whole import SESSION

        if all(
            is_gated(item) or "benchmark" not in getattr(item, "fixturenames", ()) for item in items
        ):
            silence_warning(self._config.pluginmanager.getplugin(SESSION))

    def _take_cores(self) -> None:
        run = run_of(self._config)
        if not run.options.gpu:
            note = pin(self._seat)
            run.session.use_machine(replace(run.machine, notes=(*run.machine.notes, note)))

    def _tag(self, item: pytest.Item) -> Group:
        from pytest_sdspeed.plugin.requests import plan_of

        plan, catalog = plan_of(item), run_of(self._config).session.catalog
        if not plan.marker.is_documented:
            return Group()
        rows = [
            Group(*catalog.find_campaign(plan.marker.table, one.setup), one.setup)
            for one in plan.setups
        ]
        return min(rows, key=lambda row: row.setup == row.baseline, default=Group())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        """Add to the reports of a test that measures on which machine it will, and what it measured."""
        report = yield
        if is_gated(item) and call.when == "setup" and report.passed:
            setattr(report, REPORT, {"machine": machine_to_json(run_of(self._config).machine)})
        elif call.when == "call" and RESULT in item.stash:
            from pytest_sdspeed.store.transfer import pack

            setattr(report, REPORT, {"result": pack(item.stash[RESULT], item, own_id(item))})
        return report


class _Renamed:
    """A test under another id."""

    def __init__(self, item: pytest.Item, nodeid: str) -> None:
        self._item, self.nodeid = item, nodeid

    def __getattr__(self, name: str) -> Any:
        return getattr(self._item, name)


def machine_to_json(machine: Machine) -> dict[str, Any]:
    """A machine as builtins; see ``machine_from_json``."""
    facts = asdict(machine)
    return facts | {
        "features": sorted(machine.features),
        "notes": list(machine.notes),
        "capability": list(machine.capability or ()),
    }


def machine_from_json(sent: Mapping[str, Any]) -> Machine:
    """The machine that a worker measures on, from what it sent."""
    from pytest_sdspeed.model import Machine

    lists = {
        "features": frozenset(sent["features"]),
        "notes": tuple(sent["notes"]),
        "capability": tuple(sent["capability"]) or None,
    }
    return Machine(**{**sent, **lists})
