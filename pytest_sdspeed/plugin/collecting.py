"""What is checked and noted about the collected tests before any of them runs."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.errors import SdSpeedError, UsageMistakeError
from pytest_sdspeed.model import BASELINE
from pytest_sdspeed.plugin.account_marker import read_account_marker
from pytest_sdspeed.plugin.attempts import (
    notice_attempts,
    notice_late_attempt,
    set_replay_clock,
)
from pytest_sdspeed.plugin.companions import refuse_companions
from pytest_sdspeed.plugin.options import CLAIM, COUNTING, GATE
from pytest_sdspeed.plugin.requests import plan_of
from pytest_sdspeed.plugin.settings import read_marker
from pytest_sdspeed.plugin.state import (
    COUNTED,
    claim_of,
    is_measured,
    is_timed,
    must_ask,
    run_of,
)
from pytest_sdspeed.store.benchmark import (
    PLUGIN,
    Storing,
    collect_run_info,
    explain_refusal,
    explain_unwritable_storage,
    find_run_folders,
    find_storage_folder,
    use_clock,
)
from pytest_sdspeed.store.whole import SESSION, guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HTML = "sdspeed-html"
STORING = "sdspeed-storing"
"""The name under which a run registers its ``Storing`` with pytest."""


def list_rows(metafunc: pytest.Metafunc) -> tuple[Sequence[str], str | None]:
    """List the rows that ``sd_setup`` runs over, and say what is wrong with the test's table.

    A problem raised here would be a collection error (exit 2); the caller keeps it until collection
    is over. The one row returned with it makes a test that fails with the same words if the run
    cannot be ended.
    """
    test, session = metafunc.definition, run_of(metafunc.config).session
    try:
        mark, metrics = test.get_closest_marker(GATE), session.registry.metrics
        table = read_marker(mark, test.nodeid, metrics).table
        counted = read_account_marker(test.get_closest_marker(COUNTING), test.nodeid)
        timed = mark is not None or GATE in metafunc.fixturenames
        catalog = session.catalog if timed else session.dry_catalog
        return catalog.list_setups(table or counted.table, test.nodeid), None
    except SdSpeedError as error:
        return (BASELINE,), str(error)


def list_claims(metafunc: pytest.Metafunc) -> tuple[Sequence[str], str | None]:
    """List the claims that ``sd_claim`` runs over, and say what is wrong with the test's table.

    As for rows, the one name that is returned with a problem makes a test that fails.
    """
    from pytest_sdspeed.run.planned_claims import find_claims, list_claim_names

    test, session = metafunc.definition, run_of(metafunc.config).session
    try:
        marker = read_marker(test.get_closest_marker(GATE), test.nodeid, session.registry.metrics)
        found = find_claims(session.catalog, marker.table, test.nodeid)
    except SdSpeedError as error:
        return ("claim",), str(error)
    if found is None:
        named = marker.table or "of this run"
        return ("claim",), (
            f"{test.nodeid}: sd_claim runs over the claims of a table, and table {named!r} has"
            " none: name one that has by @pytest.mark.sd_latency(table=...), or write [[claims]]"
        )
    return list_claim_names(found), None


def problems_of(config: pytest.Config, items: Iterable[pytest.Item]) -> Iterable[str]:
    """Say what is wrong with the markers and setups of tests, one line each."""
    session = run_of(config).session
    for item in items:
        try:
            plan = plan_of(item)
            for resolved in (*plan.setups, *(plan.claim.rows if plan.claim else ())):
                session.stack_of(resolved)
        except SdSpeedError as error:
            yield str(error)


def prepare(config: pytest.Config, gated: Sequence[pytest.Item]) -> None:
    """Give every gated test its replay clock, and set up storage.

    Raises:
        pytest.UsageError: pytest-benchmark is off, or cannot store what it was asked to, or another
            plugin runs these tests in a way that cannot work.
    """
    set_up_storage(config)
    refused = list(refuse_companions(gated))
    if refused:
        raise pytest.UsageError("\n".join(refused))
    notice_attempts(config)
    for item in gated:
        if is_timed(item):
            set_replay_clock(item)
        # A gate that fails before it has samples says so itself.
        item.add_marker(pytest.mark.filterwarnings(f"ignore:{_UNUSED}"))
    _show_in_html(config)


def prepare_late(item: Any, benchmark: Any) -> None:
    """Prepare a test that gets ``sd_latency`` while it runs, of which its collection told nothing.

    Args:
        item: the test, which has no marker.
        benchmark: its ``benchmark`` fixture.

    Raises:
        UsageMistakeError: this run had to know of it before: the message says why.
    """
    config = item.config
    if hasattr(config, "workerinput"):
        raise UsageMistakeError(
            f"{_LATE}, and the workers of pytest-xdist are told by then: {_MARK}"
        )
    if run_of(config).options.against is not None and run_of(config).against is None:
        raise UsageMistakeError(f"{_LATE}, and --sd-against starts its versions by then: {_MARK}")
    if not config.pluginmanager.hasplugin(STORING):
        try:
            set_up_storage(config)
        except pytest.UsageError as error:
            raise UsageMistakeError(str(error)) from None
    notice_late_attempt(item)
    use_clock(benchmark, set_replay_clock(item))
    # It holds until the test ends, as all that a test filters.
    warnings.filterwarnings("ignore", _UNUSED)
    _show_in_html(config)


_LATE = "sd_latency: this test asks for its gate while it runs, as its collection could not tell"
_MARK = "mark it with @pytest.mark.sd_latency(...)"
_UNUSED = "Benchmark fixture was not used at all"


def _show_in_html(config: pytest.Config) -> None:
    """Give pytest-html the pictures if it writes a page."""
    manager = config.pluginmanager
    if (
        manager.hasplugin("html")
        and config.getoption("htmlpath", None)
        and not manager.hasplugin(_HTML)
    ):
        from pytest_sdspeed.plugin.html_extras import HtmlExtras

        manager.register(HtmlExtras(), _HTML)


def set_up_storage(config: pytest.Config) -> None:
    """Set up storage, in the process that writes the files and in those that measure.

    Raises:
        pytest.UsageError: pytest-benchmark is off, or cannot store what it was asked to.
    """
    if not config.pluginmanager.hasplugin(PLUGIN):
        raise pytest.UsageError(
            "sd_latency keeps its record through pytest-benchmark, which is off: run without -p"
            " no:benchmark. So does sd_account"
        )
    problem = explain_refusal(
        config.option,
        config.pluginmanager.getplugin(SESSION),
        elsewhere=_find_others(config),
    ) or explain_unwritable_storage(config.option, Path.cwd())
    # A worker writes nothing, and may be on another host.
    if problem and not hasattr(config, "workerinput"):
        raise pytest.UsageError(problem)
    command = shlex.join(["pytest", *map(str, config.invocation_params.args)])
    storing = Storing(run_of(config), command, find_run_folders(config.option, Path.cwd()))
    config.pluginmanager.register(storing, STORING)
    guard(config.pluginmanager.getplugin(SESSION), storing.note_loss)
    _look_back(config)


def _find_others(config: pytest.Config) -> str:
    """Return the option by which other processes than this one draw, or ""."""
    if run_of(config).options.against:
        return "--sd-against"
    workers = hasattr(config, "workerinput") or config.getoption("dist", "no") != "no"
    return "-n" if workers else ""


def _look_back(config: pytest.Config) -> None:
    """Open the stored runs, if results are to be compared with them."""
    run, folder = run_of(config), find_storage_folder(config.option, Path.cwd())
    if run.options.rehearses or run.options.history == "off":
        return
    if run.options.against is None and folder is not None:
        from pytest_sdspeed.history.lookup import HistoryLookup

        run.lookup = HistoryLookup(folder, lambda: collect_run_info(config), run.options.aliases)


def select(config: pytest.Config, items: Iterable[pytest.Item]) -> None:
    """Count what the tests that will run ask for: rows share campaigns and the error.

    A test that need not call its gate is counted when it does.

    Raises:
        pytest.UsageError: a marker that was added after the others were checked is wrong.
    """
    plan = run_of(config).plan
    for item in items:
        asks = any(must_ask(item, gate) for gate in (GATE, CLAIM))
        if not is_measured(item):
            plan.add_counted() if claim_of(item) is None else None
        elif asks and not item.get_closest_marker("skip"):
            try:
                plan.add(plan_of(item))
            except SdSpeedError as error:
                # A test of a worker fails with the same words.
                if not hasattr(config, "workerinput"):
                    raise pytest.UsageError(str(error)) from None
            item.stash[COUNTED] = True
