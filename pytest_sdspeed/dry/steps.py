"""The steps and stages of a generation, from what its schedulers and parts did."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.dry.ledger import Ledger, Mark

_DENOISERS = ("unet", "transformer", "controlnet", "denoiser", "prior.")
_TEXT_ENCODERS = ("text_encoder", "image_encoder")


@dataclass(frozen=True, slots=True)
class Steps:
    """The denoising steps.

    Attributes:
        count: how many there are.
        intervals: (index of the first event, index after the last) from the end of each step to the
            end of the next: one round of the loop, in steady state.
    """

    count: int
    intervals: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class _Loop:
    """A denoising loop.

    Attributes:
        leader: identity of the scheduler that steps first in each round.
        rounds: (index after the leader's step, index after the last step of any) of each round.
        followers: other scheduler that stepped in this round -> index after its step.
    """

    leader: int
    rounds: list[tuple[int, int]]
    followers: dict[int, int] = field(default_factory=dict)


def find_steps(marks: Sequence[tuple[int, Mark, int]]) -> Steps:
    """Find the denoising steps.

    A loop has one scheduler that leads. Others that step in its rounds, once each, belong to the
    round; one that steps twice without it leads a loop of its own. A new schedule begins a loop.

    Args:
        marks: (index of the next event, what a scheduler did, which one), in order.
    """
    loops: list[_Loop] = []
    running: _Loop | None = None
    for index, mark, scheduler in marks:
        if mark == "schedule":
            running = None
        elif running is None:
            running = _start(loops, scheduler, index)
        elif scheduler == running.leader:
            running.rounds.append((index, index))
            running.followers.clear()
        elif scheduler in running.followers:
            running = _take_over(loops, running, scheduler, index)
        else:
            running.followers[scheduler] = index
            running.rounds[-1] = (running.rounds[-1][0], index)
    return Steps(
        sum(len(loop.rounds) for loop in loops),
        tuple((before[1], after[1]) for loop in loops for before, after in pairwise(loop.rounds)),
    )


def _start(loops: list[_Loop], scheduler: int, *ends: int) -> _Loop:
    loops.append(_Loop(scheduler, [(end, end) for end in ends]))
    return loops[-1]


def _take_over(loops: list[_Loop], before: _Loop, scheduler: int, index: int) -> _Loop:
    """Start the loop of a scheduler that was thought to follow in the last round of another."""
    first = before.followers[scheduler]
    before.rounds[-1] = (before.rounds[-1][0],) * 2
    return _start(loops, scheduler, first, index)


def find_stages(ledger: Ledger) -> Mapping[str, tuple[int, int]]:
    """Find the stages of a generation, as (index of the first event, index after the last).

    Text encoding ends before the first denoiser, denoising with the last step of a scheduler, and
    decoding follows. What none of them owns is in no stage.
    """
    denoising = [span for span in ledger.spans if span[0].startswith(_DENOISERS)]
    if not denoising:
        return {}
    start = min(span[1] for span in denoising)
    ends = [index for index, mark, _ in ledger.marks if mark == "step"]
    end = max([*ends, *(span[2] for span in denoising)])
    stages: dict[str, tuple[int, int]] = {}
    text = [
        span for span in ledger.spans if span[0].startswith(_TEXT_ENCODERS) and span[2] <= start
    ]
    if text:
        stages["text_encoder"] = (min(span[1] for span in text), max(span[2] for span in text))
    stages["denoising"] = (start, end)
    decoding = [span for span in ledger.spans if "decode" in span[0] and span[1] >= end]
    if decoding:
        first, last = min(span[1] for span in decoding), max(span[2] for span in decoding)
        stages["decoding"] = (first, last)
    return stages
