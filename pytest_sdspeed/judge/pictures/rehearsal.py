"""Is it the right picture of random weights at toy size, on which no table has bounds?

The baseline's own pictures of other cases say what is wrong: of another seed, of another prompt,
of another number of steps. A row's picture has to be nearer to the baseline's of its own case than
to any of these, and far nearer than a picture that has nothing to do with it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_sdspeed.judge.pictures.conversion import select_sound
from pytest_sdspeed.judge.pictures.gate import ImageJudgement, find_lost
from pytest_sdspeed.judge.pictures.metrics import PSNR_CAP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_sdspeed.judge.pictures.output import Output
    from pytest_sdspeed.model import Case, Relation

    Outputs = Mapping[Case, Sequence[Output]]

ABOVE_UNRELATED_DB: Mapping[Relation, float] = {"same_weights": 20.0, "approximation": 6.0}
"""What a picture shares with the baseline's -> by how much its error has to be smaller than that of
an unrelated picture, dB: a hundred times for rounding, four times for an approximation. Measured on
toy pipelines: see ``docs/guides/rehearse.md``."""

_LEANING = 4.0
"""Times by which an approximation's mean squared difference from another number of steps may be
smaller than that from its own. What a cache computes at every third step only errs in the
direction in which fewer steps do: on toys it was measured to be as near to one as to the other."""


def hold_to_other_cases(
    judgement: ImageJudgement,
    ours: Outputs,
    theirs: Mapping[Case, Output],
    relation: Relation,
    *,
    own_steps: bool = False,
) -> ImageJudgement:
    """Add to a judgement what the other cases of the baseline say.

    With the mean squared difference ``d``, the candidate's picture ``x`` and the baseline's ``y``
    of the same case, and ``z`` of another one, ``d(x, y) < d(x, z)`` has to hold for every ``z``
    that differs from ``y`` at all: errors of rounding have no direction, and so leave ``x`` nearer
    to ``y`` however close the two are. Those of approximations may lean towards fewer steps, see
    ``_LEANING``. In addition ``d(x, y)`` has to be smaller than twice the
    variance of ``y``, which is what an unrelated picture of its contrast has, by
    ``ABOVE_UNRELATED_DB``.

    Args:
        judgement: on everything else: defects, sizes, bounds.
        ours: case -> what the candidate returned for it.
        theirs: case -> what the baseline, or what is compared with in its place, returned.
        relation: what both share, their weights at least.
        own_steps: whether the candidate takes a number of steps of its own, whatever it is asked
            for: its pictures say nothing of other steps, and are not held to those cases.
    """
    if own_steps:
        ours = {case: outputs for case, outputs in ours.items() if not case.steps}
        theirs = {case: output for case, output in theirs.items() if not case.steps}
    sound = {case: output for case, output in theirs.items() if not output.defects()}
    compared = [
        one
        for case, outputs in ours.items()
        for output in outputs
        if case in sound and not output.defects()
        for one in _compare(case, output, sound)
    ]
    least = ABOVE_UNRELATED_DB[relation]
    before = judgement.reasons if judgement.verdict == "fail" else ()
    leaning = _LEANING if relation == "approximation" else 1.0
    found = (reason for one in compared for reason in one.find_faults(least, leaning))
    reasons = dict.fromkeys((*before, *found))
    main = min(sound, key=lambda case: (case.prompt != "", case), default=None)
    mains = [one for one in compared if one.case == main and one.others]
    nearest = min(mains, key=lambda one: min(one.apart.values()), default=None)
    if nearest is not None and main is not None:
        other = min(nearest.apart, key=nearest.apart.__getitem__)
        metrics = {**judgement.metrics, "control_psnr": _to_psnr(nearest.apart[other])}
        judgement = replace(judgement, metrics=metrics, control=(main, other))
    powerless = find_powerless(sound)
    verdict = "fail" if reasons else "powerless" if powerless else judgement.verdict
    said = tuple(reasons) or ((powerless,) if powerless else judgement.reasons)
    return replace(judgement, verdict=verdict, reasons=said)


def judge_own_cases(
    ours: Outputs, theirs: Mapping[Case, Output], faults: Sequence[str]
) -> ImageJudgement:
    """Judge pictures of other weights, with which the baseline's have nothing in common.

    They have to be as many as the baseline's, must not be these, and have to differ from each other
    from seed to seed, and from prompt to prompt, if the baseline's do.

    Args:
        ours: case -> what the candidate returned for it.
        theirs: case -> what the baseline returned.
        faults: what is wrong in some slots, in words.
    """
    reasons = list(faults)
    first = {case: outputs[0] for case, outputs in ours.items() if outputs}
    sound = select_sound(first, "", reasons)
    originals = select_sound(theirs, "baseline", reasons)
    reasons += find_lost(
        {case: one for case, one in sound.items() if one.size == originals[case].size}
        if sound.keys() <= originals.keys()
        else {},
        {"baseline": originals},
    )
    common = sorted(sound.keys() & originals.keys())
    if not common:
        reasons.append("returned no picture of a case that the baseline drew as well")
    for case in common:
        mine, yours = sound[case], originals[case]
        if (mine.kind, mine.count) != (yours.kind, yours.count):
            reasons.append(f"{case}: returned {mine.describe()}, the baseline {yours.describe()}")
    # Other weights may be made for a number of steps of their own.
    told = [case for case in common if not case.steps]
    reasons += [
        f"draws the same for {case} as for {other}: the baseline tells them apart"
        for at, case in enumerate(told)
        for other in told[at + 1 :]
        if sound[case].equals(sound[other]) and not originals[case].equals(originals[other])
    ]
    return ImageJudgement("fail" if reasons else "pass", {}, tuple(dict.fromkeys(reasons)))


def add_power(judgement: ImageJudgement, outputs: Mapping[Case, Output]) -> ImageJudgement:
    """Add to a judgement on the baseline whether its pictures can tell anything apart."""
    powerless = find_powerless(outputs)
    if not powerless or judgement.verdict == "fail":
        return judgement
    return replace(judgement, verdict="powerless", reasons=(powerless,))


def find_powerless(theirs: Mapping[Case, Output]) -> str:
    """Say why no picture could be told from another one: another seed draws the same; "" if not."""
    cases = sorted((case for case in theirs if not case.prompt and not case.steps), key=str)
    for case, other in itertools.pairwise(cases):
        if theirs[case].equals(theirs[other]):
            return (
                f"the rehearsal has no power: {case} and {other} draw the same picture, so that"
                " nothing would tell one in the other's place"
            )
    return ""


class _Compared(NamedTuple):
    """One picture of a row, beside the baseline's of its case and of others.

    Attributes:
        case: what it is of.
        name: which of the case's pictures it is.
        own: its mean squared difference from the baseline's of the case.
        others: its mean squared difference from the baseline's of each other case.
        apart: how far the baseline's picture of each other case is from that of this one.
        unrelated: what an unrelated picture of the same contrast would have.
    """

    case: Case
    name: str
    own: float
    others: Mapping[Case, float]
    apart: Mapping[Case, float]
    unrelated: float

    def find_faults(self, least: float, leaning: float) -> Iterator[str]:
        """Find what says that it is the wrong picture.

        Args:
            least: dB by which its error has to be smaller than an unrelated picture's.
            leaning: how many times as near it may be to another number of steps as to its own.
        """
        nearness = {
            other: square * (leaning if other.steps != self.case.steps else 1.0)
            for other, square in self.others.items()
        }
        wrong = min(nearness, key=nearness.__getitem__, default=None)
        if wrong is not None and not self.own < nearness[wrong]:
            yield (
                f"{self.case}: {self.name} is another case's: PSNR"
                f" {_to_psnr(self.others[wrong]):.1f} dB to that of {wrong}, and"
                f" {_to_psnr(self.own):.1f} dB to that of its own"
            )
        bound = _to_psnr(self.unrelated) + least
        if not _to_psnr(self.own) >= min(bound, PSNR_CAP):
            yield (
                f"{self.case}: PSNR {_to_psnr(self.own):.1f} dB of {self.name} is under"
                f" {bound:.1f}, which is {least:g} dB above what an unrelated picture has"
            )


def _compare(case: Case, output: Output, theirs: Mapping[Case, Output]) -> Iterator[_Compared]:
    """Compare each picture of an output, if it can be compared with the baseline's of its case."""
    original = theirs[case]
    output = output.like(original)
    if (output.kind, output.size, output.count) != (original.kind, original.size, original.count):
        return
    others = {
        other: drawn
        for other, drawn in theirs.items()
        if other != case and drawn.size == original.size and not drawn.equals(original)
    }
    mine, yours = _list_pictures(output, original), _list_pictures(original, original)
    wrong = {other: _list_pictures(drawn, original) for other, drawn in others.items()}
    for index, (picture, right) in enumerate(zip(mine, yours, strict=True)):
        yield _Compared(
            case,
            "it" if output.kind == "array" else output.name(index),
            _square(picture, right),
            {other: _square(picture, drawn[index]) for other, drawn in wrong.items()},
            {other: _square(right, drawn[index]) for other, drawn in wrong.items()},
            2 * float(np.var(right)),
        )


def _list_pictures(output: Output, original: Output) -> list[np.ndarray]:
    if output.kind == "array":
        return [np.asarray(output.values, dtype=np.float64)]
    return [np.asarray(one, dtype=np.float64) for one in output.views(original.span)]


def _square(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.square(ours - theirs).mean())


def _to_psnr(square: float) -> float:
    return min(PSNR_CAP, -10 * math.log10(square)) if square > 0 else PSNR_CAP
