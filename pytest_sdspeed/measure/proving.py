"""Whether the optimizations of a campaign's arms act, found out before anything is timed."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import NoEffectError, explain
from pytest_sdspeed.measure.campaign_data import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_sdspeed.measure.roster import Roster
    from pytest_sdspeed.model import Case, Proof


def prove_arms(
    roster: Roster, case: Case, watch: Callable[[Progress], None]
) -> dict[str, tuple[Proof, ...]]:
    """Have every arm that has something to prove generate once more.

    One with an optimization that had no effect leaves: its blocks would time the baseline.

    Args:
        roster: the arms after their warm-up.
        case: what to draw.
        watch: called before every generation.

    Returns:
        Arm -> what was seen of its optimizations.
    """
    found: dict[str, tuple[Proof, ...]] = {}
    for arm in roster.remaining:
        if roster.ended:
            break
        if arm.prove is None:
            continue
        watch(Progress(phase="proof", arm=arm.name))
        try:
            found[arm.name] = arm.prove(case)
            _raise_without_effect(found[arm.name])
        except Exception as error:  # noqa: BLE001 - whatever an arm raises ends that arm, never the others
            roster.remove(arm, explain(arm.name, error))
        else:
            roster.check(arm)
        gc.collect()
    return found


def _raise_without_effect(proofs: tuple[Proof, ...]) -> None:
    """Raise if an optimization had no effect, or if it cannot be told.

    Raises:
        NoEffectError: the message says which, and why.
    """
    idle = [str(proof) for proof in proofs if not (proof.finding.acted or proof.finding.excused)]
    if idle:
        raise NoEffectError("; ".join(idle))
