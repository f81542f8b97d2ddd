"""The steps and stages of a generation, from what its schedulers and parts did."""

from __future__ import annotations

from dataclasses import dataclass
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


def find_steps(marks: Sequence[tuple[int, Mark, int]]) -> Steps:
    """Find the denoising steps.

    A loop has one scheduler that leads. Others that step in its rounds, once each, belong to the
    round; one that steps twice without it leads a loop of its own. A new schedule begins a loop.

    Args:
        marks: (index of the next event, what a scheduler did, which one), in order.
    """
    count = 0
    intervals: list[tuple[int, int]] = []
    leader = 0
    last: int | None = None
    followers: set[int] = set()
    for index, mark, scheduler in marks:
        if mark == "schedule":
            if scheduler == leader:
                leader, last = 0, None
            continue
        if leader and scheduler != leader and scheduler not in followers:
            followers.add(scheduler)
            continue
        if scheduler == leader and last is not None:
            intervals.append((last, index))
        leader, last, followers = scheduler, index, set()
        count += 1
    return Steps(count, tuple(intervals))


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
