"""Peak memory of this process, or of its GPU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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


class CudaMemory:
    """Peak memory that torch allocated on the CUDA device.

    Args:
        cuda: the ``torch.cuda`` module.
    """

    def __init__(self, cuda: Any) -> None:
        self._cuda, self._held = cuda, 0

    def start(self) -> None:
        """Reset the peak and note what is allocated."""
        self._cuda.reset_peak_memory_stats()
        self._held = int(self._cuda.memory_allocated())

    def peak_bytes(self) -> int | None:
        """Return how far the peak is above what was allocated, bytes."""
        return int(self._cuda.max_memory_allocated()) - self._held

    def shortage(self) -> str:
        """Say how much torch had allocated when it could get no more, and the device's memory."""
        free, total = self._cuda.mem_get_info()
        peak, free, total = (
            f"{size / 2**30:.2f} GiB" for size in (self._cuda.max_memory_allocated(), free, total)
        )
        return (
            f"; {peak} were allocated and it asked for more; of the device's {total}, {free} are"
            " free"
        )
