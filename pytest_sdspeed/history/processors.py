"""Processors of a fleet: runs on each model have a history of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_sdspeed.history.keys import forget_work

if TYPE_CHECKING:
    from collections.abc import Sequence

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
            key = forget_work(replace(one.key, cpu=None))
            first.setdefault(key, one.key.cpu)
            by_host.setdefault((key, one.run.host), one.key.cpu)
    return {
        (key, host): by_host.get((base, host), first[base]) if host else first[base]
        for key, host in unknown
        if (base := forget_work(key)) in first
    }
