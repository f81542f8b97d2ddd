"""The study of campaigns by stages: how often they are wrong when steps of a call are not alike."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from power.campaigns import (
    FAIL,
    FIRST_ROW,
    FLOOR,
    INVALID,
    PASS,
    Looks,
    seen,
    verdicts,
)
from power.staged_campaigns import ROUNDS, Calls, simulate, simulate_calls
from power.step_noise import ReplayedSteps, StepNoise
from power.studies import DOCUMENTED, SHORT, Line, Task
from pytest_sdspeed.judge.speed import stopping
from pytest_sdspeed.judge.speed.intervals import decide
from pytest_sdspeed.judge.speed.whole_calls import (
    LEAST_DIFFERENCE,
    compare_whole_calls,
    count_palindromes,
    estimate_sum_error,
    withstands_whole_calls,
)
from pytest_sdspeed.model import Interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STAGE_RATIOS = (SHORT, FLOOR, 0.97, DOCUMENTED)
ALLOWED, BARE = "now", "intervals not widened"
RULES = {BARE: 0.0, ALLOWED: math.log1p(LEAST_DIFFERENCE)}
"""Rule -> by how much it widens intervals, a log."""

CHUNK = 250
"""Campaigns that are simulated at a time: memory."""


class Cell(NamedTuple):
    """A noise, and the calls that it falls on."""

    noise: StepNoise | ReplayedSteps
    calls: Calls


@dataclass(frozen=True, slots=True)
class Campaigns:
    """Simulated campaigns by stages.

    Attributes:
        pairs: durations, from ``staged_campaigns.simulate``.
        looks: what the looks see.
        whole: durations of whole calls, shape (trials, palindromes, arms, 2); None if unknown.
    """

    pairs: np.ndarray
    looks: Looks
    whole: np.ndarray | None


def cells() -> list[Cell]:
    """Return the simulated cells of the study."""
    usual, short = Calls(name="50 steps"), Calls(name="28 steps", steps=28)
    cache = Calls(name="cache of 50 steps, every second at 30%", cheap=0.3)
    few = replace(cache, name="cache of 20 steps, every second at 30%", steps=20)
    independent = [
        Cell(StepNoise(name=f"independent, CV {cv:.0%}", cv=cv), usual) for cv in (0.01, 0.03, 0.1)
    ]
    common = [
        Cell(StepNoise(name=f"AR({phi:g}) of the machine, CV 3%", phi=phi), usual)
        for phi in (0.3, 0.7, 0.9)
    ]
    own = [
        Cell(
            StepNoise(name=f"AR({phi:g}) of each arm, CV {cv:.0%}", cv=cv, phi=phi, own=True), usual
        )
        for phi, cv in ((0.3, 0.03), (0.7, 0.03), (0.9, 0.01), (0.9, 0.03), (0.9, 0.1))
    ]
    drifts = [
        Cell(StepNoise(name="machine slows by 5% in every round, CV 3%", ramp=0.05), usual),
        *(
            Cell(
                StepNoise(name="independent, CV 3%"),
                replace(usual, name=f"steps slow by {drift:.0%} along a call", drift=drift),
            )
            for drift in (0.05, 0.2)
        ),
        *(
            Cell(
                StepNoise(name="independent, CV 3%"),
                replace(usual, name=f"the candidate's slow by {drift:.1%}", own_drift=drift),
            )
            for drift in (0.005, 0.01, 0.02, 0.04)
        ),
    ]
    caches = [
        Cell(StepNoise(name="independent, CV 3%"), cache),
        Cell(StepNoise(name="independent, CV 3%"), few),
        Cell(StepNoise(name="AR(0.9) of the machine, CV 3%", phi=0.9), cache),
        Cell(StepNoise(name="AR(0.9) of each arm, CV 3%", phi=0.9, own=True), cache),
        Cell(StepNoise(name="AR(0.9) of each arm, CV 3%", phi=0.9, own=True), few),
    ]
    calls = [
        Cell(StepNoise(name=f"calls differ by {call:.0%}, CV 1%", cv=0.01, call=call), usual)
        for call in (0.01, 0.03)
    ]
    stalls = [
        Cell(
            StepNoise(
                name=f"one part in {round(1 / share)} takes x20, CV 1%", cv=0.01, stalls=share
            ),
            usual,
        )
        for share in (0.001, 0.002, 0.005, 0.01)
    ]
    candidate = [
        Cell(
            StepNoise(
                name=f"one of the candidate's parts in {round(1 / share)} takes x3, CV 1%",
                cv=0.01,
                own_stalls=share,
            ),
            usual,
        )
        for share in (0.001, 0.005, 0.01, 0.02, 0.05)
    ]
    candidate.append(Cell(candidate[2].noise, replace(usual, name="all 50 measured", every=True)))
    mixed = StepNoise(
        name="AR(0.7) of the machine, calls differ by 1%, one part in 1000 takes x20, CV 3%",
        phi=0.7,
        call=0.01,
        stalls=0.001,
        ramp=0.05,
    )
    quick = replace(usual, name="50 steps, all that are measured in one turn", turns=1)
    turns = [
        Cell(noise, quick)
        for noise in (independent[1].noise, independent[2].noise, common[2].noise, own[1].noise)
    ]
    return [
        *independent,
        Cell(independent[1].noise, short),
        *common,
        *own,
        *drifts,
        *caches,
        *calls,
        Cell(mixed, usual),
        *stalls,
        *candidate,
        *turns,
    ]


def simulate_campaigns(rng: np.random.Generator, cell: Cell, trials: int) -> Campaigns:
    """Simulate campaigns of one row, and the whole calls after them."""
    found, looks, whole = [], [], []
    for done in range(0, trials, CHUNK):
        count = min(CHUNK, trials - done)
        pairs = simulate(rng, cell.noise, cell.calls, count)
        found.append(pairs)
        looks.append(seen(pairs, control=True))
        if isinstance(cell.noise, StepNoise):
            whole.append(
                np.stack(
                    [
                        simulate_calls(rng, cell.noise, cell.calls, count)
                        for _ in range(count_palindromes(cell.noise.blocks)[1])
                    ],
                    axis=1,
                )
            )
    return Campaigns(
        np.concatenate(found), join_looks(looks), np.concatenate(whole) if whole else None
    )


def join_looks(found: Sequence[Looks]) -> Looks:
    """Join what the looks see of several lots of campaigns."""
    means, errors, biases = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("mean", "error", "bias")
    )
    return Looks(found[0].blocks, means, errors, biases)


def judge(campaigns: Campaigns, ratio: float, allowance: float) -> tuple[np.ndarray, np.ndarray]:
    """Judge campaigns by stages with the whole calls after them.

    Args:
        campaigns: campaigns.
        ratio: true speed-up over the documented one.
        allowance: by how much intervals are wider, a log.

    Returns:
        Verdicts and blocks, as ``campaigns.verdicts``, shape (trials,).
    """
    found, taken = (one[:, 0] for one in verdicts(campaigns.looks, ratio, allowance))
    if campaigns.whole is None:
        return found, taken
    looks = campaigns.looks
    for trial in range(len(found)):
        if found[trial] == INVALID:
            continue
        blocks = int(taken[trial])
        at = int(np.searchsorted(looks.blocks, blocks))
        middle = float(looks.mean[trial, 0, at]) + math.log(ratio / FLOOR)
        half = stopping.critical_value(blocks) * float(looks.error[trial, 0, at]) + allowance
        interval = Interval(*(math.exp(middle + by) for by in (0.0, -half, half)))
        if not _agree(interval, campaigns.pairs[trial, :blocks], campaigns.whole[trial]):
            found[trial] = INVALID
    return found, taken


def _agree(interval: Interval, pairs: np.ndarray, whole: np.ndarray) -> bool:
    """Tell whether whole calls leave a verdict as it is; more are asked while they may not.

    Args:
        interval: speed-up over the floor.
        pairs: durations of the blocks, shape (blocks, arms, 2).
        whole: durations of whole calls, shape (palindromes, 2, 2).
    """
    ours, theirs = float(np.median(pairs[:, FIRST_ROW])), float(np.median(pairs[:, :FIRST_ROW]))
    least, most = count_palindromes(len(pairs) if decide(interval, 1.0) else 0)
    for palindromes in range(least, most + 1):
        theirs_s, ours_s = (whole[:palindromes, arm].ravel().tolist() for arm in (0, 1))
        found = compare_whole_calls(ours_s, ours, theirs_s, theirs)
        if withstands_whole_calls(interval, 1.0, found._replace(excess=found.doubt)):
            return True
    error = estimate_sum_error(*(pairs[:, arm].tolist() for arm in range(FIRST_ROW)))
    found = compare_whole_calls(ours_s, ours, theirs_s, theirs, sum_error=error)
    return withstands_whole_calls(interval, 1.0, found)


def stage_lines(rng: np.random.Generator, cell: Cell, trials: int) -> Iterator[Line]:
    """Study one cell at every true speed-up, by both rules, on the same campaigns."""
    campaigns = simulate_campaigns(rng, cell, trials)
    per_block = ROUNDS * (FIRST_ROW + 1) * measured_share(cell.calls)
    for rule, allowance in RULES.items():
        for ratio in STAGE_RATIOS:
            found, taken = judge(campaigns, ratio, allowance)
            yield Line(
                study="stages",
                rule=rule,
                noise=f"{cell.noise.name}; {cell.calls.name}",
                ratio=ratio,
                trials=trials,
                passed=float((found == PASS).mean()),
                failed=float((found == FAIL).mean()),
                invalid=float((found == INVALID).mean()),
                blocks=float(taken.mean()),
                generations=float(taken.mean()) * per_block,
            )


def measured_share(calls: Calls) -> float:
    """Return which share of a baseline's call is measured."""
    costs = calls.costs()[0]
    return float(costs[calls.measured()].sum() / costs.sum())


def replay_cell(noise: ReplayedSteps) -> Cell:
    """Return the cell of a recording: calls of 50 steps whose parts are as long as its own."""
    text, first, decode = (float(noise.costs[at]) for at in (0, 1, -1))
    calls = Calls(name="50 steps", text=text, first=first, decode=decode)
    return Cell(noise, calls)


def tasks(trials: int, recordings: Sequence[ReplayedSteps]) -> list[Task]:
    """Return the tasks of the study, one for each cell."""
    every = [*cells(), *map(replay_cell, recordings)]
    return [Task("stages", partial(stage_lines, cell=cell, trials=trials)) for cell in every]
