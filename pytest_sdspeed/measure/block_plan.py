"""The plan of a campaign's blocks: how many, how long, and when rows may be decided."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.speed import stopping

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_sdspeed.measure.campaign_data import Limits


class BlockPlan(NamedTuple):
    """How the timed part is spent; fixed before the first look.

    Attributes:
        repeats: palindromes of a block.
        block_s: seconds that one block is expected to take.
        blocks: how many the budget allows.
        looks: the numbers of blocks after which rows may be decided.
    """

    repeats: int = 1
    block_s: float = 0.0
    blocks: int = 0
    looks: tuple[int, ...] = ()


def plan_blocks(
    limits: Limits, costs_s: Mapping[str, float], baseline: str, rows: Iterable[str]
) -> BlockPlan:
    """Plan the blocks of a campaign from what its warm-up took.

    Args:
        limits: budget, most blocks, wanted length of a slot.
        costs_s: arm -> seconds of one generation.
        baseline: name of the baseline, which has four generations in a palindrome.
        rows: names of the rows, which have two.
    """
    palindrome_s = 4 * costs_s[baseline] + 2 * sum(costs_s[name] for name in rows)
    repeats = _choose_repeats(limits, min(costs_s.values()), palindrome_s)
    return plan_at_pace(limits, repeats, repeats * palindrome_s)


def plan_at_pace(limits: Limits, repeats: int, block_s: float) -> BlockPlan:
    """Plan as many blocks as the budget allows if each takes ``block_s`` seconds."""
    blocks = stopping.affordable_blocks(limits.max_blocks, block_s, limits.budget_s)
    return BlockPlan(repeats, block_s, blocks, stopping.looks(blocks))


def _choose_repeats(limits: Limits, fastest_s: float, palindrome_s: float) -> int:
    """Return how many palindromes make a block.

    Enough for slots of the wanted length, as long as they cost no blocks.
    """
    wanted = math.ceil(limits.slot_s / fastest_s)
    return max(1, min(wanted, int(limits.budget_s / (limits.max_blocks * palindrome_s))))
