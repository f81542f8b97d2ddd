"""Read what a test asks for: its marker, and the setups that its fixtures name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import SdSpeedError
from pytest_sdspeed.plugin.settings import read_marker
from pytest_sdspeed.plugin.state import GATE, PREFIX, ROW, run_of

if TYPE_CHECKING:
    from pytest_sdspeed.run.settings import Expectation
    from pytest_sdspeed.setups.setup import Setup


def expectation_of(node: Any) -> Expectation:
    """The expectation of a test's closest ``sd_latency`` marker."""
    return read_marker(node.get_closest_marker(GATE), node.nodeid)


def setups_of(item: Any) -> set[str]:
    """Names of the setups that a test asks for by its fixtures."""
    chosen = {
        name.removeprefix(PREFIX) for name in getattr(item, "fixturenames", ()) if name.startswith(PREFIX) and name not in (GATE, ROW)
    }
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return chosen | ({parameters[ROW]} if isinstance(parameters.get(ROW), str) else set())


def requested_setup(request: pytest.FixtureRequest, name: str) -> Setup:
    """The setup a fixture stands for, or the test's end where this run cannot measure it."""
    session = run_of(request.config)
    try:
        expectation = expectation_of(request.node)
        choice = session.catalog.choose(expectation.table, name, request.node.nodeid)
        reason = session.skip_reason(choice, expectation, str(request.node.location[0]))
        if reason:
            pytest.skip(reason)
        return session.setup(choice)
    except SdSpeedError as error:
        pytest.fail(str(error), pytrace=False)
