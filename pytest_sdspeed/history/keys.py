"""Which history a result belongs to, if it does not tell all of its work or its processor.

Records from before a fact was stored go on in the histories of those that tell it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model.history import WORK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.history.contents import StoredResult
    from pytest_sdspeed.model import History, HistoryKey, HistoryRun


def forget_work(key: HistoryKey) -> HistoryKey:
    """Return a key as a record from before its work was stored has it."""
    return key.without(WORK)


def settle_work(results: Sequence[StoredResult]) -> dict[int, HistoryKey]:
    """Return the keys of the results that do not tell all of their work, by ``id`` of the result.

    What a result does not tell is what the one before it in its history told, else what the first
    one tells: a history whose records begin to tell their work loses none of the runs from before,
    and one that an older version of this plugin adds to in between stays whole.

    Args:
        results: results of stored runs, the oldest first.
    """
    rows: dict[HistoryKey, list[StoredResult]] = {}
    # Results of a history share their key, which is looked at often.
    bases: dict[HistoryKey, HistoryKey] = {}
    for one in results:
        base = bases.get(one.key) or bases.setdefault(one.key, forget_work(one.key))
        rows.setdefault(base, []).append(one)
    found: dict[int, HistoryKey] = {}
    for row in rows.values():
        if len({one.key for one in row}) > 1:
            found |= _settle_row(row)
    return found


def _settle_row(row: Sequence[StoredResult]) -> dict[int, HistoryKey]:
    known: dict[str, Any] = {
        name: next((value for one in row if (value := getattr(one.key, name)) is not None), None)
        for name in WORK
    }
    found: dict[int, HistoryKey] = {}
    for one in row:
        told = {name: value for name in WORK if (value := getattr(one.key, name)) is not None}
        known |= told
        if len(told) < len(WORK):
            found[id(one)] = replace(one.key, **known)
    return found


def find_same(
    key: HistoryKey, stored: Mapping[HistoryKey, History], ignoring: Sequence[str] = ()
) -> HistoryKey:
    """Return the stored key that a key belongs to; the key itself if there is none.

    Of those that fit, it is the one with the latest run. A key that tells no model of processor
    belongs to the only one that is stored, and the other way round.

    Args:
        key: key of a result in hand.
        stored: stored histories by key.
        ignoring: fields that may differ.
    """
    if key in stored:
        return key
    fitting = [other for other in stored if other.fits(key, ignoring)]
    same = [other for other in fitting if other.cpu == key.cpu]
    if not same and key.cpu is None and len({other.cpu for other in fitting}) == 1:
        same = fitting
    elif not same:
        same = [other for other in fitting if other.cpu is None]
    return max(same, key=lambda one: _find_last_date(stored[one].runs), default=key)


def _find_last_date(runs: Sequence[HistoryRun]) -> str:
    return runs[-1].date if runs else ""
