"""Changes in what was counted: no statistics, as a count has no noise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_sdspeed.judge.accounts import drop_repeats, find_more, list_changes, read_count
from pytest_sdspeed.judge.changes.succession import find_predecessor
from pytest_sdspeed.model import AccountChange
from pytest_sdspeed.model.history import NEWS_RUNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_sdspeed.model import AccountHistory, AccountRun, Acknowledgement, CountChange


def judge_account_histories(
    histories: Sequence[AccountHistory], acknowledged: Sequence[Acknowledgement] = ()
) -> tuple[AccountHistory, ...]:
    """Return histories with their changes, each with the one that it goes on from.

    Args:
        histories: histories of any targets.
        acknowledged: changes that were accepted, of any histories.
    """
    return tuple(
        replace(judge_accounts(history, acknowledged), follows=find_predecessor(history, histories))
        for history in histories
    )


def judge_accounts(
    history: AccountHistory, acknowledged: Iterable[Acknowledgement] = ()
) -> AccountHistory:
    """Return a history with its changes: each run that counts otherwise than the one before.

    Args:
        history: history of one target.
        acknowledged: changes that were accepted, of any histories.
    """
    runs, befores = history.runs, find_runs_before(history.runs)
    latest = _find_latest(befores)
    accepted = {one.id: one for one in acknowledged if one.counts}
    changes = []
    for since, before in enumerate(befores):
        # Most runs have the account of the one before, which is then the same object.
        if before is None or runs[before].account is runs[since].account:
            continue
        counts = tuple(list_changes(runs[before].account, runs[since].account))
        if counts:
            change = _make_change(runs, before, since, counts, runs[latest[since]])
            found = accepted.get(history.name_change(change))
            changes.append(replace(change, acknowledged=found))
    return replace(history, changes=tuple(changes))


def find_runs_before(runs: Sequence[AccountRun]) -> list[int | None]:
    """Find the index of the run that each run is compared with; None for the first of a series.

    That is the latest run with the same versions of packages. If there is none, it is the latest
    run with versions that do not come back: they were replaced. Jobs of a matrix, whose versions
    take turns, are series side by side.

    Args:
        runs: the oldest first.
    """
    versions = [tuple(sorted(run.versions.items())) for run in runs]
    ends = {one: index for index, one in enumerate(versions)}
    latest: dict[object, int] = {}
    found: list[int | None] = []
    for index, one in enumerate(versions):
        before = latest.get(one)
        if before is None:
            over = (place for other, place in latest.items() if ends[other] < index)  # type: ignore[index]
            before = max(over, default=None)
        found.append(before)
        latest[one] = index
    return found


def unresolved_rise(history: AccountHistory) -> AccountChange | None:
    """Return the latest change by which more is asked for than before, if the latest run still is.

    As for latencies, it is news for 20 runs. None if there is none, or it was acknowledged.
    """
    befores = find_runs_before(history.runs)
    own: set[int | None] = set()
    index: int | None = len(history.runs) - 1
    while index is not None:
        own.add(index)
        index = befores[index]
    return next(
        (
            change
            for change in reversed(history.changes)
            if change.rises
            and change.holds
            and change.acknowledged is None
            and change.since in own
            and len(history.runs) - change.since <= NEWS_RUNS
        ),
        None,
    )


def _find_latest(befores: Sequence[int | None]) -> list[int]:
    """Return the index of the latest run that goes on from each run."""
    latest = list(range(len(befores)))
    for index in reversed(range(len(befores))):
        before = befores[index]
        if before is not None:
            latest[before] = max(latest[before], latest[index])
    return latest


def _make_change(
    runs: Sequence[AccountRun],
    before: int,
    since: int,
    counts: tuple[CountChange, ...],
    latest: AccountRun,
) -> AccountChange:
    old, new = runs[before], runs[since]
    return AccountChange(
        before=before,
        since=since,
        counts=counts,
        holds=_still_holds(latest, counts),
        places=drop_repeats(find_more(old.account, new.account)),
        gone=drop_repeats(find_more(new.account, old.account)),
        versions=_find_other_versions(old.versions, new.versions),
    )


def _still_holds(latest: AccountRun, counts: Sequence[CountChange]) -> bool:
    """Tell whether the latest run still has more than before; or less, if nothing rose."""
    rises = [one for one in counts if one.rises]
    for one in rises or counts:
        count = read_count(latest.account, one.name)
        if count is not None and (count > one.was if rises else count < one.was):
            return True
    return False


def _find_other_versions(
    before: Mapping[str, str], after: Mapping[str, str]
) -> dict[str, tuple[str | None, str | None]]:
    return {
        name: (before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }
