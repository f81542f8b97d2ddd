"""What pytest-html shows of a gated test, if it is installed: its row and its pictures."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sdspeed.plugin.state import RESULT, is_of_body
from pytest_sdspeed.report import text
from pytest_sdspeed.report.by_stage import list_stage_lines

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytest_sdspeed.model import Result


_LEFT_OUT = ("_first", "_middle", "_last")
"""Single frames of videos, whose strips show them: pytest-html embeds every picture as it is."""


class HtmlExtras:
    """Adds extras to the reports of gated tests; registered if pytest-html writes a page."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        """Add the row and the pictures to the report of the test's call."""
        report = yield
        result = item.stash.get(RESULT, None)
        if result is not None and is_of_body(item, call):
            report.extras = [*getattr(report, "extras", []), *_extras(result)]
        return report


def _extras(result: Result) -> Iterator[dict[str, Any]]:
    from pytest_html import extras

    yield extras.html(_table(result))
    for exhibit in result.exhibits:
        case = (
            f"seed {exhibit.seed}, {exhibit.prompt}" if exhibit.prompt else f"seed {exhibit.seed}"
        )
        kind = "negative control, " if exhibit.control else ""
        for role, png in exhibit.pictures.items():
            if role.endswith(_LEFT_OUT):
                continue
            yield extras.png(
                base64.b64encode(png).decode(), name=f"{kind}{role.replace('_', ' ')}: {case}"
            )


def _table(result: Result) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in text.COLUMNS)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        for cells in text.format_rows([result])
    )
    stages = "".join(
        f"<p>{escape(f'by stages: {words}')}</p>" for _, words in list_stage_lines([result])
    )
    heading = f"<p>{escape(text.format_heading([result]))}</p>"
    return f"{heading}<table><tr>{head}</tr>{rows}</table>{stages}"
