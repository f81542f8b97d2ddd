"""The account of many steps, from those of a few."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    what a step in steady state has. What the last step leaves out (DDIM's syncs) is in both.

    Args:
        shorter: account of a few steps.
        longer: account of one step more.
        steps: steps of the account that is wanted.
    """
    step = longer.per_step
    if step is None or longer.steps != shorter.steps + 1 or steps < longer.steps:
        return None
    if _take(longer, shorter) != _read(step) or shorter.peak_bytes != longer.peak_bytes:
        return None
    more = steps - longer.steps
    stages = {
        name: _extend(part, step, more) if name == "denoising" else part
        for name, part in longer.stages.items()
    }
    return replace(_extend(longer, step, more), steps=steps, stages=stages)


def _read(account: Account) -> tuple[Counter[str], Counter[Work], Counter[Place]]:
    """Return what adds up of an account: its counts, its operations by size, and its places."""
    return (
        Counter({name: getattr(account, name) for name in _ADDED}),
        Counter({replace(one, count=0): one.count for one in account.work}),
        Counter({replace(one, count=0): one.count for one in account.places}),
    )


def _take(
    longer: Account, shorter: Account
) -> tuple[Counter[str], Counter[Work], Counter[Place]]:
    """Return what one account has more than another; less shows as a negative count."""
    counts, work, places = _read(longer)
    for mine, other in zip((counts, work, places), _read(shorter), strict=True):
        mine.subtract(other)  # type: ignore[attr-defined]
        for key in [key for key, count in mine.items() if not count]:
            del mine[key]  # type: ignore[attr-defined]
    return counts, work, places


def _extend(account: Account, step: Account, more: int) -> Account:
    counts = {name: getattr(account, name) + more * getattr(step, name) for name in _ADDED}
    _, work, places = _read(account)
    _, step_work, step_places = _read(step)
    for key, count in step_work.items():
        work[key] += more * count
    for place, count in step_places.items():
        places[place] += more * count
    return replace(
        account,
        **counts,
        work=tuple(sorted(replace(one, count=count) for one, count in work.items())),
        places=tuple(
            sorted(
                (replace(one, count=count) for one, count in places.items()),
                key=lambda one: (-one.count, one),
            )
        ),
    )
