"""What is checked and noted about the collected tests before any of them runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_sdspeed.errors import SdSpeedError
from pytest_sdspeed.model import BASELINE
from pytest_sdspeed.plugin.requests import read_marker_of, setups_of
from pytest_sdspeed.plugin.state import CLOCK, run_of
from pytest_sdspeed.store.benchmark import (
    PLUGIN,
    ReplayClock,
    Storing,
    run_folders,
    run_info,
    storage_folder,
    unwritable_storage,
)
from pytest_sdspeed.store.whole import SESSION, guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STORING = "sdspeed-storing"
"""Name of the plugin ``Storing`` of a run."""


def rows_of(metafunc: pytest.Metafunc) -> tuple[Sequence[str], str | None]:
    """Rows that ``sd_setup`` runs over, and what is wrong with the test's table.

    A problem raised here would be a collection error (exit 2); the caller keeps it until collection
    is over. The one row returned with it makes a test that fails with the same words where the run
    cannot be ended.
    """
    try:
        return (
            run_of(metafunc.config).catalog.list_setups(
                read_marker_of(metafunc.definition).table, metafunc.definition.nodeid
            ),
            None,
        )
    except SdSpeedError as error:
        return (BASELINE,), str(error)


def problems_of(config: pytest.Config, items: Iterable[pytest.Item]) -> Iterable[str]:
    """What is wrong with the markers and setups of tests, one line each."""
    run = run_of(config)
    catalog = run.catalog
    for item in items:
        try:
            expectation = read_marker_of(item)
            if expectation.table is not None:
                catalog.find_tables(expectation.table, item.nodeid)
            for setup in sorted(setups_of(item) & catalog.list_setup_names()):
                run.stack_of(catalog.choose(expectation.table, setup, item.nodeid))
        except SdSpeedError as error:
            yield str(error)


def prepare(config: pytest.Config, gated: Iterable[pytest.Item]) -> None:
    """Make tests that use the gate ready, and the way of their record.

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
    """Make the record's way ready, in the process that writes the files and in those that measure.

    Raises:
        pytest.UsageError: pytest-benchmark is off, or cannot store what it was asked to.
    """
    if not config.pluginmanager.hasplugin(PLUGIN):
        raise pytest.UsageError(
            "sd_latency keeps its record through pytest-benchmark, which is off: run without -p"
            " no:benchmark"
        )
    problem = unwritable_storage(config.option, Path.cwd())
    # A worker writes nothing, and may be on another host.
    if problem and not hasattr(config, "workerinput"):
        raise pytest.UsageError(problem)
    command = shlex.join(["pytest", *map(str, config.invocation_params.args)])
    storing = Storing(run_of(config), command, run_folders(config.option, Path.cwd()))
    config.pluginmanager.register(storing, STORING)
    guard(config.pluginmanager.getplugin(SESSION), storing.lost)
    _look_back(config)


def _look_back(config: pytest.Config) -> None:
    """Let results be compared with the stored runs, where they are asked for."""
    run, folder = run_of(config), storage_folder(config.option, Path.cwd())
    if run.options.history != "off" and run.options.against is None and folder is not None:
        from pytest_sdspeed.history.lookup import HistoryLookup

        run.past = HistoryLookup(folder, lambda: run_info(config))


def select(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Note which documented rows the tests that will run ask for, since they share campaigns, and how many tests bring their own."""
    run = run_of(config)
    for item in items:
        if item.get_closest_marker("skip"):
            continue
        expectation, setups = read_marker_of(item), setups_of(item) & run.catalog.list_setup_names()
        if setups and (expectation.is_documented or run.options.against):
            run.selected |= {(expectation.table, name) for name in setups}
        else:
            run.own_campaigns += 1
