"""The fixtures: the gates, ``sd_setup``, and one for each setup; what they do loads on use."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.plugin.options import GATE
from pytest_sdspeed.plugin.state import PREFIX, run_of
from pytest_sdspeed.setups.names import BUILTIN_SETUPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.plugin.claims import ClaimGate
    from pytest_sdspeed.plugin.counting import AccountGate
    from pytest_sdspeed.plugin.gate import Gate
    from pytest_sdspeed.setups.setup import Setup


@pytest.fixture
def sd_latency(request: pytest.FixtureRequest, benchmark: Any) -> Gate | AccountGate:
    """Measure a setup or callable against its baseline, judge speed and pictures, and record both.

    ``result = sd_latency(sd_fp16)`` or ``sd_latency(candidate, baseline=reference)``; expectations
    come from the ``sd_latency`` marker. Under ``--sd-dry`` it counts what ``sd_account`` does.
    """
    if run_of(request.config).options.dry:
        from pytest_sdspeed.plugin.counting import counting_gate_of

        return counting_gate_of(request, benchmark, GATE)
    from pytest_sdspeed.plugin.gate import gate_of

    return gate_of(request, benchmark)


@pytest.fixture
def sd_account(request: pytest.FixtureRequest, benchmark: Any) -> AccountGate:
    """Count, on any machine, what a setup or callable asks of a GPU, and hold it to upper bounds.

    ``account = sd_account(sd_fp16)`` or ``sd_account(lambda device: ...)``; the bounds come from
    the ``sd_account`` marker, and for the row of a table from its ``account``.
    """
    from pytest_sdspeed.plugin.counting import counting_gate_of

    return counting_gate_of(request, benchmark)


@pytest.fixture
def sd_setup(request: pytest.FixtureRequest) -> Setup:
    """Run the test for every setup of the marker's table in turn, baselines included."""
    from pytest_sdspeed.plugin.requests import requested_setup

    return requested_setup(request, request.param)


@pytest.fixture
def sd_claim(request: pytest.FixtureRequest) -> ClaimGate:
    """Judge a claim of the marker's table; the test runs for each of its claims in turn.

    ``sd_claim()`` measures the rows that the claim compares, or counts, and fails if it is not
    true.
    """
    from pytest_sdspeed.plugin.claims import claim_gate_of

    return claim_gate_of(request)


def setup_fixtures(docs: Mapping[str, str]) -> Any:
    """Make a plugin object with the fixture ``sd_<name>`` for every setup.

    Args:
        docs: setup -> what ``pytest --fixtures`` says of it.
    """
    # pytest asks every fixture for its signature, and working those out costs more than all the
    # rest of an unused plugin: they share one.
    signature = inspect.signature(lambda request: request)

    def fixture_of(name: str, doc: str) -> Any:
        def setup(request: pytest.FixtureRequest) -> Setup:
            from pytest_sdspeed.plugin.requests import requested_setup

            return requested_setup(request, name)

        setup.__doc__, setup.__name__ = doc, f"{PREFIX}{name}"
        setup.__signature__ = signature  # type: ignore[attr-defined]
        return pytest.fixture(name=f"{PREFIX}{name}")(setup)

    plugin = ModuleType("pytest_sdspeed_setups")
    for name, doc in docs.items():
        setattr(plugin, f"{PREFIX}{name}", fixture_of(name, doc))
    return plugin


def builtin_fixtures() -> Any:
    """Make the fixtures of the built-in setups."""
    return setup_fixtures(BUILTIN_SETUPS)
