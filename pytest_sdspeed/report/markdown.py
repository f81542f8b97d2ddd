"""Results as Markdown, for the summary page of a continuous-integration run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_sdspeed.report import history as past
from pytest_sdspeed.report import text
from pytest_sdspeed.report.messages import describe_result, select_attention

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_sdspeed.model import History, Result

_SPECIAL = re.compile(r"([\\`*_\[\]|~$#])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MARKS = {
    "pass": "✅ pass",
    "fail": "❌ fail",
    "inconclusive": "❔ inconclusive",
    "invalid": "⚠️ invalid",
}


def write_summary(results: Sequence[Result], histories: Sequence[History] = ()) -> str:
    """Write GitHub-flavored Markdown.

    What needs attention in words, then a table for each campaign, then what is not steady.

    Args:
        results: results of the run; none gives a summary that says so.
        histories: histories whose levels may have changed.
    """
    return "\n".join(
        [
            "## Diffusion speed-ups and pictures",
            "",
            *_write_attention(results),
            *_write_campaigns(results),
            *_write_histories(histories),
        ]
    )


def _write_attention(results: Sequence[Result]) -> Iterator[str]:
    found = [
        describe_result(result) for result in select_attention(results)
    ] + text.collect_remarks(results)
    yield from (f"- {escape(line)}" for line in found)
    if found:
        yield ""


def _write_campaigns(results: Sequence[Result]) -> Iterator[str]:
    if not results:
        yield "No campaign was measured in this run.\n"
    for group in text.group_by_campaign(results):
        yield from (
            f"### {escape(text.name_campaign(group))}",
            "",
            escape(text.describe_circumstances(group)),
            "",
        )
        columns = text.choose_columns(group)
        yield _format_row(columns)
        yield _format_row(["---"] * len(columns))
        yield from (
            _format_row([*map(escape, cells[:-1]), _MARKS.get(cells[-1], cells[-1])])
            for cells in text.format_rows(group)
        )
        yield ""
        yield from (f"- {escape(line)}" for line in text.describe_confirmations(group))
        yield ""


def _write_histories(histories: Sequence[History]) -> Iterator[str]:
    changed = past.select_unsteady(histories)
    if changed:
        yield from ("### History", "")
        yield from (
            f"- {escape(f'{text.name_campaign([one])} on {one.device}: {past.write_line(one)}')}"
            for one in changed
        )
        yield ""


def _format_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape(words: str) -> str:
    """Escape words so that they mean themselves in a line or a table's cell."""
    return _SPECIAL.sub(r"\\\1", " ".join(words.split())).translate(_ENTITIES)
