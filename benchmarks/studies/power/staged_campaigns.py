"""Simulated campaigns by stages: calls take turns, and are put together as the package does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from power.campaigns import FIRST_ROW
from power.slot_order import balanced_places
from pytest_sdspeed.judge.speed.put_together import choose_sampling
from pytest_sdspeed.measure.turns import split_into_turns
from pytest_sdspeed.model.stages import DECODING, DENOISING, TEXT_ENCODING, StageTime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from power.step_noise import ReplayedSteps, StepNoise

ROUNDS = 2
"""Rounds of a block; the order of the second one is the reverse of the first one's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What the calls of a baseline and of its candidate are made of, in units of a usual step.

    Attributes:
        name: name in tables.
        steps: denoising steps of a call.
        text, first, decode: text encoding, the first step, decoding.
        cheap: the candidate's share of a step in every second one: a cache. All steps are measured
            then.
        drift: how much slower the last step of a call is than the first, in both arms.
        own_drift: likewise, of the candidate alone.
        every: whether all steps are measured though they are alike.
        turns: in how many turns a call is made; None for a step each.
    """

    name: str
    steps: int = 50
    text: float = 0.5
    first: float = 3.0
    decode: float = 2.0
    cheap: float = 1.0
    drift: float = 0.0
    own_drift: float = 0.0
    every: bool = False
    turns: int | None = None

    @property
    def sampled(self) -> int:
        """Return how many of the steps are measured, as the package chooses."""
        if self.every or self.cheap != 1.0:
            return self.steps
        step = StageTime(DENOISING, 1.0)
        return choose_sampling([step] * self.steps).sampled

    def costs(self) -> np.ndarray:
        """Return what the parts of a whole call cost, shape (2, parts): baseline, candidate."""
        steps = np.ones((2, self.steps))
        steps[1, 2::2] = self.cheap
        along = np.arange(self.steps) / (self.steps - 1)
        steps *= 1 + along * np.array([[self.drift], [self.drift + self.own_drift]])
        steps[:, 0] = self.first
        ends = np.ones((2, 1))
        return np.hstack([self.text * ends, steps, self.decode * ends])

    def measured(self) -> np.ndarray:
        """Return which parts of a whole call are measured, in order."""
        return np.array([*range(1 + self.sampled), 1 + self.steps])

    def lengths(self) -> list[int]:
        """Return how many parts each turn of a call has, as the package splits it."""
        step = StageTime(DENOISING, 1.0)
        parts = [StageTime(TEXT_ENCODING, 1.0), *[step] * self.sampled, StageTime(DECODING, 1.0)]
        return split_into_turns(parts, self.turns or self.sampled)

    def put_together(self, parts: np.ndarray) -> np.ndarray:
        """Put calls together from their measured parts, as ``put_together.put_together`` does.

        Args:
            parts: durations, shape (..., parts, arms).

        Returns:
            Durations of whole calls, shape (..., arms).
        """
        missing = self.steps - self.sampled
        between: np.ndarray = parts[..., 2:-2, :].mean(-2)
        calls: np.ndarray = parts.sum(-2) + missing * between
        return calls


def take_turns(
    rng: np.random.Generator, trials: int, blocks: int, lengths: Sequence[int], arms: int
) -> np.ndarray:
    """Draw who runs when, as ``measure.rounds.Rounds`` does in the blocks of a campaign.

    The order is reversed at every other turn, and in the second round of a block.

    Args:
        rng: source of the order.
        trials: number of campaigns.
        blocks: number of their blocks.
        lengths: how many parts each turn of a call has.
        arms: number of calls in a round.

    Returns:
        When each part of every arm runs among all of its round, shape (trials, rounds, parts,
        arms). The first two are the baseline's calls, of which the first one begins first.
    """
    half = balanced_places(rng, trials, blocks, arms)
    half[..., :FIRST_ROW] = np.sort(half[..., :FIRST_ROW], axis=-1)
    flipped = (np.arange(ROUNDS)[:, None] + np.arange(len(lengths))) % 2 == 1
    turns = np.where(
        flipped[None, None, :, :, None],
        arms - 1 - half[:, :, None, None, :],
        half[:, :, None, None, :],
    ).reshape(trials, blocks * ROUNDS, len(lengths), arms)
    # A part runs after all earlier turns, and after those of its own turn that go before it.
    turn = np.repeat(np.arange(len(lengths)), lengths)
    before = np.cumsum([0, *lengths[:-1]])[turn]
    within, length = np.arange(len(turn)) - before, np.array(lengths)[turn]
    when: np.ndarray = (
        (arms * before + within)[:, None] + length[:, None] * turns[:, :, turn]
    ).astype(np.int32)
    return when


def simulate(
    rng: np.random.Generator,
    noise: StepNoise | ReplayedSteps,
    calls: Calls,
    trials: int,
    rows: int = 1,
) -> np.ndarray:
    """Simulate campaigns by stages whose arms' whole calls do not differ.

    Args:
        rng: source of noise and order.
        noise: noise of the parts.
        calls: what calls are made of; every arm's whole call counts as one.
        trials: number of campaigns.
        rows: number of arms beside the baseline.

    Returns:
        Durations of calls put together, shape (trials, blocks, 2 + rows, 2), for
        ``campaigns.seen``.
    """
    arms, kept = FIRST_ROW + rows, calls.measured()
    owner = np.minimum(np.maximum(np.arange(arms) - 1, 0), 1)
    costs = calls.costs()
    own = (costs[:, kept] / costs.sum(-1, keepdims=True))[owner].T
    if noise.own_stalls:
        # The stalls are part of what a call of the candidate costs.
        own[:, FIRST_ROW:] /= 1 + 2 * noise.own_stalls
    place = take_turns(rng, trials, noise.blocks, calls.lengths(), arms)
    found = calls.put_together(own * np.exp(noise.draw(rng, place)))
    return np.swapaxes(found.reshape(trials, noise.blocks, ROUNDS, arms), -1, -2)


def simulate_calls(
    rng: np.random.Generator, noise: StepNoise, calls: Calls, trials: int
) -> np.ndarray:
    """Simulate a palindrome of whole calls of a baseline and its candidate.

    Returns:
        Durations, shape (trials, 2, 2): the two calls of each, in the units of ``simulate``.
    """
    order = (0, 1, 1, 0)
    costs = calls.costs()
    shares = (costs / costs.sum(-1, keepdims=True))[list(order)]
    logs = noise.draw_calls(rng, order, (trials, shares.shape[-1]))
    found = (shares * np.exp(logs)).sum(-1)
    found[:, 1:3] /= 1 + 2 * noise.own_stalls
    return np.stack([found[:, ::3], found[:, 1:3]], axis=1)
