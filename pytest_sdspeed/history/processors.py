"""Processors of a fleet: runs on each model have a history of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_sdspeed.history.contents import StoredResult
    from pytest_sdspeed.model import HistoryKey


def settle_processors(results: Sequence[StoredResult]) -> dict[tuple[HistoryKey, str | None], str]:
    """Return the model for results that do not tell it, by key and host.

    It is the one that another run on that host tells, else the first that any run tells: a history
    whose runs begin to tell their model loses none of those before. The model of a host that is not
    named is under None.

    Args:
        results: results of stored runs, the oldest first.
    """
    unknown = {(one.key, one.run.host) for one in results if one.key.cpu is None}
    if not unknown:
        return {}
    first: dict[HistoryKey, str] = {}
    by_host: dict[tuple[HistoryKey, str | None], str] = {}
    for one in results:
        if one.key.cpu is not None:
            key = replace(one.key, cpu=None)
            first.setdefault(key, one.key.cpu)
            by_host.setdefault((key, one.run.host), one.key.cpu)
    return {
        (key, host): by_host.get((key, host), first[key]) if host else first[key]
        for key, host in unknown
        if key in first
    }


def find_same(key: HistoryKey, stored: Collection[HistoryKey]) -> HistoryKey:
    """Return the stored key that a key belongs to; the key itself if there is none.

    One that tells no model belongs to the only one that is stored, and the other way round.
    """
    if key in stored:
        return key
    base = replace(key, cpu=None)
    if key.cpu is not None:
        return base if base in stored else key
    found = [other for other in stored if replace(other, cpu=None) == base]
    return found[0] if len(found) == 1 else key
