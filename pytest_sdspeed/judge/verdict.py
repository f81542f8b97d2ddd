"""One verdict out of speed, pictures, memory, the A/A control and the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.judge.pictures.gate import ImageJudgement
    from pytest_sdspeed.model import Interval, Verdict


def combine_verdicts(
    speed: Verdict,
    pictures: ImageJudgement | None,
    control: Interval | None,
    *,
    memory: str = "",
    costs: Sequence[str] = (),
    doubts: Sequence[str] = (),
    throttled: str = "",
    withstands: bool | None = None,
) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict of a row, with what decided it apart from its speed.

    Wrong pictures, too much memory and too slow a start fail whatever the machine did to the
    timing. A GPU that throttled too often leaves no speed verdict of the campaign to be trusted. A
    control that excludes 1 says that the same work took different times, which leaves those that
    this bias could not turn.

    Args:
        speed: what the looks decided.
        pictures: their judgement, or None if there was nothing to judge.
        control: the A/A control's interval, or None if it could not be formed.
        memory: why the row needs too much of it, or "".
        costs: why it costs more than documented in other ways.
        doubts: why it cannot pass, though nothing shows that it fails.
        throttled: why throttling ended the campaign, or "".
        withstands: whether the verdict on the speed is the same under every bias that the control
            shows, see ``speed.bias.withstands_bias``; False without a control too, if there is
            something to turn. None if that was not asked: then it is for no broken control.

    Returns:
        The verdict, and the reasons in words; a powerless picture gate is a reason without being a
        failure.
    """
    over = (*filter(None, (memory,)), *costs)
    said = (*(pictures.reasons if pictures else ()), *over, *doubts)
    if over or (pictures and pictures.verdict == "fail"):
        return "fail", said
    broken = [throttled] if throttled else []
    if control is None and withstands is False:
        broken.append("no A/A control: nothing tells whether equal work takes equal time")
    elif control is not None and control.excludes_one and not withstands:
        broken.append(f"A/A control {control:.3f} excludes x1: equal work took unequal time")
    if broken:
        return "invalid", (*broken, *said)
    return "inconclusive" if doubts and speed == "pass" else speed, said
