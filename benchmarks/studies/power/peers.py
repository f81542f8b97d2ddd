"""The decision rules of other performance gates: is ``current`` slower than ``reference``?

If a tool is a Python package, its rule calls the tool's own functions, so that the tool is judged
and not a copy of it. Those packages are the dependency group ``power``; ``available`` returns the
rules that can be asked here.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 0.05
"""Slowdown that rules with a limit allow, as a fraction."""

ALPHA = 0.05
"""Level of the U test, Google Benchmark's default."""

NIGHTS = 5


@dataclass(frozen=True)
class Peer:
    """A decision rule of another tool.

    Attributes:
        name: the tool and its options, as tables show them.
        source: where the rule is written down.
        alarms: tells whether ``current`` (its second argument) is slower than ``reference`` (its
            first): durations in seconds, in the order in which they were measured, of one shape
            ``(n,)`` with n of at least 5. It raises ImportError if the tool is missing.
    """

    name: str
    source: str
    alarms: Callable[[np.ndarray, np.ndarray], bool]


# pytest-benchmark


@cache
def _benchmark_check(limit: str) -> Any:
    from pytest_benchmark.utils import parse_compare_fail

    return parse_compare_fail(limit)


def _benchmark_stats(durations: np.ndarray, field: str) -> dict[str, float]:
    from pytest_benchmark.stats import Stats

    stats = Stats()
    for duration in durations.tolist():
        stats.update(duration)
    return {field: getattr(stats, field)}


def _benchmark_rule(field: str) -> Callable[[np.ndarray, np.ndarray], bool]:
    """Make the rule ``--benchmark-compare-fail=FIELD:5%``.

    It alarms if the statistic FIELD (mean, min, ...) is more than 5% above the stored run's.
    """

    def alarms(reference: np.ndarray, current: np.ndarray) -> bool:
        check = _benchmark_check(f"{field}:{LIMIT:.0%}")
        return (
            check.fails(_benchmark_stats(current, field), _benchmark_stats(reference, field))
            is not None
        )

    return alarms


# asv


def _asv_alarms(reference: np.ndarray, current: np.ndarray) -> bool:
    """Ask ``asv continuous --factor 1.05``, which fails if its table has a red line.

    Both criteria must hold: the median of ``reference`` is below that of ``current`` / 1.05, and
    the durations differ (``is_different``: two-sided Mann-Whitney U test at p < 0.002, exact up to
    20 durations per side, by the normal approximation above, ties counted against a difference).
    With up to five durations per side, disjoint 99% confidence intervals of the two medians replace
    the test. With six it never alarms: asv uses the test, whose least two-sided p is then 2 / 924.

    ``asv compare`` decides with the same function, but after ``asv run`` without
    ``--record-samples`` it has the intervals only.
    """
    from asv.commands.compare import _is_result_better as is_better
    from asv_runner.statistics import compute_stats

    before, after = reference.tolist(), current.tolist()
    (before_s, before_stats), (after_s, after_stats) = (
        compute_stats(before, 1),
        compute_stats(after, 1),
    )
    # Without samples only the factor is checked: both must hold, and the exact test is slow.
    if not is_better(before_s, after_s, None, None, 1 + LIMIT):
        return False
    return bool(
        is_better(before_s, after_s, (before_stats, before), (after_stats, after), 1 + LIMIT)
    )


# pyperf


@dataclass(frozen=True)
class _Durations:
    """What ``compare_to`` needs of a ``pyperf.Benchmark``."""

    values: list[float]

    def get_values(self) -> list[float]:
        return self.values

    def mean(self) -> float:
        return statistics.mean(self.values)


def _pyperf_alarms(reference: np.ndarray, current: np.ndarray) -> bool:
    """Ask ``pyperf compare_to`` for a significant change whose ratio of means is above 1.

    Significance is by Student's t test with pooled variance, two-sided at 5% by a table of critical
    values; durations without any variance count as significant. No slowdown is too small:
    ``--min-speed``, which would add a least change in percent, is off by default.
    """
    from pyperf._compare import CompareData, CompareResult

    reference_data, current_data = (
        CompareData("", _Durations(durations.tolist())) for durations in (reference, current)
    )
    result = CompareResult(reference_data, current_data)
    return bool(result.norm_mean > 1 and result.significant)


# Google Benchmark


def _utest_alarms(reference: np.ndarray, current: np.ndarray) -> bool:
    """Ask the U test of Google Benchmark's ``compare.py``.

    It alarms if the two-sided Mann-Whitney p is below 0.05 and the median is longer. The tool
    prints p and leaves the direction to its reader; here the medians decide it.
    """
    from scipy.stats import mannwhitneyu

    if np.median(current) <= np.median(reference):
        return False
    return bool(mannwhitneyu(reference, current, alternative="two-sided").pvalue < ALPHA)


# SGLang


def _nightly_alarms(reference: np.ndarray, current: np.ndarray) -> bool:
    """Ask SGLang's rule: tonight is more than 5% above the median of the last five nights.

    ``reference`` is cut into five consecutive nights, as equal as possible; ``current`` is tonight.
    A night is the mean of its durations.
    """
    nights = [night.mean() for night in np.array_split(reference, NIGHTS)]
    return bool(current.mean() > (1 + LIMIT) * statistics.median(nights))


PEERS: tuple[Peer, ...] = (
    Peer(
        "pytest-benchmark mean:5%",
        "pytest_benchmark/utils.py: PercentageRegressionCheck",
        _benchmark_rule("mean"),
    ),
    Peer(
        "pytest-benchmark min:5%",
        "pytest_benchmark/utils.py: PercentageRegressionCheck",
        _benchmark_rule("min"),
    ),
    Peer("asv continuous --factor 1.05", "asv/commands/compare.py: _is_result_better", _asv_alarms),
    Peer("pyperf compare_to", "pyperf/_compare.py: CompareResult", _pyperf_alarms),
    Peer(
        "Google Benchmark U test",
        "google/benchmark, tools/gbench/report.py: calc_utest",
        _utest_alarms,
    ),
    Peer("median of five nights, 5%", "sgl-project/sglang, pull request 37915", _nightly_alarms),
)
"""Every rule, in the order of the tables."""


def available(peers: tuple[Peer, ...] = PEERS) -> tuple[tuple[Peer, ...], tuple[str, ...]]:
    """Return the rules that can be asked here, and for each other one a line: its name and why.

    Args:
        peers: the rules to try.
    """
    found, missing = [], []
    same = np.linspace(1.0, 1.1, 2 * NIGHTS)
    for peer in peers:
        try:
            peer.alarms(same, same)
        except ImportError as error:
            missing.append(f"{peer.name}: {error} (dependency group power)")
        else:
            found.append(peer)
    return tuple(found), tuple(missing)
