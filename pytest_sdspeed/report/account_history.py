"""The history of accounts in words, and as JSON: which count changed, and since which commit."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import ACCOUNT_BOUNDS, find_count
from pytest_sdspeed.report.accounts import format_change
from pytest_sdspeed.report.history import format_versions, shorten_commit
from pytest_sdspeed.report.pages import HISTORY_COUNTS, add_page
from pytest_sdspeed.report.text import align_cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_sdspeed.model import AccountChange, AccountHistory, AccountRun

_DAY = len("2026-11-20")
_WITH_LINES = ("host_syncs", "host_to_device", "device_to_host", "casts")
_MOST_PLACES = 5
"""Lines of code below a change; the others are counted."""


def format_histories(histories: Iterable[AccountHistory]) -> list[str]:
    """Format histories as lines: a heading for each table or test, then what changed."""
    groups: dict[str, list[AccountHistory]] = {}
    for history in histories:
        title = f"{history.table or 'callables'}, counted as on {history.device}"
        groups.setdefault(title, []).append(history)
    return [
        line
        for title, group in groups.items()
        for line in (
            f"sd history of accounts: {title}",
            *(line for history in group for line in describe_history(history)),
        )
    ]


def describe_history(history: AccountHistory, *, advise: bool = True) -> Iterator[str]:
    """Yield the lines of a history: what holds of its changes, or that nothing changed.

    Args:
        history: history of one target, with its changes.
        advise: whether to say how a rise is acknowledged.
    """
    total = len(history.runs)
    told = [change for change in history.changes if change.holds and not change.acknowledged]
    if not told:
        runs = f"{total} run{'' if total == 1 else 's'}"
        said = "back to the counts of before" if history.changes else "the same counts"
        if any(change.acknowledged for change in history.changes):
            said = "steady at counts that were acknowledged"
        yield f"  {history.name}: {said} over {runs}"
    for change in told:
        ago = f"{total - change.since} of {total} runs"
        yield f"  {history.name}: {write_change(history, change)}, {ago}"
        yield from (f"    {line}" for line in describe_places(change))
        if change.rises and advise:
            yield f"    {_explain_accepting(history, change)}"
    for change in history.changes:
        if accepted := change.acknowledged:
            by = f" by {accepted.by}" if accepted.by else ""
            yield (
                f"  {history.name}: {write_change(history, change)}, acknowledged"
                f" {accepted.acknowledged}{by}: {accepted.reason}"
            )
    if history.follows:
        yield (
            f"  {history.name}: a new series since {history.runs[0].date[:_DAY]}:"
            f" {history.follows.changed} (the runs until {history.follows.until[:_DAY]} are another"
            " series)"
        )


def write_change(history: AccountHistory, change: AccountChange) -> str:
    """Write ``host_syncs_per_step 0 -> 1 since 3f2a1bc (2026-11-30) [1a2b3c4d]``.

    With what else changed: ``with diffusers 0.41.0 -> 0.42.0``.
    """
    # What the host waits for or copies has a line of code, and comes first.
    ordered = sorted(change.counts, key=lambda one: not one.name.startswith(_WITH_LINES))
    counts = ", ".join(one.pair for one in ordered)
    versions = f", with {format_versions(change.versions)}" if change.versions else ""
    since = _describe_run(history.runs[change.since])
    return f"{counts} since {since}{versions} [{history.name_change(change)}]"


def _describe_run(run: AccountRun) -> str:
    day = run.date[:_DAY]
    if run.commit:
        changed = ", with uncommitted changes" if run.dirty else ""
        return f"{shorten_commit(run.commit)} ({day}{changed})"
    return f"{day} (run {run.name})" if run.name else f"{day} (this run)"


def describe_places(change: AccountChange) -> Iterator[str]:
    """Yield the lines of code that ask for more, then those that ask for less."""
    for sign, places in (("+", change.places), ("-", change.gone)):
        yield from align_cells([format_change(sign, one) for one in places[:_MOST_PLACES]])
        left = len(places) - _MOST_PLACES
        if left > 0:
            yield f"and {left:,} more line{'' if left == 1 else 's'} with {sign}"


def _explain_accepting(history: AccountHistory, change: AccountChange) -> str:
    return (
        "If it is meant: python -m pytest_sdspeed history FOLDER --acknowledge"
        f" {history.name_change(change)} --reason TEXT"
    )


def write_rise(history: AccountHistory, change: AccountChange) -> str:
    """Write what a test says of a count that is higher than stored runs had it.

    Its last line is the page of the documentation.
    """
    places = "".join(f"\n  {line}" for line in describe_places(change))
    return add_page(
        f"{history.name} asks for more than in the stored runs:"
        f" {write_change(history, change)}{places}\n{_explain_accepting(history, change)}",
        HISTORY_COUNTS,
    )


def list_account_changes(histories: Iterable[AccountHistory]) -> dict[str, str]:
    """Return id -> the change in words, with its id, of all that may be acknowledged."""
    return {
        history.name_change(change): f"{history.name}: {write_change(history, change)}"
        for history in histories
        for change in history.changes
    }


# JSON


def accounts_to_json(histories: Iterable[AccountHistory]) -> list[dict[str, Any]]:
    """Convert histories of accounts to builtins: what is unknown, or did not change, is None.

    Returns:
        One object for each, with the keys of ``history_json.to_json`` as far as a count has them,
        and ``counts``, ``places`` and ``gone`` of each change: ``kind`` is ``account`` if counts
        changed, else ``none``.
    """
    return [_history_to_json(history) for history in histories]


def _history_to_json(history: AccountHistory) -> dict[str, Any]:
    told = [change for change in history.changes if change.holds and not change.acknowledged]
    return {
        "table": history.table,
        "setup": history.setup,
        "baseline": None,
        "device": history.device,
        "recipe": history.recipe,
        "runs": len(history.runs),
        **(_change_to_json(history, told[-1]) if told else _UNCHANGED),
        "latest": _run_to_json(history.runs[-1]),
        "follows": asdict(history.follows) if history.follows else None,
        "changes": [_change_to_json(history, change) for change in history.changes],
    }


_UNCHANGED: dict[str, Any] = {
    "kind": "none",
    "id": None,
    "since": None,
    "since_run": None,
    "counts": [],
    "holds": None,
    "commits": None,
    "versions": {},
    "places": [],
    "gone": [],
    "acknowledged": None,
}


def _change_to_json(history: AccountHistory, change: AccountChange) -> dict[str, Any]:
    before, first = history.runs[change.before], history.runs[change.since]
    accepted = None
    if change.acknowledged is not None:
        one = change.acknowledged
        accepted = {"reason": one.reason, "date": one.acknowledged, "by": one.by}
    return {
        "kind": "account",
        "id": history.name_change(change),
        "since": first.date,
        "since_run": first.name or None,
        "counts": [asdict(one) for one in change.counts],
        "holds": change.holds,
        "commits": {"after": before.commit, "first": first.commit}
        if before.commit and first.commit
        else None,
        "versions": {name: list(pair) for name, pair in change.versions.items()},
        "places": [asdict(one) for one in change.places],
        "gone": [asdict(one) for one in change.gone],
        "acknowledged": accepted,
    }


def _run_to_json(run: AccountRun) -> dict[str, Any]:
    counts = {name: find_count(run.account, name) for name in ACCOUNT_BOUNDS}
    return {"counts": counts, "date": run.date, "run": run.name or None}
