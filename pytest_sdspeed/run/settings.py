"""What a run and a test were asked for, as frozen facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_sdspeed.model import DEFAULT_TOLERANCE, ImageGate

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The ``--sd-*`` options; see the README for what each means.

    Attributes:
        gpu: measure full-size pipelines on the CUDA GPU.
        weights: ``pretrained`` or ``random``.
        tables: more table files or folders.
        tolerance: overrides the tables' tolerance, or None.
        budget_s: seconds of one campaign's timed part.
        max_blocks: most blocks of a campaign.
        inconclusive: ``fail``, ``warn`` or ``skip``.
        seed: of block order and latents, or None for the recipes' own.
        report: where the HTML report goes, or None.
        record: where the measured table goes, or None.
        clip: folder or hub id of the CLIP model behind bounds on CLIP scores.
        confirm: measure a row that is too slow again in a new process.
        against: the other version that is measured against, or None.
        against_control: measure another process of that version too.
        history: ``off``, ``warn`` or ``fail``, where a row became slower than in the stored runs.
    """

    gpu: bool
    weights: str
    tables: tuple[Path, ...]
    tolerance: float | None
    budget_s: float
    max_blocks: int
    inconclusive: str
    seed: int | None
    report: Path | None
    record: Path | None
    clip: str
    confirm: bool
    history: str
    against: str | None
    against_control: bool

    @property
    def random_weights(self) -> bool:
        """Whether models other than the embedded ones get random weights: ``weights`` counts on the GPU alone."""
        return self.gpu and self.weights == "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an ``sd_latency`` marker asks for; None where it leaves that to the table.

    Attributes:
        table: name of the table.
        speedup: least documented ratio, baseline latency over candidate latency.
        tolerance: fraction of it that may be missing.
        image: picture gate.
    """

    table: str | None = None
    speedup: float | None = None
    tolerance: float | None = None
    image: ImageGate | None = None

    @property
    def is_documented(self) -> bool:
        """Whether the table alone says what to expect, so that a row is measured in the table's campaign."""
        return self.speedup is None and self.tolerance is None

    def tolerance_or(self, option: float | None, documented: float = DEFAULT_TOLERANCE) -> float:
        """The tolerance that holds: the marker's, else ``--sd-tolerance``, else the table's."""
        return next(value for value in (self.tolerance, option, documented) if value is not None)
