"""The histories of what stored runs counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import AccountHistory, AccountRun, HistoryKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_sdspeed.history.aliases import Renaming
    from pytest_sdspeed.history.contents import StoredFile
    from pytest_sdspeed.model import Account, AccountResult


def make_account_key(result: AccountResult, test: str) -> HistoryKey:
    """Return what an account belongs to the history of: no machine, as it is counted alike on all.

    Args:
        result: what was counted.
        test: id of the test, which tells callables apart.
    """
    from pytest_sdspeed.store.accounts import write_recipe
    from pytest_sdspeed.store.records import make_recipe_key

    recipe, stack = result.recipe, result.optimizations
    return HistoryKey(
        table=result.table,
        setup=result.setup,
        baseline="",
        device=result.counted_as,
        recipe=make_recipe_key(None if recipe is None else write_recipe(recipe), test),
        optimizations=None if stack is None else ", ".join(stack),
    )


def merge_accounts(
    files: Iterable[StoredFile], renaming: Renaming | None = None
) -> tuple[AccountHistory, ...]:
    """Return the history of every account in files, without its changes.

    Of one target that a run counted twice, as attempts and copies do, the last one counts.

    Args:
        files: files that count, the oldest first.
        renaming: tells the names of today.
    """
    known: dict[str, Account] = {}
    found: dict[HistoryKey, dict[object, AccountRun]] = {}
    for file in files:
        identity = file.run.id or (file.run.host, file.run.date)
        for counts in file.accounts:
            key = renaming.rename(counts.key) if renaming is not None else counts.key
            text = json.dumps(counts.account, sort_keys=True)
            if text not in known:
                known[text] = _read(counts.account)
            run = _make_run(file, counts.versions, known[text])
            found.setdefault(key, {})[identity] = run
    return tuple(AccountHistory.with_runs(key, runs.values()) for key, runs in found.items())


def _read(stored: Mapping[str, Any]) -> Account:
    """Read an account back; what reads records imports what judges them, which few runs need."""
    from pytest_sdspeed.store.accounts import read_account

    return read_account(stored)


def _make_run(file: StoredFile, versions: Mapping[str, str], account: Account) -> AccountRun:
    run, name = file.run, file.path.rpartition("/")[2].removesuffix(".json")
    return AccountRun(
        name=name,
        date=run.date,
        commit=run.commit,
        dirty=run.dirty,
        host=run.host,
        no_commit=run.no_commit,
        versions=versions,
        account=account,
    )
