"""A run of pytest that serves requests instead of running tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.plugin.child import write_nothing
from pytest_sdspeed.plugin.options import NO_OTHER_VERSION
from pytest_sdspeed.plugin.state import run_of
from pytest_sdspeed.versions.server import WorkerServer

if TYPE_CHECKING:
    import pytest


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
    server = WorkerServer(run_of(session.config).session, finder)
    channel.send(("ready", None))
    while (request := channel.receive()) is not None:
        channel.send(server.answer(*request))
    return True
