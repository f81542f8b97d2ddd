"""One verdict out of speed, pictures and the A/A control."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_sdspeed.judge.images import ImageJudgement
    from pytest_sdspeed.model import Interval, Verdict


def combined(speed: Verdict, pictures: ImageJudgement | None, control: Interval | None) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict of a row, with what decided it apart from its speed.

    Wrong pictures fail whatever the machine did to the timing. A control that excludes 1 says that the same work took different times, so
    that no speed verdict of the campaign can be trusted.

    Args:
        speed: what the looks decided.
        pictures: their judgement, or None where there was nothing to judge.
        control: the A/A control's interval, or None where it could not be formed.

    Returns:
        The verdict, and the reasons in words; a powerless picture gate is a reason without being a failure.
    """
    said = pictures.reasons if pictures else ()
    if pictures and pictures.verdict == "fail":
        return "fail", said
    if control is not None and control.excludes_one:
        broken = f"A/A control x{control.speedup:.3f} [{control.low:.3f}, {control.high:.3f}] excludes x1: equal work took unequal time"
        return "invalid", (broken, *said)
    return speed, said
