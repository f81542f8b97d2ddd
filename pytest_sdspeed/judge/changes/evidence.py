"""The figures of a history as series, and how far each of them moved with a change point."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pytest_sdspeed.judge.changes.change_points import LEVEL_RUNS, SIGMA_PER_MAD
from pytest_sdspeed.judge.changes.hosts import describe_host_change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.judge.changes.change_points import ChangePoint
    from pytest_sdspeed.model import HistoryRun

_MEDIAN_ERROR = 1.2533
"""Standard error of a median over that of a mean, of normal noise."""

_ERRORS = 3.0
"""A canary's operation moved if it did by so many standard errors of a difference of medians."""

_NEAR_RUNS = 2
"""How far from a change point a change of versions may lie to belong to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What moved with a change point: medians after less medians before, of logarithms.

    Attributes:
        latency, baseline: latencies of the setup and its baseline.
        canary: the median over its operations, or None if it is unknown on either side.
        canary_moved: whether an operation moved the way the latency did, by at least half as much
            and more than its own noise.
        versions: package or driver -> before and after, of those that changed there.
        hosts: ``a -> b`` if hosts changed, and usually do not; else "".
    """

    latency: float
    baseline: float
    canary: float | None
    canary_moved: bool
    versions: Mapping[str, tuple[str | None, str | None]]
    hosts: str


@dataclass(frozen=True)
class Evidence:
    """Series over the runs of one history, logarithms, NaN if a run says nothing.

    Attributes:
        runs: the oldest first.
        latency, baseline: latencies of the setup and its baseline.
        slowness: one over the speed-up.
        operations: times of the canary's operations, by name.
        reference: which runs others may be compared with.
    """

    runs: Sequence[HistoryRun]
    latency: np.ndarray
    baseline: np.ndarray
    slowness: np.ndarray
    operations: Mapping[str, np.ndarray]
    reference: np.ndarray

    @cached_property
    def canary(self) -> np.ndarray:
        """Return the median over the operations, each from its own median.

        So an operation that is missing shifts nothing, and a noisy one little.
        """
        known = (
            np.isfinite(list(self.operations.values())).any(0)
            if self.operations
            else np.zeros(len(self.runs), bool)
        )
        found = np.full(len(self.runs), np.nan)
        if known.any():
            centered = np.array(
                [
                    times - np.nanmedian(times)
                    for times in self.operations.values()
                    if np.isfinite(times).any()
                ]
            )
            found[known] = np.nanmedian(centered[:, known], axis=0)
        return found

    @property
    def adjusted(self) -> np.ndarray:
        """Return the latency over the canary."""
        return np.asarray(self.latency - self.canary)

    def measure_movement(self, point: ChangePoint, start: int, end: int) -> Movement:
        """Measure what moved with a change point.

        Args:
            point: change point that the figures moved with.
            start: first run that may be looked at, that of the change point before.
            end: index of the run that the next change point begins with.
        """
        before, after = (
            slice(max(start, point.since - LEVEL_RUNS), point.since),
            slice(point.since, min(end, point.since + LEVEL_RUNS)),
        )
        latency, baseline = (
            _compare_medians(figure, before, after) for figure in (self.latency, self.baseline)
        )
        canary = _compare_medians(self.canary, before, after)
        return Movement(
            latency=latency,
            baseline=baseline,
            canary=None if math.isnan(canary) else canary,
            canary_moved=any(
                _follows(times, before, after, latency) for times in self.operations.values()
            ),
            versions=self._find_versions(point.since),
            hosts=describe_host_change(
                self._list_hosts(slice(0, point.since)), self._list_hosts(after)
            ),
        )

    def _find_versions(self, since: int) -> dict[str, tuple[str | None, str | None]]:
        """Return the versions that changed with the change point, else the nearest that did."""
        for away in (0, *(sign * runs for runs in range(1, _NEAR_RUNS + 1) for sign in (-1, 1))):
            index = since + away
            if 0 < index < len(self.runs):
                old, new = self.runs[index - 1].versions, self.runs[index].versions
                changed = {
                    name: (old.get(name), new.get(name))
                    for name in (*old, *new)
                    if old.get(name) != new.get(name)
                }
                if changed:
                    return changed
        return {}

    def _list_hosts(self, part: slice) -> list[str]:
        return [run.host for run in self.runs[part] if run.host]


def gather_evidence(runs: Sequence[HistoryRun]) -> Evidence:
    """Return the series of a history.

    A run whose verdict allows no comparison says nothing, unless it was merely not decided.
    """
    says = np.array([run.reference or run.verdict == "inconclusive" for run in runs], bool)
    names = dict.fromkeys(name for run in runs for name in run.canary_s)
    return Evidence(
        runs=runs,
        latency=_take_logarithms([run.latency_s for run in runs], says),
        baseline=_take_logarithms([run.baseline_latency_s for run in runs], says),
        slowness=-_take_logarithms([run.speedup for run in runs], says),
        operations={
            name: _take_logarithms([run.canary_s.get(name, math.nan) for run in runs], says)
            for name in names
        },
        reference=np.array([run.reference for run in runs], bool),
    )


def _take_logarithms(values: Sequence[float], says: np.ndarray) -> np.ndarray:
    figures = np.array(values, float)
    known = says & np.isfinite(figures) & (figures > 0)
    return np.where(known, np.log(np.where(known, figures, 1.0)), np.nan)


def _compare_medians(figure: np.ndarray, before: slice, after: slice) -> float:
    old, new = (part[np.isfinite(part)] for part in (figure[before], figure[after]))
    return float(np.median(new) - np.median(old)) if len(old) and len(new) else math.nan


def _follows(times: np.ndarray, before: slice, after: slice, latency: float) -> bool:
    """Tell whether an operation of the canary moved as the latency did."""
    moved = _compare_medians(times, before, after)
    old, new = (part[np.isfinite(part)] for part in (times[before], times[after]))
    if math.isnan(moved) or math.isnan(latency):
        return False
    noise = SIGMA_PER_MAD * float(np.median(np.abs(old - np.median(old))))
    error = _MEDIAN_ERROR * noise * math.sqrt(1 / len(old) + 1 / len(new))
    return moved * math.copysign(1, latency) >= max(abs(latency) / 2, _ERRORS * error)
