"""How a row used its device, by its profile, the canary and the device's own telemetry."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_sdspeed.measure.campaign_data import CampaignData
    from pytest_sdspeed.run.criteria import RowCase


_MEMO_FACTOR = 100
"""A first generation that takes so many times as long as the later ones may be the only one that
works: the later ones may be answered from a memo or a cache."""
_UNITS = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
_NOTEWORTHY_S = 1.0
"""A first generation that takes longer than a later one by more than this, and more than twice as
long, did something else too; seconds."""


def describe_usage(
    case: RowCase, latency_s: float, pictures: int | None, *, videos: int = 0
) -> Mapping[str, Any] | None:
    """Put together what ``Result.telemetry`` holds; None if nothing is known.

    Args:
        case: the row.
        latency_s: its median latency, seconds.
        pictures: number of pictures, or of frames, of one generation; None if that is unknown.
        videos: number of videos that these are the frames of; 0 for pictures.
    """
    from pytest_sdspeed.judge.rates import compute_rates
    from pytest_sdspeed.measure.telemetry import summarize_telemetry

    profile, setup = case.data.profiles.get(case.candidate.name), case.candidate.setup
    # The profile is that of a whole call.
    whole = setup is None or setup.recipe.of_call
    known = profile if whole else None
    asked = compute_rates(known, latency_s, _find_ceiling_flops_s(case)) if known else {}
    told = summarize_telemetry(case.data, case.candidate.name, pictures, videos=videos)
    return {**asked, **told} or None


def describe_unknowns(case: RowCase) -> Iterator[str]:
    """Yield notes on setting up, on what the device does not tell, and on blocks measured again."""
    data, profile = case.data, case.data.profiles.get(case.candidate.name)
    seeded = case.candidate.setup is not None
    yield from _list_set_up_notes(data, case.candidate.name, seeded=seeded)
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


def _list_set_up_notes(data: CampaignData, name: str, *, seeded: bool) -> Iterator[str]:
    """Yield a note if an arm's first generation took much longer than its later ones.

    Args:
        data: what the campaign measured.
        name: name of the arm.
        seeded: whether the arm draws what it is asked for, and was asked for several cases.
    """
    taken = data.warm_up_s.get(name, (0.0,))
    beyond = taken[0] - min(taken)
    if beyond > max(_NOTEWORTHY_S, min(taken)):
        traced = f", or under {data.traced}, which sees no later one" if data.traced else ""
        yield (
            f"its first generation took {beyond:.1f} s more than a later one, to compile, capture"
            f" or tune{traced}: no slot includes it"
        )
    timed = [seconds for pair in data.samples_s.get(name, ()) for seconds in pair]
    rest_s = statistics.median(timed) if timed else 0.0
    # The last case of the warm-up is new to an arm that draws what it is asked for, and compiled.
    first_s = taken[-1] if seeded else taken[0]
    traced_first = (
        f". It ran under {data.traced}, which slows Python too"
        if data.traced and not seeded
        else ""
    )
    if rest_s and first_s / rest_s >= _MEMO_FACTOR:
        yield (
            f"its first call took {float(f'{first_s / rest_s:.0e}'):.0f} times as long as the rest"
            f" ({_format_seconds(first_s)}, then {_format_seconds(rest_s)}): compiling does that,"
            " and so does a memo or a cache that answers the later calls: no new input is that fast"
            f"{traced_first}"
        )


def _format_seconds(seconds: float) -> str:
    """Format ``8.1 ms`` in the unit that leaves one to three digits before the point."""
    unit, scale = next((unit for unit in _UNITS if seconds >= unit[1]), _UNITS[-1])
    return f"{seconds / scale:.3g} {unit}"
