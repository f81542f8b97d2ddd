"""Numbers where an unknown one is NaN in memory, and null in JSON and SQL."""

from __future__ import annotations

import math


def finite_or_none(value: float) -> float | None:
    """Return a number as strict JSON can hold it: None if it is not finite."""
    return float(value) if math.isfinite(value) else None


def number_or_nan(value: float | None) -> float:
    """Return a number that ``finite_or_none`` made: NaN for None."""
    return math.nan if value is None else float(value)
