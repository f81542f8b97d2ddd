"""Results as Markdown, for the summary page of a continuous-integration run."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from pytest_sdspeed.report import history as past
from pytest_sdspeed.report import text
from pytest_sdspeed.report.messages import describe_result, select_attention

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pytest_sdspeed.model import History, Result

_SPECIAL = re.compile(r"([\\`*_\[\]|~$#])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_MARKS = {
    "pass": "✅ pass",
    "fail": "❌ fail",
    "inconclusive": "❔ inconclusive",
    "invalid": "⚠️ invalid",
}


_HEADING = "## Diffusion speed-ups and pictures"

LIMIT = 2**20
"""Most bytes of one step's summary: GitHub drops a larger one whole ("Workflow commands for GitHub
Actions", "Step isolation and limits")."""

_LONGEST = 4000
"""Letters of a line or a cell, of which there may be thousands in one message."""

_ORDER = ("fail", "invalid", "inconclusive", "slower", "pass")
"""Which rows come first if not all of them fit."""


def write_addition(
    path: Path,
    results: Sequence[Result],
    histories: Sequence[History] = (),
    elsewhere: str = "the log of this step",
) -> str:
    """Write what ``write_summary`` does, as much as a step's summary still has room for.

    Args:
        path: file of the step's summary, which other runs of the step may have written to.
        results: results of the run.
        histories: histories whose levels may have changed.
        elsewhere: where all rows are.
    """
    try:
        content = path.read_bytes()
    except OSError:
        # It is not there yet; or it cannot be written either, which is told then.
        content = b""
    lead = "\n" if content and not content.endswith(b"\n") else ""
    added = write_summary(results, histories, LIMIT - len(content) - len(lead), elsewhere)
    return f"{lead}{added}" if added else ""


def write_summary(
    results: Sequence[Result],
    histories: Sequence[History] = (),
    room: int | None = None,
    elsewhere: str = "the log of this step",
) -> str:
    """Write GitHub-flavored Markdown.

    What needs attention in words, then a table for each campaign, then what is not steady. If that
    is too much, the worst rows, as many as there is room for, and a line on the others; nothing if
    there is not even room for that.

    Args:
        results: results of the run; none gives a summary that says so.
        histories: histories whose levels may have changed.
        room: most bytes in UTF-8; None for any number.
        elsewhere: where all rows are, for the line on those that are left out.
    """
    whole = _write_rows(results, histories)
    if room is None or _count_bytes(whole) <= room:
        return whole
    ranked = sorted(results, key=_rank)

    def overflow(shown: int) -> int:
        return _count_bytes(_write_first(ranked, shown, histories, elsewhere)) - room

    # The text grows with every row: how many rows are the first too many?
    too_many = bisect_left(range(len(ranked)), 1, key=overflow)
    return _write_first(ranked, too_many - 1, histories, elsewhere) if too_many else ""


def _rank(result: Result) -> int:
    slower = result.history is not None and bool(past.select_slower([result.history]))
    return _ORDER.index("slower" if slower and result.verdict == "pass" else result.verdict)


def _count_bytes(words: str) -> int:
    return len(words.encode(errors="backslashreplace"))


def _write_first(
    ranked: Sequence[Result], shown: int, histories: Sequence[History], elsewhere: str
) -> str:
    """Write the first rows, and a last line on the others."""
    first, others = ranked[:shown], Counter(result.verdict for result in ranked[shown:])
    keys = {result.history.key for result in first if result.history is not None}
    own = [history for history in histories if history.key in keys]
    count = sum(others.values())
    verdicts = ", ".join(f"{number:,} {verdict}" for verdict, number in others.items())
    line = (
        f"{count:,} of {len(ranked):,} row{'s' * (len(ranked) > 1)} left out ({verdicts}): a step's"
        f" summary holds 1 MiB. All are in {elsewhere}."
    )
    return (_write_rows(first, own) if first else f"{_HEADING}\n\n") + f"{escape(line)}\n"


def _write_rows(results: Sequence[Result], histories: Sequence[History]) -> str:
    return "\n".join(
        [
            _HEADING,
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


def write_recorded(lines: Sequence[str]) -> str:
    """Write what became of a request to record: what changes, and what is left out."""
    return "\n".join(["### Recorded", "", *(f"- {escape(line)}" for line in lines), "", ""])


def _format_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape(words: str) -> str:
    """Escape words so that they mean themselves in a line or a table's cell; cut very long ones."""
    line = " ".join(words.split())
    line = line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
    return _SPECIAL.sub(r"\\\1", line).translate(_ENTITIES)
