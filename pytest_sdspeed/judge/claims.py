"""Is what a source claims of its rows true here?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.speed.bias import withstands_bias
from pytest_sdspeed.model import Comparison
from pytest_sdspeed.model.claims import is_share_true
from pytest_sdspeed.model.contradictions import LEAST_WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pytest_sdspeed.model import Contrast, Interval, Verdict


class ClaimJudgement(NamedTuple):
    """What became of a claim.

    Attributes:
        verdict: ``pass`` if it is true.
        comparisons: what was compared, one by one.
        reasons: why the verdict is what it is, beyond the comparisons.
    """

    verdict: Verdict
    comparisons: tuple[Comparison, ...] = ()
    reasons: tuple[str, ...] = ()


def find_acknowledgement(notes: str, rule: str = "claim") -> str:
    """Return why the notes of a claim or a row call what a rule checks false, or "" if they do not.

    A line ``RULE: REASON`` does, with a reason of four words or more.

    Args:
        notes: notes of the claim or row.
        rule: name of the rule.
    """
    found = re.search(rf"^[ \t]*{re.escape(rule)}:[ \t]*(\S.*)$", notes, re.MULTILINE)
    reason = found[1].strip() if found else ""
    return reason if len(reason.split()) >= LEAST_WORDS else ""


def find_least_ratio(by: float | None, tolerance: float) -> float:
    """Return the least ratio of two latencies that makes a claim true.

    A sentence that names a figure has the tolerance of a documented speed-up, and says in any case
    that there is a difference: ``max(1, by * (1 - tolerance))``. A bare one has no tolerance.

    Args:
        by: ratio that the sentence names, or None for a bare comparison.
        tolerance: fraction of it that may be missing.
    """
    return 1.0 if by is None else max(1.0, by * (1 - tolerance))


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict of a claim that says several things at once: all have to be true.

    One that is false is enough for "fail", whatever disturbed the others.
    """
    order: tuple[Verdict, ...] = ("fail", "invalid", "inconclusive")
    return next((one for one in order if one in verdicts), "pass")


def judge_contrast(
    contrast: Contrast,
    first: str,
    decided: tuple[Verdict, Interval] | None,
    control: Interval | None,
    throttled: str = "",
) -> Comparison:
    """Judge what the looks decided about two rows.

    A verdict stands if no bias that the A/A control shows could turn it, as that of a row: the
    slots of one of the two may lie like the baseline's outer ones and those of the other like its
    inner ones, which is the whole bias of the control.

    Args:
        contrast: the two rows.
        first: the row that the sentence is about.
        decided: verdict and interval; None if there were too few blocks for an interval.
        control: the A/A control, or None if there is none: then nothing that was decided stands.
        throttled: why throttling ended the campaign, or "".
    """
    other = contrast.faster if first == contrast.slower else contrast.slower
    said = "slower" if first == contrast.slower else "faster"
    verdict, interval = decided or ("inconclusive", None)
    if throttled:
        verdict = "invalid"
    elif interval is not None and verdict != "inconclusive":
        known = control is not None and withstands_bias(interval, contrast.least, control)
        verdict = verdict if known else "invalid"
    return Comparison(
        subject=f"{first} against {other}",
        measured=str(interval) if interval else "too few blocks for an interval",
        expected=f"{said}, more than x{contrast.least:.3g}",
        verdict=verdict,
        ratio=interval,
    )


def judge_share(
    subject: str, figures: tuple[str, str], share: float, by: float | None
) -> Comparison:
    """Judge what share the first row has of another one's memory or parameters.

    Args:
        subject: what is compared, in words.
        figures: both figures in words, that of the first row first.
        share: the first row's over the other's.
        by: greatest share that makes the sentence true; None if it only says less.
    """
    return Comparison(
        subject=subject,
        measured=f"{share:.1%} ({figures[0]} of {figures[1]})",
        expected="less than 100%" if by is None else f"at most {by:.1%}",
        verdict="pass" if is_share_true(share, by) else "fail",
        share=share,
    )


def judge_defaults(said: Mapping[str, Any], found: Mapping[str, Any]) -> ClaimJudgement:
    """Judge settings of torch.

    Args:
        said: dotted name in torch -> the value that the sentence says.
        found: the same names -> their values; a name that torch does not have is missing.
    """
    comparisons = tuple(
        Comparison(
            subject=f"torch.{name}",
            measured=repr(found[name]) if name in found else "torch has no such setting",
            expected=repr(value),
            verdict=_judge_setting(name, value, found),
        )
        for name, value in said.items()
    )
    return ClaimJudgement(combine([one.verdict for one in comparisons]), comparisons)


def _judge_setting(name: str, value: Any, found: Mapping[str, Any]) -> Verdict:
    if name not in found:
        return "invalid"
    # True is no 1 here.
    same = type(found[name]) is type(value) and found[name] == value
    return "pass" if same else "fail"
