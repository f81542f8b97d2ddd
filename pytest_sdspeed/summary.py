"""What stands at the end of a run: one table per campaign, and the files that were asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.report import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_sdspeed.model import Result
    from pytest_sdspeed.session import Session


def table_lines(results: Iterable[Result]) -> Iterator[str]:
    """Every campaign's table, as lines."""
    for group in text.campaigns(results):
        yield from text.table(group)


def file_lines(session: Session) -> Iterator[str]:
    """Write report and record where asked for, with a line on each."""
    if session.options.report:
        from pytest_sdspeed.report.html import page

        session.options.report.write_text(page(session.results), encoding="utf-8")
        yield f"sd report: {session.options.report}"
    if session.options.record:
        from pytest_sdspeed.recording import write_record

        yield from write_record(session.options.record, session.results, session.tables, session.machine)
