"""A run of pytest that serves requests instead of running tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import GenerationError, SdSpeedError, UnsupportedError
from pytest_sdspeed.plugin.child import write_nothing
from pytest_sdspeed.plugin.options import NO_OTHER_VERSION
from pytest_sdspeed.plugin.state import own_id, run_of
from pytest_sdspeed.versions.server import WorkerServer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

    from pytest_sdspeed.model import AccountResult
    from pytest_sdspeed.run.targets import Target


def leave_nothing(config: pytest.Config, temporary: str) -> None:
    """Make a run of pytest write nothing, and compare with no other version.

    Args:
        config: config of the run, before plugins read it.
        temporary: its ``--basetemp``.
    """
    write_nothing(config.option, Path(temporary))
    config.option.sd_against = NO_OTHER_VERSION


def serve(session: pytest.Session, channel: Any, finder: Any) -> bool | None:
    """Answer requests instead of running tests, until one is None.

    Args:
        session: session of pytest, after collection.
        channel: channel of execnet that brings requests and takes answers.
        finder: the ``versions.environments.finder.RootsFinder`` of this worker.

    Returns:
        True, or None if collection failed: pytest then reports the errors as usual.
    """
    if session.testsfailed:
        return None
    count = TestCounter(session).count if run_of(session.config).options.dry else None
    server = WorkerServer(run_of(session.config).session, finder, count)
    channel.send(("ready", None))
    while (request := channel.receive()) is not None:
        channel.send(server.answer(*request))
    return True


class TestCounter:
    """Runs tests of a worker for what their gates count, and not for how they end.

    Args:
        session: session of pytest, after collection.
    """

    __test__ = False

    def __init__(self, session: pytest.Session) -> None:
        self._tests = {own_id(item): item for item in session.items}
        self._run = run_of(session.config)
        self._run.counting = self._count_here
        self._found: dict[str, AccountResult | SdSpeedError] = {}
        self._reports: list[pytest.TestReport] = []
        session.config.pluginmanager.register(self, "sdspeed-test-counter")

    def count(self, test: str, gate: str) -> AccountResult:
        """Run a test, and return what one of its gates counted.

        Args:
            test: id of the test.
            gate: name of the gate.

        Raises:
            UnsupportedError: the test is not there, or was skipped.
            SdSpeedError: it could not be counted; the message says why.
        """
        item = self._tests.get(test)
        if item is None:
            raise UnsupportedError(f"it has no test {test}")
        self._found.clear()
        self._reports.clear()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        found = self._found.get(gate) or self._explain()
        if isinstance(found, SdSpeedError):
            raise found
        return found

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep how the phases of a test ended."""
        self._reports.append(report)

    def _count_here(
        self, target: Target, bounds: Mapping[str, int], test: str, gate: str
    ) -> AccountResult:
        from pytest_sdspeed.run.account_results import count_target

        try:
            result = count_target(target, self._run.session, bounds, test)
        except SdSpeedError as error:
            self._found[gate] = error
            raise
        self._found[gate] = result
        return result

    def _explain(self) -> SdSpeedError:
        """Explain why a test did not come to its gate."""
        ended = next((one for one in self._reports if not one.passed), None)
        if ended is None:
            return GenerationError("the test ended without asking its gate")
        if ended.skipped and isinstance(ended.longrepr, tuple):
            return UnsupportedError(str(ended.longrepr[2]).removeprefix("Skipped: "))
        crash = getattr(ended.longrepr, "reprcrash", None)
        said = str(getattr(crash, "message", ended.longreprtext)).strip().splitlines()
        return GenerationError((said or ["the test failed"])[0])
