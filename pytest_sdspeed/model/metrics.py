"""Metrics of pictures that users register."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureMetric:
    """A metric of one's own, on which gates may put a bound by its name.

    Attributes:
        name: lower case letters, digits and underscores.
        function: called with one picture of the candidate and the baseline's, float32 (H, W, 3) in
            [0, 1], new at every call; returns a number. Of several pictures the worst counts.
        more_is_better: whether a bound is the least that passes; else it is the most.
        format: how a value is said, with one pair of braces: ``LPIPS {:.3f}``.
    """

    name: str
    function: Callable[[Any, Any], float]
    more_is_better: bool = False
    format: str
