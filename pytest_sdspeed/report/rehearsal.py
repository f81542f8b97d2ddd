"""A rehearsal in words: what was drawn at toy size, whose speed is not judged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.model import Rehearsal, Result

COLUMNS = ("setup", "drawn in", "speed-up", "pictures", "nearest other case", "verdict")
NOT_JUDGED = "speed is not judged"


def format_row(result: Result, found: Rehearsal, compared: str) -> tuple[str, ...]:
    """Format a result as the cells of ``COLUMNS``.

    Args:
        result: result of the row.
        found: what its rehearsal found.
        compared: picture metrics in words.
    """
    passed = result.is_baseline and result.verdict == "pass"
    return (
        result.name,
        "?" if math.isnan(found.drawn_s) else f"{found.drawn_s:.1f} s",
        "-",
        compared,
        f"{found.nearest}, PSNR {result.image['control_psnr']:.0f}" if found.nearest else "",
        "-" if passed else result.verdict,
    )


def describe_circumstances(results: Sequence[Result]) -> str:
    """Describe what was drawn, and where: ``tiny random weights on AMD EPYC, ...``."""
    weights = dict.fromkeys(_WEIGHTS.get(result.weights or "", "") for result in results)
    drawn = " and ".join(filter(None, weights)) or "unknown weights"
    return f"{drawn} on {results[0].device}, {NOT_JUDGED}"


_WEIGHTS = {"tiny": "tiny random weights", "embedded": "the embedded weights"}


def describe_finding(result: Result, compared: str) -> str:
    """Describe what was drawn of a row, for its message.

    Args:
        result: result of the row.
        compared: picture metrics in words.
    """
    over = "" if result.is_baseline else f" beside {result.baseline}"
    said = f": {compared}" if compared else ""
    table = f" of table {result.table!r}" if result.table else ""
    return f"{result.setup}{table}, rehearsed{over} with {describe_circumstances([result])}{said}."
