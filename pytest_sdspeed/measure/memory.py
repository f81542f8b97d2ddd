"""Peak memory of one generation."""

from __future__ import annotations

from typing import Protocol


class MemoryMeter(Protocol):
    """Tells how much memory a generation needed at most."""

    def start(self) -> None:
        """Forget earlier peaks."""
        ...

    def peak_bytes(self) -> int | None:
        """Return the greatest memory in use since ``start`` beyond what was in use then, bytes.

        None if the platform does not tell.
        """
        ...

    def shortage(self) -> str:
        """Describe what an arm that ran out of memory would have needed, and what there is.

        "" if the platform does not tell.
        """
        ...


class UnknownMemory:
    """A platform that does not tell."""

    def start(self) -> None:
        """Do nothing: there is nothing to forget."""

    def peak_bytes(self) -> int | None:
        """Return None: it is unknown."""
        return None

    def shortage(self) -> str:
        """Return nothing: it is unknown."""
        return ""
