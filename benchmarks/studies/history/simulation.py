"""Simulated series with known changes: false alarms of each rule, and how soon it finds changes.

Every rule sees the same series of a kind of noise; the slow ones see only the first of them.
Everything is in logarithms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tqdm import tqdm

from history.peers import PEERS
from history.rules import OWN, Alarm, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

RUNS, SLOW_RUNS = 500, 100
"""Length of the series without a change, and the part of it that the slow rules see."""

BEFORE, AFTER = 60, 20
"""Runs before a planted change, and runs from it on."""

STEPS = (0.03, 0.05, 0.10)
WITHIN = (2, 10, 20)
DRIFT, DRIFT_WITHIN = 0.005, 15
SPIKE, SPIKE_NOISE, SPIKE_WITHIN = 0.30, "iid, CV 1%", 10


def _iid(cv: float) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: cv * rng.standard_normal(RUNS)


def _spikes(rng: np.random.Generator) -> np.ndarray:
    return 0.01 * rng.standard_normal(RUNS) + (rng.random(RUNS) < 0.05) * np.log1p(
        rng.uniform(0.05, 0.30, RUNS)
    )


def _two_speeds(rng: np.random.Generator) -> np.ndarray:
    return 0.005 * rng.standard_normal(RUNS) + math.log1p(0.05) * (rng.random(RUNS) < 0.2)


def _sticky(rng: np.random.Generator) -> np.ndarray:
    slow = np.zeros(RUNS, dtype=bool)
    for run, chance in enumerate(rng.random(RUNS)):
        slow[run] = chance < (0.5 if run and slow[run - 1] else 0.01)
    return 0.005 * rng.standard_normal(RUNS) + math.log1p(0.06) * slow


def _ar1(cv: float) -> Callable[[np.random.Generator], np.ndarray]:
    def draw(rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal(RUNS)
        for run in range(1, RUNS):
            noise[run] = 0.5 * noise[run - 1] + math.sqrt(0.75) * noise[run]
        return cv * noise

    return draw


def _heavy_tails(rng: np.random.Generator) -> np.ndarray:
    return 0.01 / math.sqrt(3) * rng.standard_t(3, RUNS)


def _wander(rng: np.random.Generator) -> np.ndarray:
    return 0.005 * rng.standard_normal(RUNS) + np.cumsum(0.001 * rng.standard_normal(RUNS))


NOISES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "iid, CV 0.5%": _iid(0.005),
    "iid, CV 1%": _iid(0.01),
    "iid, CV 2%": _iid(0.02),
    "iid, CV 3%": _iid(0.03),
    "spikes": _spikes,
    "two speeds": _two_speeds,
    "sticky": _sticky,
    "AR(1), CV 1%": _ar1(0.01),
    "AR(1), CV 2%": _ar1(0.02),
    "heavy tails": _heavy_tails,
    "wander": _wander,
}
"""Kinds of noise.

- spikes: 5% of runs are 5 to 30% slower; CV 1%.
- two speeds: 20% of runs are 5% slower; CV 0.5%.
- sticky: episodes that are 6% slower; 1% of runs begin one, half of its runs end it; CV 0.5%.
- AR(1): the coefficient is 0.5.
- heavy tails: Student's t with 3 degrees of freedom; CV 1%.
- wander: a random walk with steps of 0.1% a run; CV 0.5%.
"""


class Power(NamedTuple):
    """How often and how soon a planted change is found.

    Attributes:
        within: number of runs -> share of series in which it is found within as many; the first
            changed run is 1.
        delay: median number of runs, infinite if fewer than half are found.
    """

    within: dict[int, float]
    delay: float


@dataclass(frozen=True, slots=True)
class Line:
    """The result of one rule under one kind of noise.

    Alarms and changes are slowdowns: not every rule knows the other direction.

    Attributes:
        noise: name of the noise.
        rule: name of the rule.
        runs: number of runs without any change.
        alarms: alarms per 1,000 such runs.
        error: standard error of ``alarms``, from series to series.
        withdrawn: share of these alarms that the rule withdrew, None without alarms.
        series: number of series with a planted change, for each kind of change.
        steps: size of a step, as a fraction -> how it is found.
        drift: how a drift of 0.5% a run is found.
        spike: share of series that alarm on a single run 30% slower; None for all but one kind of
            noise.
    """

    noise: str
    rule: str
    runs: int
    alarms: float
    error: float
    withdrawn: float | None
    series: int
    steps: dict[float, Power]
    drift: Power
    spike: float | None


class Job(NamedTuple):
    """A line to simulate, by names, so that another process can do it.

    Attributes:
        noise: name of the noise.
        rule: name of the rule.
        seed: seed of the simulation.
        quiet: number of series without a change.
        changed: number of series with each change.
    """

    noise: str
    rule: str
    seed: int
    quiet: int
    changed: int


def jobs(
    rules: Sequence[Rule], noises: Sequence[str], counts: tuple[int, int], seed: int
) -> list[Job]:
    """Return a job for each noise and rule.

    Args:
        rules: the rules.
        noises: names of the noises.
        counts: numbers of series for the fast rules, without a change and with each change.
        seed: seed of the simulation.
    """
    quiet, changed = counts
    return [
        Job(noise, rule.name, seed, max(2, quiet // rule.cost), max(2, changed // rule.cost))
        for noise in noises
        for rule in rules
    ]


def lines(
    tasks: Sequence[Job],
    ask: Callable[[Callable[[Job], Line], Sequence[Job]], Iterable[Line]] = map,
) -> list[Line]:
    """Simulate the line of every job, in order.

    Args:
        tasks: the jobs.
        ask: ``map``, or that of a pool of processes.
    """
    return list(tqdm(ask(line, tasks), total=len(tasks), unit="line"))


def line(job: Job) -> Line:
    """Run one job."""
    rule = next(rule for rule in (*OWN, *PEERS) if rule.name == job.rule)
    runs = RUNS if rule.cost == 1 else SLOW_RUNS
    quiet = [
        _slower(rule, _series(job.noise, job.seed, 0, index)[:runs], 0)
        for index in range(job.quiet)
    ]
    counts = np.array([len(alarms) for alarms in quiet])
    gone = sum(alarm.gone is not None for alarms in quiet for alarm in alarms)
    ramp = np.arange(1, AFTER + 1)
    return Line(
        job.noise,
        job.rule,
        runs * job.quiet,
        float(1000 * counts.mean() / runs),
        float(1000 * counts.std(ddof=1) / runs / math.sqrt(job.quiet)),
        gone / int(counts.sum()) if counts.any() else None,
        job.changed,
        {size: _power(rule, job, np.full(AFTER, math.log1p(size)), WITHIN) for size in STEPS},
        _power(rule, job, math.log1p(DRIFT) * ramp, (DRIFT_WITHIN,)),
        (
            _power(
                rule, job, math.log1p(SPIKE) * (ramp == 1), (SPIKE_WITHIN,), standing=False
            ).within[SPIKE_WITHIN]
            if job.noise == SPIKE_NOISE
            else None
        ),
    )


def _power(
    rule: Rule, job: Job, change: np.ndarray, within: tuple[int, ...], *, standing: bool = True
) -> Power:
    """Simulate how a change that is added to the last runs is found.

    Args:
        rule: the rule.
        job: the job, with noise and number of series.
        change: what is added to the last runs, in logarithms.
        within: numbers of runs within which the change may be found.
        standing: whether only alarms count that the rule did not withdraw.
    """
    delays = []
    for index in range(job.changed):
        values = _series(job.noise, job.seed, 1, index)[: BEFORE + AFTER].copy()
        values[BEFORE:] += change
        found = [
            alarm.found
            for alarm in _slower(rule, values, BEFORE)
            if alarm.gone is None or not standing
        ]
        delays.append(found[0] - BEFORE + 1 if found else math.inf)
    return Power(
        {runs: float(np.mean(np.array(delays) <= runs)) for runs in within},
        float(np.median(delays)),
    )


def _slower(rule: Rule, values: np.ndarray, first: int) -> list[Alarm]:
    return [alarm for alarm in rule.alarms(np.exp(values), first) if alarm.slower]


@cache
def _series(noise: str, seed: int, kind: int, index: int) -> np.ndarray:
    return NOISES[noise](np.random.default_rng([seed, list(NOISES).index(noise), kind, index]))
