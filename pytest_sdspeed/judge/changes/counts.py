"""Changes in what was counted: no statistics, as a count has no noise."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
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
    accepted = {one.id: one for one in acknowledged if one.counts}
    changes = []
    for since, (before, after) in enumerate(pairwise(history.runs), start=1):
        # Most runs have the account of the one before, which is then the same object.
        if before.account is after.account or before.account == after.account:
            continue
        counts = tuple(list_changes(before.account, after.account))
        if counts:
            change = _make_change(history.runs, since, counts)
            found = accepted.get(history.name_change(change))
            changes.append(replace(change, acknowledged=found))
    return replace(history, changes=tuple(changes))


def unresolved_rise(history: AccountHistory) -> AccountChange | None:
    """Return the latest change by which more is asked for than before, if the latest run still is.

    As for latencies, it is news for 20 runs. None if there is none, or it was acknowledged.
    """
    return next(
        (
            change
            for change in reversed(history.changes)
            if change.rises
            and change.holds
            and change.acknowledged is None
            and len(history.runs) - change.since <= NEWS_RUNS
        ),
        None,
    )


def _make_change(
    runs: Sequence[AccountRun], since: int, counts: tuple[CountChange, ...]
) -> AccountChange:
    before, after = runs[since - 1], runs[since]
    return AccountChange(
        since=since,
        counts=counts,
        holds=_still_holds(runs[-1], counts),
        places=drop_repeats(find_more(before.account, after.account)),
        gone=drop_repeats(find_more(after.account, before.account)),
        versions=_find_other_versions(before.versions, after.versions),
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
