"""The studies behind the documented figures: each yields lines of one long table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from power import slot_order
from power.campaigns import (
    FIRST_ROW,
    FLOOR,
    Looks,
    control_alarms,
    judged,
    paired,
    seen,
    slots_per_block,
    verdicts,
    verdicts_before,
)
from power.noise import simulated
from power.rules import BLOCK_RULES
from pytest_sdspeed.judge.speed.blocks import guard_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from power.campaigns import Shares
    from power.noise import Noise
    from power.peers import Peer

RATIOS = (0.90, FLOOR, 0.97, 1.00, 1.05)
"""True speed-ups, as fractions of the documented one."""
DOCUMENTED = 1.00
SHORT = 0.90
ABOVE = 1.2 * FLOOR
"""A row 20% above its floor, for the share of campaigns that are invalid without cause."""
CVS = (0.003, 0.01, 0.03, 0.10)
SLOT_ORDER = 0.05
"""Planted slot-order effect of the study of the control, as a fraction of a slot."""
NOW, BEFORE = "now", "before"
"""The rule that ships, and that of version 0.1: blocks shuffled on their own, slow slots always
trimmed, every row invalid if the A/A control breaks."""
SLOW_EVERY, SLOWER = (2, 3, 4, 5, 6, 8, 10, 16), (1.5, 3.0, 20.0)
"""Candidates that are slow in one call of so many, and how many times as slow."""


STUDIES = ("gate", "rules", "rows", "control", "own", "order", "peers", "stages")


class Task(NamedTuple):
    """A part of a study.

    Attributes:
        study: name of the study.
        run: simulates and judges.
    """

    study: str
    run: Callable[[np.random.Generator], Iterator[Line]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One cell of a study: a rule under a noise at a true speed-up.

    Attributes:
        study: one of ``STUDIES``.
        rule: name of the rule.
        noise: name of the noise.
        rows: number of arms beside the baseline.
        ratio: true speed-up over the documented one.
        trials: number of simulated campaigns, or of questions to a peer.
        passed, failed: shares of rows; for peers and controls ``failed`` is the share of alarms.
        blocks: mean number of blocks taken.
        generations: slots of a campaign, or samples that a peer was given.
        suite_passed: share of campaigns in which every row passes.
        suite_failed: share of campaigns in which at least one row fails.
        invalid: share of rows that the A/A control, or whole calls after stages, make invalid.
    """

    study: str
    rule: str
    noise: str
    ratio: float
    trials: int
    failed: float
    passed: float | None = None
    blocks: float | None = None
    generations: float | None = None
    rows: int = 1
    suite_passed: float | None = None
    suite_failed: float | None = None
    invalid: float | None = None

    def cells(self) -> dict[str, object]:
        """Return the cells of the line in a CSV file."""
        return asdict(self)


def _line(
    shares: Shares, *, study: str, rule: str, noise: str, ratio: float, trials: int, rows: int = 1
) -> Line:
    """Make a line of the shares of verdicts."""
    return Line(
        study=study,
        rule=rule,
        noise=noise,
        rows=rows,
        ratio=ratio,
        trials=trials,
        passed=shares.passed,
        failed=shares.failed,
        blocks=shares.blocks,
        generations=shares.blocks * slots_per_block(rows),
    )


def _see_both(
    rng: np.random.Generator,
    noise: Noise,
    trials: int,
    rows: int = 1,
    *,
    effect: str = "",
    size: float = 0.0,
) -> dict[str, Looks]:
    """Simulate what the looks of both rules see of the same slots."""
    slots = noise.blocks * slots_per_block(rows)
    logs = noise.draw(rng, trials, slots)
    same = replace(noise, draw=lambda *_: logs.copy())
    now = paired(rng, same, trials, rows, effect=effect, size=size)
    before = paired(
        rng, same, trials, rows, effect=effect, size=size, places=slot_order.shuffled_places
    )
    return {NOW: seen(now, control=True), BEFORE: seen(before, guard_logs, control=True)}


_JUDGES = {NOW: verdicts, BEFORE: verdicts_before}


def _compare(found: dict[str, Looks], ratios: Sequence[float], **facts: Any) -> Iterator[Line]:
    """Judge what both rules see at some true speed-ups."""
    for rule, looks in found.items():
        for ratio in ratios:
            shares = judged(looks, ratio, _JUDGES[rule])
            line = _line(shares, rule=rule, ratio=ratio, **facts)
            yield replace(
                line,
                suite_passed=shares.suite_passed,
                suite_failed=shares.suite_failed,
                invalid=shares.invalid,
            )


def gate_lines(
    rng: np.random.Generator, noise: Noise, trials: int, rows: int = 1
) -> Iterator[Line]:
    """Study the shipped rule and that of before at every true speed-up, on the same slots."""
    yield from _compare(
        _see_both(rng, noise, trials, rows),
        (*RATIOS, ABOVE),
        study="gate" if rows == 1 else "rows",
        noise=noise.name,
        trials=trials,
        rows=rows,
    )


def order_lines(
    rng: np.random.Generator,
    noise: Noise,
    trials: int,
    effects: Iterable[str] = tuple(slot_order.EFFECTS),
    sizes: Iterable[float] = slot_order.SIZES,
) -> Iterator[Line]:
    """Study both rules on the floor and 20% above it, with every planted effect of the order.

    The name of the noise is followed by that of the effect and its size.
    """
    for effect in effects:
        for size in sizes:
            yield from _compare(
                _see_both(rng, noise, trials, effect=effect, size=size),
                (FLOOR, ABOVE),
                study="order",
                noise=f"{noise.name}; {effect}; {size:.0%}",
                trials=trials,
            )


def own_lines(rng: np.random.Generator, noise: Noise, trials: int) -> Iterator[Line]:
    """Study candidates that are slow in one call of some, by their own doing.

    Their usual calls are so fast that the mean of all is 10% short of the floor. The speed-up that
    a rule sees is that of the usual ones.
    """
    pairs = paired(rng, noise, trials)
    for every in SLOW_EVERY:
        for slower in SLOWER:
            usual = (1 - 2 * SLOT_ORDER) * (1 + (slower - 1) / every)
            slowed = pairs.copy()
            calls = np.arange(2 * noise.blocks).reshape(-1, 2) + rng.integers(
                0, every, (trials, 1, 1)
            )
            slowed[:, :, FIRST_ROW] *= np.where(calls % every == 0, slower, 1.0)
            found = {
                NOW: seen(slowed, control=True),
                BEFORE: seen(slowed, guard_logs, control=True),
            }
            yield from _compare(
                found,
                (usual * FLOOR,),
                study="own",
                noise=f"{noise.name}; one call of {every} takes x{slower:g}",
                trials=trials,
            )


def rule_lines(rng: np.random.Generator, noise: Noise, trials: int) -> Iterator[Line]:
    """Study every rule that was tried, on the same campaigns."""
    pairs = paired(rng, noise, trials)
    for rule in BLOCK_RULES:
        looks = seen(pairs, rule.ratios)
        for ratio in (SHORT, FLOOR, DOCUMENTED):
            yield _line(
                rule.judge(looks, ratio),
                study="rules",
                rule=rule.name,
                noise=noise.name,
                ratio=ratio,
                trials=trials,
            )


def control_lines(rng: np.random.Generator, noise: Noise, trials: int) -> Iterator[Line]:
    """Study the A/A control on clean campaigns and with two planted faults.

    One fault makes a pair 5% longer, the other the edges of every block.
    """
    faults = {
        "clean": (0.0, ""),
        "outer pair +5%": (SLOT_ORDER, ""),
        "first and last slot of a block +5%": (0.0, "first and last slot of a block"),
    }
    for name, (outer, effect) in faults.items():
        pairs = paired(rng, noise, trials, effect=effect, size=SLOT_ORDER)
        pairs[:, :, 0] *= 1 + outer
        whole = np.full(trials, noise.blocks)
        for when, blocks in (
            ("when decided", verdicts(seen(pairs), DOCUMENTED)[1][:, 0]),
            ("whole budget", whole),
        ):
            alarms = control_alarms(pairs, blocks)
            yield Line(
                study="control",
                rule=f"{name}, {when}",
                noise=noise.name,
                ratio=DOCUMENTED,
                trials=trials,
                failed=float(alarms.mean()),
                blocks=float(blocks.mean()),
            )


def peer_lines(
    rng: np.random.Generator, noise: Noise, trials: int, peer_trials: int, peers: Sequence[Peer]
) -> Iterator[Line]:
    """Study this gate and every peer on the same slots.

    A peer gets as many generations as the gate took on average at the same true speed-up, one arm
    after the other, as its users measure: the first half is its reference, which has the documented
    speed-up, the second half is what it is asked about.
    """
    logs = noise.draw(rng, trials, noise.blocks * slots_per_block(1))
    gate = seen(paired(rng, replace(noise, draw=lambda *_: logs.copy()), trials))
    for ratio in RATIOS:
        shares = judged(gate, ratio)
        yield _line(
            shares,
            study="peers",
            rule="pytest-sdspeed",
            noise=noise.name,
            ratio=ratio,
            trials=trials,
        )
        half = max(6, round(shares.blocks * slots_per_block(1) / 2))
        durations = np.exp(logs[:peer_trials, : 2 * half])
        durations[:, half:] /= ratio
        for peer in peers:
            alarms = sum(peer.alarms(trial[:half], trial[half:]) for trial in durations)
            yield Line(
                study="peers",
                rule=peer.name,
                noise=noise.name,
                ratio=ratio,
                trials=peer_trials,
                failed=alarms / peer_trials,
                generations=2.0 * half,
            )


def tasks(
    trials: int, peer_trials: int, traces: Sequence[Noise], peers: Sequence[Peer]
) -> list[Task]:
    """Return the tasks of every study, one for each noise."""
    kinds = ("iid", "drift", "AR(1)", "spikes", "stalls", "steps", "mixed", "noisy candidate")
    every = [*(simulated(kind, cv) for kind in kinds for cv in CVS), *traces]
    telling = [
        simulated("iid", 0.01),
        simulated("iid", 0.03),
        simulated("spikes", 0.03),
        simulated("stalls", 0.03),
    ]
    telling += [simulated("mixed", 0.03), simulated("noisy candidate", 0.03)]
    compared = [
        *(simulated(kind, cv) for kind in ("iid", "drift", "mixed") for cv in (0.01, 0.03)),
        *traces,
    ]
    slowed = [simulated("iid", 0.01), simulated("stalls", 0.01)]
    some = max(500, trials // 10)
    return [
        *(Task("gate", partial(gate_lines, noise=noise, trials=trials)) for noise in every),
        *(Task("rules", partial(rule_lines, noise=noise, trials=trials)) for noise in telling),
        *(
            Task(
                "rows",
                partial(gate_lines, noise=simulated("mixed", 0.01), trials=some, rows=rows),
            )
            for rows in (3, 7)
        ),
        *(
            Task("control", partial(control_lines, noise=simulated("iid", cv), trials=trials))
            for cv in (0.003, 0.01, 0.03)
        ),
        *(Task("own", partial(own_lines, noise=noise, trials=some)) for noise in slowed),
        *(Task("order", partial(order_lines, noise=noise, trials=some)) for noise in every),
        *(
            Task(
                "peers",
                partial(
                    peer_lines, noise=noise, trials=trials, peer_trials=peer_trials, peers=peers
                ),
            )
            for noise in compared
        ),
    ]
