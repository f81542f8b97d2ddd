"""Stored forms of figures and intervals: builtins only, what is unknown is None."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from pytest_sdspeed.model import Interval
from pytest_sdspeed.model.numbers import finite_or_none, number_or_nan

if TYPE_CHECKING:
    from collections.abc import Mapping


def store_numbers(figures: Mapping[str, float]) -> dict[str, float | None]:
    """Return the stored form of figures by name: unknown is None."""
    return {name: finite_or_none(value) for name, value in figures.items()}


def read_numbers(stored: Mapping[str, float | None]) -> dict[str, float]:
    """Return figures by name; what is unknown is NaN."""
    return {name: number_or_nan(value) for name, value in stored.items()}


def store_interval(found: Interval) -> dict[str, float | None]:
    """Return the stored form of an interval: its figures by name, unknown is None."""
    return store_numbers(asdict(found))


def read_interval(stored: Mapping[str, float | None]) -> Interval:
    """Return the interval that a stored form stands for."""
    return Interval(*(number_or_nan(stored[name]) for name in ("speedup", "low", "high")))
