"""What stored runs say of one setup."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.model.vocabulary import Cause, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRun:
    """What one run says of one setup.

    Attributes:
        name: of its stored file, without folder and suffix; "" for the run in hand.
        date: when it was stored, ISO 8601.
        commit: id of the commit, or None; dirty: whether there were uncommitted changes.
        host: name of the machine, or None.
        versions: package or driver -> version.
        verdict: what its gate said.
        speedup, low, high: baseline latency over latency, with its interval; NaN where unknown.
        latency_s, baseline_latency_s: medians, seconds.
        canary_s: operation -> mean of its times before and after, seconds; empty where unknown.
        reference: whether others may be compared with it.
    """

    name: str
    date: str
    commit: str | None
    dirty: bool
    host: str | None
    versions: Mapping[str, str]
    verdict: Verdict
    speedup: float
    low: float
    high: float
    latency_s: float
    baseline_latency_s: float
    canary_s: Mapping[str, float]
    reference: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A lasting change in a history.

    Attributes:
        kind: what changed, or that it became faster.
        since: index of the first run at the new level; found: of the run whose result gave it away.
        change: of the latency, as a fraction of what it was: 0.06 is 6% slower. Where the ratio
            moved, against the baseline's.
        ratio: whether it is the ratio that moved; else the latency, and the ratio stayed.
        holds: whether the latest run is nearer to the new level than to the old one; False where it
            says nothing.
        reasons: what speaks for the kind, in words.
        versions: package or driver -> before and after, of those that changed with it; None where
            it was not there.
    """

    kind: Cause
    since: int
    found: int
    change: float
    ratio: bool
    holds: bool = True
    reasons: tuple[str, ...] = ()
    versions: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The runs of one setup with one recipe on one device, the oldest first, and what changed.

    Attributes:
        table: its name, or None for callables.
        setup, baseline: names.
        device: where they were measured.
        recipe: tells recipes, weights and, for callables, tests apart; equal ones are comparable.
        runs: the oldest first.
        changes: the oldest first.
    """

    table: str | None
    setup: str
    baseline: str
    device: str
    recipe: str
    runs: tuple[HistoryRun, ...]
    changes: tuple[Change, ...] = ()

    @property
    def latest(self) -> Change | None:
        """The change that the level of today began with, or None where nothing changed."""
        return self.changes[-1] if self.changes else None
