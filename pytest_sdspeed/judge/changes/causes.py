"""Causes of the changes in histories: the code, the machine, or the stack below both."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.changes.acknowledged import covers, find_acknowledgement
from pytest_sdspeed.judge.changes.change_points import (
    LEAST_EFFECT,
    find_change_points,
    select_lasting,
)
from pytest_sdspeed.judge.changes.evidence import Evidence, Movement, gather_evidence
from pytest_sdspeed.model import Cause, Change, History
from pytest_sdspeed.model.history import NEWS_RUNS, WORK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_sdspeed.judge.changes.change_points import ChangePoint
    from pytest_sdspeed.model import Acknowledgement, HistoryKey, HistoryRun

_BASELINES_SHARE = 2 / 3
"""Share of a ratio's shift that its baseline must explain to be the cause."""

_SAME_STEP_RUNS = 2
"""Shifts of two figures that begin within so many runs of each other are one."""


class _Step(NamedTuple):
    """A lasting change of one setup, with the figure's value in the latest run.

    It is one of its ratio, or of its latency while the ratio stayed.
    """

    point: ChangePoint
    ratio: bool
    latest: float


class _Finding(NamedTuple):
    """What a step is, and what speaks for it, in words."""

    kind: Cause
    reasons: tuple[str, ...]


def judge_histories(
    histories: Iterable[History], acknowledged: Sequence[Acknowledgement] = ()
) -> tuple[History, ...]:
    """Return histories with their changes, in the order given.

    Args:
        histories: histories of any campaigns; those of one campaign speak for each other.
        acknowledged: changes that were accepted, of any histories.
    """
    members = [_Member(history) for history in histories]
    campaigns: dict[HistoryKey, list[_Member]] = {}
    for member in members:
        campaigns.setdefault(member.campaign, []).append(member)
    return tuple(_judge(member, campaigns[member.campaign], acknowledged) for member in members)


def judge_history_among(
    history: History, others: Iterable[History], acknowledged: Sequence[Acknowledgement] = ()
) -> History:
    """Return one history with its changes.

    Args:
        history: history to judge.
        others: histories of the other setups of its campaign.
        acknowledged: changes that were accepted, of any histories.
    """
    return _judge(_Member(history), [_Member(other) for other in others], acknowledged)


def unresolved_regression(history: History) -> Change | None:
    """Return the latest change by which a row is still slower than it was, and not by the machine.

    It counts for 20 runs: from then on others are compared with the new level. What came after it,
    on the machine or a smaller improvement, does not hide it. None if there is no such change, or
    it was acknowledged.
    """
    recent = (
        change
        for change in reversed(history.changes)
        if len(history.runs) - change.since <= NEWS_RUNS and change.acknowledged is None
    )
    return next(
        (change for change in recent if change.kind in ("code", "stack") and change.holds), None
    )


class _Member:
    """One setup of a campaign, with what its runs show; worked out when it is asked for."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.is_baseline = history.setup == history.baseline
        # What the rows stack is their own; their campaign is that of all of them.
        self.campaign = replace(history.key, setup=history.baseline).without(WORK)

    @cached_property
    def seen(self) -> Evidence:
        """Return its runs as series."""
        return gather_evidence(self.history.runs)

    @cached_property
    def steps(self) -> list[_Step]:
        """Find lasting changes of ratio and latency, the oldest first."""
        found: list[_Step] = []
        ratios = [] if self.is_baseline else [(self.seen.slowness, True)]
        for figure, is_ratio in (*ratios, (self.seen.adjusted, False), (self.seen.latency, False)):
            for point in select_lasting(find_change_points(figure, self.seen.reference)):
                if not any(_overlap(point, step.point) for step in found):
                    found.append(_Step(point, is_ratio, float(figure[-1])))
        return sorted(found, key=lambda step: step.point.since)


def _overlap(point: ChangePoint, other: ChangePoint) -> bool:
    return (
        point.since <= other.detected_at + _SAME_STEP_RUNS
        and other.since <= point.detected_at + _SAME_STEP_RUNS
    )


def _judge(
    member: _Member, campaign: Sequence[_Member], acknowledged: Sequence[Acknowledgement]
) -> History:
    """Return a history with what each of its steps is.

    The ratio, whose both sides stand on the same machine, tells what one row did. The latency, and
    the latency over the canary, tell what all did alike: if the canary moved too it was the
    machine, else the stack.
    """
    others = [other for other in campaign if other is not member]
    ends = [*(step.point.since for step in member.steps[1:]), len(member.history.runs)]
    starts = [0, *(step.point.since for step in member.steps[:-1])]
    found: list[tuple[_Step, Change]] = []
    for step, start, end in zip(member.steps, starts, ends, strict=False):
        moved = member.seen.measure_movement(step.point, start, end)
        finding = (
            _explain_ratio(member, moved, others, step)
            if step.ratio
            else _explain_latency(member, moved, others, step)
        )
        if finding is not None:
            change = _make_change(step, moved, finding)
            found.append((step, _accept(member.history, change, acknowledged, moved)))
    return replace(
        member.history,
        changes=tuple(
            replace(change, holds=_is_still_seen(step, found[place:]))
            for place, (step, change) in enumerate(found, start=1)
        ),
    )


def _make_change(step: _Step, moved: Movement, finding: _Finding) -> Change:
    return Change(
        kind=finding.kind,
        since=step.point.since,
        found=step.point.detected_at,
        change=math.expm1(step.point.change if step.ratio else moved.latency),
        ratio=step.ratio,
        reasons=finding.reasons,
        versions=moved.versions,
    )


def _accept(
    history: History, change: Change, acknowledged: Sequence[Acknowledgement], moved: Movement
) -> Change:
    """Return a change with how it was accepted; one that grew since then is told again."""
    found = find_acknowledgement(history, change, acknowledged)
    if found is None:
        return change
    return (
        replace(change, acknowledged=found)
        if covers(found, change, moved.latency)
        else replace(change, outgrown=found)
    )


def _is_still_seen(step: _Step, later: Sequence[tuple[_Step, Change]]) -> bool:
    """Tell whether the latest run is nearer to a step's new level than to its old one.

    What was accepted since then, the same way, is no part of it: a step that was undone is not seen
    again because another one was accepted.
    """
    point = step.point
    accepted = sum(
        other.point.change
        for other, change in later
        if change.acknowledged is not None
        and other.ratio == step.ratio
        and other.point.change * point.change > 0
    )
    return (step.latest - accepted - point.before) / point.change > 1 / 2


def _explain_ratio(
    member: _Member, moved: Movement, others: Sequence[_Member], step: _Step
) -> _Finding | None:
    """Find why a ratio moved: because of its row, or of the machine.

    None if its baseline moved: then the cause is the baseline, not this row.
    """
    canary, size = moved.canary or 0.0, step.point.change
    shown = (
        f"the ratio moved {_format_percent(-size)}: latency {_format_percent(moved.latency)},"
        f" baseline {_format_percent(moved.baseline)}"
    )
    reasons = (shown, _describe_canary(moved))
    if (
        min(canary - moved.baseline, -moved.baseline, key=lambda share: share / size) / size
        >= _BASELINES_SHARE
    ):
        # With and without the canary: a canary that moved alone does not make the baseline a cause.
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
        return _Finding("improvement", (*reasons, *_describe_company(moved)))
    rows = [
        other
        for other in others
        if not other.is_baseline
        # One that was not measured before, or is no longer, cannot show it.
        and _find_index(other.history, member.history, step.point.since)
    ]
    if moved.versions and rows and all(_has_same_step(other, member, step) for other in rows):
        return _Finding("stack", (*reasons, "so did every other row", *_describe_company(moved)))
    return _Finding("code", (*reasons, *_describe_company(moved)))


def _explain_latency(
    member: _Member, moved: Movement, others: Sequence[_Member], step: _Step
) -> _Finding | None:
    """Find why a latency moved while its ratio stayed, by what moved with it."""
    if abs(moved.latency) < LEAST_EFFECT:
        # Only the canary moved, which the setup does not follow.
        return None
    steady = (
        ()
        if member.is_baseline
        else (f"the ratio stayed ({_format_percent(moved.baseline - moved.latency)})",)
    )
    reasons = (f"latency {_format_percent(moved.latency)}", *steady, _describe_canary(moved))
    if _is_the_machine(moved):
        return _Finding("machine", (*reasons, *_describe_company(moved)))
    if moved.latency < 0:
        return _Finding("improvement", (*reasons, *_describe_company(moved)))
    if (
        member.is_baseline
        and others
        and not any(_has_moved_too(other, member, moved, step) for other in others)
    ):
        return _Finding("code", (*reasons, "no other row moved", *_describe_company(moved)))
    return _Finding(
        "stack",
        (
            *reasons,
            *(
                _describe_company(moved)
                or ("no recorded version changed: look at what all rows share",)
            ),
        ),
    )


def _is_the_machine(moved: Movement) -> bool:
    """Tell whether a latency moved with the machine.

    Without a canary, a change of version is the only other cause that can be seen.
    """
    return moved.canary_moved or (
        not moved.versions and (moved.canary is None or bool(moved.hosts))
    )


def _has_same_step(other: _Member, member: _Member, step: _Step) -> bool:
    """Tell whether another row's ratio moved the same way at the same run."""
    place = _find_index(other.history, member.history, step.point.since)
    return place is not None and any(
        candidate.ratio
        and abs(candidate.point.since - place) <= _SAME_STEP_RUNS
        and candidate.point.change * step.point.change > 0
        for candidate in other.steps
    )


def _has_moved_too(other: _Member, member: _Member, moved: Movement, step: _Step) -> bool:
    """Tell whether another row's latency moved at least half as much at the same run."""
    place = _find_index(other.history, member.history, step.point.since)
    if place is None:
        return False
    # Unknown, and not as large as anything, if it has no run before.
    theirs = other.seen.measure_movement(
        replace(step.point, since=place), 0, len(other.history.runs)
    )
    return theirs.latency * math.copysign(1, moved.latency) >= abs(moved.latency) / 2


def _find_index(other: History, history: History, since: int) -> int | None:
    """Return the index in another history of the run at an index of this one.

    If that one lacks it, the index of its next run; None if it has ended by then.
    """
    place = bisect_left(other.runs, _date_of(history.runs[since]), key=_date_of)
    return place if place < len(other.runs) else None


def _date_of(run: HistoryRun) -> tuple[str, str]:
    return run.date, run.name


def _describe_canary(moved: Movement) -> str:
    if moved.canary is None:
        return "no canary was recorded"
    said = "moved" if moved.canary_moved else "stayed"
    return f"the canary {said} ({_format_percent(moved.canary)})"


def _describe_company(moved: Movement) -> tuple[str, ...]:
    """Describe what else changed with a step."""
    words = []
    if moved.versions:
        words.append(f"with {_format_versions(moved.versions)}")
    if moved.hosts:
        words.append(f"on another host: {moved.hosts}")
    return tuple(words)


def _format_versions(changed: Mapping[str, tuple[str | None, str | None]]) -> str:
    return ", ".join(
        f"{name} {before or 'none'} -> {after or 'none'}"
        for name, (before, after) in changed.items()
    )


def _format_percent(difference: float) -> str:
    """Format a difference of logarithms as ``+6.2%``."""
    return "unknown" if math.isnan(difference) else f"{100 * math.expm1(difference):+.1f}%"
