"""Lasting changes in a series of runs: what is slower or faster than it was, since when.

The rule and its constants were chosen on evidence: ``benchmarks/studies/history_replay.py`` replays
it, and its peers, on real nightlies and on simulated series.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

LEAST_EFFECT = 0.03
"""Smaller changes are not looked for, as a difference of logarithms: about 3%."""

LEAST_RUNS = 5
"""Runs that a level needs before others are compared with it."""

LEVEL_RUNS = 20
"""The level is the median of so many of the latest runs."""

NOISE_RUNS = 60
"""The noise is that of so many of the latest runs, across levels."""

PAIR, LONGER = 2, (5, 8, 13, 20)
"""How many of the latest runs are compared with those before them: two, which finds a step soon,
and more, which finds small and slow ones."""

_PAIR_LIMIT, _LONGER_LIMIT = 2.7, 3.7
"""In standard deviations: of a run for the pair; for the longer ones of the difference between
their median and the level."""

_AGREEING = 0.75
"""Share of the longer ones that must lie beyond half of the change: fewer are a machine that has
two speeds."""

_REMEMBERED_RUNS, _REMEMBERED_RANK = 40, 3
"""A pair must stray farther than the third-farthest of so many runs before it: rare spikes do not
hide a step, two speeds do not make one."""

_CLEARLY = 0.01
"""By how much a change must exceed what has been seen before, as a difference of logarithms."""

_RETRACTION_RUNS = 8
"""A change point that two runs in a row contradict within so many runs is retracted."""

SIGMA_PER_MAD = 1.4826
"""Standard deviation of normal noise over its median absolute deviation."""

_MEDIAN_VARIANCE = math.pi / 2
"""Variance of a median over that of a mean, of normal noise."""

_FEW = 3.0
"""Noise that is estimated from n runs counts as (1 + 3 / n) times as large."""

_CHUNKS = (64, 512)
"""How far is looked ahead first: most of the work is lost if a change is found."""


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A lasting change in a series; values are logarithms.

    Attributes:
        since: index of the first run at the new level.
        detected_at: index of the run whose result gave it away.
        change: new level less old level.
        before: the old level.
        retracted_at: index of the run with which it turned out not to last, or None.
    """

    since: int
    detected_at: int
    change: float
    before: float
    retracted_at: int | None = None


class _Alarm(NamedTuple):
    """A change point as it is found: by which run, by how many runs, and the level they left."""

    detected_at: int
    runs: int
    level: float


class _Segment(NamedTuple):
    """A stretch of runs at one level, with what is known before each of them.

    Attributes:
        values: logarithms of the runs' figures.
        own: those that others may be compared with.
        counts: how many of ``own`` come before each run.
        levels: median of the latest ``own``, by how many there are.
        scales: standard deviation of a run, by how many of ``own`` there are.
        past: residuals from before the stretch; residuals: these and its own.
    """

    values: np.ndarray
    own: np.ndarray
    counts: np.ndarray
    levels: np.ndarray
    scales: np.ndarray
    past: np.ndarray
    residuals: np.ndarray


def select_lasting(found: list[ChangePoint]) -> list[ChangePoint]:
    """Return the points that were not retracted."""
    return [point for point in found if point.retracted_at is None]


def find_change_points(values: np.ndarray, reference: np.ndarray) -> list[ChangePoint]:
    """Find every change point of a series, as one would have been told of it run by run.

    With the level ``m``, the median of the 20 reference runs before, and the noise of a run
    ``s = 1.4826 * median |residual| * (1 + 3 / n)`` over up to 60 of them, a point is found if

    - two runs in a row lie beyond ``max(3%, 2.7 s)`` of ``m`` on the same side;
    - or the median of the latest ``k`` = 5, 8, 13 or 20 runs lies beyond ``max(3%, 3.7 s e)`` with
      ``e = sqrt(pi / 2 * (1 / k + 1 / 20))``, the error of a difference of medians, and three
      quarters of them lie beyond half of that;
    - or drift has carried ``m`` that far away from the first 20 runs of its level.

    The first two must clearly exceed what the runs before showed for a moment. A level is compared
    with from its fifth reference run.

    Runs are taken to be independent, and normal apart from a minority of outliers, which medians
    ignore (Hampel 1974 for the median absolute deviation). The limits are those that
    ``benchmarks/studies/history_replay.py`` compares with other rules.

    Args:
        values: logarithms, the oldest first, shape (n,); NaN if there is no result, which is
            neither fast nor slow.
        reference: which runs others may be compared with, shape (n,).

    Returns:
        The oldest first, those that were retracted among them.
    """
    known = np.flatnonzero(np.isfinite(values))
    found = _find_among_known(np.asarray(values, float)[known], np.asarray(reference, bool)[known])
    return [
        replace(
            point,
            since=int(known[point.since]),
            detected_at=int(known[point.detected_at]),
            retracted_at=None if point.retracted_at is None else int(known[point.retracted_at]),
        )
        for point in found
    ]


def _find_among_known(values: np.ndarray, reference: np.ndarray) -> list[ChangePoint]:
    found: list[ChangePoint] = []
    start, ask_from, past = 0, 0, np.empty(0)
    while True:
        alarm, segment = _find_next_alarm(values[start:], reference[start:], past, ask_from - start)
        if alarm is None:
            return [
                _measure_change(point, values, found[number + 1 :])
                for number, point in enumerate(found)
            ]
        since = start + _find_first_at_new_level(segment.values, alarm)
        point = _follow(
            values,
            ChangePoint(
                since,
                start + alarm.detected_at,
                _measure_level(values, since, start + alarm.detected_at),
                alarm.level,
            ),
        )
        found.append(point)
        # What was told stays told: the runs up to this one are not asked again.
        ask_from = (point.retracted_at or point.detected_at) + 1
        if point.retracted_at is None:
            past = segment.residuals[: len(segment.past) + int(segment.counts[since - start])][
                -NOISE_RUNS:
            ]
            start = since


def _measure_level(values: np.ndarray, since: int, detected_at: int) -> float:
    """Return the level of the runs ``since`` to ``detected_at``, for now in place of the change."""
    return float(np.median(values[since : detected_at + 1]))


def _follow(values: np.ndarray, point: ChangePoint) -> ChangePoint:
    """Return the point with its change, and retract it if it did not last.

    It is retracted by two runs in a row that are nearer to the old level.
    """
    new, old = point.change, point.before
    point = replace(point, change=new - old)
    later = values[point.detected_at + 1 : point.since + _RETRACTION_RUNS]
    back = np.abs(later - old) < np.abs(later - new)
    gone = np.flatnonzero(back[1:] & back[:-1])
    return replace(point, retracted_at=point.detected_at + 2 + int(gone[0])) if len(gone) else point


def _measure_change(
    point: ChangePoint, values: np.ndarray, later: list[ChangePoint]
) -> ChangePoint:
    """Return a point that lasted, with the change that all its runs show, 20 at most."""
    if point.retracted_at is not None:
        return point
    end = next((other.since for other in later if other.retracted_at is None), len(values))
    return replace(
        point, change=float(np.median(values[point.since : end][:LEVEL_RUNS])) - point.before
    )


def _find_next_alarm(
    values: np.ndarray, reference: np.ndarray, past: np.ndarray, ask_from: int
) -> tuple[_Alarm | None, _Segment]:
    """Find the first alarm of a segment that begins with these runs, asked from a run on."""
    for size in (*(ask_from + chunk for chunk in _CHUNKS), len(values)):
        segment = _make_segment(values[:size], reference[:size], past)
        alarms = [alarm for alarm in _find_alarms(segment, ask_from) if alarm]
        if alarms or size >= len(values):
            break
    return min(alarms, default=None), segment


def _find_alarms(segment: _Segment, ask_from: int) -> list[_Alarm | None]:
    return [
        _find_pair(segment, ask_from),
        *(_find_longer(segment, runs, ask_from) for runs in LONGER),
        _find_drift(segment, ask_from),
    ]


def _make_segment(values: np.ndarray, reference: np.ndarray, past: np.ndarray) -> _Segment:
    own = values[reference]
    levels = _trailing_medians(own, LEVEL_RUNS)
    residuals = own - levels[:-1]
    # What others are not yet compared with is compared with one another.
    residuals[:LEAST_RUNS] = own[:LEAST_RUNS] - np.median(own[:LEAST_RUNS]) if len(own) else 0.0
    everything = np.concatenate([past, residuals])
    known = np.minimum(len(past) + np.arange(len(own) + 1), NOISE_RUNS)
    scales = (
        SIGMA_PER_MAD
        * _trailing_medians(np.abs(everything), NOISE_RUNS)[len(past) :]
        * (1 + _FEW / np.maximum(known, 1))
    )
    counts = np.cumsum(reference) - reference
    return _Segment(values, own, counts, levels, scales, past, everything)


def _trailing_medians(values: np.ndarray, most: int) -> np.ndarray:
    """Return the medians of up to ``most`` values before each index 0 to n.

    Shape (n + 1,); NaN if there are none.
    """
    found = np.full(len(values) + 1, np.nan)
    ordered: list[float] = []
    # numpy's median costs a hundred times as much if there are few values.
    for count, value in enumerate(values[: most - 1].tolist(), start=1):
        insort(ordered, value)
        found[count] = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    if len(values) >= most:
        found[most:] = _rolling_medians(values, most)
    return found


def _rolling_medians(values: np.ndarray, size: int) -> np.ndarray:
    """Return the medians of every ``size`` values in a row, shape (n - size + 1,)."""
    # Only long series need it, and it takes a tenth of a second.
    from scipy import ndimage

    ranks = {(size - 1) // 2, size // 2}
    medians = sum(ndimage.rank_filter(values, rank, size=size) for rank in ranks) / len(ranks)
    return np.asarray(medians[size // 2 : size // 2 + len(values) - size + 1])


def _find_pair(segment: _Segment, ask_from: int) -> _Alarm | None:
    """Find two runs in a row that stray beyond the noise, and farther than runs before them."""
    if len(segment.values) < PAIR:
        return None
    before = segment.counts[: 1 - PAIR]
    pairs = sliding_window_view(segment.values, PAIR) - segment.levels[before][:, None]
    low, high = pairs.min(1), pairs.max(1)
    deviations = np.where(low > 0, low, np.where(high < 0, high, 0.0))
    limits = np.maximum(LEAST_EFFECT, _PAIR_LIMIT * segment.scales[before])
    for index in _find_candidates(deviations, limits, before >= LEAST_RUNS, ask_from - PAIR + 1):
        known = len(segment.past) + before[index]
        seen = np.sort(
            np.sign(deviations[index]) * segment.residuals[max(0, known - _REMEMBERED_RUNS) : known]
        )
        if abs(deviations[index]) > seen[-_REMEMBERED_RANK] + _CLEARLY:
            return _Alarm(int(index) + PAIR - 1, PAIR, float(segment.levels[before[index]]))
    return None


def _find_longer(segment: _Segment, runs: int, ask_from: int) -> _Alarm | None:
    """Find as many runs whose median strays beyond the noise.

    Nearly all of them must lie on its side, and farther than as many did before.
    """
    if len(segment.values) < runs:
        return None
    before = segment.counts[: 1 - runs]
    deviations = _rolling_medians(segment.values, runs) - segment.levels[before]
    spread = np.sqrt(_MEDIAN_VARIANCE * (1 / runs + 1 / np.clip(before, 1, LEVEL_RUNS)))
    limits = np.maximum(LEAST_EFFECT, _LONGER_LIMIT * segment.scales[before] * spread)
    ready = before >= max(LEAST_RUNS, runs // 2)

    def agreeing(window: slice) -> np.ndarray:
        apart = (
            sliding_window_view(segment.values, runs)[window]
            - segment.levels[before[window]][:, None]
        )
        on_its_side = (
            np.sign(deviations[window])[:, None] * apart > np.abs(deviations[window])[:, None] / 2
        )
        return np.asarray(ready[window] & (on_its_side.sum(1) >= math.ceil(_AGREEING * runs)))

    for index in _find_candidates(deviations, limits, ready, ask_from - runs + 1):
        if not agreeing(slice(index, index + 1))[0]:
            continue
        earlier = slice(max(0, index - runs - NOISE_RUNS), max(0, index - runs + 1))
        seen = (np.sign(deviations[index]) * deviations[earlier])[agreeing(earlier)]
        if not len(seen) or abs(deviations[index]) > seen.max() + _CLEARLY:
            return _Alarm(int(index) + runs - 1, runs, float(segment.levels[before[index]]))
    return None


def _find_drift(segment: _Segment, ask_from: int) -> _Alarm | None:
    """Find a level that has left the place where it began, too slowly for the others."""
    if len(segment.own) < 2 * LEVEL_RUNS:
        return None
    first = float(np.median(segment.own[:LEVEL_RUNS]))
    deviations = segment.levels[2 * LEVEL_RUNS :] - first
    limits = np.maximum(
        LEAST_EFFECT,
        _LONGER_LIMIT
        * segment.scales[2 * LEVEL_RUNS :]
        * math.sqrt(2 * _MEDIAN_VARIANCE / LEVEL_RUNS),
    )
    # Of which run each level is the latest.
    runs = np.searchsorted(segment.counts, np.arange(2 * LEVEL_RUNS, len(segment.own) + 1)) - 1
    hits = [run for run in runs[np.abs(deviations) > limits] if run >= ask_from]
    return _Alarm(int(hits[0]), LEVEL_RUNS, first) if hits else None


def _find_candidates(
    deviations: np.ndarray, limits: np.ndarray, ready: np.ndarray, first: int
) -> np.ndarray:
    """Return the indexes of windows that are beyond their limits, from one on.

    If nothing is known, the limit is NaN and nothing is beyond it.
    """
    found = np.flatnonzero(ready & (np.abs(deviations) > limits))
    return found[found >= first]


def _find_first_at_new_level(values: np.ndarray, alarm: _Alarm) -> int:
    """Find the run that the new level begins with.

    It is the split that leaves the least absolute deviations from both levels.
    """
    end = alarm.detected_at + 1
    if alarm.runs == PAIR:
        return alarm.detected_at - 1
    new = float(np.median(values[end - alarm.runs : end]))
    splits = range(max(1, end - 2 * alarm.runs), alarm.detected_at)
    old_costs, new_costs = np.abs(values[:end] - alarm.level), np.abs(values[:end] - new)
    costs = [old_costs[splits[0] : split].sum() + new_costs[split:end].sum() for split in splits]
    return splits[int(np.argmin(costs))]
