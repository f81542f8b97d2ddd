"""How much a row asked of its device, and how far that is from what the device is able to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.model import Profile

_TERA = 1e12


def compute_rates(
    profile: Profile, latency_s: float, ceiling_flops_s: float | None
) -> Mapping[str, float | int | None]:
    """Compute busy share, work and rates of one generation; None is unknown.

    Args:
        profile: what was counted in one generation.
        latency_s: median of the timed ones, seconds. The share and the rates are of this time: the
            profiled generation is but one, and the profiler slows its host.
        ceiling_flops_s: FLOPs a second of a large matrix product in the row's precision on this
            device, or None.

    Returns:
        ``busy_share`` of the time, in which the GPU worked, 1 at most; ``flops`` of one generation;
        ``tflops`` and ``ceiling_tflops``, 10^12 FLOPs a second; and ``ceiling_share``, the one over
        the other.
    """
    known = latency_s > 0
    rate = profile.flops / latency_s if known and profile.flops is not None else None
    return {
        "busy_share": min(1.0, profile.busy_s / latency_s)
        if known and profile.busy_s is not None
        else None,
        "flops": profile.flops,
        "tflops": None if rate is None else rate / _TERA,
        "ceiling_tflops": None if ceiling_flops_s is None else ceiling_flops_s / _TERA,
        "ceiling_share": None
        if rate is None or ceiling_flops_s is None
        else rate / ceiling_flops_s,
    }
