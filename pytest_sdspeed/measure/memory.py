"""Peak memory of one generation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class MemoryMeter(Protocol):
    """Tells how much memory a generation needed at most."""

    def start(self) -> None:
        """Forget earlier peaks."""
        ...

    def peak_bytes(self) -> int | None:
        """Greatest memory in use since ``start``, bytes; None where the platform does not tell."""
        ...


class UnknownMemory:
    """A platform that does not tell."""

    def start(self) -> None:
        """Nothing to forget."""

    def peak_bytes(self) -> int | None:
        """Unknown."""
        return None


class ResidentMemory:
    """Peak resident memory of this process, which Linux lets a process reset (proc(5), ``clear_refs``).

    Everything the process holds counts, the modules of other setups too.

    Args:
        status, clear: the two files.
    """

    def __init__(self, status: Path = _STATUS, clear: Path = _CLEAR) -> None:
        self._status, self._clear, self._started = status, clear, False

    def start(self) -> None:
        """Reset the high-water mark."""
        try:
            self._clear.write_text("5", encoding="ascii")
        except OSError:
            self._started = False
        else:
            self._started = True

    def peak_bytes(self) -> int | None:
        """The high-water mark, bytes, or None where it could not be reset or read."""
        if not self._started:
            return None
        try:
            # The file also holds the process's name, which need not be ASCII.
            status = self._status.read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else None


class CudaMemory:
    """Peak memory that torch allocated on the CUDA device.

    Args:
        cuda: the ``torch.cuda`` module.
    """

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda

    def start(self) -> None:
        """Reset the high-water mark."""
        self._cuda.reset_peak_memory_stats()

    def peak_bytes(self) -> int | None:
        """The high-water mark, bytes."""
        return int(self._cuda.max_memory_allocated())
