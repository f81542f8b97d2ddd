"""Rules that cut a whole series into segments, asked every night about the nights so far.

A change point is news on the night when it first appears. If it moves by two nights or less, or
disappears and comes back, it is the same one.
"""

from __future__ import annotations

import itertools
import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from history.rules import NIGHTS, OWN, Alarm, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SAME = 2
"""A change point that moves by at most so many nights is the same one."""

LIMIT = 0.05
"""Least change, for rules that have a setting for it.

It is asv's default, here also PELT's, and that of the second of otava's rules.
"""

WINDOW, MAX_PVALUE = 50, 0.001
"""Defaults of otava: ``AnalysisOptions`` in otava/series.py; its least magnitude is 0."""

PENALTY = 3.0
"""PELT's penalty is 3 ln(n) sigma^2, after the Bayesian information criterion."""


class Point(NamedTuple):
    """A change point: first night after it, change in logarithms, and end of its segment."""

    since: int
    change: float
    end: int


def online(
    points: Callable[[np.ndarray], Iterable[Point]],
) -> Callable[[np.ndarray, int], list[Alarm]]:
    """Make a rule that watches night by night out of one that finds change points of a series."""

    def alarms(latencies: np.ndarray, first: int = 0) -> list[Alarm]:
        known: list[tuple[int, bool]] = []
        found = []
        for night in range(max(NIGHTS, first - 1), len(latencies)):
            known, news = _told(known, list(points(latencies[: night + 1])))
            if night >= first:
                found += [Alarm(point.since, night, point.change, point.end) for point in news]
        return found

    return alarms


def _told(
    known: list[tuple[int, bool]], points: list[Point]
) -> tuple[list[tuple[int, bool]], list[Point]]:
    """Return the known change points, as nights and whether slower, and those that are news.

    Each known one is matched with at most one of the points, the nearest first, and moves with it.
    """
    left, news = list(known), set(range(len(points)))
    pairs = [
        (abs(since - points[index].since), index, (since, slower))
        for index in news
        for since, slower in known
    ]
    told = []
    for distance, index, one in sorted(pairs):
        point = points[index]
        if distance <= SAME and index in news and one in left and one[1] == (point.change > 0):
            news.remove(index)
            left.remove(one)
            told.append((point.since, one[1]))
    new = [points[index] for index in sorted(news)]
    return [*left, *told, *((point.since, point.change > 0) for point in new)], new


def _asv(latencies: np.ndarray) -> Iterable[Point]:
    """Find regressions as asv does: ``detect_regressions`` of ``detect_steps``.

    The threshold is the default of asv/plugins/regressions.py.
    """
    from asv.step_detect import detect_regressions, detect_steps

    _latest, _best, regressions = detect_regressions(
        detect_steps(latencies.tolist()), threshold=LIMIT
    )
    return [
        Point(since, math.log(best / before), len(latencies))
        for _, since, before, best in regressions or ()
    ]


def _pelt(latencies: np.ndarray) -> Iterable[Point]:
    """Find segments of least squares in the logarithms.

    ``rpt.Pelt(model="l2", min_size=2, jump=1)`` finds the same ones; ruptures' compiled twin is
    faster. The noise sigma is 1.4826 MAD of the differences from night to night over the square
    root of 2: their variance would include the steps too.
    """
    from ruptures import KernelCPD

    values = np.log(latencies)
    differences = np.diff(values)
    sigma = 1.4826 * float(np.median(np.abs(differences - np.median(differences)))) / math.sqrt(
        2
    ) or float(differences.std()) / math.sqrt(2)
    if sigma == 0:
        return []
    cuts = (
        KernelCPD(kernel="linear", min_size=2, jump=1)
        .fit(values)
        .predict(pen=PENALTY * math.log(len(values)) * sigma**2)
    )
    bounds = [0, *map(int, cuts)]
    means = [float(values[start:end].mean()) for start, end in itertools.pairwise(bounds)]
    points = [
        Point(bounds[i], means[i] - means[i - 1], bounds[i + 1]) for i in range(1, len(means))
    ]
    return [point for point in points if abs(point.change) >= math.log1p(LIMIT)]


def _otava(min_magnitude: float) -> Callable[[np.ndarray], Iterable[Point]]:
    """Make the rule of otava's ``compute_change_points``.

    Missing nights are left out; otava's command fills them with the last result.
    """

    def points(latencies: np.ndarray) -> Iterable[Point]:
        compute: Any = _compute_change_points()
        with warnings.catch_warnings():
            # The t test of equal values.
            warnings.simplefilter("ignore", RuntimeWarning)
            found, _weak = compute(
                latencies.tolist(),
                window_len=WINDOW,
                max_pvalue=MAX_PVALUE,
                min_magnitude=min_magnitude,
            )
        ends = [*(point.index for point in found[1:]), len(latencies)]
        changes = [math.log(point.stats.mean_2 / point.stats.mean_1) for point in found]
        return [
            Point(int(point.index), change, int(end))
            for point, change, end in zip(found, changes, ends, strict=False)
        ]

    return points


def _compute_change_points() -> Any:
    from otava.analysis import compute_change_points

    return compute_change_points


PEERS: tuple[Rule, ...] = (
    Rule(
        "asv",
        "asv/step_detect.py: detect_steps, detect_regressions, threshold 0.05",
        online(_asv),
        both=False,
        cost=20,
    ),
    Rule(
        "PELT",
        "ruptures, model l2, penalty 3 ln(n) sigma^2, changes of 5% or more",
        online(_pelt),
        cost=2,
    ),
    Rule(
        "otava",
        "otava/analysis.py: compute_change_points, its defaults",
        online(_otava(0.0)),
        cost=10,
    ),
    Rule("otava -M 0.05", "the same, changes of 5% or more", online(_otava(LIMIT)), cost=10),
)
"""Rules of other tools; those of one package are available together or not at all."""


def available(peers: tuple[Rule, ...] = PEERS) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """Return the rules that are available here, and a line for each peer that is not.

    This project's rule and the plain ones always are. A line has the peer's name and the reason.
    """
    found, missing = [], []
    for peer in peers:
        try:
            peer.alarms(np.linspace(1.0, 1.1, NIGHTS + 1), 0)
        except ImportError as error:
            missing.append(
                f"{peer.name}: {error} (dependency group history; apache-otava by pip install"
                " --no-deps)"
            )
        else:
            found.append(peer)
    return (*OWN, *found), tuple(missing)
