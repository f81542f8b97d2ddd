"""Results as Markdown, for the summary page of a continuous-integration run."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from pytest_sdspeed.report import history as past
from pytest_sdspeed.report import text
from pytest_sdspeed.report.accounts import MOST_ROWS, write_accounts
from pytest_sdspeed.report.by_stage import list_stage_lines
from pytest_sdspeed.report.messages import describe_result, select_attention

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pytest_sdspeed.model import AccountResult, History, Result

_SPECIAL = re.compile(r"([\\`*_\[\]|~$#])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
MARKS = {
    "pass": "✅ pass",
    "fail": "❌ fail",
    "inconclusive": "❔ inconclusive",
    "invalid": "⚠️ invalid",
}


TITLE = "Diffusion speed-ups and pictures"
_HEADING = f"## {TITLE}"

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
    accounts: Sequence[AccountResult] = (),
) -> str:
    """Write what ``write_summary`` does, as much as a step's summary still has room for.

    Args:
        path: file of the step's summary, which other runs of the step may have written to.
        results: results of the run.
        histories: histories whose levels may have changed.
        elsewhere: where all rows are.
        accounts: what the run counted.
    """
    try:
        content = path.read_bytes()
    except OSError:
        # It is not there yet; or it cannot be written either, which is told then.
        content = b""
    lead = "\n" if content and not content.endswith(b"\n") else ""
    room = LIMIT - len(content) - len(lead)
    added = write_summary(results, histories, room, elsewhere, accounts)
    return f"{lead}{added}" if added else ""


def write_summary(
    results: Sequence[Result],
    histories: Sequence[History] = (),
    room: int | None = None,
    elsewhere: str = "the log of this step",
    accounts: Sequence[AccountResult] = (),
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
        accounts: what the run counted, which comes first: as much of it as half the room takes.
    """
    counted = _fit_accounts(accounts, room)
    whole, ranked = _write_rows(results, histories, counted), sorted(results, key=_rank)
    if room is None:
        return whole
    return fit_rows(
        lambda shown: (
            _write_first(ranked, shown, histories, elsewhere, counted)
            if shown < len(ranked)
            else whole
        ),
        len(ranked),
        room,
    )


def _fit_accounts(accounts: Sequence[AccountResult], room: int | None) -> str:
    def write(shown: int) -> str:
        return "\n".join([*write_accounts(accounts, escape, mark_verdict, shown), ""])

    if not accounts:
        return ""
    return write(MOST_ROWS) if room is None else fit_rows(write, MOST_ROWS, room // 2)


def mark_verdict(verdict: str) -> str:
    """Return a verdict with its sign."""
    return MARKS.get(verdict, verdict)


def fit_rows(write: Callable[[int], str], total: int, room: int) -> str:
    """Return what is written of as many of the first rows as there is room for.

    Args:
        write: writes the first rows, as many as it is told, and that the others are left out; its
            text grows with every row.
        total: how many rows there are.
        room: most bytes in UTF-8.

    Returns:
        "" if there is not even room for saying that all are left out.
    """
    whole = write(total)
    if _count_bytes(whole) <= room:
        return whole
    too_many = bisect_left(range(total), 1, key=lambda shown: _count_bytes(write(shown)) - room)
    return write(too_many - 1) if too_many else ""


def _rank(result: Result) -> int:
    return rank_result(
        result, slower=result.history is not None and bool(past.select_slower([result.history]))
    )


def rank_result(result: Result, *, slower: bool) -> int:
    """Return a row's place among others, the worst first.

    Args:
        result: result of the row.
        slower: whether it is slower than it was.
    """
    return _ORDER.index("slower" if slower and result.verdict == "pass" else result.verdict)


def _count_bytes(words: str) -> int:
    return len(words.encode(errors="backslashreplace"))


def _write_first(
    ranked: Sequence[Result],
    shown: int,
    histories: Sequence[History],
    elsewhere: str,
    counted: str,
) -> str:
    """Write the first rows, and a last line on the others."""
    first = ranked[:shown]
    keys = {result.history.key for result in first if result.history is not None}
    own = [history for history in histories if history.key in keys]
    line = (
        f"{describe_left_out(ranked, shown)}: a step's summary holds 1 MiB. All are in {elsewhere}."
    )
    head = _write_rows(first, own, counted) if first else f"{_HEADING}\n\n{counted}"
    return f"{head}{escape(line)}\n"


def describe_left_out(ranked: Sequence[Result], shown: int) -> str:
    """Describe the rows after the first ones: ``40 of 44 rows left out (39 pass, 1 fail)``."""
    others = Counter(result.verdict for result in ranked[shown:])
    verdicts = ", ".join(f"{number:,} {verdict}" for verdict, number in others.items())
    several = "s" * (len(ranked) > 1)
    return f"{sum(others.values()):,} of {len(ranked):,} row{several} left out ({verdicts})"


def _write_rows(results: Sequence[Result], histories: Sequence[History], counted: str) -> str:
    return "\n".join(
        [
            _HEADING,
            "",
            *_write_attention(results),
            *([] if results or counted else ["No campaign was measured in this run.\n"]),
            *([counted] if counted else []),
            *write_campaigns(results, escape),
            *write_histories(histories, escape),
        ]
    )


def _write_attention(results: Sequence[Result]) -> Iterator[str]:
    found = [
        describe_result(result) for result in select_attention(results)
    ] + text.collect_remarks(results)
    yield from (f"- {escape(line)}" for line in found)
    if found:
        yield ""


def write_campaigns(results: Iterable[Result], say: Callable[[str], str]) -> Iterator[str]:
    """Yield the lines of a table for each campaign.

    Args:
        results: results of the campaigns.
        say: makes words of a run mean themselves.
    """
    for group in text.group_by_campaign(results):
        yield from (
            f"### {say(text.name_campaign(group))}",
            "",
            say(text.describe_circumstances(group)),
            "",
        )
        columns = text.choose_columns(group)
        yield _format_row(columns)
        yield _format_row(["---"] * len(columns))
        yield from (
            _format_row([*map(say, cells[:-1]), mark_verdict(cells[-1])])
            for cells in text.format_rows(group)
        )
        yield ""
        yield from (f"- {say(line)}" for line in text.describe_confirmations(group))
        yield from (
            f"- {say(f'by stages: {setup}: {words}')}" for setup, words in list_stage_lines(group)
        )
        yield ""


def write_histories(histories: Iterable[History], say: Callable[[str], str]) -> Iterator[str]:
    """Yield the lines on histories that are not steady.

    Args:
        histories: histories whose levels may have changed.
        say: makes words of a run mean themselves.
    """
    changed = past.select_unsteady(histories)
    if changed:
        yield from ("### History", "")
        yield from (
            f"- {say(f'{text.name_campaign([one])} on {one.device}: {past.write_line(one)}')}"
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
