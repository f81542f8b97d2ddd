"""Whether a change of host says anything: on hosted runners every run has another one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_sdspeed.judge.changes.change_points import LEAST_RUNS, LEVEL_RUNS

if TYPE_CHECKING:
    from collections.abc import Sequence

HABIT_RUNS = 2 * LEVEL_RUNS
"""How many of the latest runs before a change tell what hosts usually do."""

_SELDOM = 0.1
"""A change of hosts is evidence if at most this share of the earlier runs began one.

It bounds how often a change that the machine did not cause is taken for the machine's: a step falls
on a change of hosts by chance as often as hosts change."""

_MOSTLY = 0.75
"""Share of runs with a host of their own from which hosts are said not to stay."""

_NAMED = 3
"""How many hosts are named on either side."""


def describe_host_change(before: Sequence[str], after: Sequence[str]) -> str:
    """Describe a change of hosts, ``a -> b``; "" if there is none, or it says nothing.

    Hosts changed if none of after is one of before. That says something if it was seldom so:
    asked of the earlier runs, it would have been answered with yes at most once in ten. Hosts that
    are new in every run, in most runs or every few runs say nothing. If nearly every run had
    a host of its own, and one has come in most runs since, that is another kind of place, and says
    something.

    Args:
        before: hosts of the runs before a change point, the oldest first; those of unknown runs are
            left out.
        after: hosts of the runs since.
    """
    latest = before[-HABIT_RUNS:]
    changed = bool(latest and after) and not set(latest[-LEVEL_RUNS:]) & set(after)
    if not changed or not (_usually_stay(latest, len(after)) or _began_to_stay(latest, after)):
        return ""
    return f"{_name(latest[-LEVEL_RUNS:])} -> {_name(after)}"


def _usually_stay(hosts: Sequence[str], runs: int) -> bool:
    """Tell whether hosts seldom changed, by the later half of the runs.

    Args:
        hosts: hosts of runs, the oldest first; a single one tells of no habit.
        runs: how many runs there are since the change point; as many after each earlier run are
            looked at, five at most.
    """
    few = min(runs, LEAST_RUNS, len(hosts) // 2)
    asked = range(max(len(hosts) // 2, 1), len(hosts) - few + 1)
    changed = sum(
        not set(hosts[max(0, place - LEVEL_RUNS) : place]) & set(hosts[place : place + few])
        for place in asked
    )
    return changed <= _SELDOM * len(asked)


def _began_to_stay(before: Sequence[str], after: Sequence[str]) -> bool:
    """Tell whether most runs had hosts of their own, and most now share one."""
    ((_, most),) = Counter(after).most_common(1)
    alone = len(set(before)) >= _MOSTLY * len(before)
    return len(before) >= LEAST_RUNS and alone and most > max(1, len(after) / 2)


def _name(hosts: Sequence[str]) -> str:
    known = sorted(set(hosts))
    more = len(known) - _NAMED
    return ", ".join(known[:_NAMED]) + (f" and {more} more" if more > 0 else "")
