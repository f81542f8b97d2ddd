"""What ended a campaign's arms, and whether it says what a test asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.errors import ChangedPartError, NoEffectError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_sdspeed.measure.campaign_data import CampaignData
    from pytest_sdspeed.model import Contrast
    from pytest_sdspeed.run.planned_claims import PlannedClaim
    from pytest_sdspeed.run.targets import Target
    from pytest_sdspeed.setups.catalog import ResolvedSetup


def has_decided(data: CampaignData, row: ResolvedSetup) -> bool:
    """Tell whether a campaign says what a row's test asks for.

    It does not if the row took no part, or if claims alone compared it: then nothing held it to its
    floor.
    """
    if row.setup == row.baseline:
        return True
    decision = data.decisions.get(row.setup)
    return row.setup in data.samples_s and (decision is None or decision.floor is not None)


def has_compared(
    data: CampaignData, planned: PlannedClaim, contrasts: Collection[Contrast]
) -> bool:
    """Tell whether a campaign says what a claim asks for."""
    rows = all(row.setup in data.samples_s for row in planned.rows)
    broken = any(row.setup in data.errors for row in planned.rows)
    return rows and (broken or data.contrasts.keys() >= set(contrasts))


def find_without_effect(data: CampaignData, candidate: Target, base: Target) -> str | None:
    """Return which optimization of a target, or of its baseline, was not seen to act.

    Args:
        data: what their campaign found.
        candidate: what is judged.
        base: what it is compared with.

    Returns:
        The reason why nothing was timed of the target, or None.
    """
    own, other = (data.errors.get(target.name) for target in (candidate, base))
    if not isinstance(own, NoEffectError):
        return None
    # What ended the baseline ended the rows that had not left before it.
    return (
        f"its baseline {base.name}: {own}"
        if own is other and candidate.name != base.name
        else str(own)
    )


def raise_what_broke(data: CampaignData, candidate: Target, base: Target) -> None:
    """Raise what ended an arm or its baseline before the row was decided.

    A row that was decided before its baseline broke keeps its verdict. One that no longer fits says
    nothing of its speed; nor does one whose weights, or its baseline's, were changed.

    Raises:
        SdSpeedError: what the arm, or else its baseline, raised.
    """
    error = data.errors.get(candidate.name) or data.errors.get(base.name)
    decision = data.decisions.get(candidate.name)
    undecided = (
        decision is None
        or isinstance(error, ChangedPartError)
        or (isinstance(error, OutOfMemoryError) and decision.verdict == "inconclusive")
    )
    if error is not None and undecided:
        raise error
