"""What a run and a test are asked for, as frozen facts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_sdspeed.model import DEFAULT_TOLERANCE, ImageGate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pytest_sdspeed.history.aliases import Alias
    from pytest_sdspeed.model import Recipe


REHEARSED = "tiny"
"""Value of ``--sd-weights`` in a rehearsal, and what its random weights are called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The ``--sd-*`` options.

    Attributes:
        gpu: measure full-size pipelines on the accelerator that torch has.
        dry: count instead of timing, on the CPU, full-size models without weights.
        weights: ``pretrained``, ``random``, or ``tiny`` for a rehearsal.
        tables: more table files or folders.
        tolerance: overrides the tables' tolerance, or None.
        budget_s: budget of one campaign's timed part, seconds.
        total_budget_s: budget of the whole run on a GPU, seconds, or None for no limit.
        max_blocks: most blocks of a campaign.
        max_staged_blocks: most blocks of a campaign by stages.
        inconclusive: ``fail``, ``warn`` or ``skip``.
        seed: seed of block order and latents, or None for the recipes' own.
        report: where the HTML report goes, or None.
        record: where the measured table goes, or None.
        clip: folder or hub id of the CLIP model behind bounds on CLIP scores.
        confirm: measure a row that is too slow again in a new process.
        against: the other version that is measured against, or None.
        against_control: measure another process of that version too.
        history: ``off``, ``warn`` or ``fail``: what a row does that became slower than in the
            stored runs.
        aliases: names of before, for the histories.
        unit: what a slot is, ``auto``, ``call``, ``stage``, or ``table`` for what the table says.
    """

    gpu: bool
    weights: str
    tables: tuple[Path, ...]
    tolerance: float | None
    budget_s: float
    max_blocks: int
    max_staged_blocks: int
    inconclusive: str
    seed: int | None
    report: Path | None
    record: Path | None
    clip: str
    confirm: bool
    history: str
    against: str | None
    against_control: bool
    aliases: tuple[Alias, ...] = ()
    unit: str = "table"
    dry: bool = False
    total_budget_s: float | None = None

    def choose_unit(self, recipe: Recipe | None) -> str:
        """Return what a slot of a recipe is: ``call``, ``stage``, or ``auto``.

        Args:
            recipe: the recipe; None for callables, which have none.
        """
        if recipe is not None and not recipe.of_call:
            # Its latencies are of a part of the call, which is timed by itself.
            return "call"
        if self.unit != "table":
            return self.unit
        return "stage" if recipe and recipe.unit == "stage" else "call"

    @property
    def random_weights(self) -> bool:
        """Tell whether models that are not embedded get random weights: only on the GPU."""
        return self.gpu and self.weights == "random"

    def measures(self, *, on_cpu: bool) -> bool:
        """Tell whether this run measures, or rehearses, tables of a CPU, or those of a GPU."""
        return self.rehearses or on_cpu != self.gpu

    @property
    def rehearses(self) -> bool:
        """Tell whether this run rehearses one on a GPU: at toy size on the CPU, without times."""
        return self.weights == REHEARSED


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerOptions:
    """The arguments of an ``sd_latency`` marker; what is None is left to the table.

    Attributes:
        table: name of the table.
        speedup: least documented ratio, baseline latency over candidate latency.
        tolerance: fraction of it that may be missing.
        tolerance_s: seconds by which the row may take longer than it promises.
        image: bounds on the pictures.
    """

    table: str | None = None
    speedup: float | None = None
    tolerance: float | None = None
    tolerance_s: float | None = None
    image: ImageGate | None = None

    @property
    def is_documented(self) -> bool:
        """Tell whether the table alone says what to expect: then its campaign measures the row."""
        return (self.speedup, self.tolerance, self.tolerance_s) == (None, None, None)

    def tolerance_or(self, option: float | None, documented: float = DEFAULT_TOLERANCE) -> float:
        """Return the tolerance: the marker's, else ``--sd-tolerance``, else the table's."""
        return next(value for value in (self.tolerance, option, documented) if value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMarker:
    """The arguments of an ``sd_account`` marker.

    Attributes:
        table: name of the table that gives setups their recipe, or None for the default one.
        bounds: names of ``ACCOUNT_BOUNDS`` -> the most that passes.
    """

    table: str | None = None
    bounds: Mapping[str, int] = field(default_factory=dict)
