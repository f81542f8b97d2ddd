"""What became of the rows of tables that a run was asked for, in this process or in workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.plugin.state import ACCOUNTS, PLAN, RESULT, is_timed, now, own_id, run_of
from pytest_sdspeed.report.row_tally import RowFate, format_tally

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from pytest_sdspeed.report.row_tally import Fate
    from pytest_sdspeed.setups.catalog import ResolvedSetup

NAME = "sdspeed-rows"
"""The name under which a run registers its tally with pytest."""
_SENT = "sdspeed_row"
"""The attribute of a report that says which row its test asks for; builtins only."""
_SKIPPED = "Skipped: "


class RowTally:
    """Hooks that note what became of each row.

    In a worker of pytest-xdist they only mark its reports.

    Args:
        config: the run's configuration.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config, self._begun = config, now()
        self._asked: dict[str, tuple[str, str]] = {}
        self._fates: dict[str, RowFate] = {}

    def ask(self, rows: Iterable[tuple[str, tuple[str, str]]]) -> None:
        """Note tests that are to run: id, and the table and the setup of the row."""
        self._asked.update(rows)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Write on a report which row its test asks for, and whether there is a figure of it."""
        report = yield
        row = find_row(item)
        if row is not None:
            setattr(report, _SENT, (own_id(item), row.table.name, row.setup, self._see(item, row)))
        return report

    def _see(self, item: pytest.Item, row: ResolvedSetup) -> Fate:
        """Say what became of a test if it was skipped, or that there is a figure of its row."""
        if RESULT in item.stash or item.stash.get(ACCOUNTS, []):
            return "figure"
        if is_timed(item) and not run_of(self._config).options.measures(on_cpu=row.table.on_cpu):
            return "elsewhere"
        return "unsupported" if row.row and row.row.unsupported else "skipped"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test ended; of several attempts the last one counts."""
        sent = getattr(report, _SENT, None)
        if sent is None or report.when == "teardown" or (report.when == "setup" and report.passed):
            return
        test, table, setup, fate = sent
        self._asked.setdefault(test, (table, setup))
        reason = ""
        if fate != "figure" and report.skipped:
            reason = _read_reason(report).removeprefix("this project cannot build it: ")
        elif fate != "figure" and report.passed:
            # It need not have asked its gate.
            self._asked.pop(test)
            return
        elif fate != "figure":
            fate = "failed"
        self._fates[test] = RowFate(table=table, setup=setup, fate=fate, reason=reason)

    def format(self) -> list[str]:
        """Format what became of all rows; nothing if no test ran, as if fixtures are listed."""
        if not self._fates:
            return []
        options = run_of(self._config).options
        done = "counted" if options.dry else "rehearsed" if options.rehearses else "measured"
        return format_tally(self._asked, self._fates, done, now() - self._begun)


def open_tally(config: pytest.Config) -> RowTally:
    """Return the tally of a run, which begins when it is first asked for."""
    found: Any = config.pluginmanager.getplugin(NAME)
    if found is None:
        found = RowTally(config)
        config.pluginmanager.register(found, NAME)
    tally: RowTally = found
    return tally


def tally_lines(config: pytest.Config) -> list[str]:
    """Format what became of all rows; nothing if no test measures."""
    found: Any = config.pluginmanager.getplugin(NAME)
    return [] if found is None or config.option.collectonly else found.format()


def find_row(item: pytest.Item) -> ResolvedSetup | None:
    """Return the one row of a table that a test asks for, if it does."""
    _, plan = item.stash.get(PLAN, (None, None))
    if plan is None or len(plan.setups) != 1 or plan.setups[0].row is None:
        return None
    return plan.setups[0]


def list_rows(items: Iterable[pytest.Item]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield id, table and setup of the tests that ask for a row."""
    for item in items:
        row = find_row(item)
        if row is not None:
            yield own_id(item), (row.table.name, row.setup)


def _read_reason(report: pytest.TestReport) -> str:
    said = report.longrepr
    text = said[2] if isinstance(said, tuple) else str(said)
    return text.removeprefix(_SKIPPED)
