"""What the order of slots may do to them: planted effects, and the orders of a block's pairs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Effect = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    Places = Callable[[np.random.Generator, int, int, int], np.ndarray]
    """(random generator, trials, blocks, arms) -> the place of each arm's first slot in the first
    half of every block, shape (trials, blocks, arms)."""

SIZES = (0.01, 0.02, 0.05)
"""Planted effects, as fractions of a slot."""


def shuffled_places(rng: np.random.Generator, trials: int, blocks: int, arms: int) -> np.ndarray:
    """Shuffle every block on its own, as versions up to 0.1 did."""
    return np.argsort(rng.random((trials, blocks, arms)), axis=-1)


def balanced_places(rng: np.random.Generator, trials: int, blocks: int, arms: int) -> np.ndarray:
    """Draw lines of random Latin squares, as ``measure.order.Palindromes`` does."""
    squares = -(-blocks // arms)

    def shuffle() -> np.ndarray:
        return np.argsort(rng.random((trials, squares, arms)), axis=-1)

    lines, arms_shuffled, columns = shuffle(), shuffle(), shuffle()
    # Arm a of the cyclic square stands in column (a - line); the columns are shuffled in the end.
    cyclic = (arms_shuffled[:, :, None, :] - lines[..., None]) % arms
    places = np.take_along_axis(columns[:, :, None, :].repeat(arms, axis=2), cyclic, axis=-1)
    return places.reshape(trials, squares * arms, arms)[:, :blocks]


def _first(slots: np.ndarray, _before: np.ndarray, _arm: np.ndarray) -> Any:
    return slots == 0


def _edges(slots: np.ndarray, _before: np.ndarray, _arm: np.ndarray) -> Any:
    return (slots == 0) | (slots == slots[-1])


def _inner(slots: np.ndarray, _before: np.ndarray, _arm: np.ndarray) -> Any:
    middle = slots[-1] / 2
    return np.abs(slots - middle) < 1


def _settling(slots: np.ndarray, _before: np.ndarray, _arm: np.ndarray) -> Any:
    return np.exp(-slots.astype(float))


def _drifting(slots: np.ndarray, _before: np.ndarray, _arm: np.ndarray) -> Any:
    return slots / slots[-1]


def _after_row(_slots: np.ndarray, before: np.ndarray, _arm: np.ndarray) -> Any:
    return before == 1


def _after_other(_slots: np.ndarray, before: np.ndarray, arm: np.ndarray) -> Any:
    return (before != arm) & (before >= 0)


PLACES: dict[str, Effect] = {
    "first slot of a block": _first,
    "first and last slot of a block": _edges,
    "the two slots in the middle": _inner,
    "settling inside a block": _settling,
    "drift inside a block": _drifting,
}
"""Effects of a slot's place: (places in the block, arm before, own arm) -> how much of the size."""

CARRIED = {"slot after the candidate": _after_row, "slot after another arm": _after_other}
"""Effects of the arm that ran before, likewise."""

EFFECTS = PLACES | CARRIED


def plant(logs: np.ndarray, arm: np.ndarray, effect: str, size: float) -> np.ndarray:
    """Return log durations with an effect of the order.

    Args:
        logs: shape (trials, blocks, slots).
        arm: number of the arm that each slot belongs to, 0 for the baseline.
        effect: one of ``EFFECTS``.
        size: how much longer a slot is that has all of it, a fraction.
    """
    flat = arm.reshape(len(arm), -1)
    before = np.concatenate([np.full((len(arm), 1), -1), flat[:, :-1]], axis=1).reshape(arm.shape)
    share = EFFECTS[effect](np.arange(arm.shape[-1]), before, arm)
    planted: np.ndarray = logs + math.log1p(size) * share
    return planted
