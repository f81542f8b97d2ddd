"""Accounts in words, and in tables for the terminal, Markdown and the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.model import find_count
from pytest_sdspeed.report.against import describe_versions
from pytest_sdspeed.report.kinds import name_kind
from pytest_sdspeed.report.pages import ACCOUNTS, COMPARING, add_page
from pytest_sdspeed.report.text import align_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_sdspeed.model import Account, AccountAgainst, AccountResult, Place, PlaceChange

COUNTED = ("operations", "host_syncs", "host_to_device", "casts", "flops", "peak_bytes")
"""Counts that a table shows; all of them are in the stored record."""
COLUMNS = (
    "setup",
    "operations",
    "host syncs",
    "host to device",
    "casts",
    "FLOPs",
    "peak",
    "verdict",
)
PLACE_COLUMNS = ("setup", "what", "a step", "a call", "line", "code")
_MOST_PLACES = 3
"""Lines of code below a table, for each of its rows; the others are counted."""
_MOST_CHANGES = 8
"""Lines of code that ask for more, and for less, below a comparison; the others are counted."""
MOST_ROWS = 100
"""Rows of accounts in a summary or comment; the others are counted."""
_CODE = 80
"""Characters of a line of code that are shown."""
_UNITS = ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k"))
_GRAVITY = ("fail", "invalid", "pass", "counted")


def format_amount(amount: int | None, name: str) -> str:
    """Format a count: ``841``, ``1.21 M`` of FLOPs, ``3.1 MB`` of bytes; ``?`` if unknown.

    Args:
        amount: the count.
        name: name of the count.
    """
    if amount is None:
        return "?"
    if name == "flops":
        return _scale(amount, 3)
    if "bytes" in name:
        return f"{_scale(amount, 2)}B" if amount >= 1e3 else f"{amount} B"  # noqa: PLR2004 - a kilobyte
    return f"{amount:,}"


def _scale(amount: int, digits: int) -> str:
    for size, unit in _UNITS:
        if amount >= size:
            shown = amount / size
            return f"{shown:.{digits}g}{unit}" if shown < 10**digits else f"{shown:.0f}{unit}"
    return str(amount)


def group_accounts(results: Iterable[AccountResult]) -> list[list[AccountResult]]:
    """Group accounts by table, and by whether they tell of a step; callables by their test.

    What was compared with another version is a group of its own.
    """
    groups: dict[tuple[object, ...], list[AccountResult]] = {}
    for result in results:
        test = None if result.table and not result.against else result.test
        compared = result.against and (result.setup, result.against.label)
        key = (result.table, test, tells_of_call(result), result.weights, compared)
        groups.setdefault(key, []).append(result)
    return list(groups.values())


def name_group(results: Sequence[AccountResult]) -> str:
    """Name what a group of accounts is of: its table, or the test of its callables."""
    first = results[0]
    if first.against:
        return f"{first.name} against {first.against.label}"
    return first.table or (f"callables of {first.test}" if first.test else "callables")


def describe_basis(results: Sequence[AccountResult]) -> str:
    """Describe what the figures of a group are counted in, and of what."""
    first = results[0]
    part = "one call" if tells_of_call(first) else "one denoising step"
    weights = {"none": "full size without weights", "embedded": "embedded weights"}
    told = weights.get(first.weights or "", "")
    as_one = f"counted, not measured, as on {first.counted_as}"
    return ", ".join(filter(None, (part, told, as_one, describe_versions(results))))


def tells_of_call(result: AccountResult) -> bool:
    """Tell whether a table shows the call, since a step is not known, of both versions if of two.

    Args:
        result: what was counted.
    """
    accounts = (result.account, *((result.against.account,) if result.against else ()))
    return any(account.per_step is None for account in accounts)


def find_shown(result: AccountResult) -> Account:
    """Return the part of an account that a table shows: a step, or if none is known, the call."""
    return _find_part(result, result.account)


def _find_part(result: AccountResult, account: Account) -> Account:
    return account if account.per_step is None or tells_of_call(result) else account.per_step


def format_account(result: AccountResult) -> tuple[str, ...]:
    """Format a result as the cells of ``COLUMNS``."""
    name = "new" if result.against else result.setup
    return (name, *_format_counts(find_shown(result)), result.outcome)


def _format_counts(shown: Account) -> Iterator[str]:
    return (format_amount(find_count(shown, name), name) for name in COUNTED)


def list_account_rows(
    results: Sequence[AccountResult],
) -> list[tuple[tuple[str, ...], AccountResult]]:
    """Return the results of a group with their cells; tests of one row share a line.

    The line above that of a result that was compared is the other version's.
    """
    rows: dict[tuple[str, ...], AccountResult] = {}
    for result in results:
        if result.against:
            shown = _find_part(result, result.against.account)
            rows.setdefault(("old", *_format_counts(shown), "-"), result)
        rows.setdefault(format_account(result), result)
    return list(rows.items())


def format_accounts(results: Sequence[AccountResult]) -> list[str]:
    """Format a group's title, table and worst lines of code as lines."""
    cells = [cells for cells, _ in list_account_rows(results)]
    return [
        f"sd accounts: {name_group(results)}   {describe_basis(results)}",
        *align_cells([COLUMNS, *cells]),
        *(f"  {line}" for line in describe_shares(results)),
        *(f"  {line}" for line in describe_worst(results)),
    ]


def describe_shares(results: Sequence[AccountResult]) -> Iterator[str]:
    """Yield how much of their documented latencies the peaks of the documented devices explain."""
    shares: dict[str, dict[str, str]] = {}
    for result in results:
        if result.documented_on and result.documented_share is not None:
            told = shares.setdefault(result.documented_on, {})
            told[result.setup] = f"{result.setup} {result.documented_share:.0%}"
    for device, told in shares.items():
        yield f"of the documented time on {device}, its peaks explain: {', '.join(told.values())}"


def describe_worst(results: Sequence[AccountResult]) -> Iterator[str]:
    """Yield the lines of code that ask for most, under the names of the rows that have them.

    Of what was compared with another version, what differs.
    """
    found: dict[tuple[Place, ...], dict[str, None]] = {}
    for result in results:
        if result.against:
            yield from _describe_differences(result.against)
        elif places := find_shown(result).places:
            found.setdefault(places, {})[result.setup] = None
    rows = {result.setup for result in results}
    for places, names in found.items():
        if names.keys() != rows:
            yield f"{', '.join(names)}:"
        yield from align_cells([_format_place(place) for place in places[:_MOST_PLACES]])
        left = len(places) - _MOST_PLACES
        if left > 0:
            yield f"and {left:,} more line{'' if left == 1 else 's'}"


def _describe_differences(against: AccountAgainst) -> Iterator[str]:
    """Yield what is more and less than in the other version, and the lines of code behind it."""
    if against.more:
        yield f"more: {', '.join(against.more)}"
    if against.fewer:
        yield f"fewer: {', '.join(against.fewer)}"
    for sign, changes in (("+", against.places), ("-", against.gone)):
        yield from align_cells([format_change(sign, one) for one in changes[:_MOST_CHANGES]])
        left = len(changes) - _MOST_CHANGES
        if left > 0:
            yield f"and {left:,} more line{'' if left == 1 else 's'} with {sign}"


def format_change(sign: str, change: PlaceChange) -> tuple[str, ...]:
    """Format ``+1 host sync a step``, the file and line, and the code, as cells.

    Args:
        sign: ``+`` if the line asks for more than before, ``-`` if for less.
        change: the line.
    """
    place, where = change.place, "a step" if change.per_step else "a call"
    return (
        f"{sign}{change.more:,} {name_kind(place.kind, change.more)} {where}",
        f"{place.file}:{place.line}",
        shorten_code(place.code),
    )


def _format_place(place: Place) -> tuple[str, ...]:
    return (
        f"{place.count:,} {name_kind(place.kind, place.count)}",
        f"{place.file}:{place.line}",
        shorten_code(place.code),
    )


def shorten_code(code: str) -> str:
    """Return a line of code, cut if it is long."""
    return code if len(code) <= _CODE else f"{code[:_CODE]} ..."


def list_place_rows(results: Sequence[AccountResult]) -> list[tuple[str, ...]]:
    """Return the lines of code of a group as the cells of ``PLACE_COLUMNS``, those of a step first.

    Rows that have the same lines share them.
    """
    found: dict[tuple[int, int, Place], dict[str, None]] = {}
    for result in results:
        per_step = {
            (place.kind, place.file, place.line): place.count
            for place in (result.account.per_step.places if result.account.per_step else ())
        }
        for place in result.account.places:
            step = per_step.get((place.kind, place.file, place.line), 0)
            found.setdefault((-step, -place.count, place), {})[result.setup] = None
    return [
        (
            ", ".join(names),
            name_kind(place.kind),
            f"{-step:,}" if step else "",
            f"{place.count:,}",
            f"{place.file}:{place.line}",
            place.code,
        )
        for (step, _, place), names in sorted(found.items())
    ]


# In words


def describe_account(result: AccountResult) -> str:
    """Describe a result: what was counted, of what, and why it does not pass."""
    shown = find_shown(result)
    part = "a call" if tells_of_call(result) else "a denoising step"
    counts = (
        f"{column} {format_amount(find_count(shown, name), name)}"
        for name, column in zip(COUNTED, COLUMNS[1:-1], strict=True)
    )
    lead = f"{result.outcome}: " if result.verdict == "invalid" else ""
    test = f"{result.test}: " if not result.table and result.test else ""
    why = f" Reason: {'; '.join(result.reasons)}." if result.reasons else ""
    than = f" {_describe_against(result.against)}" if result.against else ""
    return f"{lead}{test}{result.setup} in {part}: {', '.join(counts)}.{than}{why}"


def _describe_against(against: AccountAgainst) -> str:
    """Describe what is more and fewer than in the other version."""
    found = [
        f"{len(counts)} count{'' if len(counts) == 1 else 's'} {word}: {', '.join(counts)}"
        for word, counts in (("higher", against.more), ("lower", against.fewer))
        if counts
    ]
    return f"Against {against.label}: {'; '.join(found) or 'the same counts'}."


def write_account_message(result: AccountResult) -> str:
    """Write what a test says whose account is not within its bounds.

    Its last line is the page of the documentation.
    """
    table = f" of table {result.table!r}" if result.table else ""
    lead = "" if result.verdict == "fail" else f"{result.verdict}: "
    than = f", against {result.against.label}" if result.against else ""
    reasons = "\n".join(f"  {reason}" for reason in result.reasons)
    return add_page(
        f"{lead}{result.setup}{table}, counted as on {result.counted_as}{than}:\n{reasons}\n"
        f"{_advise(result)}",
        COMPARING if result.against else ACCOUNTS,
    )


def _advise(result: AccountResult) -> str:
    if result.against is None:
        return (
            "What is over its bound is asked of every GPU: take it out of the lines that are named,"
            " or raise the bound if it is meant."
            if result.verdict == "fail"
            else "Nothing can be said of a count that is not known."
        )
    if result.against.more:
        return (
            f"Every GPU is asked for more than by {result.against.label}: take it out of the lines"
            " that are named, or of what changed between the two, and run again."
        )
    if result.verdict == "fail":
        return (
            f"{result.against.label} asks for no less, and what is over its bound is asked of every"
            " GPU: take it out of the lines that are named, or raise the bound if it is meant."
        )
    return "The two say nothing of each other: let both versions count the same work."


def list_faults(results: Iterable[AccountResult]) -> list[AccountResult]:
    """Return what does not pass, the gravest first; results that say the same share an entry."""
    found = {
        (result.table, describe_account(result)): result
        for result in results
        if result.verdict in ("fail", "invalid")
    }
    return sorted(found.values(), key=lambda result: _GRAVITY.index(result.outcome))


def collect_account_notes(results: Iterable[AccountResult]) -> list[str]:
    """Collect what a real device may do otherwise, with the rows that it holds for."""
    found: dict[str, dict[str, None]] = {}
    for result in results:
        for note in result.notes:
            found.setdefault(note, {})[result.name] = None
    return [f"{', '.join(names)}: {note}" for note, names in found.items()]


# Markdown


def write_accounts(
    results: Sequence[AccountResult],
    say: Callable[[str], str],
    mark: Callable[[str], str],
    most: int = MOST_ROWS,
) -> Iterator[str]:
    """Yield the lines of a Markdown table for each group, the worst rows first.

    Args:
        results: what was counted.
        say: makes words of a run mean themselves.
        mark: makes a verdict conspicuous.
        most: most rows; the others are counted.
    """
    if not results:
        return
    ranked = sorted(results, key=lambda result: _GRAVITY.index(result.outcome))
    yield from ("### Accounts", "")
    faults = [f"- {say(describe_account(result))}" for result in list_faults(ranked[:most])]
    yield from (*faults, "") if faults else ()
    for group in group_accounts(ranked[:most]):
        yield from (f"{say(name_group(group))}: {say(describe_basis(group))}", "")
        yield f"| {' | '.join(COLUMNS)} |"
        yield f"|{' --- |' * len(COLUMNS)}"
        for cells, _ in list_account_rows(group):
            yield f"| {' | '.join([*map(say, cells[:-1]), mark(cells[-1])])} |"
        worst = [f"- {say(line)}" for line in describe_worst(group)]
        yield from ("", *worst, "")
    left = len(ranked) - most
    if left > 0:
        yield from (f"{left:,} more accounts left out.", "")
