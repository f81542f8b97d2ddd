"""The least time in which a device could do an account."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The least time in which a device could do what an account asks for; all in seconds.

    Attributes:
        device: name of the device, as published.
        certain_s: no implementation of the same arithmetic takes less: see ``dry.limits``. None if
            the device, or its speed for a type, is not published.
        arithmetic_s: the floating-point operations at the published rates of their types.
        traffic_s: all bytes that the operations read and write, at the published bandwidth.
        limit_s: operation by operation the larger of the two. Fused operations, and data that stay
            in a cache between two, take less.
        host_s: what the host takes to start the operations one by one, about. It is part of no
            limit: CUDA graphs start them all at once.
        reason: why there is none, or "".
    """

    device: str
    certain_s: float | None = None
    arithmetic_s: float | None = None
    traffic_s: float | None = None
    limit_s: float | None = None
    host_s: float = 0.0
    reason: str = ""
