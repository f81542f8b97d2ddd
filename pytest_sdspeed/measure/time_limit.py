"""The time limit that another plugin sets a test, as a fact."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimit:
    """When another plugin ends a test.

    Attributes:
        seconds: what the whole test may take.
        left_s: what its campaign may take, from its beginning, seconds.
        name: what sets the limit, as its user knows it (``--timeout``).
    """

    seconds: float
    left_s: float
    name: str

    @property
    def allows_repetition(self) -> bool:
        """Tell whether there is time to do once more what was done so far."""
        return self.left_s > self.seconds / 2
