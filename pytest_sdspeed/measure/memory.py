"""Peak memory of one generation."""

from __future__ import annotations

from typing import Protocol


class MemoryMeter(Protocol):
    """Tells how much memory a generation needed at most."""

    def start(self) -> None:
        """Forget earlier peaks."""
        ...

    def peak_bytes(self) -> int | None:
        """Greatest memory in use since ``start`` beyond what was in use then, bytes; None where the platform does not tell."""
        ...

    def shortage(self) -> str:
        """What an arm that ran out of memory would have needed, and what there is; "" where the platform does not tell."""
        ...


class UnknownMemory:
    """A platform that does not tell."""

    def start(self) -> None:
        """Nothing to forget."""

    def peak_bytes(self) -> int | None:
        """Unknown."""
        return None

    def shortage(self) -> str:
        """Unknown."""
        return ""
