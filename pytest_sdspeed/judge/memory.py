"""Does it need as little memory as documented?"""

from __future__ import annotations

from typing import NamedTuple

_GIB = 2**30
INEXACT = {
    "cpu": "on a CPU peaks are lower bounds",
    "mps": "on MPS torch tells what its pools hold, not what tensors need",
}
"""Kind of device -> why peaks on it are not exact; on others they are."""


class MemoryJudgement(NamedTuple):
    """What became of a bound on peak memory.

    Attributes:
        share: share of the baseline's peak, or None if one is unknown.
        reason: why the row fails, or "".
        note: why the bound was not judged, or "".
    """

    share: float | None
    reason: str = ""
    note: str = ""


def judge_memory(
    peak: int | None,
    baseline_peak: int | None,
    bound: float | None,
    *,
    exact: bool = True,
    kind: str = "cpu",
) -> MemoryJudgement:
    """Hold a row's peak memory against its baseline's.

    Args:
        peak: peak memory of the row, bytes, or None if the platform does not tell.
        baseline_peak: peak memory of its baseline.
        bound: greatest share of the baseline's peak, or None for no bound.
        exact: whether peaks are exact; others are not compared.
        kind: kind of the device, which says why they are not.
    """
    if not exact:
        return MemoryJudgement(
            None,
            note=("" if bound is None else f"the bound on memory was not judged: {INEXACT[kind]}"),
        )
    if peak is None or not baseline_peak:
        return MemoryJudgement(
            None,
            note="" if bound is None else "the bound on memory was not judged: the peak is unknown",
        )
    share = peak / baseline_peak
    if bound is None or share <= bound:
        return MemoryJudgement(share)
    sizes = f"{peak / _GIB:.2f} of {baseline_peak / _GIB:.2f} GiB"
    return MemoryJudgement(
        share,
        reason=(
            f"it needs {share:.1%} of its baseline's peak memory ({sizes}), at most {bound:.1%} is"
            " documented"
        ),
    )
