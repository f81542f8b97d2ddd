"""The pytest plugin: hooks of a few lines each; what they call loads when a test needs it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_sdspeed.plugin import fixtures, hookspecs, options
from pytest_sdspeed.plugin.fixtures import sd_latency, sd_setup
from pytest_sdspeed.plugin.state import GATE, PROBLEMS, REGISTRY, ROW, RUN, is_gated, run_of
from pytest_sdspeed.setups.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator


__all__ = ["sd_latency", "sd_setup"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ``--sd-*`` options."""
    options.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add ``pytest_sdspeed_register``."""
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """If this run is to confirm another one's failure, run that test alone and save nothing."""
    if options.CONFIRMATION in os.environ:
        from pytest_sdspeed.plugin.confirm import become_rerun

        become_rerun(config)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Return the number of GPUs under ``--sd-gpu``: one worker measures on each."""
    if not options.flag(config, "gpu"):
        return None
    from pytest_sdspeed.plugin.distributed.placement import visible_gpus

    return len(visible_gpus())


def pytest_configure(config: pytest.Config) -> None:
    """Make the fixtures, let users register, and read the options if any is given."""
    config.addinivalue_line(
        "markers",
        f"{options.MARKER}: gate a diffusion pipeline on its documented speed-up and pictures.",
    )
    manager = config.pluginmanager
    manager.register(fixtures.builtin_fixtures(), "sdspeed-setups")
    registry = config.stash[REGISTRY] = Registry()
    registry.listener = lambda setup: manager.register(
        fixtures.setup_fixtures({setup.name: setup.doc}), f"sdspeed-setup-{setup.name}"
    )
    config.stash[PROBLEMS] = []
    distributed = _join(config)
    with _usage_errors():
        config.hook.pytest_sdspeed_register.call_historic(kwargs={"registry": registry})
        if options.is_any_given(config):
            run = run_of(config)
            if run.options.against and distributed:
                raise pytest.UsageError(
                    "--sd-against measures in processes of its own, which others would disturb: run"
                    " without -n"
                )
            if run.options.tables:
                manager.register(
                    fixtures.setup_fixtures(run.session.own_setups()), "sdspeed-table-setups"
                )
            if run.options.gpu and not distributed:
                _find_gpu(config)


def _join(config: pytest.Config) -> bool:
    """Take part in a run of pytest-xdist, and tell whether as its controller."""
    distributed = (
        getattr(config.option, "dist", "no") != "no"
        and bool(config.option.tx)
        and not config.option.collectonly
    )
    if distributed:
        from pytest_sdspeed.plugin.distributed.controller import Controller

        config.pluginmanager.register(Controller(config), "sdspeed-controller")
    elif hasattr(config, "workerinput"):
        from pytest_sdspeed.plugin.distributed.worker import Worker

        config.pluginmanager.register(Worker(config), "sdspeed-worker")
    return distributed


def _find_gpu(config: pytest.Config) -> None:
    from pytest_sdspeed.errors import SdSpeedError

    try:
        _ = run_of(config).machine
    except SdSpeedError as error:
        # If a worker raises this here, xdist replaces it with another one, without end.
        if not hasattr(config, "workerinput"):
            raise
        config.stash[PROBLEMS].append(str(error))


def _show_in_html(config: pytest.Config) -> None:
    """Give pytest-html the pictures if it writes a page."""
    if config.pluginmanager.hasplugin("html") and config.getoption("htmlpath", None):
        from pytest_sdspeed.plugin.html_extras import HtmlExtras

        config.pluginmanager.register(HtmlExtras(), "sdspeed-html")


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
        from pytest_sdspeed.plugin.collecting import rows_of

        rows, problem = rows_of(metafunc)
        metafunc.config.stash[PROBLEMS] += [problem] if problem else []
        metafunc.parametrize(ROW, rows, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check markers and setups before any test runs; give every gate its replay clock."""
    concerned = [item for item in items if is_gated(item) or item.get_closest_marker(GATE)]
    if not concerned:
        return
    from pytest_sdspeed.plugin.collecting import prepare, problems_of

    problems = config.stash[PROBLEMS]
    problems += problems_of(config, concerned)
    if problems and not hasattr(config, "workerinput"):
        # A worker of pytest-xdist cannot end the run: it tells the controller.
        raise pytest.UsageError("\n".join(dict.fromkeys(problems)))
    gated = [item for item in concerned if is_gated(item)]
    if gated:
        try:
            prepare(config, gated)
        except pytest.UsageError as error:
            # pytest goes on with its next hook all the same, which must not start any process.
            problems.append(str(error))
            if not hasattr(config, "workerinput"):
                raise
        _show_in_html(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Count what the tests that will run ask for, and open a comparison of versions."""
    gated = [item for item in session.items if is_gated(item)]
    # pytest calls this hook after a usage error too.
    if gated and not session.config.stash[PROBLEMS]:
        from pytest_sdspeed.plugin.collecting import select

        select(session.config, gated)
        run = session.config.stash[RUN]
        if (
            run.options.against
            and not session.config.option.collectonly
            and not session.testsfailed
        ):
            from pytest_sdspeed.plugin.comparing import open_comparison

            open_comparison(session.config, session.items)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write what was measured as tables; fail a run that was asked for them and has none."""
    config = session.config
    if (
        RUN not in config.stash
        or exitstatus == pytest.ExitCode.USAGE_ERROR
        or hasattr(config, "workerinput")
    ):
        return
    from pytest_sdspeed.plugin.summary import write_reference_files

    if not write_reference_files(config.stash[RUN], config) and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: pytest.ExitCode, config: pytest.Config
) -> None:
    """Print a table for each campaign, and write the files that were asked for.

    A worker writes none, and neither does a run that was refused: it would replace a good one's.
    """
    if (
        RUN not in config.stash
        or exitstatus == pytest.ExitCode.USAGE_ERROR
        or hasattr(config, "workerinput")
    ):
        return
    from pytest_sdspeed.plugin.summary import file_lines, history_lines, table_lines

    run = config.stash[RUN]
    lines = [*table_lines(run.results), *history_lines(run)]
    if lines:
        terminalreporter.section("pytest-sdspeed", sep="-")
    for line in (*lines, *file_lines(run, config)):
        terminalreporter.write_line(line)
