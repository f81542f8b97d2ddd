"""Keys of what a run keeps in pytest's stash, and facts that a test's name and fixtures tell."""

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
"""The marker of a test, and what the test asks for; set when it is collected."""
CLOCK: pytest.StashKey[ReplayClock] = pytest.StashKey()
RESULT: pytest.StashKey[Result] = pytest.StashKey()
"""What the gate of a test measured."""
PROBLEMS: pytest.StashKey[list[str]] = pytest.StashKey()
"""What is wrong with the collected tests: it ends the run before any of them."""
ANSWER: pytest.StashKey[Path] = pytest.StashKey()
"""The file for the finding of a run that is to confirm another one's failure."""
PREFIX = "sd_"
GATE, ROW = "sd_latency", "sd_setup"


def run_of(config: pytest.Config) -> Run:
    """Find this run; make it when it is first needed.

    Raises:
        pytest.UsageError: the value of an option is not valid.
    """
    if RUN not in config.stash:
        from pytest_sdspeed.plugin.progress import make_watcher
        from pytest_sdspeed.plugin.settings import read_options
        from pytest_sdspeed.run.run import Run

        config.stash[RUN] = Run(read_options(config), config.stash[REGISTRY], make_watcher(config))
    return config.stash[RUN]


def is_gated(item: pytest.Item) -> bool:
    """Tell whether a test uses ``sd_latency``."""
    return GATE in getattr(item, "fixturenames", ())


def own_id(item: pytest.Item) -> str:
    """Return the id of a test, without the group that ``--dist=loadgroup`` adds in a worker."""
    test, _, _ = item.nodeid.rpartition("@")
    return test if test.endswith(item.name) else item.nodeid
