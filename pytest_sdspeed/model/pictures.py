"""What was found of pictures: figures over cases, how an arm differs from itself, exhibits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class MetricRange:
    """The values of one picture metric over the cases and slots that there are.

    If they are independent draws of one distribution, the next case falls inside with a probability
    of (count - 1) / (count + 1): the chance that the newest of count + 1 is neither the least nor
    the greatest.

    Attributes:
        low, high: least and greatest value.
        count: how many values there are: each case, and within a case each output that was kept
            beside the first, counts once.
    """

    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfDifference:
    """How much an arm's pictures differ between its own slots of a case.

    Attributes:
        slots: slots that were looked at.
        differing: how many returned something else than the first of their case.
        metrics: the worst of each picture metric, of the kept outputs against the first of their
            case; empty if none differs.
    """

    slots: int
    differing: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One picture of a case, as each side drew it: the batch's worst by PSNR, or its broken one.

    Attributes:
        seed, prompt: seed and prompt of the case; "" for a callable, which has no prompt.
        index: place in the batch, from 0; of videos, place among the frames of all of them.
        pictures: role -> PNG, 8 bits a channel: ``baseline``; ``candidate``; ``reference`` if
            the candidate is compared with something other than the baseline (a tiny autoencoder
            with the autoencoder, on the same latents); ``error_map``, FLIP's, if both sides have
            the same size. What is not finite is magenta. A role is left out if there is no such
            picture. Of videos, each side has further roles: ``candidate_first``,
            ``candidate_middle`` and ``candidate_last``, its frames, and ``candidate_strip``, a row
            of frames in which the shown one is marked.
        metrics: metrics of this picture, by name.
        control: whether this is the negative control: ``candidate`` is then the baseline of another
            case.
        frames: frames of each video, or None for pictures.
        strip: which frames the strips show, from 0; none for pictures.
    """

    seed: int
    prompt: str
    index: int
    pictures: Mapping[str, bytes]
    metrics: Mapping[str, float]
    control: bool = False
    frames: int | None = None
    strip: tuple[int, ...] = ()

    @property
    def place(self) -> tuple[int, int | None]:
        """Return the place of the picture, or of the video and of the frame in it, from 0."""
        return (self.index, None) if not self.frames else divmod(self.index, self.frames)
