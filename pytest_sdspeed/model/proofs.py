"""What shows that an optimization acted in a generation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What a generation showed of one optimization.

    Attributes:
        acted: whether it had any effect.
        text: what was seen, a clause: ``skipped 12 of 28 denoising steps``, or why it had none.
    """

    acted: bool
    text: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What a generation of a setup showed of one entry of its stack.

    Attributes:
        optimization: label of the entry.
        finding: what was found.
    """

    optimization: str
    finding: Finding
