"""The pytest plugin: hooks, each a few lines, over the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed import fixtures, hooks, options
from pytest_sdspeed.errors import SdSpeedError, UnsupportedError
from pytest_sdspeed.fixtures import CLOCK, GATE, ROW, SESSION, sd_latency, sd_setup
from pytest_sdspeed.model import BASELINE
from pytest_sdspeed.session import Session
from pytest_sdspeed.setups.registry import Registry

if TYPE_CHECKING:
    from pytest_sdspeed.measure.facts import Progress

__all__ = ["sd_latency", "sd_setup"]

_PROBLEMS = pytest.StashKey[list[str]]()
_BENCHMARK = "benchmark"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ``--sd-*`` options."""
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add ``pytest_sdspeed_register``."""
    pluginmanager.add_hookspecs(hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, make the fixtures, let users register."""
    config.addinivalue_line("markers", f"{options.MARKER}: gate a diffusion pipeline on its documented speed-up and pictures.")
    registry = Registry()
    session = config.stash[SESSION] = Session(options.read_options(config), registry)
    config.stash[_PROBLEMS] = []
    session.watcher = _watcher(config)
    manager = config.pluginmanager
    manager.register(fixtures.builtin_fixtures(), "sdspeed-setups")
    registry.listener = lambda setup: manager.register(fixtures.setup_fixtures({setup.name: setup.doc}), f"sdspeed-setup-{setup.name}")
    with _usage_errors():
        if session.options.gpu:
            _ = session.machine
        if session.options.tables:
            _register_table_setups(manager, session)
        config.hook.pytest_sdspeed_register.call_historic(kwargs={"registry": registry})
    if manager.hasplugin(_BENCHMARK):
        from pytest_sdspeed.history import MachineInfo

        manager.register(MachineInfo(session), "sdspeed-machine-info")
        _check_storage(config)


def _register_table_setups(manager: pytest.PytestPluginManager, session: Session) -> None:
    """Fixtures for the rows of the user's own tables."""
    from pytest_sdspeed.setups.names import BUILTIN_SETUPS, RESERVED

    rows = {row.setup: f"Row {row.setup!r} of table {table.name!r}." for table in session.tables for row in table.rows}
    own = {name: doc for name, doc in rows.items() if name not in BUILTIN_SETUPS and name not in RESERVED}
    manager.register(fixtures.setup_fixtures(own), "sdspeed-table-setups")


def _check_storage(config: pytest.Config) -> None:
    from pytest_sdspeed.history import unwritable_storage

    problem = unwritable_storage(config.option, config.rootpath)
    if problem:
        raise pytest.UsageError(problem)


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except (SdSpeedError, UnsupportedError) as error:
        raise pytest.UsageError(str(error)) from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize ``sd_setup`` over the rows of the marker's table."""
    if ROW not in metafunc.fixturenames:
        return
    session = metafunc.config.stash[SESSION]
    rows: tuple[str, ...] = (BASELINE,)
    try:
        rows = session.catalog.rows(fixtures.expectation_of(metafunc.definition).table, metafunc.definition.nodeid)
    except SdSpeedError as error:
        # Raised here it would be a collection error (exit 2); the usage error follows when collection is over.
        metafunc.config.stash[_PROBLEMS].append(str(error))
    metafunc.parametrize(ROW, rows, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check markers and setups before any test runs; give every gate its replay clock."""
    session, problems = config.stash[SESSION], config.stash[_PROBLEMS]
    gated = [item for item in items if GATE in getattr(item, "fixturenames", ())]
    marked = [item for item in items if item.get_closest_marker(GATE)]
    for item in dict.fromkeys((*marked, *gated)):
        try:
            expectation = fixtures.expectation_of(item)
            if expectation.table is not None:
                session.catalog.named(expectation.table, item.nodeid)
            for setup in sorted(fixtures.setups_of(item) & session.catalog.setup_names()):
                session.catalog.choose(expectation.table, setup, item.nodeid)
        except SdSpeedError as error:
            problems.append(str(error))
    if problems and not hasattr(config, "workerinput"):
        # A worker of pytest-xdist cannot end the run: there the fixtures fail their tests with the same words.
        raise pytest.UsageError("\n".join(dict.fromkeys(problems)))
    if gated and not config.pluginmanager.hasplugin(_BENCHMARK):
        raise pytest.UsageError("sd_latency keeps its record through pytest-benchmark, which is off: run without -p no:benchmark")
    if gated:
        _attach_clocks(gated)


def _attach_clocks(items: list[pytest.Item]) -> None:
    from pytest_sdspeed.history import ReplayClock

    for item in items:
        item.stash[CLOCK] = clock = ReplayClock()
        item.add_marker(pytest.mark.benchmark(timer=clock))
        # A gate that fails before it has samples says so itself.
        item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used at all"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which setups the tests that will run ask for: they share campaigns."""
    state = session.config.stash[SESSION]
    if session.config.stash[_PROBLEMS]:
        return  # pytest calls this hook after a usage error too
    for item in session.items:
        if GATE in getattr(item, "fixturenames", ()) and not item.get_closest_marker("skip"):
            expectation = fixtures.expectation_of(item)
            if expectation.speedup is None and expectation.tolerance is None:
                names = fixtures.setups_of(item) & state.catalog.setup_names()
                state.selected |= {(expectation.table, name) for name in names}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print one table per campaign, and write the files that were asked for."""
    session = config.stash[SESSION]
    if session.results:
        from pytest_sdspeed.report import text

        for group in text.campaigns(session.results):
            terminalreporter.write_sep("-", "pytest-sdspeed")
            for line in text.table(group):
                terminalreporter.write_line(line)
    for line in _write_files(session):
        terminalreporter.write_line(line)


def _write_files(session: Session) -> Iterator[str]:
    if session.options.report:
        from pytest_sdspeed.report.html import page

        session.options.report.write_text(page(session.results), encoding="utf-8")
        yield f"sd report: {session.options.report}"
    if session.options.record:
        from pytest_sdspeed.recording import write_record

        yield from write_record(session.options.record, session.results, session.tables, session.machine)


def _watcher(config: pytest.Config) -> Any:
    """Opens a progress line, or nothing where nobody watches: under ``-q``, or when the output is no terminal."""
    @contextmanager
    def watching(campaign: str) -> Iterator[Callable[[Progress], None]]:
        from pytest_sdspeed.report.progress import line

        writer = config.get_terminal_writer()
        capture = config.pluginmanager.getplugin("capturemanager")
        if not writer.hasmarkup or config.get_verbosity() < 0:
            yield lambda _progress: None
            return

        def show(text: str) -> None:
            text = text[: writer.fullwidth - 1]
            if capture is None:
                writer.write(f"\r{text.ljust(writer.fullwidth - 1)}", flush=True)
                return
            with capture.global_and_fixture_disabled():
                writer.write(f"\r{text.ljust(writer.fullwidth - 1)}", flush=True)

        show(f"{campaign}: building")
        try:
            yield lambda progress: show(line(campaign, progress.arm, progress.block, progress.blocks, progress.left_s))
        finally:
            show("")

    return watching
