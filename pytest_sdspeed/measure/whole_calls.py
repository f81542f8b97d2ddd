"""Whole calls after blocks by stages: do they take what their stages add up to?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.judge.speed.blocks import latencies
from pytest_sdspeed.judge.speed.whole_calls import (
    LEAST_CALLS,
    compare_whole_calls,
    count_palindromes,
    estimate_sum_error,
    withstands_whole_calls,
)
from pytest_sdspeed.measure.campaign_data import Progress
from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_sdspeed.judge.speed.whole_calls import WholeCalls
    from pytest_sdspeed.measure.campaign_data import Decision
    from pytest_sdspeed.measure.contrasts import Samples
    from pytest_sdspeed.measure.roster import Roster
    from pytest_sdspeed.measure.slot_timer import SlotTimer
    from pytest_sdspeed.model import Case

    Compared = tuple[tuple[str, str], Decision]
    """Two arms, the one whose speed-up is asked for first, and what was decided about it."""


def draw_whole_calls(
    roster: Roster,
    timer: SlotTimer,
    case: Case,
    watch: Callable[[Progress], None],
    *,
    compared: Sequence[Compared],
    samples_s: Samples,
    has_time: Callable[[], bool] = lambda: True,
) -> dict[str, list[float]]:
    """Time whole calls of all arms, in palindromes, and in more while they may turn a verdict.

    They may if they do, or if it is their noise alone that hides it.

    Args:
        roster: the arms that are left.
        timer: generates.
        case: what it draws.
        watch: called before every call.
        compared: what was decided by stages, about rows that have a floor and about contrasts.
        samples_s: arm -> [first, second] call of every block, put together, seconds.
        has_time: tells whether there is time for one more palindrome than the first.

    Returns:
        Arm -> seconds of its whole calls.
    """
    found: dict[str, list[float]] = {}
    blocks = [one.blocks for _, one in compared if one.verdict != "inconclusive"]
    least, most = count_palindromes(max(blocks, default=0))
    for drawn in range(most):
        if drawn and not has_time():
            break
        half = roster.remaining
        for arm in (*half, *reversed(half)):
            if arm.name in roster.errors or roster.ended:
                continue
            watch(Progress(phase="whole call", arm=arm.name))
            timed = timer.generate(arm, case)
            if timed is not None:
                found.setdefault(arm.name, []).append(timed.duration_s)
        enough = drawn + 1 >= least
        if roster.ended or (enough and _agree(roster.baseline.name, compared, samples_s, found)):
            break
    return found


def _agree(
    baseline: str,
    compared: Sequence[Compared],
    samples_s: Samples,
    whole_s: Mapping[str, list[float]],
) -> bool:
    """Tell whether every verdict is the same by whole calls, whatever their noise hides."""
    for arms, decision in compared:
        found = compare_arms(whole_s, samples_s, decision.blocks, arms, baseline=baseline)
        if found is None:
            continue
        for one in (found, found._replace(excess=found.doubt)):
            if not withstands_whole_calls(decision.interval, decision.floor, one):
                return False
    return True


def compare_arms(
    whole_s: Mapping[str, Sequence[float]],
    samples_s: Mapping[str, Sequence[tuple[float, float]]],
    blocks: int,
    arms: tuple[str, str],
    *,
    baseline: str,
) -> WholeCalls | None:
    """Compare whole calls of two arms with the sums of their stages, see ``compare_whole_calls``.

    Args:
        whole_s: arm -> seconds of its whole calls.
        samples_s: arm -> [first, second] call of every block, put together, seconds.
        blocks: how many blocks count.
        arms: the one whose speed-up is asked for, and the one that it is compared with.
        baseline: name of the campaign's baseline, whose second pairs are the control's.

    Returns:
        What they say; None if either has fewer than two whole calls.
    """
    ours, theirs = (whole_s.get(arm, ()) for arm in arms)
    if min(len(ours), len(theirs)) < LEAST_CALLS:
        return None
    counted = {arm: pairs[:blocks] for arm, pairs in samples_s.items()}
    our_sum_s, their_sum_s = (latencies(counted, arm, baseline)[0] for arm in arms)
    pairs = 2 if baseline in arms else 1
    error = estimate_sum_error(counted[baseline], counted[CONTROL], pairs)
    return compare_whole_calls(ours, our_sum_s, theirs, their_sum_s, sum_error=error)
