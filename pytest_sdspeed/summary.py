"""What stands at the end of a run: one table per campaign, and the files that were asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.report import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_sdspeed.model import Result
    from pytest_sdspeed.session import Session

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""The environment variable that names the file of a GitHub Actions step's summary."""


def table_lines(results: Iterable[Result]) -> Iterator[str]:
    """Every campaign's table, and what else a reader should know of it, as lines."""
    for group in text.campaigns(results):
        yield from text.table(group)
        yield from (f"note: {remark}" for remark in text.remarks(group))


def file_lines(session: Session, config: Any) -> Iterator[str]:
    """Write report, record and step summary where asked for, with a line on each. One that cannot be written leaves the others theirs."""
    yield from session.problems
    if session.options.report:
        yield _written("sd report", session.options.report, lambda: _page(session, config))
    if session.options.record:
        from pytest_sdspeed.recording import write_record

        try:
            yield from write_record(session.options.record, session.results, session.tables, session.machine)
        except OSError as error:
            yield f"sd record: {error.filename} could not be written: {error.strerror}"
    target = os.environ.get(STEP_SUMMARY)
    if target and session.results:
        from pytest_sdspeed.report.markdown import summary

        yield _written("sd summary", Path(target), lambda: summary(session.results), mode="a")


def _page(session: Session, config: Any) -> str:
    from pytest_sdspeed.history.reading import facts_of
    from pytest_sdspeed.history.saving import PLUGIN, run_info
    from pytest_sdspeed.report.html import page

    facts = facts_of(run_info(config)) if config.pluginmanager.hasplugin(PLUGIN) else {}
    return page(session.results, facts)


def _written(what: str, path: Path, make: Callable[[], str], mode: str = "w") -> str:
    content = make()
    try:
        with path.open(mode, encoding="utf-8", errors="backslashreplace") as file:
            file.write(content)
    except OSError as error:
        return f"{what}: {path} could not be written: {error.strerror}"
    return f"{what}: {path}"
