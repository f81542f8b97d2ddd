"""Keys of the state that a run keeps in pytest's stash, and what is known of a test by its name and fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_sdspeed.model import Result
    from pytest_sdspeed.run.plan import Plan
    from pytest_sdspeed.run.run import Run
    from pytest_sdspeed.setups.registry import Registry
    from pytest_sdspeed.store.benchmark import ReplayClock
RUN: pytest.StashKey[Run] = pytest.StashKey()
REGISTRY: pytest.StashKey[Registry] = pytest.StashKey()
PLAN: pytest.StashKey[tuple[Any, Plan]] = pytest.StashKey()
"""The marker of a test, and what it asks for: from its collection on."""
CLOCK: pytest.StashKey[ReplayClock] = pytest.StashKey()
RESULT: pytest.StashKey[Result] = pytest.StashKey()
"""Of a test whose gate has measured."""
PROBLEMS: pytest.StashKey[list[str]] = pytest.StashKey()
"""What is wrong with the collected tests, and ends the run before any of them."""
ANSWER: pytest.StashKey[Path] = pytest.StashKey()
"""In a run that confirms another's failure: the file it writes its finding to."""
PREFIX = "sd_"
GATE, ROW = "sd_latency", "sd_setup"


def run_of(config: pytest.Config) -> Run:
    """Find this run, which is made when it is first needed.

    Raises:
        pytest.UsageError: an option has a value that cannot be.
    """
    if RUN not in config.stash:
        from pytest_sdspeed.plugin.progress import watcher
        from pytest_sdspeed.plugin.settings import read_options
        from pytest_sdspeed.run.run import Run

        config.stash[RUN] = Run(read_options(config), config.stash[REGISTRY], watcher(config))
    return config.stash[RUN]


def is_gated(item: pytest.Item) -> bool:
    """Whether a test uses ``sd_latency``."""
    return GATE in getattr(item, "fixturenames", ())


def own_id(item: pytest.Item) -> str:
    """The id of a test, without the group that ``--dist=loadgroup`` may add to it in a worker of pytest-xdist."""
    test, _, _ = item.nodeid.rpartition("@")
    return test if test.endswith(item.name) else item.nodeid
