"""What new processes take to start with a row: how many are asked, with which caches."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pytest_sdspeed.judge.costs import MOST_STARTS, decide_start
from pytest_sdspeed.model.costs import START_COSTS, ColdStarts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COLD = ("first_s", "compile_s")
_WARM = "warm_compile_s"


class Started(NamedTuple):
    """How one new process started.

    Attributes:
        first_s: from its first import of what draws to its first picture, seconds.
        generations_s: its generations in order, seconds; at least two, unless there is an error.
        error: why it did not come to them, or "".
    """

    first_s: float = 0.0
    generations_s: Sequence[float] = ()
    error: str = ""

    @property
    def compile_s(self) -> float:
        """Return how much longer the first generation took than a later one, seconds."""
        first, *later = self.generations_s
        return max(0.0, first - min(later))


class Starter(Protocol):
    """Starts a new process that builds a row and draws with it."""

    def __call__(self, table: str, setup: str, cache: Path) -> Started:
        """Start one, and wait for its end.

        Args:
            table: name of the row's table.
            setup: name of the row.
            cache: folder that the compiler of the new process caches in.
        """
        ...


def measure_cold_starts(
    bounds: Mapping[str, float], start: Starter, table: str, setup: str
) -> ColdStarts | None:
    """Start processes with empty caches, then with a warm one, as far as there are bounds.

    A figure within its bound is decided: contention can only have slowed it. Else up to
    ``MOST_STARTS`` processes are asked.

    Args:
        bounds: figure of a result -> the most that passes.
        start: starts one process.
        table: name of the row's table.
        setup: name of the row.

    Returns:
        What they took, or None if there is no bound on a start.
    """
    cold = [name for name in _COLD if name in bounds]
    if not any(name in bounds for name in START_COSTS):
        return None
    taken: dict[str, list[float]] = {name: [] for name in (*_COLD, _WARM)}
    with tempfile.TemporaryDirectory(prefix="sdspeed-", ignore_cleanup_errors=True) as folder:
        for number in range(MOST_STARTS):
            # The cache that the warm starts need is filled by a cold one.
            cache = Path(folder, str(number))
            cache.mkdir()
            found = start(table, setup, cache)
            if found.error:
                return ColdStarts(taken, found.error)
            taken["first_s"].append(found.first_s)
            taken["compile_s"].append(found.compile_s)
            if all(_is_within(taken, bounds, name) for name in cold):
                break
        for _ in range(MOST_STARTS if _WARM in bounds else 0):
            found = start(table, setup, cache)
            if found.error:
                return ColdStarts(taken, found.error)
            taken[_WARM].append(found.compile_s)
            if _is_within(taken, bounds, _WARM):
                break
    return ColdStarts(taken)


def _is_within(
    taken: Mapping[str, Sequence[float]], bounds: Mapping[str, float], name: str
) -> bool:
    return decide_start(taken[name], bounds[name]) == "pass"
