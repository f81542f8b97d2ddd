"""Read what a test asks for: its marker, and the setups that its fixtures name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import SdSpeedError
from pytest_sdspeed.plugin.settings import read_marker
from pytest_sdspeed.plugin.state import GATE, PLAN, PREFIX, ROW, own_id, run_of
from pytest_sdspeed.run.plan import Plan

if TYPE_CHECKING:
    from pytest_sdspeed.setups.setup import Setup


def plan_of(item: Any) -> Plan:
    """Find what a test asks for: read when it is collected, and again if it gets another marker.

    Raises:
        SdSpeedError: its marker is wrong, or names an unknown table or setup.
    """
    mark = item.get_closest_marker(GATE)
    known: tuple[Any, Plan] | None = item.stash.get(PLAN, None)
    if known is None or known[0] is not mark:
        known = item.stash[PLAN] = mark, _make_plan(item, mark)
    return known[1]


def _make_plan(item: Any, mark: Any) -> Plan:
    session = run_of(item.config).session
    marker, catalog = read_marker(mark, item.nodeid, session.registry.metrics), session.catalog
    if marker.table is not None:
        catalog.find_tables(marker.table, item.nodeid)
    names = sorted(setups_of(item) & catalog.list_setup_names())
    return Plan(
        test=own_id(item),
        path=str(item.location[0]),
        marker=marker,
        setups=tuple(
            catalog.choose(marker.table, name, item.nodeid, undocumented=marker.speedup is not None)
            for name in names
        ),
        table_file=item.path if item.path.suffix == ".toml" else None,
    )


def setups_of(item: Any) -> set[str]:
    """Name the setups that a test asks for by its fixtures."""
    chosen = {
        name.removeprefix(PREFIX)
        for name in getattr(item, "fixturenames", ())
        if name.startswith(PREFIX) and name not in (GATE, ROW)
    }
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return chosen | ({parameters[ROW]} if isinstance(parameters.get(ROW), str) else set())


def requested_setup(request: pytest.FixtureRequest, name: str) -> Setup:
    """Make the setup that a fixture stands for, or end the test if this run cannot measure it."""
    run, test = run_of(request.config), request.node
    try:
        plan = plan_of(test)
        named = {resolved.setup: resolved for resolved in plan.setups}
        # A fixture that a test asks for while it runs was not seen when it was collected.
        resolved = named.get(name) or run.session.catalog.choose(
            plan.marker.table,
            name,
            test.nodeid,
            undocumented=plan.marker.speedup is not None,
        )
        reason = run.plan.skip_reason(resolved, plan)
        if reason:
            pytest.skip(reason)
        return run.session.setup(resolved)
    except SdSpeedError as error:
        from pytest_sdspeed.report.pages import describe_error

        pytest.fail(describe_error(error), pytrace=False)
