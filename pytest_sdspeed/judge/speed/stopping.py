"""When to look, and how far from the floor a speed-up must be then.

A group-sequential test whose error rates are calibrated.

The looks are the same for every budget, and so are their critical values: a longer budget adds
looks at the end and changes none before.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from importlib.resources import files
from typing import NamedTuple

from scipy import special

ERROR_PER_SIDE = 0.005
"""Probability of "pass", and of "fail", for a row whose speed-up sits exactly on its floor, over
all looks: 1% for both together."""

LEAST_BLOCKS = 2
"""The fewest blocks that have a standard deviation, hence an interval; the first look comes
later."""

LAST_LOOK = 200
"""Blocks of the last look: a row that is undecided by then has its speed-up on its floor."""

CONSTANTS = "critical_values.json"
"""The file beside this module that ``benchmarks/studies/calibrate.py`` writes."""


class _Constants(NamedTuple):
    looks: tuple[int, ...]
    critical: dict[int, tuple[float, ...]]


@functools.cache
def _constants() -> _Constants:
    """Read calibrated critical values: looks, and rows that share the error -> a value per look."""
    stored = json.loads(
        (files("pytest_sdspeed.judge.speed") / CONSTANTS).read_text(encoding="utf-8")
    )
    return _Constants(
        tuple(stored["looks"]),
        {int(rows): tuple(values) for rows, values in stored["critical"].items()},
    )


def looks(blocks: int) -> tuple[int, ...]:
    """Return the numbers of blocks after which a campaign of so many blocks looks.

    After every block from 3 to 20, then after 10% more each, up to 200.
    """
    return tuple(itertools.takewhile(lambda look: look <= blocks, _constants().looks))


def first_look() -> int:
    """Return the number of blocks of the first look; fewer decide nothing."""
    return _constants().looks[0]


def later_looks(blocks: int) -> tuple[int, ...]:
    """Return the looks that are still to come after so many blocks."""
    return tuple(look for look in _constants().looks if look > blocks)


def affordable_blocks(max_blocks: int, block_s: float, budget_s: float) -> int:
    """Return how many blocks a campaign may take, fixed before the first look.

    The last of them is a look.

    Args:
        max_blocks: most blocks of the campaign.
        block_s: what one block costs, seconds.
        budget_s: what all blocks together may cost, seconds.

    Returns:
        The last look that fits. Two blocks, the least that have an interval, are taken even if
        the budget or ``max_blocks`` denies them; fewer than three decide nothing.

    Raises:
        ValueError: if ``block_s`` is not positive and finite, or ``budget_s`` is negative or not a
            number.
    """
    if not (math.isfinite(block_s) and block_s > 0):
        raise ValueError(f"block_s is {block_s}; valid: a positive number of seconds")
    if not budget_s >= 0:
        raise ValueError(f"budget_s is {budget_s}; valid: a number of seconds, 0 or more")
    return max((LEAST_BLOCKS, *looks(int(min(max_blocks, budget_s / block_s)))))


def critical_value(blocks: int, rows: int = 1) -> float:
    """Return the critical t value of a look at so many blocks.

    It has ``blocks - 1`` degrees of freedom.

    A speed-up is on one side of the floor if its t statistic (mean minus log floor, over the
    standard error) passes this value. The values spend ``ERROR_PER_SIDE`` over the looks (Lan and
    DeMets 1983). They are calibrated by simulation, see ``benchmarks/studies/calibrate.py`` and the
    file ``critical_values.json``, for independent normal slots, two pairs of the baseline and one
    of the candidate; ``benchmarks/studies/gate_power.py`` has the error rates under other noise.

    Args:
        blocks: number of blocks, 2 or more; between two looks the later one's value is given.
        rows: how many rows share ``ERROR_PER_SIDE``. Rounded up to a power of two; above 32 the
            last nominal levels are divided further, which is a few percent off.

    Raises:
        ValueError: if one is too small.
    """
    if blocks < LEAST_BLOCKS or rows < 1:
        raise ValueError(
            f"{blocks} blocks, {rows} rows; valid: {LEAST_BLOCKS} or more blocks, 1 or more rows"
        )
    ladder, values = _constants()
    index = next((index for index, look in enumerate(ladder) if look >= blocks), len(ladder) - 1)
    calibrated = next((known for known in sorted(values) if known >= rows), max(values))
    value = values[calibrated][index]
    if rows <= calibrated:
        return value
    freedom = ladder[index] - 1
    return -float(special.stdtrit(freedom, special.stdtr(freedom, -value) * calibrated / rows))
