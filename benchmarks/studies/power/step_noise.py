"""Noise of the parts of calls that are measured by stages: simulated, or replayed from a recording.

A part is what is timed by itself: a call's text encoding, one of its denoising steps, its decoding.
"""

from __future__ import annotations

import json
import lzma
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

from power.noise import STALL

if TYPE_CHECKING:
    from pathlib import Path

OWN_STALL = math.log(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepNoise:
    """Noise of parts: log durations around any level.

    Attributes:
        name: name in tables.
        cv: standard deviation of the log of one part.
        phi: coefficient of AR(1) from one part to the next; 0 for independent parts.
        own: whether these are the parts of one arm; if not, those of all arms in the order in which
            they run.
        call: standard deviation of what hits all parts of one call alike.
        ramp: how much slower the last part of a round is than its first one.
        stalls: share of parts that take x20, in all arms.
        own_stalls: share of parts that take x3, in the candidate alone.
        blocks: most blocks of a campaign, by stages as many as by default.
    """

    name: str
    cv: float = 0.03
    phi: float = 0.0
    own: bool = False
    call: float = 0.0
    ramp: float = 0.0
    stalls: float = 0.0
    own_stalls: float = 0.0
    blocks: int = 200

    def draw(self, rng: np.random.Generator, place: np.ndarray) -> np.ndarray:
        """Draw the noise of rounds.

        Args:
            rng: source of noise.
            place: when each part of every arm runs among all of its round, shape (trials, rounds,
                parts, arms).

        Returns:
            Log durations of that shape. The candidate is the last arm.
        """
        trials, rounds, parts, arms = place.shape
        if self.own:
            series = self._correlate(rng, (trials, arms, rounds * parts))
            logs: np.ndarray = np.moveaxis(series.reshape(trials, arms, rounds, parts), 1, -1)
        else:
            series = self._correlate(rng, (trials, rounds * parts * arms))
            series += STALL * (rng.random(series.shape) < self.stalls)
            flat = (trials, rounds, parts * arms)
            in_order = np.take_along_axis(series.reshape(flat), place.reshape(flat), -1)
            logs = in_order.reshape(place.shape)
        if self.ramp:
            logs = logs + self.ramp * place / (parts * arms)
        return self._add_own(rng, logs)

    def draw_calls(
        self, rng: np.random.Generator, order: tuple[int, ...], shape: tuple[int, int]
    ) -> np.ndarray:
        """Draw the noise of whole calls, one after another.

        Args:
            rng: source of noise.
            order: the arm of each call, 0 or 1 for the candidate.
            shape: (trials, parts of a call).

        Returns:
            Log durations, shape (trials, calls, parts).
        """
        trials, parts = shape
        if self.own:
            logs = np.empty((trials, len(order), parts))
            for arm in set(order):
                at = [index for index, one in enumerate(order) if one == arm]
                series = self._correlate(rng, (trials, len(at) * parts))
                logs[:, at] = series.reshape(trials, len(at), parts)
        else:
            logs = self._correlate(rng, (trials, len(order) * parts))
            logs += STALL * (rng.random(logs.shape) < self.stalls)
            logs = logs.reshape(trials, len(order), parts)
        logs = logs + self.ramp * np.arange(parts) / parts
        hit = np.array(order)[:, None] == 1
        logs = logs + OWN_STALL * (hit & (rng.random(logs.shape) < self.own_stalls))
        found: np.ndarray = logs + self.call * rng.standard_normal((trials, len(order), 1))
        return found

    def _add_own(self, rng: np.random.Generator, logs: np.ndarray) -> np.ndarray:
        trials, rounds, _parts, arms = logs.shape
        if self.call:
            logs = logs + self.call * rng.standard_normal((trials, rounds, 1, arms))
        if self.own_stalls:
            logs[..., -1] += OWN_STALL * (rng.random(logs.shape[:-1]) < self.own_stalls)
        return logs

    def _correlate(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        noise = rng.standard_normal(shape)
        if self.phi:
            noise[..., 1:] *= math.sqrt(1 - self.phi**2)
            noise = signal.lfilter([1.0], [1.0, -self.phi], noise, axis=-1)
        noise *= self.cv
        return noise


@dataclass(frozen=True, slots=True)
class ReplayedSteps:
    """Noise of a recording of equal calls that took turns.

    Campaigns begin at any block of it and go on at its beginning; which of the recorded calls is
    the candidate, and which ones are the baseline's, is drawn for each campaign.

    Attributes:
        name: name in tables.
        logs: log durations less the median of their part, shape (rounds, parts, calls).
        costs: median of every part, in units of the steps after the first.
        own_stalls: as of ``StepNoise``: none are known.
    """

    name: str
    logs: np.ndarray
    costs: np.ndarray
    own_stalls: float = 0.0

    @property
    def blocks(self) -> int:
        """Return for how many blocks there is noise."""
        return min(20, len(self.logs) // 2)

    def draw(self, rng: np.random.Generator, place: np.ndarray) -> np.ndarray:
        """Draw the noise of rounds, see ``StepNoise.draw``; the places are those of the recording.

        Raises:
            ValueError: the recording has calls of other parts, or fewer than there are arms.
        """
        trials, rounds, parts, arms = place.shape
        if parts != self.logs.shape[1] or arms > self.logs.shape[2]:
            raise ValueError(
                f"{self.name} has {self.logs.shape[1]} parts of {self.logs.shape[2]} calls, not"
                f" {parts} of {arms}"
            )
        recorded = len(self.logs) - len(self.logs) % 2
        begin = 2 * rng.integers(0, recorded // 2, (trials, 1))
        chosen = self.logs[(begin + np.arange(rounds)) % recorded]
        lanes = np.argsort(rng.random((trials, self.logs.shape[2])), axis=-1)[:, :arms]
        found: np.ndarray = np.take_along_axis(chosen, lanes[:, None, None, :], -1)
        return found


def replayed_steps(path: Path) -> ReplayedSteps:
    """Return the noise of a recording of ``record_steps.py``.

    Raises:
        ValueError: the file is no such recording, or has fewer than three blocks.
    """
    try:
        trace = json.loads(lzma.decompress(path.read_bytes()))
        seconds = np.array(trace["microseconds"], dtype=float)
    except (lzma.LZMAError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: no recording of record_steps.py: {error}") from None
    if seconds.ndim != 3 or not (seconds > 0).all():
        raise ValueError(
            f"{path}: microseconds are not positive, one for each round, part and call"
        )
    if len(seconds) < 6:
        raise ValueError(f"{path}: {len(seconds)} rounds; three blocks need 6")
    usual = np.median(seconds, axis=(0, 2))
    logs = np.log(seconds) - np.log(usual)[:, None]
    return ReplayedSteps(path.name.partition(".")[0], logs, usual / np.median(usual[2:-1]))
