"""One line that says where a campaign stands."""

from __future__ import annotations


def line(campaign: str, phase: str, arm: str, *, block: int, blocks: int, left_s: float | None) -> str:
    """``inference: block 3 of at most 20, fp16, 41 s left at most``; phase and arm alone where ``block`` is 0."""
    if not block:
        return f"{campaign}: {phase}, {arm}" if arm else f"{campaign}: {phase}"
    left = "" if left_s is None else f", {max(left_s, 0):.0f} s left at most"
    return f"{campaign}: block {block} of at most {blocks}, {arm}{left}"
