"""Time, and the wait for a device to finish."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """What a campaign reads time from."""

    def now(self) -> float:
        """Return the seconds since any fixed point."""
        ...

    def synchronize(self) -> None:
        """Return at once: the CPU is synchronous."""
        ...


def _nothing() -> None:
    """Return at once: the CPU is synchronous."""


class WallClock:
    """``time.perf_counter`` and a device's synchronization.

    Args:
        synchronize: waits for the device (``torch.cuda.synchronize``); nothing on the CPU.
    """

    _read = staticmethod(time.perf_counter)
    """Held here: freezegun replaces the functions of every module, and no attributes of classes."""

    def __init__(self, synchronize: Callable[[], None] = _nothing) -> None:
        self._synchronize = synchronize

    def now(self) -> float:
        """Return the seconds of the monotonic performance counter."""
        return self._read()

    def synchronize(self) -> None:
        """Wait for the device."""
        self._synchronize()
