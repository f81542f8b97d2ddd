"""The steps and stages of a generation, from what its schedulers and parts did."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from pytest_sdspeed.model.stages import LOOPS, Run, find_stage, group_runs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.dry.ledger import Ledger, Mark


@dataclass(frozen=True, slots=True)
class Steps:
    """The denoising steps.

    Attributes:
        count: how many there are.
        intervals: (index of the first event, index after the last) from the end of each step to the
            end of the next: one round of the loop, in steady state.
    """

    count: int
    intervals: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class _Loop:
    """A denoising loop.

    Attributes:
        leader: identity of the scheduler that steps first in each round.
        rounds: (index after the leader's step, index after the last step of any) of each round.
        followers: other scheduler that stepped in this round -> index after its step.
    """

    leader: int
    rounds: list[tuple[int, int]]
    followers: dict[int, int] = field(default_factory=dict)


def find_steps(marks: Sequence[tuple[int, Mark, int]]) -> Steps:
    """Find the denoising steps.

    A loop has one scheduler that leads. Others that step in its rounds, once each, belong to the
    round; one that steps twice without it leads a loop of its own. A new schedule begins a loop.

    Args:
        marks: (index of the next event, what a scheduler did, which one), in order.
    """
    loops: list[_Loop] = []
    running: _Loop | None = None
    for index, mark, scheduler in marks:
        if mark == "schedule":
            running = None
        elif running is None:
            running = _start(loops, scheduler, index)
        elif scheduler == running.leader:
            running.rounds.append((index, index))
            running.followers.clear()
        elif scheduler in running.followers:
            running = _take_over(loops, running, scheduler, index)
        else:
            running.followers[scheduler] = index
            running.rounds[-1] = (running.rounds[-1][0], index)
    return Steps(
        sum(len(loop.rounds) for loop in loops),
        tuple((before[1], after[1]) for loop in loops for before, after in pairwise(loop.rounds)),
    )


def _start(loops: list[_Loop], scheduler: int, *ends: int) -> _Loop:
    loops.append(_Loop(scheduler, [(end, end) for end in ends]))
    return loops[-1]


def _take_over(loops: list[_Loop], before: _Loop, scheduler: int, index: int) -> _Loop:
    """Start the loop of a scheduler that was thought to follow in the last round of another."""
    first = before.followers[scheduler]
    before.rounds[-1] = (before.rounds[-1][0],) * 2
    return _start(loops, scheduler, first, index)


def find_stages(ledger: Ledger) -> Mapping[str, Sequence[Run]]:
    """Find the stages of a generation: of each its runs, by index of the first event and the next.

    A run of denoising ends with the last step of a scheduler. What no stage owns is in none.
    """
    runs: list[Run] = []
    end = -1
    for part, start, after in sorted(ledger.spans, key=lambda span: (span[1], -span[2])):
        if start < end or after <= end:
            # Another part made this call.
            continue
        end = after
        stage = find_stage(*part.rsplit(".", 1))
        if stage is None:
            continue
        if runs and runs[-1].stage == stage:
            runs[-1] = replace(runs[-1], end=after)
        else:
            runs.append(Run(stage, start, after))
    followers = [*(run.start for run in runs[1:]), math.inf]
    return group_runs(
        _extend(run, ledger, follower) for run, follower in zip(runs, followers, strict=True)
    )


def _extend(run: Run, ledger: Ledger, follower: float) -> Run:
    """Return a run of a denoiser with the last step of a scheduler before what follows it."""
    if run.stage not in LOOPS:
        return run
    steps = [at for at, mark, _ in ledger.marks if mark == "step" and run.end < at <= follower]
    return replace(run, end=max([run.end, *steps]))
