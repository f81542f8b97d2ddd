"""The studies behind the documented figures: each yields lines of one long table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from power.campaigns import FLOOR, control_alarms, judged, paired, seen, slots_per_block, verdicts
from power.noise import simulated
from power.rules import BLOCK_RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from power.campaigns import Shares
    from power.noise import Noise
    from power.peers import Peer

RATIOS = (0.90, FLOOR, 0.97, 1.00, 1.05)
"""True speed-ups, as fractions of the documented one."""
DOCUMENTED = 1.00
SHORT = 0.90
CVS = (0.003, 0.01, 0.03, 0.10)
SLOT_ORDER = 0.05
"""Planted slot-order effect, as a fraction of a slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One cell of a study: a rule under a noise at a true speed-up.

    Attributes:
        study: ``gate``, ``rules``, ``rows``, ``control`` or ``peers``.
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


def gate_lines(
    rng: np.random.Generator, noise: Noise, trials: int, rows: int = 1
) -> Iterator[Line]:
    """Study the shipped rule at every true speed-up."""
    looks = seen(paired(rng, noise, trials, rows))
    study, rule = "gate" if rows == 1 else "rows", BLOCK_RULES[0].name
    for ratio in RATIOS:
        shares = judged(looks, ratio)
        line = _line(
            shares, study=study, rule=rule, noise=noise.name, ratio=ratio, trials=trials, rows=rows
        )
        yield replace(line, suite_passed=shares.suite_passed, suite_failed=shares.suite_failed)


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
        "clean": (0.0, 0.0),
        "outer pair +5%": (SLOT_ORDER, 0.0),
        "first and last slot of a block +5%": (0.0, SLOT_ORDER),
    }
    for name, (outer, edge) in faults.items():
        pairs = paired(rng, noise, trials, edge=edge)
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
) -> list[Callable[[np.random.Generator], Iterator[Line]]]:
    """Return every study, one call for each noise."""
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
    return [
        *(partial(gate_lines, noise=noise, trials=trials) for noise in every),
        *(partial(rule_lines, noise=noise, trials=trials) for noise in telling),
        *(
            partial(
                gate_lines, noise=simulated("mixed", 0.01), trials=max(500, trials // 10), rows=rows
            )
            for rows in (3, 7)
        ),
        *(
            partial(control_lines, noise=simulated("iid", cv), trials=trials)
            for cv in (0.003, 0.01, 0.03)
        ),
        *(
            partial(peer_lines, noise=noise, trials=trials, peer_trials=peer_trials, peers=peers)
            for noise in compared
        ),
    ]
