"""Results as Markdown, for the summary page of a continuous-integration run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_sdspeed.report import history as past
from pytest_sdspeed.report import text

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


def summary(results: Sequence[Result], histories: Sequence[History] = ()) -> str:
    """GitHub-flavored Markdown: what needs attention in words, then a table for each campaign, then what is not steady.

    Args:
        results: of the run; none gives a summary that says so.
        histories: whose levels may have changed.
    """
    return "\n".join(
        [
            "## Diffusion speed-ups and pictures",
            "",
            *_attention(results),
            *_campaigns(results),
            *_histories(histories),
        ]
    )


def _attention(results: Sequence[Result]) -> Iterator[str]:
    found = [text.message(result) for result in text.attention(results)] + text.remarks(results)
    yield from (f"- {escaped(line)}" for line in found)
    if found:
        yield ""


def _campaigns(results: Sequence[Result]) -> Iterator[str]:
    if not results:
        yield "No campaign was measured in this run.\n"
    for group in text.campaigns(results):
        yield from (f"### {escaped(text.name(group))}", "", escaped(text.circumstances(group)), "")
        columns = text.columns(group)
        yield _line(columns)
        yield _line(["---"] * len(columns))
        yield from (
            _line([*map(escaped, cells[:-1]), _MARKS.get(cells[-1], cells[-1])])
            for cells in text.rows(group)
        )
        yield ""
        yield from (f"- {escaped(line)}" for line in text.confirmations(group))
        yield ""


def _histories(histories: Sequence[History]) -> Iterator[str]:
    changed = past.unsteady(histories)
    if changed:
        yield from ("### History", "")
        yield from (
            f"- {escaped(f'{text.name([history])} on {history.device}: {past.line(history)}')}"
            for history in changed
        )
        yield ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(words: str) -> str:
    """Words that mean themselves in a line or a table's cell, whatever stands in them."""
    return _SPECIAL.sub(r"\\\1", " ".join(words.split())).translate(_ENTITIES)
