"""Show pictures: PNGs of what was drawn, with their error maps."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures.forms import keep
from pytest_sdspeed.judge.pictures.metrics import draw_error_map
from pytest_sdspeed.judge.pictures.strips import choose_frames, show_video, shrink
from pytest_sdspeed.model import Case, Exhibit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.judge.pictures.gate import ImageJudgement
    from pytest_sdspeed.judge.pictures.output import Output, Span
    from pytest_sdspeed.model import Result


_CONTROL_METRICS = ("control_psnr", "control_ssim", "control_mae", "control_flip")


LARGEST = 512
"""Pixels of the longer side of a picture to look at: a larger one is reduced, after it was
judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What was drawn for one row: case -> whatever ``keep`` takes.

    Attributes:
        candidate: pictures of the row; empty for a baseline.
        baseline: pictures of its baseline.
        reference: pictures of what the row is compared with in the baseline's place, or None.
        prompt: prompt of the cases that name none; "" for callables.
    """

    candidate: Mapping[Case, object]
    baseline: Mapping[Case, object]
    reference: Mapping[Case, object] | None
    prompt: str

    def exhibits(self, judgement: ImageJudgement) -> tuple[Exhibit, ...]:
        """Return every case's worst picture, and the negative control if there was one.

        The order is that of the drawing, but for the case that the timed slots draw, which comes
        first.
        """
        cases = list(dict.fromkeys((*self.candidate, *self.baseline)))
        shown = [self._make_case(case, judgement) for case in [*cases[-1:], *cases[:-1]]]
        if judgement.control:
            shown.append(self._make_control(*judgement.control, judgement))
        return tuple(exhibit for exhibit in shown if exhibit.pictures)

    def _make_case(self, case: Case, judgement: ImageJudgement) -> Exhibit:
        sides = {
            "baseline": self.baseline,
            "reference": self.reference,
            "candidate": self.candidate,
        }
        found = {role: as_output(drawn.get(case)) for role, drawn in sides.items() if drawn}
        index = _choose_picture(case, found, judgement)
        scores = {
            name: value
            for name, value in judgement.by_case.get(case, {}).items()
            if name.startswith("clip")
        }
        return self._make_exhibit(
            case, index, found, {**judgement.worst_metrics.get(case, {}), **scores}
        )

    def _make_control(self, main: Case, other: Case, judgement: ImageJudgement) -> Exhibit:
        """Show the first pictures of another case and of the main one, with the gate's metrics.

        Metrics are the worst over the batch.
        """
        role, drawn = (
            ("reference", self.reference)
            if self.reference is not None
            else ("baseline", self.baseline)
        )
        found = {
            role: as_output(drawn.get(main)),
            "candidate": as_output(drawn.get(other)),
        }
        measured = {
            name.removeprefix("control_"): value
            for name, value in judgement.metrics.items()
            if name in _CONTROL_METRICS
        }
        return self._make_exhibit(main, 0, found, measured, control=True)

    def _find_span(self, case: Case) -> Span | None:
        """Return the range in which all sides of a case are shown: that of the comparison."""
        against = self.baseline if self.reference is None else self.reference
        output = as_output(against.get(case))
        return output.span if output is not None and output.kind != "array" else None

    def _make_exhibit(
        self,
        case: Case,
        index: int,
        found: Mapping[str, Output | None],
        measured: Mapping[str, float],
        *,
        control: bool = False,
    ) -> Exhibit:
        span = self._find_span(case)
        shown = {
            role: output.view(index, span)
            for role, output in found.items()
            if output is not None and output.kind != "array" and index < output.count
        }
        pictures = {role: encode_png(picture) for role, picture in shown.items()}
        if len({picture.shape for picture in shown.values()}) == 1:
            pictures = _add_error_map(pictures)
        exhibit = Exhibit(
            seed=case.seed,
            prompt=(case.prompt or self.prompt) + (f" ({case.steps} steps)" if case.steps else ""),
            index=index,
            pictures=pictures,
            metrics=dict(measured),
            control=control,
        )
        return _add_videos(exhibit, found, span)


def _choose_picture(
    case: Case, found: Mapping[str, Output | None], judgement: ImageJudgement
) -> int:
    """Choose the picture of a case to look at: its worst, or else the first broken one of a side.

    Args:
        case: the case.
        found: side -> what it drew.
        judgement: knows the worst, if the sides could be compared.
    """
    if case in judgement.worst or judgement.verdict != "fail":
        return judgement.worst.get(case, 0)
    sides = [output for role in ("candidate", *found) if (output := found.get(role)) is not None]
    broken = (output.find_defective() for output in sides)
    return next((at for at in broken if at is not None), 0)


def _add_videos(exhibit: Exhibit, found: Mapping[str, Output | None], span: Span | None) -> Exhibit:
    """Return an exhibit with frames and strips of the sides that drew videos."""
    videos = {
        role: output
        for role, output in found.items()
        if output is not None and output.kind == "videos" and output.together > 1
    }
    if not videos:
        return exhibit
    length = next(videos[role].together for role in ("candidate", *videos) if role in videos)
    video, worst = divmod(exhibit.index, length)
    marked = None if exhibit.control else worst
    chosen = choose_frames(length, marked)
    more = {
        f"{role}_{place}": _encode(image)
        for role, output in videos.items()
        if video * output.together < output.count
        for place, image in show_video(output, video, span, chosen, marked).items()
    }
    return replace(exhibit, pictures={**exhibit.pictures, **more}, frames=length, strip=chosen)


def add_error_maps(result: Result) -> Result:
    """Add error maps to a result read from a stored run, whose pictures come without them."""
    return replace(
        result,
        exhibits=tuple(
            replace(exhibit, pictures=_add_error_map(exhibit.pictures))
            for exhibit in result.exhibits
        ),
    )


def _add_error_map(pictures: Mapping[str, bytes]) -> dict[str, bytes]:
    against = pictures.get("reference", pictures.get("baseline"))
    mapped = (
        encode_error_map(pictures["candidate"], against)
        if "candidate" in pictures and against is not None
        else None
    )
    return {**pictures, "error_map": mapped} if mapped else dict(pictures)


def encode_png(picture: np.ndarray) -> bytes:
    """Encode a picture as PNG, at most ``LARGEST`` pixels a side.

    Args:
        picture: float array (H, W, 3); what lies outside of [0, 1] is clipped, what is not finite
            becomes magenta.
    """
    return _encode(shrink(picture, LARGEST))


@cache
def encode_error_map(candidate: bytes, against: bytes) -> bytes | None:
    """Encode FLIP's error map of two PNGs as PNG; None if their sizes differ.

    The same pair is asked for again by tests that share a row.
    """
    ours, theirs = (
        np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32) / 255
        for data in (candidate, against)
    )
    try:
        return _encode(Image.fromarray(draw_error_map(ours, theirs)))
    except PictureError:
        return None


def _encode(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()


def as_output(drawn: object) -> Output | None:
    """Keep what an arm drew, whatever form it has; None if it is nothing that can be judged."""
    try:
        return keep(drawn)
    except PictureError:
        return None
