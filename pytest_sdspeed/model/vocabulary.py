"""The words that every room uses: verdicts, causes, reserved names."""

from __future__ import annotations

from typing import Literal

Verdict = Literal["pass", "fail", "inconclusive", "invalid"]
ImageVerdict = Literal["pass", "fail", "powerless"]
Relation = Literal["same_weights", "approximation", "other_autoencoder", "other_weights"]
"""What a candidate shares with its baseline: weights and all that is computed but for rounding; the
weights alone, so that its pictures are close and never equal; all but the autoencoder; nothing."""
Cause = Literal["code", "machine", "stack", "improvement", "none"]
BASELINE = "baseline"
CONTROL = "control"
MINIATURE = "miniature"
HOST_BOUND_UNDER = 0.7
"""Share of the time a GPU must be busy not to be held up by its host."""
MIG = " MIG "
"""Stands in the name of a slice of a GPU: ``NVIDIA H200 MIG 1g.18gb``."""
