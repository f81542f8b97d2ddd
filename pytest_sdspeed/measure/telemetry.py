"""What the device says of itself between slots: clock, temperature, power, energy, limits."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.judge.speed.throttling import describe_throttling
from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_sdspeed.measure.campaign_data import CampaignData, Slot

COUNTER_SLOT_S = 1.0
"""Slots from this length on, in seconds, have their energy from the counter: NVML moves it about
every 100 ms."""


def spent_j(before: float | None, after: float | None) -> float | None:
    """Return the joules between two readings of the counter, or None if one is unknown."""
    return None if before is None or after is None else after - before


def describe_discarded(discarded: Sequence[Sequence[Slot]], exposed: int, planned: int) -> str:
    """Describe why throttling ended a campaign.

    Args:
        discarded: the slots of every block that was.
        exposed: blocks of which a third may be discarded.
        planned: most blocks of the campaign.
    """
    readings = [slot.reading for block in discarded for slot in block]
    clocks = [reading.sm_clock_mhz for reading in readings if reading.sm_clock_mhz is not None]
    return describe_throttling(
        len(discarded),
        exposed,
        planned,
        {reason for reading in readings for reason in reading.reasons or ()},
        clocks,
    )


def summarize_telemetry(
    data: CampaignData, name: str, pictures: int | None, *, videos: int = 0
) -> dict[str, Any]:
    """Summarize what the device said after an arm's slots; empty if it said nothing.

    Args:
        data: what the campaign measured.
        name: name of the arm; the baseline's slots are also those of the control.
        pictures: number that one generation draws, of videos the frames of all; None if that is
            unknown.
        videos: number of videos that one generation draws; 0 for pictures.

    Returns:
        ``sm_clock_mhz``, ``temperature_c`` and ``power_w``, each [least, median, greatest];
        ``throttle_reasons``, names, including those in discarded blocks; ``discarded_blocks``, how
        many the campaign has; ``energy_per_picture_j``, of videos that of a frame, and
        ``energy_from``, see ``_energy_j``; of videos also ``energy_per_video_j``.
        Unknown is None. So are power and energy of calls that are put together from stages: most
        GPUs average their power over a second, in which several arms take turns.
    """
    labels = {name, CONTROL} if name == data.baseline else {name}
    kept = [slot for slot in data.slots if slot.arm in labels]
    every = kept + [slot for block in data.discarded for slot in block if slot.arm in labels]
    if all(slot.reading.empty for slot in every):
        return {}
    known = [slot.reading.reasons for slot in every if slot.reading.reasons is not None]
    whole = [slot for slot in kept if slot.inside_s is None]
    energy_j, origin = _energy_j(whole)
    return {
        "sm_clock_mhz": _summarize(slot.reading.sm_clock_mhz for slot in kept),
        "temperature_c": _summarize(slot.reading.temperature_c for slot in kept),
        "power_w": _summarize(slot.reading.power_w for slot in whole),
        "throttle_reasons": (
            sorted({reason for reasons in known for reason in reasons}) if known else None
        ),
        "discarded_blocks": len(data.discarded) if known else None,
        "energy_per_picture_j": energy_j / pictures if energy_j is not None and pictures else None,
        **(
            {"energy_per_video_j": None if energy_j is None else energy_j / videos}
            if videos
            else {}
        ),
        "energy_from": origin,
    }


def _summarize(values: Iterable[float | None]) -> list[float] | None:
    found = [float(value) for value in values if value is not None]
    return [min(found), statistics.median(found), max(found)] if found else None


def _energy_j(slots: Sequence[Slot]) -> tuple[float | None, str | None]:
    """Return the mean energy of a slot, joules, and its origin: ``counter`` or ``power``.

    The counter is read right before and right after each slot. If there is none, or its steps
    are too coarse for slots this short, the power after each slot stands for the whole of it: a
    rough figure, since most GPUs average it over a second.
    """
    if not slots:
        return None, None
    counted = [slot.energy_j for slot in slots if slot.energy_j is not None]
    if (
        len(counted) == len(slots)
        and sum(counted) > 0
        and statistics.median(slot.duration_s for slot in slots) >= COUNTER_SLOT_S
    ):
        return statistics.fmean(counted), "counter"
    powered = [
        slot.reading.power_w * slot.duration_s for slot in slots if slot.reading.power_w is not None
    ]
    return (statistics.fmean(powered), "power") if powered else (None, None)
