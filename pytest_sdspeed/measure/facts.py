"""What goes into a campaign and what comes out of it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.model import Interval, Verdict


def _ready() -> None:
    """An arm that needs no preparation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What is measured.

    Attributes:
        name: unique within the campaign.
        generate: called with the seed of the pictures; returns them, or None.
        slot: context held around every generation, outside the timed region.
        floor: least speed-up that passes, or None for an arm no gate holds.
        prepare: builds what ``generate`` needs; called once, before any arm's warm-up.
        held_bytes: memory the prepared arm holds between generations.
    """

    name: str
    generate: Callable[[int], Any]
    slot: Callable[[], AbstractContextManager[Any]] = nullcontext
    floor: float | None = None
    prepare: Callable[[], None] = _ready
    held_bytes: Callable[[], int] = int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a campaign may spend.

    Attributes:
        budget_s: wall-clock seconds of the timed part.
        max_blocks: most blocks.
        seed: of the block order, and first seed of the pictures.
        rows: how many rows of the whole run could still fail; they share the error of "fail".
        campaigns: how many campaigns the run has; they share the error of the A/A control.
    """

    budget_s: float = 300.0
    max_blocks: int = 20
    seed: int = 0
    rows: int = 1
    campaigns: int = 1

    @property
    def picture_seeds(self) -> tuple[int, int]:
        """Seeds of the warm-up pictures; the timed slots use the last."""
        return (self.seed + 1, self.seed)


@dataclass(frozen=True, slots=True)
class Slot:
    """One timed generation: whose, in which block, when it began (seconds into the timed part) and how long it took."""

    arm: str
    block: int
    start_s: float
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the looks decided about one arm.

    Attributes:
        verdict: ``inconclusive`` where no look decided; ``pass`` for an arm without floor.
        interval: at the deciding look, or the last.
        blocks: blocks measured.
        more_blocks: how many more would decide, None where decided or where no number would.
        resolves: how far from its floor a speed-up must be for the planned blocks to decide it at this noise, as a fraction; None where they
            bring no look.
    """

    verdict: Verdict
    interval: Interval
    blocks: int
    more_blocks: int | None
    resolves: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignRecord:
    """Everything a campaign found.

    Attributes:
        baseline: name of the baseline arm; its second pair of slots is stored under ``model.CONTROL``.
        samples_s: arm -> [first, second] slot of every block, seconds.
        slots: every timed slot in order.
        pictures: arm -> seed -> what the arm returned.
        decisions: arm -> decision, for the arms that were measured.
        errors: arm -> what it raised; such an arm left the campaign.
        peak_bytes: arm -> what the arm holds and the most a warm-up generation needed beside it, or None where the platform does not tell.
        control: the A/A control, or None with fewer than two blocks.
        looks: the block counts at which rows could be decided; planned_blocks: how many the budget allowed, fixed before the first.
        block_s: seconds one block was expected to take.
        timed_s: wall-clock seconds of the timed part.
        seed: of the pictures that the timed slots drew.
    """

    baseline: str
    samples_s: Mapping[str, list[tuple[float, float]]]
    slots: tuple[Slot, ...]
    pictures: Mapping[str, Mapping[int, Any]]
    decisions: Mapping[str, Decision]
    errors: Mapping[str, Exception]
    peak_bytes: Mapping[str, int | None]
    control: Interval | None
    looks: tuple[int, ...]
    block_s: float
    timed_s: float
    planned_blocks: int = 0
    seed: int = 0

    @property
    def overhead(self) -> float:
        """Fraction by which the timed part exceeds the sum of its slots."""
        inside = sum(slot.duration_s for slot in self.slots)
        return self.timed_s / inside - 1 if inside else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a campaign stands, for whoever watches.

    Attributes:
        phase: ``warm-up`` or ``block``, or that another process measures.
        arm: about to run.
        block: number from 1; blocks: how many the plan allows.
        left_s: seconds left of the plan at the expected pace, None while unknown.
    """

    phase: str
    arm: str
    block: int = 0
    blocks: int = 0
    left_s: float | None = None
