"""Could the bias that the A/A control shows turn a row's verdict?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.judge.speed.intervals import decide

if TYPE_CHECKING:
    from pytest_sdspeed.model import Interval


def find_bias(control: Interval | None) -> float:
    """Return the greatest bias that a broken A/A control admits, as a factor; 1.0 if it holds.

    It is the end of the control's interval that is further from 1: ``max(high, 1 / low)``. Which of
    the baseline's pairs is the slower one does not matter, since a row's slots may lie like either.

    Args:
        control: the control's interval, or None if there is none.
    """
    if control is None or not control.excludes_one:
        return 1.0
    return max(control.high, 1 / control.low)


def withstands_bias(measured: Interval, floor: float | None, control: Interval | None) -> bool:
    """Tell whether what the interval says about the floor is the same under every bias.

    With the bias ``b`` of ``find_bias`` the true speed-up may be anything from the measured one
    over ``b`` to the measured one times ``b``. "pass" stands if ``low / b > floor``, "fail" if
    ``high * b < floor``, and undecided stays so if neither ``low * b > floor`` nor ``high / b <
    floor``. A row without a floor has nothing to turn.

    It assumes that a row's ratio is distorted by no more than the control's. The control is the log
    difference of the baseline's outer and inner slots, the row's that of the mean of both and the
    candidate's slots: if these are disturbed like the outer ones, or like the inner ones, the
    row's bias is half of the control's. The other half is a margin, for blocks that happen to put
    a row at the places that are slow. What an arm leaves behind for the next one (heat, caches)
    may distort a row more than the control; that is in the study ``slot order`` of
    ``benchmarks/studies/gate_power.py``, with the wrong verdicts under all of it.

    Args:
        measured: the row's speed-up with its interval.
        floor: its least speed-up, a ratio above 0, or None.
        control: the control over the same blocks or more, or None if there is none: then no bias
            is known, and ``run.judging`` lets no verdict stand.
    """
    bias = find_bias(control)
    if floor is None:
        return True
    said = decide(measured, floor)
    return all(decide(measured, floor * factor) == said for factor in (bias, 1 / bias))
