"""What shows that an optimization acted in a generation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What a generation showed of one optimization.

    Attributes:
        acted: whether it had any effect; None if that cannot be told.
        text: what was seen, a clause: ``skipped 12 of 28 denoising steps``, or why it had none.
        excused: whether nothing follows from it if it did not act: at the size of a rehearsal.
    """

    acted: bool | None
    text: str
    excused: bool = False


@dataclass(frozen=True, slots=True)
class Proof:
    """What a generation of a setup showed of one entry of its stack.

    Attributes:
        optimization: label of the entry.
        finding: what was found.
    """

    optimization: str
    finding: Finding

    def __str__(self) -> str:
        """Return ``first_block_cache(threshold=0.0) had no effect: skipped no step``."""
        acted, text = self.finding.acted, self.finding.text
        if acted is None:
            return f"whether {self.optimization} acted cannot be told: {text}"
        return f"{self.optimization} {'acted' if acted else 'had no effect'}: {text}"
