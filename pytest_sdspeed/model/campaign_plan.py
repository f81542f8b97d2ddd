"""What a campaign will cost, as far as its warm-up tells before the first block."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ASSUMED_NOISE = 0.01
"""Standard deviation of a block's log ratio for which plans say what they resolve: nothing is known
of a campaign's own noise before its first look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignPlan:
    """What a campaign will cost and can tell; made after the warm-up, before the first block.

    Attributes:
        call_s: one whole call of the baseline, seconds.
        block_s: a block, seconds.
        by_calls_s: a block of whole calls, seconds: ``block_s``, unless stages are measured.
        rows_s: row -> its part of a block, seconds.
        calls: whole calls that a block by calls has.
        first_look: blocks after which a row may be decided.
        blocks: the most that the budget allows.
        whole_calls, whole_s: whole calls of a palindrome, and their seconds; 0 by calls.
        palindromes: how many follow blocks by stages at most; at least one does.
        profiles_s: the most that profiles of its arms take after all that, seconds.
        steps, sampled_steps: denoising steps of a call, and how many are measured; 0 if slots are
            whole calls.
        why: why all steps are measured, or why whole calls are although stages were asked for;
            or "".
        resolves: how far from its floor a ratio must be for ``blocks`` to decide it, if a block
            has the noise ``ASSUMED_NOISE``; a fraction, None if they bring no look.
    """

    call_s: float
    block_s: float
    by_calls_s: float
    rows_s: Mapping[str, float] = field(default_factory=dict)
    calls: int
    first_look: int
    blocks: int
    whole_calls: int = 0
    whole_s: float = 0.0
    palindromes: int = 1
    profiles_s: float = 0.0
    steps: int = 0
    sampled_steps: int = 0
    why: str = ""
    resolves: float | None = None

    @property
    def least_s(self) -> float:
        """Return what its blocks to the first look take, and its whole calls, seconds."""
        return min(self.first_look, self.blocks) * self.block_s + self.whole_s

    @property
    def most_s(self) -> float:
        """Return what all of its blocks take, and as many whole calls as may follow, seconds."""
        return self.blocks * self.block_s + self.palindromes * self.whole_s
