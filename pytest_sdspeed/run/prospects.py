"""What the campaigns of a run are expected to cost, and which rows do not fit the device."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pytest_sdspeed.device import memory
from pytest_sdspeed.lint.counts import find_counts, load_counts
from pytest_sdspeed.run.estimates import estimate_campaign, explain_misfit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_sdspeed.model import CampaignKey
    from pytest_sdspeed.run.estimates import CampaignEstimate
    from pytest_sdspeed.run.session import Session
    from pytest_sdspeed.setups.catalog import ResolvedSetup


def estimate_run(
    session: Session, asked: Iterable[ResolvedSetup]
) -> tuple[list[CampaignEstimate], dict[tuple[CampaignKey, str], str]]:
    """Estimate what the campaigns of a run cost.

    Args:
        session: what the run measures with.
        asked: the rows that its tests ask for.

    Returns:
        The campaigns of the rows that this machine can measure; and campaign and setup -> why a row
        does not fit its memory.
    """
    options, machine = session.options, session.machine
    memory_bytes = memory.find_total_bytes(machine.kind)
    counts = partial(find_counts, load_counts())
    campaigns: dict[CampaignKey, dict[str, ResolvedSetup]] = {}
    misfits: dict[tuple[CampaignKey, str], str] = {}
    for resolved in asked:
        base = session.catalog.find_baseline(resolved)
        measurable = options.measures(on_cpu=resolved.table.on_cpu)
        if not measurable or any(session.setup(one).unsupported for one in (base, resolved)):
            continue
        why = memory_bytes and explain_misfit(resolved, base, machine.device, memory_bytes, counts)
        if why:
            misfits[resolved.campaign, resolved.setup] = why
        else:
            campaigns.setdefault(resolved.campaign, {})[resolved.setup] = resolved
    estimates = []
    for rows in campaigns.values():
        base = session.catalog.find_baseline(next(iter(rows.values())))
        estimates.append(
            estimate_campaign(
                base,
                [row for row in rows.values() if row.setup != row.baseline],
                machine.device,
                counts,
                options.choose_unit(base.recipe),
            )
        )
    return estimates, misfits
