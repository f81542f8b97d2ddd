"""Peak memory of this process, or of its accelerator."""

from __future__ import annotations

import re
from bisect import bisect_left
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.accelerator import find_module

if TYPE_CHECKING:
    from collections.abc import Collection

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class ResidentMemory:
    """Resident memory of this process; Linux lets it reset the peak (proc(5), ``clear_refs``).

    Memory that was freed, but not returned to the system, is used again unseen: a figure is a lower
    bound.

    Args:
        status, clear: the two files of /proc.
    """

    def __init__(self, status: Path = _STATUS, clear: Path = _CLEAR) -> None:
        self._status, self._clear = status, clear
        self._held: int | None = None

    def start(self) -> None:
        """Reset the peak and note what is in use."""
        try:
            self._clear.write_text("5", encoding="ascii")
        except OSError:
            self._held = None
        else:
            self._held = self._read("VmRSS")

    def peak_bytes(self) -> int | None:
        """Return how far the peak is above what was in use, bytes, or None if it is unknown."""
        peak = None if self._held is None else self._read("VmHWM")
        return None if peak is None or self._held is None else max(0, peak - self._held)

    def shortage(self) -> str:
        """Return "": other processes share the memory, so that nothing is known."""
        return ""

    def _read(self, field: str) -> int | None:
        try:
            # The file also holds the process's name, which need not be ASCII.
            status = self._status.read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else None


class AllocatorMemory:
    """Peak memory that torch allocated on the current device of an accelerator.

    Args:
        module: ``torch.cuda``, ``torch.xpu``, or another one that has its functions.
    """

    def __init__(self, module: Any) -> None:
        self._module, self._held = module, 0

    def start(self) -> None:
        """Reset the peak and note what is allocated."""
        self._module.reset_peak_memory_stats()
        self._held = int(self._module.memory_allocated())

    def peak_bytes(self) -> int | None:
        """Return how far the peak is above what was allocated, bytes."""
        return int(self._module.max_memory_allocated()) - self._held

    def shortage(self) -> str:
        """Say how much torch had allocated when it could get no more, and the device's memory."""
        said = (
            f"; {_format(self._module.max_memory_allocated())} were allocated and it asked for more"
        )
        if hasattr(self._module, "mem_get_info"):
            free, total = map(_format, self._module.mem_get_info())
            said += f"; of the device's {total}, {free} are free"
        return said


class DriverMemory:
    """Memory that torch's pools took from the driver of an MPS device.

    MPS counts no peaks. Its pools keep what they took, so they are emptied at the start; they take
    more than tensors need, so a figure is no exact one.

    Args:
        mps: the ``torch.mps`` module.
    """

    def __init__(self, mps: Any) -> None:
        self._mps, self._held = mps, 0

    def start(self) -> None:
        """Empty the pools and note what they hold all the same."""
        self._mps.empty_cache()
        self._held = int(self._mps.driver_allocated_memory())

    def peak_bytes(self) -> int | None:
        """Return how much the pools took since then, bytes."""
        return max(0, int(self._mps.driver_allocated_memory()) - self._held)

    def shortage(self) -> str:
        """Say how much memory the pools hold."""
        return f"; {_format(self._mps.driver_allocated_memory())} were taken and it asked for more"


class ReservedMemory:
    """Memory that torch takes from the current device of an accelerator, with what it keeps.

    Args:
        module: ``torch.cuda``, ``torch.xpu``, or another one that has its functions.
    """

    def __init__(self, module: Any) -> None:
        self._module, self._held = module, 0

    def start(self) -> None:
        """Give back what nothing uses, and note what is held all the same."""
        self._module.empty_cache()
        self._module.reset_peak_memory_stats()
        self._held = int(self._module.memory_reserved())

    def taken_bytes(self) -> int:
        """Return the most that was held since then beyond that, bytes."""
        return int(self._module.max_memory_reserved()) - self._held

    def count_segments(self, addresses: Collection[int]) -> int | None:
        """Sum the bytes of the segments with any of these addresses, None if torch is silent."""
        if not hasattr(self._module, "memory_snapshot"):
            return None
        sorted_addresses = sorted(addresses)
        total = 0
        for segment in self._module.memory_snapshot():
            start, size = int(segment["address"]), int(segment["total_size"])
            place = bisect_left(sorted_addresses, start)
            if place < len(sorted_addresses) and sorted_addresses[place] < start + size:
                total += size
        return total


_RESERVED = (
    "empty_cache",
    "reset_peak_memory_stats",
    "memory_reserved",
    "max_memory_reserved",
    "is_available",
)


def find_reserved_memory(kind: str) -> ReservedMemory | None:
    """Return what tells of memory that torch takes from a device; None on those that do not tell.

    Args:
        kind: kind of the device, such as ``cuda``.
    """
    module = None if kind == "cpu" else find_module(kind)
    if module is None or not all(hasattr(module, name) for name in _RESERVED):
        return None
    return ReservedMemory(module) if module.is_available() else None


def find_total_bytes(kind: str) -> int | None:
    """Return the size of an accelerator's memory, bytes; None if torch does not tell, or for a CPU.

    Args:
        kind: type of a torch device.
    """
    if kind == "cpu":
        return None
    module = find_module(kind)
    with suppress(Exception):
        return int(module.mem_get_info()[1])
    with suppress(Exception):
        return int(module.recommended_max_memory())
    return None


def find_meter(module: Any) -> AllocatorMemory | DriverMemory | None:
    """Return a meter of an accelerator's memory, None if its module does not tell.

    Args:
        module: ``torch.cuda``, ``torch.xpu``, ``torch.mps`` or that of another kind.
    """
    if all(hasattr(module, name) for name in _STATISTICS):
        return AllocatorMemory(module)
    return DriverMemory(module) if hasattr(module, "driver_allocated_memory") else None


_STATISTICS = ("reset_peak_memory_stats", "memory_allocated", "max_memory_allocated")


def _format(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
