"""Say what a candidate is held to, and gather what its verdict is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import UsageMistakeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_sdspeed.measure.facts import CampaignRecord
    from pytest_sdspeed.model import ImageGate, Machine, Recipe
    from pytest_sdspeed.pipelines.clip import ClipScorer
    from pytest_sdspeed.run.settings import Expectation, Options
    from pytest_sdspeed.run.targets import Contestant
    from pytest_sdspeed.setups.catalog import Choice


class Expected(NamedTuple):
    """What a candidate is held to: ratio, fraction that may be missing, pictures, memory, and the device and recorded table of the ratio."""

    speedup: float
    tolerance: float
    image: ImageGate | None
    documented_on: str | None
    recorded_in: str | None
    memory: float | None = None

    @property
    def floor(self) -> float:
        """The least speed-up that passes."""
        return self.speedup * (1 - self.tolerance)


def expected_of(name: str, choice: Choice | None, expectation: Expectation, options: Options) -> Expected:
    """What holds for a candidate: the marker before the table.

    Args:
        name: of the candidate, for messages.
        choice: how a setup was found, or None for a callable.
        expectation: of the marker.
        options: of the run.

    Raises:
        UsageMistakeError: neither marker nor table says what to expect.
    """
    row = choice.row if choice else None
    baseline = choice is not None and choice.setup == choice.baseline
    if row is None and expectation.speedup is None and not baseline:
        raise UsageMistakeError(f"sd_latency({name}): nothing says what to expect: @pytest.mark.sd_latency(speedup=...)")
    tolerance = expectation.tolerance_or(options.tolerance, *([row.tolerance] if row else []))
    image = expectation.image
    if image is None and row is not None:
        random = choice is not None and weights_of(choice.recipe, options) == "random"
        image = (row.image_random if random else None) or row.image
    table = choice.table if choice and row and expectation.speedup is None else None
    return Expected(
        expectation.speedup or (row.speedup if row else 1.0),
        tolerance,
        image,
        documented_on=table.device if table else None,
        recorded_in=table.path if table and table.recorded else None,
        memory=row.memory if row else None,
    )


class Judged(NamedTuple):
    """Everything a verdict is made of; ``same_weights`` where both sides have the same weights, whatever the candidate's stack does."""

    record: CampaignRecord
    candidate: Contestant
    base: Contestant
    choice: Choice | None
    expected: Expected
    machine: Machine
    options: Options
    clip: Callable[[], ClipScorer]
    same_weights: bool = False

    @property
    def weights(self) -> str | None:
        """Where the candidate's weights come from, in a word; None for a callable."""
        return weights_of(self.candidate.setup.recipe, self.options) if self.candidate.setup else None


def weights_of(recipe: Recipe, options: Options) -> str:
    """Where a setup's weights come from, in a word."""
    from pytest_sdspeed.pipelines.embedded import EMBEDDED

    if recipe.model in EMBEDDED:
        return "embedded"
    return "random" if options.random_weights else "pretrained"
