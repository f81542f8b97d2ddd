"""Accounts: what the events of a ledger come to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from pytest_sdspeed.dry.ledger import Operation, Visible
from pytest_sdspeed.dry.steps import find_stages, find_steps
from pytest_sdspeed.model.accounts import COUNTS, Account, Place, PlaceKind, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.dry.ledger import Ledger

_COUNTED = tuple(name for name in COUNTS if getattr(Account(), name) is not None)
"""Counts of every account; the others are those of a whole call."""


def make_account(ledger: Ledger, *, weight_bytes: int | None = None) -> Account:
    """Return the account of all that was written down.

    Args:
        ledger: what was written down.
        weight_bytes: bytes of the weights on the device, or None if they are not known.
    """
    steps = find_steps(ledger.marks)
    steady = [_sum_up(ledger, interval) for interval in steps.intervals]
    return replace(
        _sum_up(ledger, (0, len(ledger.events))),
        peak_bytes=ledger.most_held,
        weight_bytes=weight_bytes,
        steps=steps.count,
        per_step=_take_largest(steady) if steady else None,
        uneven_steps=_find_uneven(steady),
        stages={
            stage: _sum_up(ledger, *((run.start, run.end) for run in runs))
            for stage, runs in find_stages(ledger).items()
        },
        notes=tuple(ledger.notes),
    )


def _sum_up(ledger: Ledger, *spans: tuple[int, int]) -> Account:
    """Return the account of the events of all spans, from the first to before the second index."""
    counted = Counter(event for start, end in spans for event in ledger.events[start:end])
    operations = {event: count for event, count in counted.items() if isinstance(event, Operation)}
    places = Counter[tuple[PlaceKind, str, int, str]]()
    kinds = Counter[str]()
    for event, count in counted.items():
        if isinstance(event, Visible):
            kinds[event.kind] += count
            caller = event.caller
            places[event.kind, caller.file, caller.line, caller.code] += count
    return Account(
        operations=sum(operations.values()),
        host_syncs=kinds["host_sync"],
        host_to_device=kinds["host_to_device"],
        device_to_host=kinds["device_to_host"],
        casts=sum(count for event, count in operations.items() if event.cast),
        flops=sum(event.flops * count for event, count in operations.items()),
        bytes_moved=sum(event.bytes_moved * count for event, count in operations.items()),
        peak_bytes=max(
            (peak for start, end in spans for peak in ledger.peaks[start:end]), default=0
        ),
        places=tuple(
            sorted(
                (Place(*place, count) for place, count in places.items()),
                key=_order,
            )
        ),
        work=tuple(
            sorted(
                Work(event.name, event.dtype, event.flops, event.bytes_moved, count)
                for event, count in operations.items()
            )
        ),
    )


def _order(place: Place) -> tuple[int, int, Place]:
    """Order places by what is told first: their kind, and then how often they ask."""
    return (get_args(PlaceKind).index(place.kind), -place.count, place)


def _take_largest(accounts: Sequence[Account]) -> Account:
    """Return an account that has the largest of each count, and of each place."""
    largest: Any = {name: max(getattr(one, name) or 0 for one in accounts) for name in _COUNTED}
    places: dict[Place, Place] = {}
    for account in accounts:
        for place in account.places:
            key = replace(place, count=0)
            places[key] = max(places.get(key, place), place, key=lambda one: one.count)
    busiest = max(accounts, key=lambda account: account.flops)
    return replace(
        busiest,
        **largest,
        places=tuple(sorted(places.values(), key=_order)),
    )


def _find_uneven(accounts: Sequence[Account]) -> tuple[str, ...]:
    """Return the counts that are not the same in all accounts."""
    return tuple(
        name for name in _COUNTED if len({getattr(account, name) for account in accounts}) > 1
    )
