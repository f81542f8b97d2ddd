"""The pictures of a row: judged, and some of them chosen to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import ModelUnavailableError
from pytest_sdspeed.judge.pictures.clip import ClipScores, score_by_clip
from pytest_sdspeed.judge.pictures.exhibits import Drawn
from pytest_sdspeed.judge.pictures.frames import show_images
from pytest_sdspeed.judge.pictures.gate import ImageJudgement, judge_alone, judge_images

if TYPE_CHECKING:
    import numpy as np

    from pytest_sdspeed.judge.pictures.frames import Frames
    from pytest_sdspeed.model import Case, Exhibit
    from pytest_sdspeed.run.criteria import RowCase
    from pytest_sdspeed.run.targets import Target


class PictureFindings(NamedTuple):
    """What was found in a row's pictures.

    Attributes:
        judgement: verdict, metrics and reasons; None if there are neither pictures nor a gate.
        exhibits: pictures to look at.
        images: the candidate's pictures of the case that the timed slots draw, float32
            (N, H, W, 3) in [0, 1], or None.
        notes: what the judgement leaves open, in words.
    """

    judgement: ImageJudgement | None
    exhibits: tuple[Exhibit, ...]
    images: np.ndarray | Frames | None
    notes: tuple[str, ...]


def judge_pictures(case: RowCase) -> PictureFindings:
    """Judge a row's pictures, and choose some of them as exhibits.

    A callable cannot be asked for another seed or prompt: only the pictures of its timed slots are
    compared, without a negative control.
    """
    data, setup, gate = case.data, case.candidate.setup, case.criteria.image
    seeded = setup is not None and case.base.setup is not None
    ours, theirs = (
        _find_pictures(case, case.candidate, seeded=seeded),
        _find_pictures(case, case.base, seeded=seeded),
    )
    images = show_images(data.pictures[case.candidate.name].get(data.case))
    if not ours and not theirs and gate is None:
        return PictureFindings(None, (), images, ())
    alone = case.candidate.name == case.base.name
    reference = None if alone else data.references.get(case.candidate.name)
    drawn = Drawn(
        candidate={} if alone else ours,
        baseline=theirs,
        reference=reference,
        prompt=setup.recipe.prompt if setup else "",
    )
    if alone or (not theirs and gate is None):
        judgement = judge_alone(ours)
        return PictureFindings(judgement, drawn.exhibits(judgement), images, ())
    scores, notes = _score_pictures(case, drawn)
    relation = setup.relation if setup and not case.same_weights else "same_weights"
    judgement = judge_images(
        ours, theirs, gate, relation, reference, scores=scores, further=case.metrics
    )
    return PictureFindings(judgement, drawn.exhibits(judgement), images, (*judgement.notes, *notes))


def _find_pictures(case: RowCase, arm: Target, *, seeded: bool) -> dict[Case, object]:
    found = case.data.pictures[arm.name]
    return {
        drawn: value
        for drawn, value in found.items()
        if value is not None and (seeded or drawn == case.data.case)
    }


def _score_pictures(case: RowCase, drawn: Drawn) -> tuple[ClipScores | None, tuple[str, ...]]:
    """Score the pictures if a bound asks for it; else, or if that is impossible, None and why."""
    if case.criteria.image is None or case.criteria.image.clip_drop is None:
        return None, ()
    unjudged = "the bound on the CLIP score was not judged"
    if not drawn.prompt:
        return None, (f"{unjudged}: callables have no prompt",)
    if case.weights == "random":
        return None, (f"{unjudged}: random weights draw nothing that a text describes",)
    try:
        scorer = case.clip()
    except ModelUnavailableError as error:
        return None, (f"{unjudged}: {error}, then --sd-clip",)
    return score_by_clip(scorer.score, drawn.candidate, drawn.baseline, drawn.prompt), ()
