"""What a history keeps of a stored run. Nothing heavy is loaded with it: thousands of runs are read from an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pytest_sdspeed.model import HistoryRun, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

Fault = Literal["damaged", "unfinished", "schema", "record", "copy"]
"""What may be wrong with a file: it is no stored run, it was never finished, its records are of another schema, or no records; it differs
from another copy of its run."""


class Series(NamedTuple):
    """What has a history: a setup with a recipe on a device. ``recipe`` is the key that tells recipes apart, as in ``History``."""

    table: str | None
    setup: str
    baseline: str
    device: str
    recipe: str


class RunFacts(NamedTuple):
    """What holds for all results of a run, as in ``HistoryRun``.

    Attributes:
        date: in UTC, so that texts are ordered as the dates are.
        dated: whether the run tells its date, which is otherwise that of its file.
        id: what its files have in common; None of a run from before it was stored.
    """

    date: str
    commit: str | None
    dirty: bool
    host: str | None
    dated: bool
    id: str | None


class ResultFacts(NamedTuple):
    """What a history keeps of one result, as in ``HistoryRun``; ``samples`` tells its samples from others."""

    verdict: Verdict
    speedup: float
    low: float
    high: float
    latency_s: float
    baseline_latency_s: float
    reference: bool
    samples: int
    versions: Mapping[str, str]
    canary_s: Mapping[str, float]


class FileFacts(NamedTuple):
    """What a file holds.

    Attributes:
        run: what it says of the run, or None where it is damaged.
        results: of this plugin, each with the series it belongs to and the verdict on its pictures.
        wrong: what is wrong with it, at most one text of each kind.
        foreign: how many benchmarks are not this plugin's.
    """

    run: RunFacts | None
    results: tuple[tuple[Series, str | None, ResultFacts], ...] = ()
    wrong: tuple[tuple[Fault, str], ...] = ()
    foreign: int = 0


def run_in_history(name: str, run: RunFacts, result: ResultFacts) -> HistoryRun:
    """One run of a history.

    Args:
        name: of its file, without folder and suffix; "" for the run in hand.
        run: what holds for all of it.
        result: what it says of the setup.
    """
    return HistoryRun(
        name=name,
        date=run.date,
        commit=run.commit,
        dirty=run.dirty,
        host=run.host,
        versions=result.versions,
        verdict=result.verdict,
        speedup=result.speedup,
        low=result.low,
        high=result.high,
        latency_s=result.latency_s,
        baseline_latency_s=result.baseline_latency_s,
        canary_s=result.canary_s,
        reference=result.reference,
    )
