"""The pictures of a row: judged, and some of them chosen to be looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import ModelUnavailableError
from pytest_sdspeed.judge.pictures.bounds import Scale
from pytest_sdspeed.judge.pictures.clip import ClipScores, score_by_clip
from pytest_sdspeed.judge.pictures.exhibits import Drawn
from pytest_sdspeed.judge.pictures.frames import show_images
from pytest_sdspeed.judge.pictures.gate import ImageJudgement, judge_alone, judge_images
from pytest_sdspeed.judge.pictures.rehearsal import (
    ABOVE_UNRELATED_DB,
    add_power,
    hold_to_other_cases,
    judge_own_cases,
)
from pytest_sdspeed.judge.pictures.self_difference import (
    describe_self_difference,
    measure_self_difference,
)
from pytest_sdspeed.judge.pictures.slots import find_broken_slots, list_details
from pytest_sdspeed.model import StackEntry
from pytest_sdspeed.run.settings import REHEARSED

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from pytest_sdspeed.judge.pictures.frames import Frames
    from pytest_sdspeed.judge.pictures.output import Output
    from pytest_sdspeed.judge.pictures.slots import ArmPictures
    from pytest_sdspeed.model import Case, Exhibit, ImageGate, SelfDifference
    from pytest_sdspeed.run.criteria import RowCase


class PictureFindings(NamedTuple):
    """What was found in a row's pictures.

    Attributes:
        judgement: verdict, metrics and reasons; None if there are neither pictures nor a gate.
        exhibits: pictures to look at.
        images: the candidate's pictures of the case that the timed slots draw, float32
            (N, H, W, 3) in [0, 1], or None.
        notes: what the judgement leaves open, in words.
        videos: how many videos ``images`` are the frames of; 0 if they are pictures.
        own, baseline_own: how much the candidate and the baseline differ from themselves.
    """

    judgement: ImageJudgement | None
    exhibits: tuple[Exhibit, ...] = ()
    images: np.ndarray | Frames | None = None
    notes: tuple[str, ...] = ()
    own: SelfDifference | None = None
    baseline_own: SelfDifference | None = None
    videos: int = 0


class _Sides(NamedTuple):
    """What was drawn for a row.

    Attributes:
        alone: whether the row is the baseline itself.
        ours, theirs: what candidate and baseline drew, of the cases that both could be asked for.
        reference: what is compared with in the baseline's place, or None.
        faults: what is broken in any slot, in words.
    """

    alone: bool
    ours: ArmPictures
    theirs: ArmPictures
    reference: ArmPictures | None
    faults: list[str]

    def drawn(self, prompt: str) -> Drawn:
        """Return what may be shown."""
        return Drawn(
            candidate={} if self.alone else self.ours.first,
            baseline=self.theirs.first,
            reference=self.reference.first if self.reference else None,
            prompt=prompt,
        )


def judge_pictures(case: RowCase) -> PictureFindings:
    """Judge a row's pictures, and choose some of them as exhibits."""
    sides, gate, setup = _take_sides(case), case.criteria.image, case.candidate.setup
    if not sides.ours.returned and not sides.theirs.returned and gate is None:
        return PictureFindings(None)
    scale = Scale(case.metrics)
    own, baseline_own = (
        measure_self_difference(drawn, gate, scale) for drawn in (sides.ours, sides.theirs)
    )
    drawn, notes = sides.drawn(setup.recipe.prompt if setup else ""), list[str]()
    if sides.alone or (not sides.theirs.returned and gate is None):
        # There is nothing to compare them with: it is judged whether they are pictures at all.
        judgement = judge_alone(sides.ours.first, sides.faults)
        judgement = add_power(judgement, sides.ours.first) if case.is_shrunk else judgement
    elif case.is_shrunk and setup is not None and setup.relation not in ABOVE_UNRELATED_DB:
        judgement = judge_own_cases(sides.ours.outputs, sides.theirs.first, sides.faults)
    else:
        judgement, notes = _compare(case, sides, drawn, baseline_own)
        drawn = replace(drawn, candidate=_select_worst(sides.ours, judgement))
    notes += describe_self_difference(own, scale)
    if not sides.alone:
        notes += describe_self_difference(baseline_own, scale, "baseline")
        notes += _note_shared(case, baseline_own)
    output = sides.ours.first.get(case.data.case)
    return PictureFindings(
        judgement,
        drawn.exhibits(judgement),
        show_images(output),
        (*judgement.notes, *notes),
        own,
        baseline_own,
        videos=len(output.values) if output is not None and output.kind == "videos" else 0,
    )


def _take_sides(case: RowCase) -> _Sides:
    """Return what was drawn for a row.

    A callable cannot be asked for another seed or prompt: only the pictures of its timed slots are
    compared, without a negative control.
    """
    data, setup, gate = case.data, case.candidate.setup, case.criteria.image
    alone = case.candidate.name == case.base.name
    both = data.pictures[case.candidate.name], data.pictures[case.base.name]
    reference = None if alone else data.references.get(case.candidate.name)
    # Broken is broken, also in a case that only one side draws.
    faults = _find_faults(both[0], None if alone else both[1], reference)
    if gate is not None and gate.clip_drop is not None and setup is None:
        faults.append("the bound clip_drop cannot be judged: callables have no prompt")
    seeded = setup is not None and case.base.setup is not None
    ours, theirs = (drawn if seeded else drawn.only(data.case) for drawn in both)
    return _Sides(alone, ours, theirs, reference, faults)


def _compare(
    case: RowCase, sides: _Sides, drawn: Drawn, baseline_own: SelfDifference | None
) -> tuple[ImageJudgement, list[str]]:
    """Judge the candidate's pictures against the baseline's, and note what that leaves open."""
    setup = case.candidate.setup
    proofs = case.data.proofs.get(case.candidate.name, ())
    may_be_equal = case.same_weights or any(one.finding.excused for one in proofs)
    scores, notes = _score_pictures(case, drawn)
    judgement = judge_images(
        sides.ours.first,
        sides.theirs.first,
        _find_gate(case),
        setup.relation if setup and not may_be_equal else "same_weights",
        drawn.reference,
        scores=scores,
        further=case.metrics,
        repeated={one: outputs[1:] for one, outputs in sides.ours.outputs.items()},
        faults=sides.faults,
        own=baseline_own,
    )
    if case.is_shrunk and setup is not None:
        against = sides.theirs if sides.reference is None else sides.reference
        judgement = hold_to_other_cases(
            judgement,
            sides.ours.outputs,
            against.first,
            setup.relation,
            own_steps=_has_own_steps(setup.optimizations),
        )
    return judgement, [*notes]


def _has_own_steps(labels: Iterable[str]) -> bool:
    """Tell whether a stack takes a number of steps of its own: a scheduler with ``steps``."""
    entries = map(StackEntry.parse, labels)
    return any(one.name == "scheduler" and one.options.get("steps") for one in entries)


def _find_gate(case: RowCase) -> ImageGate | None:
    """Return the bounds on a row's pictures.

    What an approximation errs by depends on how long a step is: bounds that are documented for
    fifty steps say nothing of the few of a rehearsal, which has a rule of its own.
    """
    setup = case.candidate.setup
    approximates = setup is not None and setup.relation == "approximation"
    return None if case.is_shrunk and approximates else case.criteria.image


def _select_worst(ours: ArmPictures, judgement: ImageJudgement) -> dict[Case, Output]:
    """Select the output of each case that is the worst."""
    worst = judgement.worst_output
    return {one: outputs[worst.get(one, 0)] for one, outputs in ours.outputs.items()}


def _note_shared(case: RowCase, baseline_own: SelfDifference | None) -> tuple[str, ...]:
    """Note what nobody can guard: what two callables share, and one of them changes."""
    between_callables = case.candidate.setup is None and case.base.setup is None
    if not (between_callables and baseline_own and baseline_own.differing):
        return ()
    note = (
        f"if {case.base.name} draws with a pipeline or modules that {case.candidate.name} uses as"
        " well, that may have changed them: build each its own"
    )
    return (note,)


def _find_faults(
    ours: ArmPictures, theirs: ArmPictures | None, reference: ArmPictures | None
) -> list[str]:
    """Find what is broken in any slot of a row, of its baseline or of its reference."""
    sides = (("", ours), ("baseline", theirs), ("reference", reference))
    return [
        fault
        for role, side in sides
        if side is not None
        for fault in (*find_broken_slots(side, role), *list_details(side, role))
    ]


def _score_pictures(case: RowCase, drawn: Drawn) -> tuple[ClipScores | None, tuple[str, ...]]:
    """Score the pictures if a bound asks for it; else, or if that is impossible, None and why."""
    if case.criteria.image is None or case.criteria.image.clip_drop is None:
        return None, ()
    unjudged = "the bound on the CLIP score was not judged"
    if not drawn.prompt:
        return None, (f"{unjudged}: callables have no prompt",)
    if case.weights in ("random", REHEARSED):
        return None, (f"{unjudged}: random weights draw nothing that a text describes",)
    try:
        scorer = case.clip()
    except ModelUnavailableError as error:
        return None, (f"{unjudged}: {error}, then --sd-clip",)
    return score_by_clip(scorer.score, drawn.candidate, drawn.baseline, drawn.prompt), ()
