"""What a latency is of: a whole call, measured as one or by stages, or a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Unit = Literal["call", "stage", "denoising", "denoiser", "decode"]
"""What a latency is of."""
UNITS: Mapping[Unit, str] = {
    "call": "a whole call",
    "stage": "a whole call, measured by stages",
    "denoising": "the denoising loop",
    "denoiser": "one forward of the denoiser",
    "decode": "one decoding of latents",
}
"""Unit -> what it is, in words."""
OF_CALL = ("call", "stage")
"""Units whose latencies are of whole calls, however they are measured."""
