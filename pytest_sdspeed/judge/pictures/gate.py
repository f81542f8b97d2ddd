"""Is the picture still right? A gate on metrics against the baseline that proves its own power."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures.clip import ClipScores
from pytest_sdspeed.judge.pictures.conversion import as_pictures, select_sound
from pytest_sdspeed.judge.pictures.metrics import (
    LIKENESSES,
    compare_batches,
    compare_pictures,
    find_extremes,
    find_ranges,
    find_worst_picture,
)
from pytest_sdspeed.model import ImageGate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.model import Case, ImageVerdict, MetricRange, Relation, SelfDifference

    Pictures = dict[Case, np.ndarray]

_OF_PICTURES = {
    "psnr": ("PSNR {} dB", 1),
    "ssim": ("SSIM {}", 3),
    "mae": ("mean difference {}", 4),
    "flip": ("FLIP {}", 3),
}
_WORDS = _OF_PICTURES | {"clip_drop": ("CLIP score drop {}", 3)}
"""Metric -> what it is called, and how many digits it is given."""


@dataclass(frozen=True, slots=True)
class ImageJudgement:
    """What the pictures of one arm are worth.

    Attributes:
        verdict: "pass", "fail", or "powerless" if the gate would have passed pictures of another
            case or prompt.
        metrics: ``psnr`` (dB), ``ssim``, ``mae`` (of the full range) and ``flip``, the worst over
            the cases; the same with ``control_`` in front for the negative control. With scores,
            ``clip``, ``clip_baseline``, ``clip_drop`` and ``control_clip_drop``, averaged over the
            cases. Without a bound on FLIP, ``flip`` is the worst over each case's worst picture by
            PSNR alone. Empty if nothing could be compared.
        reasons: why the verdict is not "pass", in words.
        by_case: the metrics of each case, the worst over its batch.
        worst: which picture of each case's batch has the least PSNR; worst_metrics: the metrics of
            that picture.
        control: the two cases that were the negative control, the main case first: of those
            compared, the pair that passes the gate, or else the one that is closest by PSNR. None
            if there was nothing to compare.
        notes: what the gate could not prove, in words.
        worst_output: which of the candidate's outputs of each case is the worst: 0 for the first.
        ranges: the values of each metric over cases and outputs.
    """

    verdict: ImageVerdict
    metrics: dict[str, float]
    reasons: tuple[str, ...]
    by_case: Mapping[Case, Mapping[str, float]] = field(default_factory=dict)
    worst: Mapping[Case, int] = field(default_factory=dict)
    worst_metrics: Mapping[Case, Mapping[str, float]] = field(default_factory=dict)
    control: tuple[Case, Case] | None = None
    notes: tuple[str, ...] = ()
    worst_output: Mapping[Case, int] = field(default_factory=dict)
    ranges: Mapping[str, MetricRange] = field(default_factory=dict)


def find_broken_bounds(measured: Mapping[str, float], gate: ImageGate) -> tuple[str, ...]:
    """Find the bounds of the gate that the metrics break: ``PSNR 23.1 dB is under 45``.

    A metric that is NaN breaks its bound.

    Args:
        measured: ``psnr``, ``ssim``, ``mae``, ``flip``, ``clip_drop``; the bound of one that was
            not measured is not judged.
        gate: the bounds; None is no bound.
    """
    return tuple(
        f"{_format_metric(name, measured[name], bound)} is"
        f" {'under' if name in LIKENESSES else 'over'} {bound:g}"
        for name, bound in _select_broken(measured, gate).items()
    )


def _select_broken(measured: Mapping[str, float], gate: ImageGate) -> dict[str, float]:
    """Return the bounds that the metrics break, by name."""
    bounds = {name: getattr(gate, name) for name in _WORDS if name in measured}
    return {
        name: bound
        for name, bound in bounds.items()
        if bound is not None
        and not (
            measured[name] >= bound if name in LIKENESSES else measured[name] <= bound
        )
    }


def judge_images(
    candidate: Mapping[Case, object],
    baseline: Mapping[Case, object],
    gate: ImageGate | None,
    relation: Relation,
    reference: Mapping[Case, object] | None = None,
    *,
    scores: ClipScores | None = None,
    further: Mapping[Case, Sequence[object]] = MappingProxyType({}),
    faults: Sequence[str] = (),
    own: SelfDifference | None = None,
) -> ImageJudgement:
    """Judge an arm's pictures against the baseline's, or a reference's, of the same cases.

    Defects of any side, another size and a broken bound fail. Pictures that are the reference's bit
    by bit, or the baseline's if the weights differ, mean that the optimization had no effect.

    A gate must tell the pictures of every other case from those of the main one: if the
    baseline's (or reference's) own pass it, it could not have told the candidate from anything, and
    is powerless. So is a bound on the drop of the CLIP score that the baseline's pictures keep with
    the prompts of others. A gate without a second case, or prompt, proves nothing, and the notes
    say so.

    Args:
        candidate: case -> whatever ``as_pictures`` takes; what it cannot take is a reason to fail,
            not an exception.
        baseline: pictures of the baseline's cases.
        gate: bounds on the metrics, or None.
        relation: what the candidate shares with the baseline.
        reference: what the candidate is compared with in the baseline's place, or None.
        scores: CLIP scores of both sides; if None, the bound on their drop is not judged.
        further: what else the candidate drew of a case, in other slots: the worst counts.
        faults: what is wrong in some slots of either side, in words: reasons to fail.
        own: how much the baseline differs from itself, or None if that is unknown. A bound that
            it breaks is a coin toss.
    """
    gate, scores = gate or ImageGate(), scores or ClipScores()
    role, against = ("baseline", baseline) if reference is None else ("reference", reference)
    common = sorted(candidate.keys() & against.keys())
    if not common:
        return ImageJudgement("fail", {}, tuple(faults) or ("returned no picture",))
    reasons: list[str] = list(faults)
    originals = select_sound(baseline, "baseline", reasons)
    theirs = originals if reference is None else select_sound(reference, "reference", reasons)
    ours = select_sound({case: candidate[case] for case in common}, "", reasons)
    others = {} if reference is None else {"reference": theirs}
    reasons += _find_lost(
        ours, others if relation == "same_weights" else others | {"baseline": originals}
    )
    compared = _compare(ours, theirs, further, gate, reasons)
    by_case = {case: find_extremes(chain(*outputs)) for case, outputs in compared.items()}
    measured = find_extremes(by_case.values()) | scores.metrics()
    reasons += find_broken_bounds(measured, gate)
    in_doubt, tosses = _find_coin_tosses(measured, gate, own)
    reasons += in_doubt
    worst = {case: _find_worst(outputs) for case, outputs in compared.items()}
    controls = (_judge_picture_control(theirs, gate, role), _judge_clip_control(measured, gate))
    powerless = tuple(control.powerless for control in controls if control.powerless)
    return ImageJudgement(
        verdict="fail" if reasons else "powerless" if powerless else "pass",
        metrics=measured
        | {f"control_{name}": value for name, value in controls[0].metrics.items()},
        reasons=tuple(reasons) or powerless,
        by_case={case: by_case.get(case, {}) | scores.of(case) for case in common},
        worst={case: index for case, (_, index) in worst.items()},
        worst_metrics={case: compared[case][output][index] for case, (output, index) in worst.items()},
        control=controls[0].cases,
        notes=(*tosses, *(control.note for control in controls if control.note)),
        worst_output={case: output for case, (output, _) in worst.items()},
        ranges=find_ranges(find_extremes(output) for case in compared.values() for output in case),
    )


def _find_lost(ours: Pictures, others: Mapping[str, Pictures]) -> list[str]:
    """Find cases whose pictures are those of an arm they must differ from."""
    reasons = []
    for case, drawn in ours.items():
        twins = [
            f"the {role}"
            for role, pictures in others.items()
            if case in pictures and np.array_equal(drawn, pictures[case])
        ]
        if twins:
            reasons.append(
                f"{case}: bit-identical to {' and '.join(twins)}: the optimization had no effect"
            )
    return reasons


def _compare(
    ours: Pictures,
    theirs: Pictures,
    further: Mapping[Case, Sequence[object]],
    gate: ImageGate,
    reasons: list[str],
) -> dict[Case, list[list[dict[str, float]]]]:
    """Compare every picture of the cases that both sides have.

    What cannot be compared is added to the reasons.

    Returns:
        Case -> output -> picture -> metrics, the candidate's first output first.
    """
    found: dict[Case, list[list[dict[str, float]]]] = {}
    for case in sorted(ours.keys() & theirs.keys()):
        for output in (ours[case], *map(as_pictures, further.get(case, ()))):
            try:
                metrics = compare_pictures(output, theirs[case], every_flip=gate.flip is not None)
            except PictureError as error:
                reasons.append(f"{case}: {error}")
            else:
                found.setdefault(case, []).append(metrics)
    return found


def _find_worst(outputs: Sequence[Sequence[Mapping[str, float]]]) -> tuple[int, int]:
    """Return the place of the output with the worst picture, and that of the picture in it."""
    worst = [find_worst_picture(pictures) for pictures in outputs]
    output = find_worst_picture(
        pictures[index] for pictures, index in zip(outputs, worst, strict=True)
    )
    return output, worst[output]


def _find_coin_tosses(
    measured: Mapping[str, float], gate: ImageGate, own: SelfDifference | None
) -> tuple[list[str], list[str]]:
    """Find the bounds that the baseline breaks against itself.

    Returns:
        What to say beside the bounds that the candidate breaks, and beside those that it keeps.
    """
    if own is None:
        return [], []
    tossed, broken = _select_broken(own.metrics, gate), _select_broken(measured, gate)
    said = {
        name: f"the baseline differs from itself by {_format_metric(name, own.metrics[name], bound)}"
        for name, bound in tossed.items()
        if name in measured
    }
    return (
        [text for name, text in said.items() if name in broken],
        [
            f"the bound {tossed[name]:g} is a coin toss: {text}"
            for name, text in said.items()
            if name not in broken
        ],
    )


class _Control(NamedTuple):
    """A negative control.

    Attributes:
        powerless: why the gate has no power, or "".
        note: why nothing shows whether it has, or "".
        metrics: metrics of another case's pictures, held against those of the main case.
        cases: main case and other case.
    """

    powerless: str = ""
    note: str = ""
    metrics: Mapping[str, float] = MappingProxyType({})
    cases: tuple[Case, Case] | None = None


def _judge_picture_control(theirs: Pictures, gate: ImageGate, role: str) -> _Control:
    """Choose the other case that passes the bounds on pictures, or else the closest by PSNR."""
    if all(getattr(gate, name) is None for name in _OF_PICTURES):
        return _Control()
    # The main case comes first: the smallest seed without a prompt.
    cases = sorted(theirs, key=lambda case: (case.prompt != "", case))
    compared = {
        other: _measure_control(theirs[other], theirs[cases[0]], gate) for other in cases[1:]
    }
    found = {other: values for other, values in compared.items() if values}
    if not found:
        return _Control(
            note=(
                "the picture gate has no negative control: it takes two cases, both sound and of"
                " one size"
            )
        )
    main, other = (
        cases[0],
        max(
            found, key=lambda case: (not find_broken_bounds(found[case], gate), found[case]["psnr"])
        ),
    )
    values = found[other]
    if find_broken_bounds(values, gate):
        return _Control(metrics=values, cases=(main, other))
    said = ", ".join(_format_metric(name, values[name]) for name in _OF_PICTURES)
    powerless = (
        f"gate has no power: the {role} of {other} passes it against {main} ({said}): tighten its"
        " bounds"
    )
    return _Control(powerless, metrics=values, cases=(main, other))


def _measure_control(other: np.ndarray, main: np.ndarray, gate: ImageGate) -> dict[str, float]:
    """Compare one case with another; empty if they cannot be compared."""
    try:
        # FLIP takes long, and that of the worst picture is enough if it breaks the gate.
        found = compare_batches(other, main, every_flip=False)
        return (
            found
            if gate.flip is None or find_broken_bounds(found, gate)
            else compare_batches(other, main)
        )
    except PictureError:
        return {}


def _judge_clip_control(measured: Mapping[str, float], gate: ImageGate) -> _Control:
    """Tell whether the bound on the CLIP score rejects pictures of other prompts."""
    if gate.clip_drop is None or "clip_drop" not in measured:
        return _Control()
    if "control_clip_drop" not in measured:
        return _Control(
            note="the bound on the CLIP score has no negative control: it takes two prompts"
        )
    drop = measured["control_clip_drop"]
    if drop > gate.clip_drop:
        return _Control()
    return _Control(
        "gate has no power: with the prompt of another case the baseline's CLIP score drops by"
        f" {_format_apart(drop, gate.clip_drop, 3)}, which {gate.clip_drop:g} allows: tighten the"
        " bound"
    )


def _format_metric(name: str, value: float, bound: float | None = None) -> str:
    """Format a metric with its name and unit."""
    words, digits = _WORDS[name]
    return words.format(_format_apart(value, bound, digits))


def _format_apart(value: float, bound: float | None, digits: int) -> str:
    """Format a value with as many digits as it takes not to read like the bound."""
    texts = (f"{value:.{more}f}" for more in range(digits, digits + 6))
    return next((text for text in texts if float(text) != bound), repr(value))
