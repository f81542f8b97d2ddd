"""Noise of slots: simulated, or replayed from recorded traces.

Noise is log durations, shape (trials, slots), around any level.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DRIFT = 0.2
"""A machine becomes 20% slower, or faster, over the longest campaign."""
CORRELATION = 0.5
SPIKE_SHARE, SPIKE = 0.02, math.log(1.3)
STALL_SHARE, STALL = 0.01, math.log(20)
STEP_SHARE, STEP = 1 / 40, 0.15


@dataclass(frozen=True, slots=True)
class Noise:
    """A kind of noise.

    Attributes:
        name: name in tables.
        draw: (random generator, trials, slots) -> log durations.
        candidate: factor on the deviations of the candidate's slots; 1 is the baseline's.
        blocks: greatest number of blocks for which it has slots.
    """

    name: str
    draw: Callable[[np.random.Generator, int, int], np.ndarray]
    candidate: float = 1.0
    blocks: int = 20


def simulated(kind: str, cv: float) -> Noise:
    """Return noise of a kind, with a coefficient of variation.

    Args:
        kind: one of ``KINDS``.
        cv: standard deviation of a log duration, to which spikes, stalls, steps and drift are
            added.
    """
    draw = KINDS[kind]
    candidate = CANDIDATES.get(kind, 1.0)
    own = cv / max(1.0, candidate)
    return Noise(
        f"{kind}, CV {cv:.1%}", lambda rng, trials, slots: draw(rng, own, trials, slots), candidate
    )


def _iid(rng: np.random.Generator, cv: float, trials: int, slots: int) -> np.ndarray:
    return cv * rng.standard_normal((trials, slots))


def _drift(rng: np.random.Generator, cv: float, trials: int, slots: int) -> np.ndarray:
    noise: np.ndarray = _iid(rng, cv, trials, slots) + DRIFT * np.linspace(
        0, 1, slots
    ) * rng.choice([-1, 1], (trials, 1))
    return noise


def _ar1(rng: np.random.Generator, cv: float, trials: int, slots: int) -> np.ndarray:
    noise = rng.standard_normal((trials, slots))
    for slot in range(1, slots):
        noise[:, slot] = (
            CORRELATION * noise[:, slot - 1] + math.sqrt(1 - CORRELATION**2) * noise[:, slot]
        )
    return cv * noise


def _spikes(rng: np.random.Generator, cv: float, trials: int, slots: int) -> np.ndarray:
    noise: np.ndarray = _iid(rng, cv, trials, slots) + SPIKE * (
        rng.random((trials, slots)) < SPIKE_SHARE
    )
    return noise


def _stalls(rng: np.random.Generator, cv: float, trials: int, slots: int) -> np.ndarray:
    noise: np.ndarray = _iid(rng, cv, trials, slots) + STALL * (
        rng.random((trials, slots)) < STALL_SHARE
    )
    return noise


def _steps(rng: np.random.Generator, cv: float, trials: int, slots: int) -> np.ndarray:
    steps = (rng.random((trials, slots)) < STEP_SHARE) * rng.normal(0, STEP, (trials, slots))
    noise: np.ndarray = _iid(rng, cv, trials, slots) + np.cumsum(steps, axis=1)
    return noise


def _mixed(rng: np.random.Generator, cv: float, trials: int, slots: int) -> np.ndarray:
    noise: np.ndarray = (
        _ar1(rng, cv, trials, slots)
        + _drift(rng, 0, trials, slots)
        + SPIKE * (rng.random((trials, slots)) < SPIKE_SHARE)
    )
    return noise


KINDS: dict[str, Callable[[np.random.Generator, float, int, int], np.ndarray]] = {
    "iid": _iid,
    "drift": _drift,
    "AR(1)": _ar1,
    "spikes": _spikes,
    "stalls": _stalls,
    "steps": _steps,
    "mixed": _mixed,
    "noisy candidate": _iid,
    "quiet candidate": _iid,
}
"""Kinds of noise.

- drift: 20% over the longest campaign.
- AR(1): the coefficient is 0.5.
- spikes: 2% of slots take x1.3.
- stalls: 1% of slots take x20.
- steps: the machine's speed steps by 15% (standard deviation) once in 40 slots.
- mixed: drift, AR(1) and spikes together.
- noisy candidate: the candidate has the CV, its baseline a tenth of it.
- quiet candidate: the other way round.
"""

CANDIDATES = {"noisy candidate": 10.0, "quiet candidate": 0.1}
"""Kinds whose arms differ -> factor on the deviations of the candidate's slots."""


def replayed(path: Path, slots_per_block: int) -> Noise:
    """Return the noise of a recorded trace.

    Campaigns start anywhere in the trace and continue at its beginning.

    Args:
        path: JSON with ``start_s_duration_s``, a list of [start, duration] in seconds, as
            ``record_noise.py`` writes it.
        slots_per_block: slots per block of the campaigns that replay it.

    Raises:
        ValueError: the file is not such a trace, or has fewer than three blocks.
    """
    try:
        durations = np.array(
            [
                duration
                for _, duration in json.loads(path.read_text(encoding="utf-8"))[
                    "start_s_duration_s"
                ]
            ],
            dtype=float,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: not a noise trace, wanted JSON with start_s_duration_s: [[start, duration],"
            f" ...]: {error}"
        ) from None
    if not (np.isfinite(durations).all() and (durations > 0).all()):
        raise ValueError(f"{path}: a duration is not positive and finite")
    blocks = min(20, len(durations) // slots_per_block)
    if blocks < 3:
        raise ValueError(
            f"{path}: {len(durations)} durations; three blocks need {3 * slots_per_block}"
        )
    logs: np.ndarray = np.log(durations)

    def draw(rng: np.random.Generator, trials: int, slots: int) -> np.ndarray:
        chosen: np.ndarray = logs[
            (rng.integers(0, len(logs), (trials, 1)) + np.arange(slots)) % len(logs)
        ]
        return chosen

    return Noise(path.stem, draw, blocks=blocks)
