"""What runs say side by side: the canary, and what differs from one run to the next."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pytest_sdspeed.report.history import format_versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.model import HistoryRun

MOST_MARKS = 12
"""More changes of versions, or of the host, are a hatching in a plot: they are counted there
instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What was different from one run on.

    Attributes:
        place: index of that run.
        name: the number of a change of versions, the letter of a change of host.
        said: what changed, in words.
        host: whether it is the host that changed.
    """

    place: int
    name: str
    said: str
    host: bool


def average_canaries(runs: Sequence[HistoryRun]) -> list[float]:
    """Return how long the canary took in every run, relative to what is usual.

    Returns:
        The median over a run's operations, each relative to its median over the runs; NaN if
        none was timed.
    """
    found: dict[str, list[float]] = {}
    for run in runs:
        for operation, seconds in _get_times(run).items():
            found.setdefault(operation, []).append(seconds)
    usual = {operation: statistics.median(times) for operation, times in found.items()}
    return [_compare_times(_get_times(run), usual) for run in runs]


def format_drift(canary: float) -> str:
    """Format how far a canary is off the usual: ``+0.3%``."""
    # Adding zero takes the sign off a negative one.
    return f"{round(100 * (canary - 1), 1) + 0.0:+.1f}%"


def _get_times(run: HistoryRun) -> dict[str, float]:
    return {
        operation: seconds for operation, seconds in run.canary_s.items() if 0 < seconds < math.inf
    }


def _compare_times(times: Mapping[str, float], usual: Mapping[str, float]) -> float:
    return (
        statistics.median(seconds / usual[operation] for operation, seconds in times.items())
        if times
        else math.nan
    )


def mark_versions(runs: Sequence[HistoryRun]) -> list[Mark]:
    """Mark where versions changed, numbered from 1.

    A run whose versions are unknown is passed over.
    """
    known = [(place, run.versions) for place, run in enumerate(runs) if run.versions]
    found = [
        (place, changed)
        for (_, before), (place, after) in pairwise(known)
        if (changed := _find_changes(before, after))
    ]
    return [
        Mark(place=place, name=str(number), said=format_versions(changed), host=False)
        for number, (place, changed) in enumerate(found, 1)
    ]


def _find_changes(
    before: Mapping[str, str], after: Mapping[str, str]
) -> dict[str, tuple[str | None, str | None]]:
    pairs = {name: (before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])}
    return {name: (former, latter) for name, (former, latter) in pairs.items() if former != latter}


def mark_hosts(runs: Sequence[HistoryRun]) -> list[Mark]:
    """Mark where the host changed, lettered from a.

    A run whose host is unknown is passed over.
    """
    known = [(place, run.host) for place, run in enumerate(runs) if run.host]
    found = [
        (place, f"host {before} -> {after}")
        for (_, before), (place, after) in pairwise(known)
        if before != after
    ]
    return [
        Mark(place=place, name=_name_mark(number), said=said, host=True)
        for number, (place, said) in enumerate(found)
    ]


def _name_mark(number: int) -> str:
    """Return ``a`` to ``z``, then ``aa``."""
    return (_name_mark(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)  # noqa: PLR2004 - letters of the alphabet
