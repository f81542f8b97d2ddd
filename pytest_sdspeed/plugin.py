"""The pytest plugin: hooks, each a few lines. What they call loads when a test needs it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_sdspeed import fixtures, hooks, options
from pytest_sdspeed.fixtures import GATE, REGISTRY, ROW, RUN, is_gated, run_of, sd_latency, sd_setup
from pytest_sdspeed.setups.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.session import Session

__all__ = ["sd_latency", "sd_setup"]

_PROBLEMS: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ``--sd-*`` options."""
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add ``pytest_sdspeed_register``."""
    pluginmanager.add_hookspecs(hooks)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Where another run asks for a confirmation, run its test alone and save nothing."""
    if options.CONFIRMATION in os.environ:
        from pytest_sdspeed.confirm import run_errand

        run_errand(config)


def pytest_configure(config: pytest.Config) -> None:
    """Make the fixtures, let users register, read the options where any is given."""
    config.addinivalue_line("markers", f"{options.MARKER}: gate a diffusion pipeline on its documented speed-up and pictures.")
    manager = config.pluginmanager
    manager.register(fixtures.builtin_fixtures(), "sdspeed-setups")
    registry = config.stash[REGISTRY] = Registry()
    registry.listener = lambda setup: manager.register(fixtures.setup_fixtures({setup.name: setup.doc}), f"sdspeed-setup-{setup.name}")
    config.stash[_PROBLEMS] = []
    with _usage_errors():
        config.hook.pytest_sdspeed_register.call_historic(kwargs={"registry": registry})
        if options.any_given(config):
            session = run_of(config)
            if session.options.against and getattr(config.option, "dist", "no") != "no":
                raise pytest.UsageError("--sd-against measures in processes of its own, which others would disturb: run without -n")
            _open(manager, session)


def _show_in_html(config: pytest.Config) -> None:
    """Where pytest-html writes a page, give it the pictures."""
    if config.pluginmanager.hasplugin("html") and config.getoption("htmlpath", None):
        from pytest_sdspeed.extras import HtmlExtras

        config.pluginmanager.register(HtmlExtras(), "sdspeed-html")


def _open(manager: pytest.PytestPluginManager, session: Session) -> None:
    """Find the GPU and the user's tables, and give the tables' own setups their fixtures."""
    if session.options.gpu:
        _ = session.machine
    if session.options.tables:
        manager.register(fixtures.setup_fixtures(session.own_setups()), "sdspeed-table-setups")


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        from pytest_sdspeed.errors import SdSpeedError

        if isinstance(error, SdSpeedError):
            raise pytest.UsageError(str(error)) from None
        raise


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize ``sd_setup`` over the rows of the marker's table."""
    if ROW in metafunc.fixturenames:
        from pytest_sdspeed.collecting import rows_of

        rows, problem = rows_of(metafunc)
        metafunc.config.stash[_PROBLEMS] += [problem] if problem else []
        metafunc.parametrize(ROW, rows, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check markers and setups before any test runs; give every gate its replay clock."""
    concerned = [item for item in items if is_gated(item) or item.get_closest_marker(GATE)]
    if not concerned:
        return
    from pytest_sdspeed.collecting import prepare, problems_of

    problems = config.stash[_PROBLEMS]
    problems += problems_of(config, concerned)
    if problems and not hasattr(config, "workerinput"):
        # A worker of pytest-xdist cannot end the run: there the fixtures fail their tests with the same words.
        raise pytest.UsageError("\n".join(dict.fromkeys(problems)))
    gated = [item for item in concerned if is_gated(item)]
    if gated:
        prepare(config, gated)
        _show_in_html(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note which setups the tests that will run ask for."""
    gated = [item for item in session.items if is_gated(item)]
    # pytest calls this hook after a usage error too.
    if gated and not session.config.stash[_PROBLEMS]:
        from pytest_sdspeed.collecting import select

        select(session.config, gated)
        run = session.config.stash[RUN]
        if run.options.against and not session.config.option.collectonly and not session.testsfailed:
            from pytest_sdspeed.against.opening import open_comparison

            open_comparison(session.config, session.items)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Record what was measured. A run that was asked for a record and leaves none fails."""
    config = session.config
    if RUN not in config.stash or exitstatus == pytest.ExitCode.USAGE_ERROR or hasattr(config, "workerinput"):
        return
    from pytest_sdspeed.summary import record

    if not record(config.stash[RUN], config) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: pytest.ExitCode, config: pytest.Config) -> None:
    """Print one table per campaign, and write the files that were asked for: not over those of a run that was one."""
    if RUN not in config.stash or exitstatus == pytest.ExitCode.USAGE_ERROR:
        return
    from pytest_sdspeed.summary import file_lines, history_lines, table_lines

    session = config.stash[RUN]
    lines = [*table_lines(session.results), *history_lines(session)]
    if lines:
        terminalreporter.section("pytest-sdspeed", sep="-")
    for line in (*lines, *file_lines(session, config)):
        terminalreporter.write_line(line)
