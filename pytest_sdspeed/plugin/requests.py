"""Read what a test asks for: its marker, and the setups that its fixtures name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import (
    NO_ARCHITECTURE,
    SdSpeedError,
    UnknownNameError,
    UsageMistakeError,
)
from pytest_sdspeed.plugin.account_marker import read_account_marker
from pytest_sdspeed.plugin.options import CLAIM
from pytest_sdspeed.plugin.settings import read_marker
from pytest_sdspeed.plugin.state import (
    CLAIM_NAME,
    GATES,
    PLAN,
    PREFIX,
    ROW,
    only_counts,
    own_id,
    run_of,
)
from pytest_sdspeed.run.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_sdspeed.run.planned_claims import PlannedClaim
    from pytest_sdspeed.run.session import Session
    from pytest_sdspeed.run.settings import MarkerOptions
    from pytest_sdspeed.setups.catalog import ResolvedSetup
    from pytest_sdspeed.setups.setup import Setup


def plan_of(item: Any) -> Plan:
    """Find what a test asks for: read when it is collected, and again if it gets another marker.

    Raises:
        SdSpeedError: its marker is wrong, or names an unknown table or setup.
    """
    marks = [item.get_closest_marker(gate) for gate in GATES]
    known: tuple[list[Any], Plan] | None = item.stash.get(PLAN, None)
    if known is None or any(one is not mark for one, mark in zip(known[0], marks, strict=True)):
        known = item.stash[PLAN] = marks, _make_plan(item, *marks)
    return known[1]


def _make_plan(item: Any, mark: Any, account_mark: Any) -> Plan:
    session = run_of(item.config).session
    catalog = session.dry_catalog if only_counts(item) else session.catalog
    marker = read_marker(mark, item.nodeid, session.registry.metrics)
    account = read_account_marker(account_mark, item.nodeid)
    if marker.table is None:
        marker = replace(marker, table=account.table)
    if marker.table is not None:
        catalog.find_tables(marker.table, item.nodeid)
    names = sorted(filter(catalog.is_setup, setups_of(item)))
    _refuse_without_fixture(item, names, session)
    return Plan(
        test=own_id(item),
        path=str(item.location[0]),
        marker=marker,
        setups=tuple(
            catalog.choose(
                marker.table, name, item.nodeid, undocumented=_is_undocumented(item, marker)
            )
            for name in names
        ),
        bounds=account.bounds,
        table_file=item.path if item.path.suffix == ".toml" else None,
        claim=_plan_claim(item, marker, session),
    )


def _plan_claim(item: Any, marker: MarkerOptions, session: Session) -> PlannedClaim | None:
    """Look up the claim that a test judges; one that is counted is that of a GPU."""
    from pytest_sdspeed.run.planned_claims import plan_claim

    parameters = getattr(getattr(item, "callspec", None), "params", {})
    name = parameters.get(CLAIM, item.stash.get(CLAIM_NAME, None))
    if name is None:
        return None
    found = plan_claim(session.catalog, marker.table, name, item.nodeid)
    if found.is_measured:
        return found
    return plan_claim(session.dry_catalog, marker.table or found.table, name, item.nodeid)


def _refuse_without_fixture(item: Any, names: Iterable[str], session: Session) -> None:
    """Refuse rows that a test takes as fixtures and that have none: those of most built-in tables.

    Raises:
        UsageMistakeError: there is such a row; the message says how it is reached.
    """
    taken = getattr(getattr(item, "_fixtureinfo", None), "argnames", ())
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for name in names:
        fixture = f"{PREFIX}{name}"
        if fixture in taken and fixture not in known:
            table = next(table for table in session.tables if table.row(name))
            raise UsageMistakeError(
                f"{item.nodeid}: the rows of table {table.name!r} have no fixtures: mark the test"
                f" with sd_latency(table={table.name!r}) and take sd_setup, which is each of them"
                f" in turn, or run pytest {table.path}::{name}"
            )


def _is_undocumented(item: Any, marker: MarkerOptions) -> bool:
    """Tell whether something other than a row says what to expect, or nothing needs to."""
    return marker.speedup is not None or only_counts(item)


def setups_of(item: Any) -> set[str]:
    """Name the setups that a test asks for by its fixtures."""
    chosen = {
        name.removeprefix(PREFIX)
        for name in getattr(item, "fixturenames", ())
        if name.startswith(PREFIX) and name not in (*GATES, ROW, CLAIM)
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
        counts = only_counts(test)
        catalog = run.session.dry_catalog if counts else run.session.catalog
        resolved = named.get(name) or catalog.choose(
            plan.marker.table, name, test.nodeid, undocumented=_is_undocumented(test, plan.marker)
        )
        if counts:
            return _make_counted(run.session, resolved)
        reason = run.plan.skip_reason(resolved, plan)
        if reason:
            pytest.skip(reason)
        return run.session.setup(resolved)
    except SdSpeedError as error:
        from pytest_sdspeed.report.pages import describe_error

        pytest.fail(describe_error(error), pytrace=False)


def skip_unknown_model(item: Any, error: SdSpeedError) -> None:
    """Skip a row of a built-in table if there is no configuration of a model that it needs.

    A table that a user wrote may have misspelt it, and fails with the names that are known.

    Args:
        item: the test.
        error: what its gate raised.
    """
    from pytest_sdspeed.tables import is_builtin

    if not isinstance(error, UnknownNameError) or error.kind != NO_ARCHITECTURE:
        return
    if any(is_builtin(resolved.table) for resolved in plan_of(item).setups):
        pytest.skip(
            f"no configuration of {error.name} is known here, which is built without its weights"
        )


def _make_counted(session: Session, resolved: ResolvedSetup) -> Setup:
    """Make a setup that is to be counted, or end the test if no GPU that is counted can run it."""
    from pytest_sdspeed.run.account_results import make_dry_setup

    setup = make_dry_setup(session, resolved)
    if setup.unsupported:
        pytest.skip(setup.unsupported)
    return setup
