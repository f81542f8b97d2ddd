"""The first code in a worker: where its modules come from, then pytest.

Pytest collects the same tests, and then answers requests instead of running them.

It is sent as source, and imports nothing of this package before the folders of the modules are
known.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any


def main(channel: Any) -> None:
    """Be a worker until the channel brings None.

    Args:
        channel: execnet's. It brings first: ``log``, a file for everything that is printed;
            ``folder``, the working directory; ``finder``, the source of
            ``versions.environments.finder``, with ``roots``, ``excluded`` and ``path`` for its
            ``install``; ``arguments``, the command line of pytest; ``temporary``, a folder.
    """
    facts = channel.receive()
    log = os.open(facts["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = os.fdopen(
        1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )
    sys.stderr = os.fdopen(
        2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )
    os.chdir(facts["folder"])
    finder = ModuleType("pytest_sdspeed_finder")
    sys.modules[finder.__name__] = finder
    exec(compile(facts["finder"], finder.__name__, "exec"), vars(finder))  # noqa: S102 - this package's own module
    installed = finder.install(facts["roots"], facts["excluded"], facts["path"])

    import pytest

    class Worker:
        """Turns a run of pytest into a worker.

        What it calls is imported in its hooks, so that pytest can rewrite it first.
        """

        @pytest.hookimpl(tryfirst=True)
        def pytest_cmdline_main(self, config: pytest.Config) -> None:
            from pytest_sdspeed.plugin.serving import leave_nothing

            leave_nothing(config, facts["temporary"])

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
            from pytest_sdspeed.plugin.serving import serve

            return serve(session, channel, installed)

    channel.send(("ended", int(pytest.main(facts["arguments"], plugins=[Worker()]))))


if __name__ == "__channelexec__":
    main(channel)  # type: ignore[name-defined] # noqa: F821 - execnet's
