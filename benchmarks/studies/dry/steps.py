"""The account of many steps, from those of a few."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from pytest_sdspeed.model.accounts import Account, Place, Work

_ADDED = (
    "operations",
    "host_syncs",
    "host_to_device",
    "device_to_host",
    "casts",
    "flops",
    "bytes_moved",
)


def add_steps(shorter: Account, longer: Account, steps: int) -> Account | None:
    """Return the account of more steps, or None if the steps are not all alike.

    They are taken to be if one step more added, in every count, every operation and every place,
    what a step in steady state has. What the last step leaves out (DDIM's syncs) is in both. Peaks
    grow with the number of steps by what they grew (the timesteps are on the device).

    Args:
        shorter: account of a few steps.
        longer: account of one step more.
        steps: steps of the account that is wanted.
    """
    step, before = longer.per_step, shorter.per_step
    if step is None or before is None or longer.steps != shorter.steps + 1:
        return None
    added = _read(longer)
    added.subtract(_read(shorter))
    if {key: count for key, count in added.items() if count} != dict(+_read(step)):
        return None
    if longer.stages.keys() != shorter.stages.keys() or steps < longer.steps:
        return None
    more = steps - longer.steps
    stages = {
        name: _extend(part, shorter.stages[name], step if name == "denoising" else Account(), more)
        for name, part in longer.stages.items()
    }
    return replace(
        _extend(longer, shorter, step, more),
        steps=steps,
        stages=stages,
        per_step=_extend(step, before, Account(), more),
    )


def _read(account: Account) -> Counter[Any]:
    """Return what adds up of an account: its counts, its operations by size, and its places."""
    found: Counter[Any] = Counter({name: getattr(account, name) for name in _ADDED})
    for work in account.work:
        found[replace(work, count=0)] = work.count
    for place in account.places:
        found[replace(place, count=0)] = place.count
    return found


def _extend(account: Account, shorter: Account, step: Account, more: int) -> Account:
    """Return an account with some steps more, whose peak grows as it did from a shorter one."""
    found = _read(account)
    for key, count in _read(step).items():
        found[key] += more * count
    work = [replace(key, count=count) for key, count in found.items() if isinstance(key, Work)]
    places = [replace(key, count=count) for key, count in found.items() if isinstance(key, Place)]
    counts: dict[str, Any] = {name: found[name] for name in _ADDED}
    return replace(
        account,
        **counts,
        peak_bytes=account.peak_bytes + more * (account.peak_bytes - shorter.peak_bytes),
        work=tuple(sorted(work)),
        places=tuple(sorted(places, key=lambda one: (-one.count, one))),
    )
