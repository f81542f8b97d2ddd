"""What a worker does when it is asked: build, draw, and tell where the time goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.plugin.child import write_nothing
from pytest_sdspeed.plugin.state import run_of
from pytest_sdspeed.versions.server import WorkerServer

if TYPE_CHECKING:
    import pytest


def leave_nothing(config: pytest.Config, temporary: str) -> None:
    """Make a run of pytest one that measures against nothing and writes nothing.

    Args:
        config: of the run, before plugins read it.
        temporary: its ``--basetemp``.
    """
    write_nothing(config.option, Path(temporary))
    config.option.sd_against = ""


def serve(session: pytest.Session, channel: Any, finder: Any) -> bool | None:
    """Answer until nothing more is wanted, in the place of running tests.

    Args:
        session: of pytest, which has collected.
        channel: brings requests, and takes answers.
        finder: ``sides.finder.RootsFinder`` of this side.

    Returns:
        None where collection failed: pytest says why.
    """
    if session.testsfailed:
        return None
    server = WorkerServer(run_of(session.config).session, finder)
    channel.send(("ready", None))
    while (request := channel.receive()) is not None:
        channel.send(server.answer(*request))
    return True
