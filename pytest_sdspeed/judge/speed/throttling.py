"""Limits on the clocks that distort a paired ratio, and how many blocks they may cost.

A block in which such a limit held is discarded whole and measured again. Only what the device says
decides that, and never a duration: the blocks that stay are those of the unthrottled machine, in
their order, so that looks after fixed numbers of them keep their error rates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DISTORTING = frozenset(
    {"HW slowdown", "SW thermal slowdown", "HW thermal slowdown", "HW power brake"}
)
"""Limits that hit an arm for what is not its own doing: earlier heat, or the power supply.

The software power cap is none of them. A card at full load runs into it by its own draw, and again
within milliseconds of its next kernel: an arm that draws more power is slower on this card for
every user, which is part of the ratio that is asked for."""

_FEW_BLOCKS = 20


def is_distorted(reasons: Iterable[str] | None) -> bool:
    """Tell whether a limit that distorts is among the reasons; what is unknown does not distort."""
    return reasons is not None and not DISTORTING.isdisjoint(reasons)


def count_exposed(planned: int, measured: int) -> int:
    """Return of how many blocks a third may be discarded.

    Of those that are planned, but of ``_FEW_BLOCKS`` at most unless more were measured: a plan of
    200 that is decided after three does not stand on dozens of discarded ones.

    Args:
        planned: most blocks of the campaign.
        measured: blocks that were kept so far.
    """
    return min(planned, max(_FEW_BLOCKS, measured))


def most_discarded(planned: int) -> int:
    """Return how many blocks a campaign of so many may discard: a third of them, one at least.

    The device is asked between slots only. If it throttles more often than that, it may have
    done so unseen in the blocks that stayed.
    """
    return max(1, planned // 3)


def describe_throttling(
    discarded: int, exposed: int, planned: int, reasons: Iterable[str], clocks_mhz: Iterable[float]
) -> str:
    """Describe in how many blocks the GPU throttled, by what, and at which clocks.

    Args:
        discarded: blocks.
        exposed: blocks of which a third may be discarded, see ``count_exposed``.
        planned: most blocks.
        reasons: everything that limited the clocks in them.
        clocks_mhz: clocks of the streaming multiprocessors after each of their slots; may be empty.
    """
    seen = sorted(clocks_mhz)
    clocks = f"; SM clock {seen[0]:.0f} to {seen[-1]:.0f} MHz" if seen else ""
    distorting = ", ".join(sorted(DISTORTING.intersection(reasons)))
    of = f"the {planned} planned" if exposed == planned else str(exposed)
    return (
        f"the GPU throttled in {discarded} blocks, more than a third of {of} ({distorting}{clocks})"
    )
