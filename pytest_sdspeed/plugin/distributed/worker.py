"""What a worker of pytest-xdist does besides testing.

It takes its cores, adds groups to the ids of its tests, and sends what they measured with their
reports.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import DistributedError
from pytest_sdspeed.plugin.distributed.groups import Group, add_group, add_problem
from pytest_sdspeed.plugin.distributed.placement import Placement, pin
from pytest_sdspeed.plugin.state import (
    ACCOUNTS,
    CLAIMED,
    PROBLEMS,
    RESULT,
    is_gated,
    is_measured,
    is_of_body,
    is_timed,
    measures_nothing,
    own_id,
    run_of,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from pytest_sdspeed.model import Machine

REPORT = "sdspeed"
"""The attribute of a report that holds what a worker sends with it."""
PLACEMENT = "sdspeed_placement"
"""The key of a worker's input that holds its ``Placement``."""


class Worker:
    """Hooks of a worker; none of them does anything if no test measures.

    Args:
        config: the worker's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._placement = config, Placement(*config.workerinput[PLACEMENT])  # type: ignore[attr-defined]

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_finish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Add groups to the ids of tests that measure while xdist sends them, and no longer."""
        items = session.items
        gated = [item for item in items if is_gated(item) and not item.get_closest_marker("skip")]
        names = dict(self._sent_ids(items, gated))
        session.items = [_Renamed(item, names[item]) if item in names else item for item in items]  # type: ignore[misc]
        try:
            yield
        finally:
            session.items = items

    def _sent_ids(
        self, items: list[pytest.Item], gated: list[pytest.Item]
    ) -> Iterator[tuple[pytest.Item, str]]:
        """Yield the tests whose ids are sent with a group, or with what is wrong with the run."""
        problems: list[str] = [*self._config.stash[PROBLEMS]]
        if gated and not problems:
            self._keep_quiet(items)
            timed = [item for item in gated if is_measured(item)]
            if measures_nothing(self._config):
                gated = [item for item in gated if item not in timed]
                timed = []
            try:
                if timed:
                    self._take_cores()
            except DistributedError as error:
                problems.append(str(error))
        if problems:
            yield from (
                (item, add_problem(item.nodeid, "\n".join(dict.fromkeys(problems))))
                for item in items[:1]
            )
        else:
            yield from ((item, add_group(item.nodeid, self._group_of(item))) for item in gated)

    def _keep_quiet(self, items: list[pytest.Item]) -> None:
        """Silence pytest-benchmark's note that it is off if every benchmark is this plugin's."""
        from pytest_sdspeed.store.transfer import silence_warning
        from pytest_sdspeed.store.whole import SESSION

        if all(
            is_gated(item) or "benchmark" not in getattr(item, "fixturenames", ()) for item in items
        ):
            silence_warning(self._config.pluginmanager.getplugin(SESSION))

    def _take_cores(self) -> None:
        run = run_of(self._config)
        if run.options.rehearses:
            # It is no matter if workers disturb each other, but they take turns at the cores.
            with suppress(DistributedError):
                pin(self._placement)
        elif not run.options.gpu:
            note = pin(self._placement)
            run.session.use_machine(replace(run.machine, notes=(*run.machine.notes, note)))

    def _group_of(self, item: pytest.Item) -> Group:
        """Return the row that a test asks for; of several, one that is no baseline."""
        from pytest_sdspeed.plugin.requests import plan_of

        plan, catalog = plan_of(item), run_of(self._config).session.catalog
        if plan.claim is not None and not is_timed(item):
            row = next((one for one in plan.claim.rows if one.setup != one.baseline), None)
            if not is_measured(item) or row is None:
                return Group(claim="yes")
            return Group(*catalog.find_campaign(row.table.name, row.setup), row.setup, claim="yes")
        if not is_timed(item):
            return Group(counts="yes")
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
        """Add the machine to the report of a gated test's setup, the result to that of its call."""
        report = yield
        if is_measured(item) and call.when == "setup" and report.passed:
            setattr(report, REPORT, {"machine": machine_to_json(run_of(self._config).machine)})
        elif is_of_body(item, call):
            setattr(report, REPORT, _pack(item))
        return report


def _pack(item: pytest.Item) -> dict[str, Any]:
    """Return what a test measured and counted, as builtins."""
    planned = run_of(item.config).planned
    found: dict[str, Any] = {"planned": [*planned]} if planned else {}
    # What a later test sends is its own.
    planned.clear()
    if RESULT in item.stash:
        from pytest_sdspeed.store.transfer import pack

        found["result"] = pack(item.stash[RESULT], item, own_id(item))
    if ACCOUNTS in item.stash:
        from pytest_sdspeed.store.transfer import pack_account

        found["accounts"] = [pack_account(one, item, own_id(item)) for one in item.stash[ACCOUNTS]]
    if CLAIMED in item.stash:
        from pytest_sdspeed.model.claims import claim_to_json

        found["claim"] = claim_to_json(item.stash[CLAIMED])
    return found


class _Renamed:
    """A test with another id."""

    def __init__(self, item: pytest.Item, nodeid: str) -> None:
        self._item, self.nodeid = item, nodeid

    def __getattr__(self, name: str) -> Any:
        return getattr(self._item, name)


def machine_to_json(machine: Machine) -> dict[str, Any]:
    """Turn a machine into builtins; ``machine_from_json`` turns it back."""
    facts = asdict(machine)
    return facts | {
        "features": sorted(machine.features),
        "notes": list(machine.notes),
        "capability": list(machine.capability or ()),
    }


def machine_from_json(sent: Mapping[str, Any]) -> Machine:
    """Return the machine that a worker measures on, from what it sent."""
    from pytest_sdspeed.model import Machine

    lists = {
        "features": frozenset(sent["features"]),
        "notes": tuple(sent["notes"]),
        "capability": tuple(sent["capability"]) or None,
    }
    return Machine(**{**sent, **lists})
