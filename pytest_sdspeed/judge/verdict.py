"""One verdict out of speed, pictures, memory, the A/A control and the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_sdspeed.judge.pictures.gate import ImageJudgement
    from pytest_sdspeed.model import Interval, Verdict


def combine_verdicts(
    speed: Verdict,
    pictures: ImageJudgement | None,
    control: Interval | None,
    *,
    memory: str = "",
    throttled: str = "",
) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict of a row, with what decided it apart from its speed.

    Wrong pictures and too much memory fail whatever the machine did to the timing. A GPU that
    throttled too often, or a control that excludes 1, which says that the same work took different
    times, leave no speed verdict of the campaign to be trusted.

    Args:
        speed: what the looks decided.
        pictures: their judgement, or None if there was nothing to judge.
        control: the A/A control's interval, or None if it could not be formed.
        memory: why the row needs too much of it, or "".
        throttled: why throttling ended the campaign, or "".

    Returns:
        The verdict, and the reasons in words; a powerless picture gate is a reason without being a
        failure.
    """
    said = (*(pictures.reasons if pictures else ()), *filter(None, (memory,)))
    if memory or (pictures and pictures.verdict == "fail"):
        return "fail", said
    broken = [throttled] if throttled else []
    if control is not None and control.excludes_one:
        broken.append(f"A/A control {control:.3f} excludes x1: equal work took unequal time")
    return ("invalid", (*broken, *said)) if broken else (speed, said)
