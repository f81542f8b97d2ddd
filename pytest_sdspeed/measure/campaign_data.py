"""What goes into a campaign and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import UNREAD, Case, Profile, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.errors import SdSpeedError
    from pytest_sdspeed.judge.pictures.slots import ArmPictures
    from pytest_sdspeed.judge.speed.put_together import Sampling
    from pytest_sdspeed.judge.speed.stage_floors import StageVerdict
    from pytest_sdspeed.measure.time_limit import TimeLimit
    from pytest_sdspeed.model import Contrast, Interval, Proof, Verdict
    from pytest_sdspeed.model.campaign_plan import CampaignPlan
    from pytest_sdspeed.model.costs import Loaded
    from pytest_sdspeed.model.stages import Stages


def _prepare_nothing() -> None:
    """Do nothing for an arm that needs no preparation, or shares nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What is measured.

    Attributes:
        name: unique within the campaign.
        generate: called with what to draw; returns pictures, or None.
        slot: context held around every generation, outside the timed region.
        floor: least speed-up that passes, or None for an arm no gate holds.
        stage_floor: least ratio of every stage of it that passes, if it is measured by stages; None
            for an arm whose stages are held to nothing.
        floor_at: returns the floor that the baseline's latency, seconds, makes of it; None if the
            floor is the same at any.
        may_stop: asked whether a decided row may leave; while it may not it is measured on, and
            later looks may decide again. None lets it leave.
        prepare: builds what ``generate`` needs; called once, before any arm's warm-up.
        check: raises if anything that arms share is no longer what it was; called after the arm's
            warm-up, and after the timed part.
        held_bytes: memory the prepared arm holds between generations.
        loaded: memory that the prepared arm's weights take on the device, and what torch has taken
            from it for them, bytes, None for what is unknown; None for an arm without weights of
            its own.
        count_compiled: how many graphs torch has compiled in the arm's process so far, or None if
            that is unknown.
        reference: draws what the pictures are compared with in the baseline's place, or None; never
            timed.
        prove: generates once more, in a slot of its own, to see whether its optimizations act;
            called after the arm's warm-up. None if there is nothing to prove.
        timed: generates in another process, which times it: pictures and seconds. None:
            ``generate`` is timed here.
        profile: generates once or a few times more, in slots of its own, to see where the time
            goes; None if that is unknown.
        stages: returns what calls it by stages; may raise ``UnstageableError``. None if it has no
            stages that are known.
        draws_cases: whether ``generate`` draws what it is asked for. A callable of a user's cannot
            be asked: all of its slots count as slots of the case that is timed.
        identity: text that arms have in common which draw the same, or None if that is unknown.
    """

    name: str
    generate: Callable[[Case], Any]
    slot: Callable[[], AbstractContextManager[Any]] = nullcontext
    floor: float | None = None
    stage_floor: float | None = None
    floor_at: Callable[[float], float] | None = None
    may_stop: Callable[[Decision], bool] | None = None
    prepare: Callable[[], None] = _prepare_nothing
    check: Callable[[], None] = _prepare_nothing
    held_bytes: Callable[[], int] = int
    loaded: Callable[[], Loaded] | None = None
    count_compiled: Callable[[], int | None] = _prepare_nothing
    reference: Arm | None = None
    profile: Callable[[Case], Profile] | None = None
    prove: Callable[[Case], tuple[Proof, ...]] | None = None
    timed: Callable[[Case], tuple[Any, float]] | None = None
    stages: Callable[[], Stages] | None = None
    draws_cases: bool = True
    identity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a campaign may spend.

    Attributes:
        budget_s: wall-clock seconds of the timed part.
        max_blocks: most blocks.
        max_staged_blocks: most blocks by stages; None for as many.
        seed: seed of the block order, and first seed of the pictures.
        prompts: texts to draw once beside the arms' own.
        rows: how many rows of the whole run could still fail; they share the error of "fail".
        campaigns: how many campaigns the run has; they share the error of the A/A control.
        contrasts: how many contrasts of the whole run could still fail; they share an error of
            "fail" of their own.
        slot_s: seconds that a slot should have. If generations are shorter, and the budget
            leaves time, a block has as many palindromes more, and a slot is the median of their
            generations: noise longer than a palindrome falls on all arms alike, shorter on few.
        time_limit: when another plugin ends the test that measures, or None.
        steps: another number of denoising steps to draw once, or 0.
        timed: whether anything is timed. If not, the case that slots would draw is drawn twice.
        unit: what a slot is: ``call``, ``stage``, or ``auto`` for stages of calls that take long.
    """

    budget_s: float = 300.0
    max_blocks: int = 20
    max_staged_blocks: int | None = None
    seed: int = 0
    prompts: tuple[str, ...] = ()
    rows: int = 1
    campaigns: int = 1
    contrasts: int = 1
    slot_s: float = 0.0
    time_limit: TimeLimit | None = None
    steps: int = 0
    timed: bool = True
    unit: str = "call"

    @property
    def case(self) -> Case:
        """Return what the timed slots draw."""
        return Case(self.seed)

    @property
    def cases(self) -> tuple[Case, ...]:
        """Return what the warm-up draws.

        Another seed, the other prompts, other steps, and at last what the timed slots will draw.
        """
        return (
            Case(self.seed + 1),
            *(Case(self.seed, prompt) for prompt in self.prompts),
            *([Case(self.seed, steps=self.steps)] if self.steps else []),
            *([self.case] if self.timed else [self.case, self.case]),
        )


@dataclass(frozen=True, slots=True)
class Slot:
    """One timed generation.

    Attributes:
        arm: name of the arm.
        block: number of the block, from 1.
        start_s: when it began, seconds into the timed part.
        duration_s: how long it took, seconds.
        reading: what the device said right after it.
        energy_j: energy by the device's counter, joules, or None if that is unknown.
        inside_s: seconds that were measured of it, if it is put together from stages; else None.
    """

    arm: str
    block: int
    start_s: float
    duration_s: float
    reading: Reading = UNREAD
    energy_j: float | None = None
    inside_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageData:
    """What was measured by stages.

    Attributes:
        sampling: how many of the denoising steps of each call.
        samples_s: arm -> stage -> [first, second] call of every block, seconds of the stage; the
            control's calls are its own.
        whole_s: arm -> whole calls after the blocks, seconds.
        verdicts: arm -> stage -> what the looks decided about it, of the stages that are held.
    """

    sampling: Sampling
    samples_s: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]
    whole_s: Mapping[str, Sequence[float]] = field(default_factory=dict)
    verdicts: Mapping[str, Mapping[str, StageVerdict]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the looks decided about one arm.

    Attributes:
        verdict: ``inconclusive`` if no look decided; ``pass`` for an arm without floor.
        interval: interval at the deciding look, or the last.
        blocks: blocks measured.
        more_blocks: how many more would decide, None if decided or if no number would.
        minimum_detectable_effect: how far from its floor a speed-up must be for the planned blocks
            to decide it at this noise, as a fraction; None if they bring no look.
        floor: least speed-up that passes, by the baseline's latency in these blocks; None for an
            arm without floor.
    """

    verdict: Verdict
    interval: Interval
    blocks: int
    more_blocks: int | None
    minimum_detectable_effect: float | None
    floor: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignData:
    """Everything a campaign found.

    Attributes:
        baseline: name of the baseline arm; its second pair of slots is stored under
            ``model.CONTROL``.
        samples_s: arm -> [first, second] slot of every block, seconds a generation.
        slots: every timed generation in order, but those of discarded blocks.
        discarded: the slots of each block that was discarded since the GPU throttled in it.
        throttled: why throttling ended the campaign, or "".
        unusable: why nothing more can be measured on the device, or None.
        telemetry_note: why the device told nothing of itself, or "".
        tracers: what slowed the slots and could not be kept out of them, a clause each.
        cut_short: what ended the campaign before its budget, and what to set, or "".
        traced: the tracer or profiler that saw the first generation of every arm, or "".
        load: what else used the processors meanwhile, in words, or "".
        pictures: arm -> what it returned in all of its slots, kept by value.
        references: arm -> what its reference returned, for the arms that have one.
        decisions: arm -> decision, for the arms that were measured.
        errors: arm -> what it raised; such an arm left the campaign.
        peak_bytes: arm -> what the arm holds and the most a warm-up generation needed beside it, or
            None if the platform does not tell.
        loaded: arm -> its memory after loading, for the arms that tell.
        warm_up_s: arm -> its warm-up generations in order, seconds; the first holds what compilers
            and autotuners take.
        compiled: arm -> how many graphs torch compiled in each of these generations, for the arms
            of which that is known.
        control: the A/A control, or None with fewer than two blocks.
        looks: the block counts at which rows could be decided; planned_blocks: how many the budget
            allowed, fixed before the first.
        repeats: palindromes of a block.
        block_s: seconds one block was expected to take.
        timed_s: wall-clock seconds of the timed part.
        case: what the timed slots drew.
        canary_s: operation -> its times right before and right after the timed part, seconds, if
            it has both.
        canary_errors: operation -> why it lacks one.
        profiles: arm -> where a generation's time goes, for the arms that have a profile and did
            not raise.
        proofs: arm -> what was seen of its optimizations, for the arms that had something to prove.
        contrasts: two rows that a claim compares -> what the looks decided about their ratio.
        stages: what was measured by stages, or None if the slots were whole calls.
        unstaged: why they were whole calls although stages were asked for, or "".
    """

    baseline: str
    samples_s: Mapping[str, list[tuple[float, float]]]
    slots: tuple[Slot, ...]
    pictures: Mapping[str, ArmPictures]
    decisions: Mapping[str, Decision]
    errors: Mapping[str, Exception]
    peak_bytes: Mapping[str, int | None]
    control: Interval | None
    looks: tuple[int, ...]
    block_s: float
    timed_s: float
    planned_blocks: int = 0
    repeats: int = 1
    case: Case = field(default_factory=lambda: Case(0))
    references: Mapping[str, ArmPictures] = field(default_factory=dict)
    canary_s: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    canary_errors: Mapping[str, Exception] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    loaded: Mapping[str, Loaded] = field(default_factory=dict)
    proofs: Mapping[str, tuple[Proof, ...]] = field(default_factory=dict)
    warm_up_s: Mapping[str, Sequence[float]] = field(default_factory=dict)
    compiled: Mapping[str, Sequence[int]] = field(default_factory=dict)
    discarded: tuple[tuple[Slot, ...], ...] = ()
    throttled: str = ""
    unusable: SdSpeedError | None = None
    telemetry_note: str = ""
    tracers: tuple[str, ...] = ()
    traced: str = ""
    cut_short: str = ""
    load: str = ""
    contrasts: Mapping[Contrast, Decision] = field(default_factory=dict)
    stages: StageData | None = None
    unstaged: str = ""

    @property
    def starts_s(self) -> dict[str, list[tuple[float, float]]]:
        """Return when the slots of ``samples_s`` began, seconds into the timed part.

        A slot of several generations begins with its first.
        """
        begun: dict[str, dict[int, list[float]]] = {name: {} for name in self.samples_s}
        for slot in self.slots:
            begun[slot.arm].setdefault(slot.block, []).append(slot.start_s)
        # A block that an arm did not finish gave it no sample.
        whole = {
            name: [(pair[0], pair[1]) for pair in blocks.values() if len(pair) > 1]
            for name, blocks in begun.items()
        }
        return {name: pairs[: len(self.samples_s[name])] for name, pairs in whole.items()}

    @property
    def overhead(self) -> float:
        """Return the fraction by which the timed part exceeds the sum of all its slots."""
        inside = sum(
            slot.duration_s if slot.inside_s is None else slot.inside_s
            for slots in (self.slots, *self.discarded)
            for slot in slots
        )
        return self.timed_s / inside - 1 if inside else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a campaign is, for its watcher.

    Attributes:
        phase: ``build``, ``warm-up``, ``proof``, ``reference pictures``, ``canary``, ``plan``,
            ``block``, ``whole call`` or ``profile``, or that another process measures.
        arm: about to run; "" if it is none.
        block: number from 1; blocks: how many the plan allows.
        left_s: seconds left of the plan at the expected pace, None while unknown.
        plan: what the campaign will cost, in the phase ``plan``; else None.
    """

    phase: str
    arm: str = ""
    block: int = 0
    blocks: int = 0
    left_s: float | None = None
    plan: CampaignPlan | None = None


Watcher = Callable[[str], AbstractContextManager["Callable[[Progress], None]"]]


def ignore_progress(_progress: Progress) -> None:
    """Do nothing with what a campaign reports."""


def show_nothing(_campaign: str) -> AbstractContextManager[Callable[[Progress], None]]:
    """Show nothing of a campaign."""
    return nullcontext(ignore_progress)
