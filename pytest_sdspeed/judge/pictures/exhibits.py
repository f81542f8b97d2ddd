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
from pytest_sdspeed.judge.pictures.metrics import NOT_FINITE, draw_error_map
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
        index = judgement.worst.get(case, 0)
        sides = {
            "baseline": self.baseline,
            "reference": self.reference,
            "candidate": self.candidate,
        }
        found = {
            role: _get_picture(drawn.get(case), index, self._find_span(case))
            for role, drawn in sides.items()
            if drawn
        }
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
            role: _get_picture(drawn.get(main), 0, self._find_span(main)),
            "candidate": _get_picture(drawn.get(other), 0, self._find_span(main)),
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
        found: Mapping[str, np.ndarray | None],
        measured: Mapping[str, float],
        *,
        control: bool = False,
    ) -> Exhibit:
        sizes = {picture.shape for picture in found.values() if picture is not None}
        pictures = {
            role: encode_png(picture) for role, picture in found.items() if picture is not None
        }
        pictures = _add_error_map(pictures) if len(sizes) == 1 else pictures
        return Exhibit(
            seed=case.seed,
            prompt=(case.prompt or self.prompt) + (f" ({case.steps} steps)" if case.steps else ""),
            index=index,
            pictures=pictures,
            metrics=dict(measured),
            control=control,
        )


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
    finite = np.isfinite(picture).all(axis=-1, keepdims=True)
    shown = np.clip(np.where(finite, picture, 0), 0, 1)
    levels = np.where(finite, np.round(shown * 255), NOT_FINITE).astype(np.uint8)
    image = Image.fromarray(levels)
    # Reduces and never enlarges, and keeps the proportions.
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.BOX)
    return _encode(image)


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


def _get_picture(drawn: object, index: int, span: Span | None) -> np.ndarray | None:
    """Return one picture of a batch, float32 (H, W, 3), or None if there is none."""
    output = as_output(drawn)
    if output is None or output.kind == "array" or index >= output.count:
        return None
    return output.view(index, span)


def as_output(drawn: object) -> Output | None:
    """Keep what an arm drew, whatever form it has; None if it is nothing that can be judged."""
    try:
        return keep(drawn)
    except PictureError:
        return None
