"""The fixtures: ``sd_latency``, ``sd_setup``, and one per setup."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import OutOfMemoryError, SdSpeedError, UnsupportedError, UsageMistakeError
from pytest_sdspeed.options import Expectation, read_marker
from pytest_sdspeed.session import Session, contestants
from pytest_sdspeed.setups.names import BUILTIN_SETUPS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.history import ReplayClock
    from pytest_sdspeed.model import Result
    from pytest_sdspeed.setups.setup import Setup

SESSION = pytest.StashKey[Session]()
CLOCK = pytest.StashKey["ReplayClock"]()
PREFIX = "sd_"
GATE, ROW = "sd_latency", "sd_setup"


class InconclusiveWarning(pytest.PytestWarning):
    """A verdict stayed inconclusive, and ``--sd-inconclusive=warn`` lets the test pass."""


class Gate:
    """What ``sd_latency`` gives to a test: call it once with what is to be measured."""

    def __init__(self, request: pytest.FixtureRequest, benchmark: Any) -> None:
        self._node, self._session, self._benchmark = request.node, request.config.stash[SESSION], benchmark
        self._used = False

    def __call__(self, candidate: Any, baseline: Any = None) -> Result:
        """Measure, judge and record.

        Args:
            candidate: a setup fixture's value, or a callable ``() -> picture, pictures or None``.
            baseline: what it is compared with; for a setup the baseline of its table where None.

        Returns:
            The result of a passing row.
        """
        from pytest_sdspeed.history import store
        from pytest_sdspeed.report.text import message

        try:
            result = self._measured(candidate, baseline)
        except (OutOfMemoryError, UnsupportedError) as error:
            pytest.skip(str(error))
        except SdSpeedError as error:
            pytest.fail(str(error), pytrace=False)
        store(self._benchmark, self._node.stash[CLOCK], result)
        self._node.user_properties.append(("sdspeed_verdict", result.verdict))
        self._node.user_properties.append(("sdspeed_speedup", round(result.speedup, 4)))
        if result.verdict == "inconclusive":
            self._inconclusive(message(result))
        elif result.verdict != "pass":
            pytest.fail(message(result), pytrace=False)
        return result

    def _measured(self, candidate: Any, baseline: Any) -> Result:
        if self._used:
            raise UsageMistakeError("sd_latency measures once per test: parametrize, or write one test for each candidate")
        self._used = True
        expectation = expectation_of(self._node)
        ours, theirs = contestants(candidate, baseline)
        return self._session.measure(ours, theirs, expectation)

    def _inconclusive(self, text: str) -> None:
        if self._session.options.inconclusive == "skip":
            pytest.skip(text)
        if self._session.options.inconclusive == "fail":
            pytest.fail(text, pytrace=False)
        warnings.warn(InconclusiveWarning(text), stacklevel=3)


def expectation_of(node: Any) -> Expectation:
    """The expectation of a test's closest ``sd_latency`` marker."""
    return read_marker(node.get_closest_marker(GATE), node.nodeid)


def setups_of(item: Any) -> set[str]:
    """Names of the setups that a test asks for by its fixtures."""
    chosen = {name.removeprefix(PREFIX) for name in getattr(item, "fixturenames", ()) if name.startswith(PREFIX) and name not in (GATE, ROW)}
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return chosen | ({parameters[ROW]} if isinstance(parameters.get(ROW), str) else set())


def _setup(request: pytest.FixtureRequest, name: str) -> Setup:
    session = request.config.stash[SESSION]
    try:
        expectation = expectation_of(request.node)
        choice = session.catalog.choose(expectation.table, name, request.node.nodeid)
        reason = session.skip_reason(choice, expectation, str(request.node.location[0]))
        if reason:
            pytest.skip(reason)
        return session.setup(choice)
    except SdSpeedError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def sd_latency(request: pytest.FixtureRequest, benchmark: Any) -> Gate:
    """Measure a setup or callable against its baseline, judge speed and pictures, and record both.

    ``result = sd_latency(sd_fp16)`` or ``sd_latency(candidate, baseline=reference)``; expectations come from the ``sd_latency`` marker.
    """
    from pytest_sdspeed.history import measuring_is_off

    try:
        expectation_of(request.node)
    except SdSpeedError as error:
        pytest.fail(str(error), pytrace=False)
    if hasattr(request.config, "workerinput"):
        pytest.skip("sd_latency does not measure under pytest-xdist, whose workers would disturb each other: run without -n")
    if measuring_is_off(benchmark):
        pytest.skip("sd_latency measures nothing under --benchmark-disable")
    return Gate(request, benchmark)


@pytest.fixture
def sd_setup(request: pytest.FixtureRequest) -> Setup:
    """Every setup of the marker's table in turn, baselines included."""
    return _setup(request, request.param)


def setup_fixtures(docs: Mapping[str, str]) -> Any:
    """A plugin object with the fixture ``sd_<name>`` for every setup.

    Args:
        docs: setup -> what ``pytest --fixtures`` says.
    """

    def fixture_of(name: str, doc: str) -> Any:
        def setup(request: pytest.FixtureRequest) -> Setup:
            return _setup(request, name)

        setup.__doc__, setup.__name__ = doc, f"{PREFIX}{name}"
        return pytest.fixture(name=f"{PREFIX}{name}")(setup)

    plugin = ModuleType("pytest_sdspeed_setups")
    for name, doc in docs.items():
        setattr(plugin, f"{PREFIX}{name}", fixture_of(name, doc))
    return plugin


def builtin_fixtures() -> Any:
    """The fixtures of the built-in setups."""
    return setup_fixtures(BUILTIN_SETUPS)
