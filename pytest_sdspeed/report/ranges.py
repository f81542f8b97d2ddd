"""What picture metrics are over several cases and outputs, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_sdspeed.model import Result

_RANGES = (
    ("psnr", "PSNR", 1, " dB"),
    ("ssim", "SSIM", 3, ""),
    ("mae", "mean difference", 4, ""),
    ("flip", "FLIP", 3, ""),
)
"""Picture metrics whose ranges are told: name, word, digits, unit."""


def describe_ranges(result: Result) -> str:
    """Describe what picture metrics are over several cases and outputs; "" for a single one.

    ``PSNR 38.1 to 45.2 dB, SSIM 0.981 to 0.993 over 3 cases and outputs``
    """
    known = {name: found for name, found in result.image_ranges.items() if found.count > 1}
    parts = [
        f"{word} {known[name].low:.{digits}f} to {known[name].high:.{digits}f}{unit}"
        for name, word, digits, unit in _RANGES
        if name in known
    ]
    most = max((found.count for found in known.values()), default=0)
    return f"{', '.join(parts)} over {most} cases and outputs" if parts else ""


def list_ranges(results: Iterable[Result]) -> list[tuple[str, str]]:
    """List the setups of which ``describe_ranges`` says something, and what it says."""
    said = ((result.setup, describe_ranges(result)) for result in results)
    return list(dict.fromkeys((setup, words) for setup, words in said if words))
