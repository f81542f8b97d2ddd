"""How a row used its device, by its profile, the canary and the device's own telemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_sdspeed.measure.campaign_data import CampaignData
    from pytest_sdspeed.run.criteria import RowCase


_NOTEWORTHY_S = 1.0
"""A first generation that takes longer than a later one by more than this, and more than twice as
long, did something else too; seconds."""


def describe_usage(
    case: RowCase, latency_s: float, pictures: int | None
) -> Mapping[str, Any] | None:
    """Put together what ``Result.telemetry`` holds; None if nothing is known.

    Args:
        case: the row.
        latency_s: its median latency, seconds.
        pictures: number of pictures of one generation, or None if that is unknown.
    """
    from pytest_sdspeed.judge.rates import compute_rates
    from pytest_sdspeed.measure.telemetry import summarize_telemetry

    profile = case.data.profiles.get(case.candidate.name)
    asked = compute_rates(profile, latency_s, _find_ceiling_flops_s(case)) if profile else {}
    return {**asked, **summarize_telemetry(case.data, case.candidate.name, pictures)} or None


def describe_unknowns(case: RowCase) -> Iterator[str]:
    """Yield notes on setting up, on what the device does not tell, and on blocks measured again."""
    data, profile = case.data, case.data.profiles.get(case.candidate.name)
    yield from _list_set_up_notes(data, case.candidate.name)
    yield from (f"timed with a tracer: {one}" for one in data.tracers)
    if data.cut_short:
        yield data.cut_short
    errors = data.canary_errors.values()
    if errors:
        yield f"the canary is partly unknown: {'; '.join(map(str, errors))}"
    if data.telemetry_note:
        yield data.telemetry_note
    if data.discarded and not data.throttled:
        yield (
            "blocks that were discarded and measured again, since the GPU throttled in them:"
            f" {len(data.discarded)}"
        )
    yield from profile.notes if profile else ()


def _find_ceiling_flops_s(case: RowCase) -> float | None:
    """Return the FLOPs a second of the canary's product in the candidate's precision, or None.

    Of the two timings of the canary the faster one counts.
    """
    from pytest_sdspeed.device.canary import PRODUCTS

    setup = case.candidate.setup
    product = PRODUCTS.get((case.machine.kind, setup.precision)) if setup else None
    taken_s = case.data.canary_s.get(product.operation) if product else None
    return product.flops / min(taken_s) if product and taken_s else None


def _list_set_up_notes(data: CampaignData, name: str) -> Iterator[str]:
    """Yield a note if an arm's first generation took much longer than its fastest warm-up."""
    taken = data.warm_up_s.get(name, (0.0,))
    beyond = taken[0] - min(taken)
    if beyond > max(_NOTEWORTHY_S, min(taken)):
        traced = f", or under {data.traced}, which sees no later one" if data.traced else ""
        yield (
            f"its first generation took {beyond:.1f} s more than a later one, to compile, capture"
            f" or tune{traced}: no slot includes it"
        )
