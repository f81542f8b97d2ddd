"""How a row used its device, put together from its profile, the canary and the device's own telemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_sdspeed.measure.campaign_data import CampaignData
    from pytest_sdspeed.run.criteria import RowCase


_NOTEWORTHY_S = 1.0
"""A first generation that takes so much longer, and twice as long as a later one, was doing
something else."""


def describe_usage(
    case: RowCase, latency_s: float, pictures: int | None
) -> Mapping[str, Any] | None:
    """What ``Result.telemetry`` holds; None where nothing is known.

    Args:
        case: of the row.
        latency_s: its median, seconds.
        pictures: that one generation draws, or None where that is unknown.
    """
    from pytest_sdspeed.judge.rates import compute_rates
    from pytest_sdspeed.measure.telemetry import summarize_telemetry

    profile = case.record.profiles.get(case.candidate.name)
    asked = compute_rates(profile, latency_s, _ceiling_flops_s(case)) if profile else {}
    return {**asked, **summarize_telemetry(case.record, case.candidate.name, pictures)} or None


def describe_unknowns(case: RowCase) -> Iterator[str]:
    """What setting up took, what could not be told of the device, and what was measured again because of it; one line each."""
    record, profile = case.record, case.record.profiles.get(case.candidate.name)
    yield from _set_up_notes(record, case.candidate.name)
    errors = record.canary_errors.values()
    if errors:
        yield f"the canary is unknown in part: {'; '.join(map(str, errors))}"
    if record.telemetry_note:
        yield record.telemetry_note
    if record.discarded and not record.throttled:
        yield (
            "blocks that were discarded and measured again, since the GPU throttled in them:"
            f" {len(record.discarded)}"
        )
    yield from profile.notes if profile else ()


def _ceiling_flops_s(case: RowCase) -> float | None:
    """FLOPs a second of the canary's product in the candidate's precision, at its faster timing; None where there is no such product."""
    from pytest_sdspeed.device.canary import PRODUCTS

    setup = case.candidate.setup
    product = PRODUCTS.get((case.machine.kind, setup.precision)) if setup else None
    taken_s = case.record.canary_s.get(product.operation) if product else None
    return product.flops / min(taken_s) if product and taken_s else None


def _set_up_notes(record: CampaignData, name: str) -> Iterator[str]:
    """What an arm's first generation took beyond its fastest of the warm-up, where that is worth a word."""
    taken = record.warm_up_s.get(name, (0.0,))
    beyond = taken[0] - min(taken)
    if beyond > max(_NOTEWORTHY_S, min(taken)):
        yield (
            f"its first generation took {beyond:.1f} s more than a later one, to compile, capture"
            " or tune: no slot holds that"
        )
