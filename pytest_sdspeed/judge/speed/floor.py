"""The floor of a row: the least speed-up that passes."""

from __future__ import annotations


def find_floor(
    speedup: float, tolerance: float, tolerance_s: float | None, baseline_s: float
) -> float:
    """Return the least speed-up that passes, with bounds in percent and in seconds.

    A row fails only if it is slower than it should be by more than both allow. It should take
    ``l = baseline_s / speedup``, and may take the longer of ``l / (1 - tolerance)`` and
    ``l + tolerance_s``: the floor is ``baseline_s`` over that.

    The baseline's latency is that of the same blocks. A disturbance that both share moves this
    floor by a small part of what it moves the latency: at most ``tolerance_s / (l + tolerance_s)``
    of it. So the error rates are those of a fixed floor.

    Args:
        speedup: expected speed-up.
        tolerance: fraction of it that may be missing.
        tolerance_s: seconds by which the row may take longer, or None.
        baseline_s: latency of the baseline, seconds; NaN if it is unknown.
    """
    least = speedup * (1 - tolerance)
    # Of a baseline that is not known, NaN, nothing is allowed in seconds.
    if not tolerance_s or not baseline_s > 0:
        return least
    return min(least, baseline_s / (baseline_s / speedup + tolerance_s))
