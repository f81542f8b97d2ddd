"""A run as one comment on a pull request: the worst first, and never more than GitHub takes."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote

from pytest_sdspeed.model import Result
from pytest_sdspeed.report import history as past
from pytest_sdspeed.report import text
from pytest_sdspeed.report.accounts import MOST_ROWS, write_accounts
from pytest_sdspeed.report.markdown import (
    MARKS,
    TITLE,
    describe_left_out,
    escape,
    fit_rows,
    mark_verdict,
    rank_result,
    write_campaigns,
    write_histories,
)
from pytest_sdspeed.report.messages import describe_result, select_attention

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_sdspeed.model import AccountResult, History

LIMIT = 65_536
"""Most characters of a comment: GitHub refuses a longer one ("body is too long (maximum is 65536
characters)"). Bytes are counted, of which there are as many or more."""

_LONGEST = 2000
"""Most bytes of a line or a cell: no row alone fills a comment."""
_MOST_REMARKS = 10
"""Lines of notes that are shown; the others are counted."""
_MOST_UNREAD = 3

_ACTIVE = re.compile(r"@|\\#|(?:GH|GHSA|CVE)(?=-)|:(?=//)|www(?=\.)", re.IGNORECASE)
"""What makes GitHub notify somebody, refer to an issue or an advisory, or make a link of plain
words ("Basic writing and formatting syntax", "Autolinked references and URLs"). A backslash stops
none of these, since GitHub looks at what is rendered."""
_NOTHING = "&#8203;"
"""A space without width."""

_WORSE = ("fail", "invalid", "inconclusive")
_EXIT_CODES = {
    2: "pytest was interrupted (exit code 2): rows are missing.",
    3: "pytest ended with an internal error (exit code 3): rows may be missing.",
    4: "pytest refused an option, a marker or a table (exit code 4).",
    5: "No test was found, or no gate measured anything (exit code 5).",
}
_UNSAID = "A test that ended before it measured anything has no row here."


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentFacts:
    """What a comment says beside the results.

    Attributes:
        key: tells the comments of several jobs apart.
        exit_code: how pytest ended, or None if that is unknown.
        links: label -> address.
        run: what is known of the run as a whole, label -> text.
        unread: which results of the run could not be read, and why.
    """

    key: str
    exit_code: int | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    run: Mapping[str, str] = field(default_factory=dict)
    unread: Sequence[str] = ()


def make_marker(key: str) -> str:
    """Return the first line of a comment, which no reader sees, and by which it is found again.

    Args:
        key: any text; other keys give other markers.
    """
    return f"<!-- pytest-sdspeed: {quote(key, safe=' /:', errors='backslashreplace')} -->"


def write_comment(
    results: Sequence[Result],
    histories: Sequence[History],
    facts: CommentFacts,
    room: int = LIMIT,
    accounts: Sequence[AccountResult] = (),
) -> str:
    """Write a run as GitHub-flavored Markdown, the worst rows first, as many as there is room for.

    Words of the run notify nobody, refer to nothing, and are no links and no HTML.

    Args:
        results: results of the run; none gives a comment that says so.
        histories: histories that end with this run.
        facts: what else is said.
        room: most bytes in UTF-8.
        accounts: what the run counted: as much of it as half the room takes.
    """
    slower = {_identify(history) for history in past.select_slower(histories)}
    ranked = sorted(
        results, key=lambda result: rank_result(result, slower=_identify(result) in slower)
    )
    outcomes = Counter(result.outcome for result in accounts)
    head = [make_marker(facts.key), *_write_head(ranked, slower, facts, outcomes)]
    head += [_fit_accounts(accounts, room // 2)] if accounts else []

    def write(shown: int) -> str:
        lines = [*head, *_write_rows(ranked[:shown], histories)]
        if shown < len(ranked):
            where = f"the {next(iter(facts.links))}" if facts.links else "the output of the run"
            lines += [f"{describe_left_out(ranked, shown)}. All are in {where}.", ""]
        lines += [_say(_describe_run(facts.run))]
        return "\n".join(lines).encode(errors="backslashreplace").decode()

    return fit_rows(write, len(ranked), room)


_Identity: TypeAlias = "tuple[str | None, ...]"


def _identify(one: Result | History) -> _Identity:
    """Return what a result and its history share: of callables, whose names recur, the test too."""
    test = one.test if isinstance(one, Result) else one.recipe
    return one.table, one.setup, one.baseline, one.device, None if one.table else test


def _write_head(
    ranked: Sequence[Result],
    slower: set[_Identity],
    facts: CommentFacts,
    outcomes: Counter[str],
) -> Iterator[str]:
    """Yield the verdict in a line, how pytest ended, and where all of it is."""
    counts: Counter[str] = Counter(result.verdict for result in ranked) + outcomes
    told = (*_WORSE, "pass", "counted")
    said = [f"{counts[verdict]:,} {verdict}" for verdict in told if counts[verdict]]
    fewer = sum(_identify(result) in slower for result in ranked)
    said += [f"{fewer:,} slower than before"] if fewer else []
    mark = _choose_mark(counts, facts)
    yield f"## {mark} {TITLE}: {', '.join(said) or 'nothing was measured'}"
    yield ""
    links = [f"[{label}](<{address}>)" for label, address in facts.links.items()]
    yield " · ".join([_describe_end(counts, facts.exit_code), *links])
    yield ""
    for line in facts.unread[:_MOST_UNREAD]:
        yield f"- not shown: {_say(line)}"
    if len(facts.unread) > _MOST_UNREAD:
        yield f"- not shown: {len(facts.unread) - _MOST_UNREAD:,} more"
    if facts.unread:
        yield ""


def _choose_mark(counts: Mapping[str, int], facts: CommentFacts) -> str:
    """Return the sign of the whole: that of the worst row, and never better than pytest's end."""
    if facts.exit_code:
        return _sign("fail")
    known = (counts["pass"] or counts["counted"]) and (facts.exit_code == 0 or not facts.unread)
    sound = "pass" if known else "inconclusive"
    return _sign(next((verdict for verdict in _WORSE if counts[verdict]), sound))


def _sign(verdict: str) -> str:
    return MARKS[verdict].partition(" ")[0]


def _describe_end(counts: Mapping[str, int], exit_code: int | None) -> str:
    sound = not any(counts[verdict] for verdict in _WORSE)
    if exit_code is None:
        return _UNSAID
    if exit_code == 0:
        return (
            "pytest passed."
            if sound
            else "pytest passed all the same: what did not pass is an expected failure (xfail), or"
            " is let pass by an option."
        )
    if exit_code == 1 and sound:
        return (
            "pytest failed (exit code 1), though no row here did: another test failed, a history"
            " did, or a test ended before it measured anything. The log says which."
        )
    return _EXIT_CODES.get(exit_code) or (
        f"pytest failed (exit code 1). {_UNSAID}"
        if exit_code == 1
        else f"pytest ended with exit code {exit_code}: rows may be missing."
    )


def _fit_accounts(accounts: Sequence[AccountResult], room: int) -> str:
    def write(shown: int) -> str:
        return "\n".join(write_accounts(accounts, _say, mark_verdict, shown))

    return fit_rows(write, MOST_ROWS, room)


def _write_rows(first: Sequence[Result], histories: Sequence[History]) -> Iterator[str]:
    """Yield what is said of the first rows: words, tables, changes and notes."""
    attention = [f"- {_say(describe_result(result))}" for result in select_attention(first)]
    yield from (*attention, "") if attention else ()
    yield from write_campaigns(first, _say)
    shown = {_identify(result) for result in first}
    yield from write_histories([one for one in histories if _identify(one) in shown], _say)
    yield from _write_remarks(first)


def _write_remarks(results: Sequence[Result]) -> Iterator[str]:
    remarks = text.collect_remarks(results)
    if remarks:
        yield from ("### Notes", "")
        yield from (f"- {_say(line)}" for line in remarks[:_MOST_REMARKS])
        left = len(remarks) - _MOST_REMARKS
        yield from [f"- {left:,} more note{'s' * (left > 1)}"] if left > 0 else ()
        yield ""


def _describe_run(run: Mapping[str, str]) -> str:
    """Describe what was measured: ``commit 1a2b3c; NVIDIA H200; 2026-11-29T23:41:10+00:00``."""
    told = [f"commit {run['commit']}"] if "commit" in run else []
    return "; ".join([*told, *(run[fact] for fact in ("device", "date") if fact in run)])


@lru_cache(maxsize=10_000)
def _say(words: str) -> str:
    """Make words of a run mean themselves, and nothing else; cut very long ones.

    A row is written a dozen times until it is known how many fit.
    """
    line = _disarm(words if len(words) <= _LONGEST else f"{words[:_LONGEST]} ...")
    if _count_bytes(line) <= _LONGEST:
        return line

    def overflow(length: int) -> int:
        return _count_bytes(_disarm(f"{words[:length]} ...")) - _LONGEST

    fitting = bisect_left(range(min(len(words), _LONGEST)), 1, key=overflow)
    return _disarm(f"{words[: max(fitting - 1, 0)]} ...")


def _disarm(words: str) -> str:
    return _ACTIVE.sub(rf"\g<0>{_NOTHING}", escape(_show_controls(words)))


def _show_controls(words: Iterable[str]) -> str:
    """Return words with control characters, and those that turn text round, as escapes."""
    return "".join(
        letter
        if letter.isprintable() or letter.isspace()
        else letter.encode("unicode_escape").decode()
        for letter in words
    )


def _count_bytes(words: str) -> int:
    return len(words.encode(errors="backslashreplace"))
