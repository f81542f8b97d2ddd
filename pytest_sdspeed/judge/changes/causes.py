"""What changed in the history of a campaign's setups, and whether it was the code, the machine, or the stack both stand on."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.changes.evidence import Evidence, Moved, evidence
from pytest_sdspeed.judge.changes.shifts import LEAST_EFFECT, LEVEL_RUNS, lasting, shifts
from pytest_sdspeed.model import Cause, Change, History

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_sdspeed.judge.changes.shifts import Shift
    from pytest_sdspeed.model import HistoryRun

_BASELINES_SHARE = 2 / 3
"""A ratio that moved by so much of its shift because its baseline did is the baseline's affair."""

_SAME_STEP_RUNS = 2
"""Shifts of two figures that begin within so many runs of each other are one."""


class _Step(NamedTuple):
    """A lasting shift of one setup: of its ratio, or of its latency while the ratio stayed; and the figure's value in the latest run."""

    shift: Shift
    ratio: bool
    latest: float


class _Finding(NamedTuple):
    """What a step is, and what speaks for it, in words."""

    kind: Cause
    reasons: tuple[str, ...]


def judge_histories(histories: Iterable[History]) -> tuple[History, ...]:
    """Histories with their changes, in the order given.

    Args:
        histories: of any campaigns; those of one campaign speak for each other.
    """
    members = [_Member(history) for history in histories]
    campaigns: dict[tuple[str | None, str, str, str], list[_Member]] = {}
    for member in members:
        campaigns.setdefault(member.campaign, []).append(member)
    return tuple(_judged(member, campaigns[member.campaign]) for member in members)


def judge_history_among(history: History, others: Iterable[History]) -> History:
    """One history with its changes.

    Args:
        history: the one.
        others: of the other setups of its campaign.
    """
    return _judged(_Member(history), [_Member(other) for other in others])


def unresolved_regression(history: History) -> Change | None:
    """The latest change by which a row is still slower than it was, and not by the machine; None where there is none.

    For 20 runs: from then on others are compared with the new level. What came after it, on the
    machine or a smaller improvement, does not hide it.
    """
    recent = (
        change
        for change in reversed(history.changes)
        if len(history.runs) - change.since <= LEVEL_RUNS
    )
    return next(
        (change for change in recent if change.kind in ("code", "stack") and change.holds), None
    )


class _Member:
    """One setup of a campaign, with what its runs show; worked out when it is asked for."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.is_baseline = history.setup == history.baseline
        self.campaign = (history.table, history.baseline, history.device, history.recipe)

    @cached_property
    def seen(self) -> Evidence:
        """Its runs as series."""
        return evidence(self.history.runs)

    @cached_property
    def steps(self) -> list[_Step]:
        """Lasting shifts, the oldest first: of the ratio, and those of the latency that are not the same step."""
        found: list[_Step] = []
        ratios = [] if self.is_baseline else [(self.seen.slowness, True)]
        for figure, is_ratio in (*ratios, (self.seen.adjusted, False), (self.seen.latency, False)):
            for shift in lasting(shifts(figure, self.seen.reference)):
                if not any(_overlap(shift, step.shift) for step in found):
                    found.append(_Step(shift, is_ratio, float(figure[-1])))
        return sorted(found, key=lambda step: step.shift.since)


def _overlap(shift: Shift, other: Shift) -> bool:
    return (
        shift.since <= other.found + _SAME_STEP_RUNS
        and other.since <= shift.found + _SAME_STEP_RUNS
    )


def _judged(member: _Member, campaign: Sequence[_Member]) -> History:
    """A history with what its steps are.

    The ratio, whose both sides stand on the same machine, tells what one row did. The latency, and
    the latency over the canary, tell what all did alike: where the canary moved too it was the
    machine, else the stack.
    """
    others = [other for other in campaign if other is not member]
    ends = [*(step.shift.since for step in member.steps[1:]), len(member.history.runs)]
    starts = [0, *(step.shift.since for step in member.steps[:-1])]
    found: list[Change] = []
    for step, start, end in zip(member.steps, starts, ends, strict=False):
        moved = member.seen.moved(step.shift, start, end)
        finding = (
            _of_the_ratio(member, moved, others, step)
            if step.ratio
            else _of_the_latency(member, moved, others, step)
        )
        if finding is not None:
            found.append(_change(step, moved, finding))
    return replace(member.history, changes=tuple(found))


def _change(step: _Step, moved: Moved, finding: _Finding) -> Change:
    return Change(
        kind=finding.kind,
        since=step.shift.since,
        found=step.shift.found,
        change=math.expm1(step.shift.change if step.ratio else moved.latency),
        ratio=step.ratio,
        holds=(step.latest - step.shift.before) / step.shift.change > 1 / 2,
        reasons=finding.reasons,
        versions=moved.versions,
    )


def _of_the_ratio(
    member: _Member, moved: Moved, others: Sequence[_Member], step: _Step
) -> _Finding | None:
    """A ratio moves because its row did; or its baseline, which is the baseline's own affair; or the machine did."""
    canary, size = moved.canary or 0.0, step.shift.change
    shown = (
        f"the ratio moved {_percent(-size)}: latency {_percent(moved.latency)}, baseline"
        f" {_percent(moved.baseline)}"
    )
    reasons = (shown, _of_the_canary(moved))
    if (
        min(canary - moved.baseline, -moved.baseline, key=lambda share: share / size) / size
        >= _BASELINES_SHARE
    ):
        # With the canary and without: one that moved by itself accuses nobody.
        return None
    if moved.canary_moved and abs(canary) >= abs(size):
        return _Finding(
            "machine",
            (
                *reasons,
                "the machine changed by more than the ratio: compare on the machine of before",
            ),
        )
    if size < 0:
        return _Finding("improvement", (*reasons, *_beside(moved)))
    rows = [
        other
        for other in others
        if not other.is_baseline
        and _place(other.history, member.history, step.shift.since) is not None
    ]
    if moved.versions and rows and all(_same_step(other, member, step) for other in rows):
        return _Finding("stack", (*reasons, "so did every other row", *_beside(moved)))
    return _Finding("code", (*reasons, *_beside(moved)))


def _of_the_latency(
    member: _Member, moved: Moved, others: Sequence[_Member], step: _Step
) -> _Finding | None:
    """A latency that moves while the ratio stays has company: the canary, or the other rows."""
    if abs(moved.latency) < LEAST_EFFECT:
        # Only the canary moved, which the setup does not follow.
        return None
    steady = (
        ()
        if member.is_baseline
        else (f"the ratio stayed ({_percent(moved.baseline - moved.latency)})",)
    )
    reasons = (f"latency {_percent(moved.latency)}", *steady, _of_the_canary(moved))
    if _is_the_machine(moved):
        return _Finding("machine", (*reasons, *_beside(moved)))
    if moved.latency < 0:
        return _Finding("improvement", (*reasons, *_beside(moved)))
    if (
        member.is_baseline
        and others
        and not any(_moved_too(other, member, moved, step) for other in others)
    ):
        return _Finding("code", (*reasons, "no other row moved", *_beside(moved)))
    return _Finding(
        "stack",
        (
            *reasons,
            *(_beside(moved) or ("no recorded version changed: look at what all rows share",)),
        ),
    )


def _is_the_machine(moved: Moved) -> bool:
    """Whether a latency moved with the machine; without a canary, a change of version is the only other cause that can be seen."""
    return moved.canary_moved or (
        not moved.versions and (moved.canary is None or bool(moved.hosts))
    )


def _same_step(other: _Member, member: _Member, step: _Step) -> bool:
    """Whether another row's ratio moved the same way at the same run."""
    place = _place(other.history, member.history, step.shift.since)
    return place is not None and any(
        candidate.ratio
        and abs(candidate.shift.since - place) <= _SAME_STEP_RUNS
        and candidate.shift.change * step.shift.change > 0
        for candidate in other.steps
    )


def _moved_too(other: _Member, member: _Member, moved: Moved, step: _Step) -> bool:
    """Whether another row's latency moved at least half as much at the same run."""
    place = _place(other.history, member.history, step.shift.since)
    if place is None or place == 0:
        return False
    theirs = other.seen.moved(
        replace(step.shift, since=place, found=place + 1), 0, len(other.history.runs)
    )
    return theirs.latency * math.copysign(1, moved.latency) >= abs(moved.latency) / 2


def _place(other: History, history: History, since: int) -> int | None:
    """Index in another history of the run at an index of this one, or of the next where that one lacks it; None where it has ended by then."""
    place = bisect_left(other.runs, _when(history.runs[since]), key=_when)
    return place if place < len(other.runs) else None


def _when(run: HistoryRun) -> tuple[str, str]:
    return run.date, run.name


def _of_the_canary(moved: Moved) -> str:
    if moved.canary is None:
        return "no canary was recorded"
    return f"the canary {'moved' if moved.canary_moved else 'stayed'} ({_percent(moved.canary)})"


def _beside(moved: Moved) -> tuple[str, ...]:
    """What else changed with a step."""
    words = []
    if moved.versions:
        words.append(f"with {_versions(moved.versions)}")
    if moved.hosts:
        words.append(f"on another host: {moved.hosts}")
    return tuple(words)


def _versions(changed: Mapping[str, tuple[str | None, str | None]]) -> str:
    return ", ".join(
        f"{name} {before or 'none'} -> {after or 'none'}"
        for name, (before, after) in changed.items()
    )


def _percent(difference: float) -> str:
    """A difference of logarithms as ``+6.2%``."""
    return "unknown" if math.isnan(difference) else f"{100 * math.expm1(difference):+.1f}%"
