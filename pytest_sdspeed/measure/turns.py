"""Turns of the calls of a round: which parts an arm makes before another one goes on."""

from __future__ import annotations

import itertools
import math
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_sdspeed.model.stages import StageTime

LEAST_TURN_S = 0.05
"""Seconds that a turn takes at least, if a call takes as many.

It begins with what another arm left in the caches of the processor, or of another process, which
costs half a millisecond to two. The baseline has two calls in a round, which often follow one
another: its turns begin so less often than those of a row."""


def count_turns(wholes: Iterable[Sequence[StageTime]], sampled: int) -> int:
    """Return in how many turns the calls of a round are made.

    A turn has one denoising step, or as many of the quickest arm as ``LEAST_TURN_S`` take.

    Args:
        wholes: the parts of a whole call of each arm.
        sampled: how many denoising steps of each call are measured.
    """
    quickest_s = min(map(_find_usual_s, wholes))
    each = max(1, math.ceil(LEAST_TURN_S / max(quickest_s, LEAST_TURN_S / sampled)))
    return max(1, sampled // each)


def _find_usual_s(whole: Sequence[StageTime]) -> float:
    """Return the mean seconds of a step, without the first and the last, which are often longer."""
    steps = [part.seconds for part in whole if part.is_step]
    return statistics.fmean(steps[1:-1] or steps)


def split_into_turns(parts: Sequence[StageTime], turns: int) -> list[int]:
    """Return how many parts of a call each of its turns has.

    Turns have equally many denoising steps, or some one more than others. What is done before the
    first step belongs to the first turn, and what is done after a step to the turn of that step: a
    text encoding of a few milliseconds would begin cold in a turn of its own, and so would a
    decoding.

    Args:
        parts: what is measured of the call, with ``turns`` denoising steps or more.
        turns: how many turns it takes.
    """
    steps = [at for at, part in enumerate(parts) if part.is_step]
    begins = [0, *(steps[-(-turn * len(steps) // turns)] for turn in range(1, turns)), len(parts)]
    return [end - begin for begin, end in itertools.pairwise(begins)]
