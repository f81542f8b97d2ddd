"""Is it still the right picture? A gate on metrics that proves its own power."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import MetricError, PictureError
from pytest_sdspeed.judge.pictures.bounds import (
    OF_ARRAYS,
    Scale,
    find_broken_bounds,
    find_unjudged_bounds,
    find_unsuitable_bounds,
    format_apart,
)
from pytest_sdspeed.judge.pictures.clip import ClipScores
from pytest_sdspeed.judge.pictures.comparison import Comparison, compare_outputs
from pytest_sdspeed.judge.pictures.conversion import select_sound
from pytest_sdspeed.judge.pictures.metrics import (
    find_extremes,
    find_ranges,
    find_worst_picture,
)
from pytest_sdspeed.judge.pictures.self_difference import find_coin_tosses
from pytest_sdspeed.model import ImageGate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.judge.pictures.output import Output
    from pytest_sdspeed.model import (
        Case,
        ImageVerdict,
        MetricRange,
        PictureMetric,
        Relation,
        SelfDifference,
    )

    Outputs = dict[Case, Output]


@dataclass(frozen=True, slots=True)
class ImageJudgement:
    """What the pictures of one arm are worth.

    Attributes:
        verdict: "pass", "fail", or "powerless" if the gate would have passed pictures of another
            case or prompt.
        metrics: ``psnr`` (dB), ``ssim``, ``mae`` (of the full range) and ``flip``, of videos
            ``temporal``, of arrays ``max_abs``, ``mean_abs`` and ``cosine``, and the registered
            metrics that have a bound: the worst over the cases; the same with ``control_`` in front
            for the negative control. With scores, ``clip``, ``clip_baseline``, ``clip_drop`` and
            ``control_clip_drop``, averaged over the cases. Without a bound on FLIP, ``flip`` is the
            worst over each case's worst picture by PSNR alone. Empty if nothing could be compared.
        reasons: why the verdict is not "pass", in words.
        by_case: the metrics of each case, the worst over its batch.
        worst: which picture of each case's batch has the least PSNR; worst_metrics: the metrics of
            that picture.
        control: the two cases that were the negative control, the main case first: of those
            compared, the pair that passes the gate, or else the one that is closest by PSNR. None
            if there was nothing to compare.
        notes: what the gate could not prove, in words.
        worst_output: which of the candidate's outputs of each case has the worst picture: 0 for
            the first, then those of ``repeated``.
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


def judge_images(
    candidate: Mapping[Case, object],
    baseline: Mapping[Case, object],
    gate: ImageGate | None,
    relation: Relation,
    reference: Mapping[Case, object] | None = None,
    *,
    scores: ClipScores | None = None,
    further: Mapping[str, PictureMetric] = MappingProxyType({}),
    repeated: Mapping[Case, Sequence[Output]] = MappingProxyType({}),
    faults: Sequence[str] = (),
    own: SelfDifference | None = None,
) -> ImageJudgement:
    """Judge what an arm returned against what the baseline, or a reference, did for the same cases.

    Defects of any side, another kind, number or size, frames that stand still and a broken bound
    fail, and so does a bound that says nothing of what was returned. What equals the reference bit
    by bit, or the baseline if the weights differ, means that the optimization had no effect.

    A gate must tell the pictures of every other case from those of the main one: if the
    baseline's (or reference's) own pass it, it could not have told the candidate from anything, and
    is powerless. So is a bound on the drop of the CLIP score that the baseline's pictures keep with
    the prompts of others. A gate without a second case, or prompt, proves nothing, and the notes
    say so.

    Args:
        candidate: case -> whatever ``keep`` takes; what it cannot take is a reason to fail, not an
            exception.
        baseline: what the baseline returned for its cases.
        gate: bounds on the metrics, or None.
        relation: what the candidate shares with the baseline.
        reference: what the candidate is compared with in the baseline's place, or None.
        scores: CLIP scores of both sides; if None, the bound on their drop is not judged.
        further: registered metrics by name.
        repeated: what else the candidate returned for a case, in other slots: the worst counts.
        faults: what is wrong in some slots of either side, in words: reasons to fail.
        own: how much the baseline differs from itself, or None if that is unknown. A bound that
            it breaks is a coin toss.
    """
    bounds, scores, scale = gate or ImageGate(), scores or ClipScores(), Scale(further)
    role, against = ("baseline", baseline) if reference is None else ("reference", reference)
    common = sorted(candidate.keys() & against.keys())
    if not common:
        lacking = f"the {role} " if candidate and not against else ""
        return ImageJudgement("fail", {}, tuple(faults) or (f"{lacking}returned no picture",))
    reasons: list[str] = list(faults)
    originals = select_sound(baseline, "baseline", reasons)
    theirs = originals if reference is None else select_sound(reference, "reference", reasons)
    ours = select_sound({case: candidate[case] for case in common}, "", reasons, theirs)
    if relation != "same_weights":
        others = {} if reference is None else {"reference": theirs}
        acting = {case: one for case, one in ours.items() if not _may_skip_nothing(case, relation)}
        reasons += find_lost(acting, others | {"baseline": originals})
    every = {case: (output, *repeated.get(case, ())) for case, output in ours.items()}
    found = _measure(_compare(every, theirs, bounds, scale, reasons), scale)
    measured = find_extremes(found.by_case.values(), scale.is_likeness) | scores.metrics()
    unsuitable = (find_unsuitable_bounds(bounds, output) for output in theirs.values())
    reasons += dict.fromkeys(filter(None, unsuitable))
    tosses = _hold_to_bounds(measured, bounds, scale, own, reasons)
    control = _judge_control(theirs, bounds, scale, role, reasons)
    controls = (control, _judge_clip_control(measured, bounds))
    powerless = tuple(one.powerless for one in controls if one.powerless)
    return ImageJudgement(
        verdict="fail" if reasons else "powerless" if powerless else "pass",
        metrics=measured | {f"control_{name}": value for name, value in control.metrics.items()},
        reasons=tuple(reasons) or powerless,
        by_case={case: found.by_case.get(case, {}) | scores.of(case) for case in common},
        worst={case: index for case, (_, index) in found.worst.items()},
        worst_metrics=found.worst_metrics,
        control=control.cases,
        notes=(
            *tosses,
            *(one.note for one in controls if one.note),
            *_note_arrays(theirs, gate),
        ),
        worst_output={case: output for case, (output, _) in found.worst.items()},
        ranges=found.ranges,
    )


def judge_alone(outputs: Mapping[Case, object], faults: Sequence[str] = ()) -> ImageJudgement:
    """Judge what an arm returned by itself: whether it has a defect.

    Args:
        outputs: case -> whatever ``keep`` takes.
        faults: what is wrong in some slots, in words.
    """
    reasons: list[str] = list(faults)
    select_sound(outputs, "", reasons)
    return ImageJudgement("fail" if reasons else "pass", {}, tuple(reasons))


def find_lost(ours: Outputs, others: Mapping[str, Outputs]) -> list[str]:
    """Find cases in which an arm returned what another one did that it must differ from.

    Args:
        ours: case -> what the arm returned.
        others: role of another arm -> what that returned.
    """
    reasons = []
    for case, drawn in ours.items():
        twins = [
            f"the {role}"
            for role, outputs in others.items()
            if case in outputs and drawn.like(outputs[case]).equals(outputs[case])
        ]
        if twins:
            reasons.append(
                f"{case}: bit-identical to {' and '.join(twins)}: the optimization had no effect"
            )
    return reasons


def _may_skip_nothing(case: Case, relation: Relation) -> bool:
    """Tell whether a case has so few steps that an approximation may rightly compute them all."""
    return relation == "approximation" and bool(case.steps)


def _compare(
    ours: Mapping[Case, Sequence[Output]],
    theirs: Outputs,
    gate: ImageGate,
    scale: Scale,
    reasons: list[str],
) -> dict[Case, dict[int, Comparison]]:
    """Compare every output of the candidate with the baseline's of its case.

    Returns:
        Case -> place of the output among the case's -> what was found. What cannot be compared is
        left out, and added to the reasons.
    """
    found: dict[Case, dict[int, Comparison]] = {}
    said: dict[str, None] = {}
    for case in sorted(ours.keys() & theirs.keys()):
        for place, output in enumerate(ours[case]):
            try:
                compared = compare_outputs(
                    output, theirs[case], gate, scale, every_flip=gate.flip is not None
                )
            except PictureError as error:
                said[f"{case}: {error}"] = None
            else:
                said |= dict.fromkeys(f"{case}: {fault}" for fault in compared.faults)
                found.setdefault(case, {})[place] = compared
    reasons += said
    return found


class _Measured(NamedTuple):
    """What the metrics say of every output that could be compared.

    Attributes:
        by_case: the metrics of each case, the worst over its outputs.
        ranges: the values of each metric over cases and outputs.
        worst: case -> place of the output with the worst picture, and of the picture in it.
        worst_metrics: case -> the metrics of that picture.
    """

    by_case: Mapping[Case, dict[str, float]]
    ranges: Mapping[str, MetricRange]
    worst: Mapping[Case, tuple[int, int]]
    worst_metrics: Mapping[Case, Mapping[str, float]]


def _measure(compared: Mapping[Case, Mapping[int, Comparison]], scale: Scale) -> _Measured:
    metrics = {
        case: [one.worst(scale) for one in found.values()] for case, found in compared.items()
    }
    worst = {
        case: _find_worst(found)
        for case, found in compared.items()
        if any(one.pictures for one in found.values())
    }
    return _Measured(
        {case: find_extremes(found, scale.is_likeness) for case, found in metrics.items()},
        find_ranges(chain(*metrics.values())),
        worst,
        {case: compared[case][output].pictures[index] for case, (output, index) in worst.items()},
    )


def _hold_to_bounds(
    measured: Mapping[str, float],
    bounds: ImageGate,
    scale: Scale,
    own: SelfDifference | None,
    reasons: list[str],
) -> Sequence[str]:
    """Add what the bounds find to the reasons, and return notes on those that are coin tosses."""
    reasons += find_broken_bounds(measured, bounds, scale)
    in_doubt, tosses = find_coin_tosses(measured, bounds, scale, own)
    reasons += in_doubt
    reasons += find_unjudged_bounds(measured, bounds) if not reasons else ()
    return tosses


def _find_worst(compared: Mapping[int, Comparison]) -> tuple[int, int]:
    """Return the place of the output with the worst picture, and that of the picture in it."""
    worst = {place: find_worst_picture(one.pictures) for place, one in compared.items()}
    pictures = [compared[place].pictures[index] for place, index in worst.items()]
    output = [*worst][find_worst_picture(pictures)]
    return output, worst[output]


def _note_arrays(theirs: Outputs, gate: ImageGate | None) -> tuple[str, ...]:
    """Note what was taken for an array, if no bound shows that this is meant."""
    arrays = [output for output in theirs.values() if output.kind == "array"]
    if gate is not None or not arrays:
        return ()
    note = (
        f"the baseline returned {arrays[0].describe()}, which is no picture: it is compared as an"
        f" array, on which image={{...}} may have bounds: {', '.join(OF_ARRAYS)}"
    )
    return (note,)


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


def _judge_control(
    theirs: Outputs, gate: ImageGate, scale: Scale, role: str, reasons: list[str]
) -> _Control:
    """Choose the other case that passes the bounds, or else the closest one."""
    if not gate.bounds.keys() - {"clip_drop"}:
        return _Control()
    # The main case comes first: the smallest seed without a prompt.
    cases = sorted(theirs, key=lambda case: (case.prompt != "", case))
    try:
        compared = {
            other: _measure_control(theirs[other], theirs[cases[0]], gate, scale)
            for other in cases[1:]
        }
    except MetricError as error:
        reasons.append(f"the negative control: {error}")
        return _Control()
    found = {other: values for other, values in compared.items() if values}
    if not found:
        noun = "array" if any(one.kind == "array" for one in theirs.values()) else "picture"
        return _Control(
            note=(
                f"the {noun} gate has no negative control: it takes two cases, both sound and of"
                " one size"
            )
        )
    main, other = (
        cases[0],
        max(
            found,
            key=lambda case: (
                not find_broken_bounds(found[case], gate, scale),
                found[case].get("psnr", -found[case].get("mean_abs", 0.0)),
            ),
        ),
    )
    values = found[other]
    if find_broken_bounds(values, gate, scale):
        return _Control(metrics=values, cases=(main, other))
    said = ", ".join(scale.format(name, value) for name, value in values.items())
    powerless = (
        f"gate has no power: the {role} of {other} passes it against {main} ({said}): tighten its"
        " bounds"
    )
    return _Control(powerless, metrics=values, cases=(main, other))


def _measure_control(
    other: Output, main: Output, gate: ImageGate, scale: Scale
) -> dict[str, float]:
    """Compare one case with another; empty if they cannot be compared.

    Raises:
        MetricError: a registered metric failed.
    """
    try:
        # FLIP takes long, and that of the worst picture is enough if it breaks the gate.
        found = compare_outputs(other, main, gate, scale, every_flip=False).worst(scale)
        if gate.flip is None or find_broken_bounds(found, gate, scale):
            return found
        return compare_outputs(other, main, gate, scale, every_flip=True).worst(scale)
    except MetricError:
        raise
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
        f" {format_apart(drop, gate.clip_drop, 3)}, which {gate.clip_drop:g} allows: tighten the"
        " bound"
    )
