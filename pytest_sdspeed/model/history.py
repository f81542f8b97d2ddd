"""What stored runs say about one setup."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model.numbers import finite_or_none, number_or_nan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pytest_sdspeed.model.vocabulary import Cause, Verdict

NEWS_RUNS = 20
"""For so many runs a change is news; from then on others are compared with the new level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryKey:
    """What has a history: one setup with one recipe on one device.

    Attributes:
        table: name of the table, or None for callables.
        setup, baseline: names.
        device: name of the device that measured them.
        recipe: tells recipes, weights and, for callables, tests apart; equal ones are comparable.
        cpu: model of the processor beside the device; None if the device's name tells it, or it is
            unknown.
        optimizations, baseline_optimizations: names of the stacks of the setup and its baseline,
            as ``fp16, tf32``; None if they are unknown.
        revision: tells the weights of its models apart, as ``model@1a2b3c``; None if unknown.
    """

    table: str | None
    setup: str
    baseline: str
    device: str
    recipe: str
    cpu: str | None = None
    optimizations: str | None = None
    baseline_optimizations: str | None = None
    revision: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """Return the facts of the key alone, by name."""
        return {name: getattr(self, name) for name in _OF_KEY}

    @property
    def key(self) -> HistoryKey:
        """Return the key alone, of what has one."""
        return HistoryKey(**self.facts)

    @classmethod
    def of(cls, result: Any, recipe: str, cpu: str | None = None) -> HistoryKey:
        """Return the key of a result.

        Args:
            result: a ``Result``, or a stored record read like one.
            recipe: what tells its recipe, weights and test apart.
            cpu: model of the processor, or None if it is unknown.
        """
        return HistoryKey(
            table=result.table,
            setup=result.setup,
            baseline=result.baseline,
            device=result.device,
            recipe=recipe,
            cpu=None if cpu == " ".join(result.device.split()) else cpu,
            optimizations=_join(result.optimizations),
            baseline_optimizations=_join(result.baseline_optimizations),
            revision=result.revision,
        )

    def fits(self, other: HistoryKey, ignoring: Collection[str] = ()) -> bool:
        """Tell whether two keys may be one history: all that both of them know is equal.

        Args:
            other: the other key.
            ignoring: names of fields that may differ.
        """
        pairs = (
            (getattr(self, name), getattr(other, name)) for name in _OF_KEY if name not in ignoring
        )
        # Only the names of tables may be None without being unknown.
        return (self.table is None) == (other.table is None) and all(
            ours == theirs or ours is None or theirs is None for ours, theirs in pairs
        )

    def without(self, names: Iterable[str]) -> HistoryKey:
        """Return a key that does not tell some of what may be unknown.

        Args:
            names: names of fields that may be None.
        """
        unknown: dict[str, Any] = dict.fromkeys(names)
        return replace(self, **unknown)

    @property
    def name(self) -> str:
        """Return what a reader calls it, as ``Result.name``; the recipe of callables is a test."""
        return self.setup if self.table or not self.recipe else f"{self.setup} of {self.recipe}"


def _join(names: Sequence[str] | None) -> str | None:
    return None if names is None else ", ".join(names)


WORK = ("optimizations", "baseline_optimizations", "revision")
"""The fields of a key that were not always stored: what is unknown fits anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What holds for all results of a run.

    Attributes:
        date: when it was stored, ISO 8601 in UTC.
        commit: id of the commit, or None; dirty: whether there were uncommitted changes.
        host: name of the machine, or None.
        no_commit: why git named no commit, or None if it did, or it is unknown.
    """

    date: str
    commit: str | None
    dirty: bool
    host: str | None
    no_commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRun(RunFacts):
    """What one run says about one setup.

    A new figure is declared here, under the name that it has in ``Result``, with a default if it
    came later. ``of`` and the index of stored runs find it here: its annotation tells them what is
    NaN if unknown (``float``), and what is a mapping.

    Attributes:
        name: name of the stored file, without folder and suffix; "" for the run in hand.
        versions: package or driver -> version.
        verdict: what its gate said.
        speedup, low, high: baseline latency over latency, with its interval; NaN if unknown.
        latency_s, baseline_latency_s: medians, seconds.
        canary_s: operation -> mean of its times before and after, seconds; empty if unknown.
        reference: whether others may be compared with it.
    """

    name: str
    versions: Mapping[str, str]
    verdict: Verdict
    speedup: float
    low: float
    high: float
    latency_s: float
    baseline_latency_s: float
    canary_s: Mapping[str, float]
    reference: bool

    @classmethod
    def of(cls, result: Any, run: RunFacts, name: str = "") -> HistoryRun:
        """Return what a history keeps of a result.

        Args:
            result: a ``Result``, or a stored record read like one; only what is kept is asked for.
            run: what holds for all results of its run.
            name: name of its stored file, without folder and suffix.
        """
        kept = {figure: _plain(getattr(result, figure)) for figure in _TAKEN}
        return HistoryRun(
            name=name,
            **{fact: getattr(run, fact) for fact in _OF_RUN},
            **kept,
            canary_s=_means(result.canary_s),
            reference=_is_reference(result, kept["speedup"], kept["high"]),
        )


_OF_RUN = tuple(field.name for field in fields(RunFacts))
RESULT_FIELDS = tuple(field for field in fields(HistoryRun) if field.name not in (*_OF_RUN, "name"))
"""The fields of a ``HistoryRun`` that one result tells, rather than its run."""
_TAKEN = tuple(field.name for field in RESULT_FIELDS if field.name not in ("canary_s", "reference"))
"""Names of what goes over from a ``Result`` as it is."""


def _plain(value: Any) -> Any:
    """Return a value as its stored form would give it back: what is not finite is NaN."""
    return number_or_nan(finite_or_none(value)) if isinstance(value, float) else value


def _means(times_s: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return operation -> mean of its times, without operations that were not timed."""
    return {name: sum(taken) / len(taken) for name, taken in times_s.items() if taken}


def _is_reference(result: Any, speedup: float, high: float) -> bool:
    """Tell whether others may be compared with a result: it passed, or failed by its speed alone.

    Args:
        result: as ``HistoryRun.of`` takes it.
        speedup: its speed-up; NaN if unknown, as it is for an arm that broke.
        high: upper end of its interval.
    """
    if result.verdict == "pass":
        return True
    if result.setup == result.baseline or result.verdict != "fail":
        return False
    if result.image_verdict == "fail" or not math.isfinite(speedup):
        return False
    return bool(high < result.floor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A lasting change in a history.

    Attributes:
        kind: what changed, or that it became faster.
        since: index of the first run at the new level; found: of the run whose result gave it away.
        change: change of the latency, as a fraction of what it was: 0.06 is 6% slower. If the ratio
            moved, of the latency over the baseline's.
        ratio: whether the ratio moved; otherwise the latency moved, and the ratio stayed.
        holds: whether the latest run is nearer to the new level than to the old one; False if it
            says nothing.
        reasons: what speaks for the kind, in words.
        versions: package or driver -> before and after, of those that changed with it; None if it
            was not there.
        acknowledged: how it was accepted as the new level, or None.
        outgrown: how it was accepted when it was smaller: it is told again. None if it was not.
    """

    kind: Cause
    since: int
    found: int
    change: float
    ratio: bool
    holds: bool = True
    reasons: tuple[str, ...] = ()
    versions: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    acknowledged: Acknowledgement | None = None
    outgrown: Acknowledgement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """A change that somebody accepted: its level is the one that later runs are compared with.

    Attributes:
        id: what people call the change.
        key: what it is in the history of.
        since: date of the first run at the new level, as that run has it.
        change: change of the latency, as ``Change.change``, when it was accepted.
        reason: why, in words.
        acknowledged: day on which it was accepted.
        by: who did, or None if that is unknown.
        ratio: whether it was one of the ratio to the baseline, as ``Change.ratio``; None if that is
            unknown.
        commit, host: those of the first run at the new level, or None if they are unknown.
        counts: what was counted otherwise, ``host_syncs_per_step 0 -> 1``; None for a latency,
            and ``change`` is NaN for a count.
    """

    id: str
    key: HistoryKey
    since: str
    change: float
    reason: str
    acknowledged: str
    by: str | None = None
    ratio: bool | None = None
    commit: str | None = None
    host: str | None = None
    counts: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """The history that one goes on from, of the same setup when something else was measured.

    Attributes:
        changed: what is measured now, in words: ``recipe changed: 25 -> 30 steps``.
        runs: how many runs it has.
        until: date of the last of them.
    """

    changed: str
    runs: int
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History(HistoryKey):
    """The runs of one setup with one recipe on one device, and what changed in them.

    Attributes:
        runs: the oldest first.
        changes: what changed, the oldest first.
        follows: the history that this one began after, or None if it is the first of its setup.
    """

    runs: tuple[HistoryRun, ...]
    changes: tuple[Change, ...] = ()
    follows: Predecessor | None = None

    @classmethod
    def with_runs(cls, key: HistoryKey, runs: Iterable[HistoryRun]) -> History:
        """Return the history of a key, without its changes.

        Args:
            key: what it is the history of.
            runs: the oldest first.
        """
        return History(**key.facts, runs=tuple(runs))

    @property
    def latest(self) -> Change | None:
        """Return the change that is told of today's level; None if there is none to tell.

        It is the one that today's level began with. If that was acknowledged, it is the latest that
        was not, as long as it is news and still seen.
        """
        if not self.changes or self.changes[-1].acknowledged is None:
            return self.changes[-1] if self.changes else None
        news = (one for one in reversed(self.changes) if len(self.runs) - one.since <= NEWS_RUNS)
        return next((one for one in news if one.holds and one.acknowledged is None), None)

    def name_change(self, change: Change) -> str:
        """Return the id of a change, which further runs do not alter.

        It is made of what it is in the history of, apart from what older records do not tell, of
        the first run at the new level, and of the direction.

        Args:
            change: one of ``changes``.
        """
        if change.acknowledged is not None:
            return change.acknowledged.id
        first, slower = self.runs[change.since], change.change > 0
        key = (self.table, self.setup, self.baseline, self.device, self.recipe)
        text = repr((*key, first.date, first.host, slower))
        return f"{zlib.crc32(text.encode(errors='backslashreplace')):08x}"


_OF_KEY = tuple(field.name for field in fields(HistoryKey))
