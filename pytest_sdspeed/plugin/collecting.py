"""What is checked and noted about the collected tests before any of them runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_sdspeed.errors import SdSpeedError
from pytest_sdspeed.model import BASELINE
from pytest_sdspeed.plugin.requests import plan_of
from pytest_sdspeed.plugin.settings import read_marker
from pytest_sdspeed.plugin.state import CLOCK, GATE, run_of
from pytest_sdspeed.store.benchmark import (
    PLUGIN,
    ReplayClock,
    Storing,
    collect_run_info,
    explain_unwritable_storage,
    find_run_folders,
    find_storage_folder,
)
from pytest_sdspeed.store.whole import SESSION, guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STORING = "sdspeed-storing"
"""The name under which a run registers its ``Storing`` with pytest."""


def rows_of(metafunc: pytest.Metafunc) -> tuple[Sequence[str], str | None]:
    """List the rows that ``sd_setup`` runs over, and say what is wrong with the test's table.

    A problem raised here would be a collection error (exit 2); the caller keeps it until collection
    is over. The one row returned with it makes a test that fails with the same words if the run
    cannot be ended.
    """
    test, session = metafunc.definition, run_of(metafunc.config).session
    try:
        mark, metrics = test.get_closest_marker(GATE), session.registry.metrics
        marker = read_marker(mark, test.nodeid, metrics)
        return session.catalog.list_setups(marker.table, test.nodeid), None
    except SdSpeedError as error:
        return (BASELINE,), str(error)


def problems_of(config: pytest.Config, items: Iterable[pytest.Item]) -> Iterable[str]:
    """Say what is wrong with the markers and setups of tests, one line each."""
    session = run_of(config).session
    for item in items:
        try:
            for resolved in plan_of(item).setups:
                session.stack_of(resolved)
        except SdSpeedError as error:
            yield str(error)


def prepare(config: pytest.Config, gated: Iterable[pytest.Item]) -> None:
    """Give every gated test its replay clock, and set up storage.

    Raises:
        pytest.UsageError: pytest-benchmark is off, or cannot store what it was asked to.
    """
    set_up_storage(config)
    for item in gated:
        item.stash[CLOCK] = clock = ReplayClock()
        item.add_marker(pytest.mark.benchmark(timer=clock))
        # A gate that fails before it has samples says so itself.
        item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used at all"))


def set_up_storage(config: pytest.Config) -> None:
    """Set up storage, in the process that writes the files and in those that measure.

    Raises:
        pytest.UsageError: pytest-benchmark is off, or cannot store what it was asked to.
    """
    if not config.pluginmanager.hasplugin(PLUGIN):
        raise pytest.UsageError(
            "sd_latency keeps its record through pytest-benchmark, which is off: run without -p"
            " no:benchmark"
        )
    problem = explain_unwritable_storage(config.option, Path.cwd())
    # A worker writes nothing, and may be on another host.
    if problem and not hasattr(config, "workerinput"):
        raise pytest.UsageError(problem)
    command = shlex.join(["pytest", *map(str, config.invocation_params.args)])
    storing = Storing(run_of(config), command, find_run_folders(config.option, Path.cwd()))
    config.pluginmanager.register(storing, STORING)
    guard(config.pluginmanager.getplugin(SESSION), storing.note_loss)
    _look_back(config)


def _look_back(config: pytest.Config) -> None:
    """Open the stored runs, if results are to be compared with them."""
    run, folder = run_of(config), find_storage_folder(config.option, Path.cwd())
    if run.options.history != "off" and run.options.against is None and folder is not None:
        from pytest_sdspeed.history.lookup import HistoryLookup

        run.lookup = HistoryLookup(folder, lambda: collect_run_info(config))


def select(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Count what the tests that will run ask for: rows share campaigns and the error."""
    plan = run_of(config).plan
    for item in items:
        if not item.get_closest_marker("skip"):
            plan.add(plan_of(item))
