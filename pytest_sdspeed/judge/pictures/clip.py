"""Does the picture still show what the prompt says? CLIP scores of both sides, and their means.

The model that gives the scores is somebody else's: here it is a function of pictures and a text.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from pytest_sdspeed.judge.pictures.conversion import select_sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pytest_sdspeed.judge.pictures.output import Output
    from pytest_sdspeed.model import Case

_BATCH = 8
"""Pictures that are scored at once: a video has too many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipScores:
    """CLIP scores, cosines in [-1, 1] of picture and text, averaged over the pictures of a case.

    Attributes:
        candidate: case -> score of the candidate's pictures for the prompt that they were drawn
            for.
        baseline: scores of the baseline's pictures, for the same cases.
        mismatched: case -> the best score that the baseline's pictures have for the prompt of
            another case, which is the negative control; empty if there is but one prompt.
    """

    candidate: Mapping[Case, float] = field(default_factory=dict)
    baseline: Mapping[Case, float] = field(default_factory=dict)
    mismatched: Mapping[Case, float] = field(default_factory=dict)

    def of(self, case: Case) -> dict[str, float]:
        """Return ``clip``, ``clip_baseline`` and ``clip_drop``, by which the first is lower.

        Empty for a case that was not scored.
        """
        if case not in self.candidate:
            return {}
        ours, theirs = self.candidate[case], self.baseline[case]
        return {"clip": ours, "clip_baseline": theirs, "clip_drop": theirs - ours}

    def metrics(self) -> dict[str, float]:
        """Return the means over the cases, and ``control_clip_drop`` of the negative control.

        The drop is taken case by case: scores vary far more between prompts and seeds than between
        two models that draw the same ones.
        """
        each = [self.of(case) for case in self.candidate]
        if not each:
            return {}
        found = {name: statistics.fmean(values[name] for values in each) for name in each[0]}
        if self.mismatched:
            found["control_clip_drop"] = statistics.fmean(
                self.baseline[case] - score for case, score in self.mismatched.items()
            )
        return found


def score_by_clip(
    score: Callable[[np.ndarray, str], Iterable[float]],
    candidate: Mapping[Case, object],
    baseline: Mapping[Case, object],
    prompt: str,
) -> ClipScores:
    """Score the cases that both sides drew without a defect.

    A black picture can score higher than a good one.

    Args:
        score: scores float32 pictures (N, H, W, 3) in [0, 1] by a text, one cosine per picture.
        candidate: case -> whatever ``keep`` takes.
        baseline: what the baseline returned for its cases.
        prompt: prompt of the cases that name none, the recipe's own.
    """

    def mean(output: Output, text: str) -> float:
        return statistics.fmean(
            value for pictures in _batch(output) for value in score(pictures, text)
        )

    # What is wrong with the others is the gate's to say.
    ours, theirs = _select_pictures(candidate), _select_pictures(baseline)
    cases = sorted(ours.keys() & theirs.keys())
    texts = {case: case.prompt or prompt for case in cases}
    several = len(set(texts.values())) > 1
    return ClipScores(
        candidate={case: mean(ours[case], texts[case]) for case in cases},
        baseline={case: mean(theirs[case], texts[case]) for case in cases},
        mismatched={
            case: max(
                mean(theirs[case], other) for other in sorted(set(texts.values()) - {texts[case]})
            )
            for case in cases
            if several
        },
    )


def _select_pictures(outputs: Mapping[Case, object]) -> dict[Case, Output]:
    sound = select_sound(outputs, "", [])
    return {case: output for case, output in sound.items() if output.kind != "array"}


def _batch(output: Output) -> Iterator[np.ndarray]:
    """Yield pictures in batches of a few, float32 (N, H, W, 3)."""
    views = output.views()
    while batch := list(islice(views, _BATCH)):
        yield np.stack(batch)
