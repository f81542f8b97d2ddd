"""The pytest plugin: hooks of a few lines each; what they call loads when a test needs it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_sdspeed.plugin import fixtures, hookspecs, options
from pytest_sdspeed.plugin.fixtures import sd_account, sd_claim, sd_latency, sd_setup
from pytest_sdspeed.plugin.options import CLAIM, GATE
from pytest_sdspeed.plugin.state import (
    ASKING,
    BEGUN,
    CLOCK,
    COLD,
    PROBLEMS,
    PROCESS,
    REGISTRY,
    ROW,
    RUN,
    gates_of,
    is_gated,
    is_measured,
    is_of_body,
    measures_nothing,
    must_ask,
    note_begin,
    options_of,
    run_of,
)
from pytest_sdspeed.setups.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytest_sdspeed.model import Machine
    from pytest_sdspeed.run.run import Run

__all__ = ["sd_account", "sd_claim", "sd_latency", "sd_setup"]
_TABLES = Path(__file__).parents[1] / "tables"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ``--sd-*`` options."""
    options.add_options(parser)
    if options.COLD_START in os.environ:
        from pytest_sdspeed.plugin.cold_start import watch_imports

        watch_imports()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add ``pytest_sdspeed_register``."""
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """If this run is to confirm another one's failure, or to start with a row, save nothing."""
    if options.CONFIRMATION in os.environ:
        from pytest_sdspeed.plugin.confirm import become_rerun

        become_rerun(config)
    if options.COLD_START in os.environ:
        from pytest_sdspeed.plugin.cold_start import become_cold_start

        become_cold_start(config)


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
    config.addinivalue_line(
        "markers",
        f"{options.ACCOUNT_MARKER}: gate what a pipeline asks of a GPU, counted on any machine:"
        " host syncs, copies, casts, operations.",
    )
    manager = config.pluginmanager
    manager.register(fixtures.builtin_fixtures(), "sdspeed-setups")
    registry = config.stash[REGISTRY] = Registry()
    registry.listener = lambda setup: manager.register(
        fixtures.setup_fixtures({setup.name: setup.doc}), f"sdspeed-setup-{setup.name}"
    )
    config.stash[PROBLEMS] = []
    config.stash[PROCESS] = os.getpid()
    distributed = _join(config)
    with _usage_errors():
        config.hook.pytest_sdspeed_register.call_historic(kwargs={"registry": registry})
        if options.is_any_given(config):
            run = _open_run(config, measures=not distributed)
            if run.options.against and distributed:
                raise pytest.UsageError(
                    "--sd-against measures in processes of its own, which others would disturb: run"
                    " without -n"
                )
            if run.options.total_budget_s:
                from pytest_sdspeed.plugin.total_budget import keep_total_budget

                keep_total_budget(config, distributed=distributed)
            if run.options.tables:
                manager.register(
                    fixtures.setup_fixtures(run.session.own_setups()), "sdspeed-table-setups"
                )
        _load_named_tables(config)


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


def _load_named_tables(config: pytest.Config) -> None:
    """Load the tables whose rows the command line names, before anything is collected."""
    if any(".toml" in argument for argument in config.args):
        from pytest_sdspeed.plugin.table_files import load_named

        load_named(run_of(config).session, config.args, config.invocation_params.dir)


def _open_run(config: pytest.Config, *, measures: bool) -> Run:
    """Make the run of this process; if it measures on a GPU, find that before more is imported."""
    machine = _find_gpu(config) if measures and options_of(config).gpu else None
    run = run_of(config)
    if machine is not None:
        run.session.use_machine(machine)
    return run


def _find_gpu(config: pytest.Config) -> Machine | None:
    from pytest_sdspeed.device.machine import describe_accelerator
    from pytest_sdspeed.errors import SdSpeedError

    try:
        return describe_accelerator()
    except SdSpeedError as error:
        # If a worker raises this here, xdist replaces it with another one, without end.
        if not hasattr(config, "workerinput"):
            raise
        config.stash[PROBLEMS].append(str(error))
        return None


@contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        from pytest_sdspeed.errors import SdSpeedError

        if isinstance(error, SdSpeedError):
            raise pytest.UsageError(str(error)) from None
        raise


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect tests of a table that is named, ``*.sdspeed.toml``, or built in."""
    if file_path.suffix != ".toml" or not (
        file_path.name.endswith(".sdspeed.toml")
        or file_path.parent == _TABLES
        or parent.session.isinitpath(file_path)
    ):
        return None
    from pytest_sdspeed.plugin.table_files import TableFile

    return TableFile.from_parent(parent, path=file_path)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize ``sd_setup`` over the rows of the marker's table, ``sd_claim`` over claims."""
    if {ROW, CLAIM}.isdisjoint(metafunc.fixturenames):
        return
    from pytest_sdspeed.plugin.collecting import list_claims, list_rows

    for fixture, find in ((ROW, list_rows), (CLAIM, list_claims)):
        if fixture in metafunc.fixturenames:
            names, problem = find(metafunc)
            metafunc.config.stash[PROBLEMS] += [problem] if problem else []
            metafunc.parametrize(fixture, names, indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check markers and setups before any test runs; give every gate its replay clock."""
    gated = [item for item in items if is_gated(item)]
    if not gated:
        return
    from pytest_sdspeed.plugin.collecting import prepare, problems_of

    problems = config.stash[PROBLEMS]
    problems += problems_of(config, gated)
    if problems and not hasattr(config, "workerinput"):
        # A worker of pytest-xdist cannot end the run: it tells the controller.
        raise pytest.UsageError("\n".join(dict.fromkeys(problems)))
    try:
        prepare(config, gated)
    except pytest.UsageError as error:
        # pytest goes on with its next hook all the same, which must not start any process.
        problems.append(str(error))
        if not hasattr(config, "workerinput"):
            raise


def pytest_collection_finish(session: pytest.Session) -> None:
    """Count what the tests that will run ask for, and open a comparison of versions."""
    gated = [item for item in session.items if is_gated(item)]
    # pytest calls this hook after a usage error too.
    if gated and not session.config.stash[PROBLEMS]:
        from pytest_sdspeed.plugin.collecting import select
        from pytest_sdspeed.plugin.row_tally import list_rows, open_tally

        select(session.config, gated)
        open_tally(session.config).ask(list_rows(gated))
        run = session.config.stash[RUN]
        if (
            run.options.against
            and not session.config.option.collectonly
            and not session.testsfailed
        ):
            from pytest_sdspeed.plugin.comparing import open_comparison

            open_comparison(session.config, session.items)


@pytest.hookimpl(trylast=True)
def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> str:
    """Say what the tests will cost, as far as that is published."""
    if RUN not in config.stash and not any(map(is_gated, items)):
        return ""
    from pytest_sdspeed.plugin.prospect import describe_run

    return describe_run(config, items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """If this run is to start with one row, do that in the place of running its tests."""
    request = session.config.stash.get(COLD, None)
    if request is None or session.testsfailed:
        return None
    from pytest_sdspeed.plugin.cold_start import start_cold

    return start_cold(session, request)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin an attempt of a test that measures: it has not asked its gate yet.

    When it began is noted for every test: one may ask for its gate while it runs.
    """
    note_begin(item, "protocol")
    item.stash[BEGUN].pop("call", None)
    # A conftest file may add markers after the tests were prepared.
    gates = dict.fromkeys([*([GATE] if CLOCK in item.stash else []), *gates_of(item)])
    if gates:
        from pytest_sdspeed.plugin.asking import Asking

        process = item.config.stash[PROCESS]
        item.stash[ASKING] = {gate: Asking(item, process, gate) for gate in gates}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Note when a body begins, and ends: reports made before are those of its subtests."""
    note_begin(item, "call")
    try:
        return (yield)
    finally:
        for asking in item.stash.get(ASKING, {}).values():
            asking.ended = True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test end as its gate did; fail one that must ask its gate and did not."""
    if not is_of_body(item, call):
        return (yield)
    from pytest_sdspeed.plugin.asking import correct, insist

    askings = item.stash[ASKING]
    for asking in askings.values():
        insist(asking, call)
    report = yield
    for gate, asking in askings.items():
        measured = gate in (GATE, CLAIM) and is_measured(item)
        off = measured and measures_nothing(item.config)
        owes = (asking.owed or must_ask(item, gate)) and not off
        correct(item, asking, call, report, must_ask=owes)
    return report


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Let go of what was asked: the fixtures that it holds are torn down."""
    if ASKING in item.stash:
        del item.stash[ASKING]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the files that were asked for; fail a run that was to record and has no table.

    They are written here, by when the run is stored: a run may have no summary, or no terminal.
    """
    config = session.config
    if not _is_told(config, exitstatus):
        return
    from pytest_sdspeed.plugin.summary import tell_unsummarized, write_files

    run = config.stash[RUN]
    whole = write_files(run, config)
    if not whole and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    tell_unsummarized(config, [*run.problems, *([] if whole else run.recorded)])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: pytest.ExitCode, config: pytest.Config
) -> None:
    """Print a table for each campaign, and a line for each file that was written."""
    if not _is_told(config, exitstatus):
        return
    from pytest_sdspeed.plugin.row_tally import tally_lines
    from pytest_sdspeed.plugin.summary import (
        account_lines,
        claim_lines,
        history_lines,
        table_lines,
    )
    from pytest_sdspeed.plugin.total_budget import total_budget_lines

    run = config.stash[RUN]
    lines = [
        *table_lines(run.results),
        *account_lines(run.accounts),
        *claim_lines(run.claims),
        *history_lines(run),
    ]
    lines += [*run.planned, *tally_lines(config), *total_budget_lines(run)]
    if lines:
        terminalreporter.section("pytest-sdspeed", sep="-")
    for line in (*lines, *run.problems, *run.written):
        terminalreporter.write_line(line)


def _is_told(config: pytest.Config, exitstatus: int) -> bool:
    """Tell whether this process tells what a run found: no worker does.

    Nor does a run that was refused: its files would replace a good one's.
    """
    return (
        RUN in config.stash
        and exitstatus != pytest.ExitCode.USAGE_ERROR
        and not hasattr(config, "workerinput")
    )
