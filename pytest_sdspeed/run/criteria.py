"""What a candidate is held to, and what its verdict is made of."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.errors import UsageMistakeError
from pytest_sdspeed.model.costs import find_cost_bounds, list_documented_costs
from pytest_sdspeed.run.settings import REHEARSED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_sdspeed.measure.campaign_data import CampaignData
    from pytest_sdspeed.model import ImageGate, Machine, PictureMetric, Recipe, Row, Table
    from pytest_sdspeed.model.costs import ColdStarts
    from pytest_sdspeed.pipelines.clip import ClipScorer
    from pytest_sdspeed.run.settings import MarkerOptions, Options
    from pytest_sdspeed.run.targets import Target
    from pytest_sdspeed.setups.catalog import ResolvedSetup


class Criteria(NamedTuple):
    """What a candidate is held to.

    Attributes:
        speedup: documented ratio, baseline latency over candidate latency.
        tolerance: fraction of it that may be missing.
        image: bounds on the pictures, or None.
        documented_on: device that the ratio is documented on, or None if the marker gives it.
        recorded_in: recorded table that the ratio is from, or None.
        memory: bound on the peak memory, as a share of the baseline's, or None.
        tolerance_s: seconds by which it may take longer than the ratio promises, or None.
        costs: figure of a result -> what the table documents of it, of memory and of starts.
        cost_bounds: figure -> the most that passes. Bytes are not noisy: neither the marker nor
            ``--sd-tolerance`` widens the table's own tolerance here.
        slower: whether the row promises memory for the time that it costs.
    """

    speedup: float
    tolerance: float
    image: ImageGate | None
    documented_on: str | None
    recorded_in: str | None
    memory: float | None = None
    tolerance_s: float | None = None
    costs: Mapping[str, float] = MappingProxyType({})
    cost_bounds: Mapping[str, float] = MappingProxyType({})
    slower: bool = False

    @property
    def floor(self) -> float:
        """Return the least speed-up that passes by its tolerance as a fraction alone."""
        return self.speedup * (1 - self.tolerance)

    def floor_at(self, baseline_s: float) -> float:
        """Return the least speed-up that passes.

        Args:
            baseline_s: latency of the baseline, seconds.
        """
        from pytest_sdspeed.judge.speed.floor import find_floor

        return find_floor(self.speedup, self.tolerance, self.tolerance_s, baseline_s)


def find_criteria(
    name: str, resolved: ResolvedSetup | None, marker: MarkerOptions, options: Options
) -> Criteria:
    """Find what a candidate is held to; the marker takes precedence over the table.

    Args:
        name: name of the candidate, for messages.
        resolved: the setup, or None for a callable.
        marker: arguments of the test's marker.
        options: options of the run.

    Raises:
        UsageMistakeError: neither marker nor table says what to expect.
    """
    row = resolved.row if resolved else None
    baseline = resolved is not None and resolved.setup == resolved.baseline
    if row is None and marker.speedup is None and not baseline:
        raise UsageMistakeError(
            f"sd_latency({name}): nothing says what to expect: @pytest.mark.sd_latency(speedup=...)"
        )
    tolerance = marker.tolerance_or(options.tolerance, *([row.tolerance] if row else []))
    image = marker.image
    if image is None and row is not None:
        random = resolved is not None and weights_of(resolved.recipe, options) == "random"
        image = (row.image_random if random else None) or row.image
    if resolved is not None and weights_of(resolved.recipe, options) == REHEARSED:
        # All other bounds are for other weights.
        image = row.image_random if row else None
    table = resolved.table if resolved and row and marker.speedup is None else None
    costs = list_documented_costs(row) if row else {}
    return Criteria(
        marker.speedup or (row.speedup if row else 1.0),
        tolerance,
        image,
        documented_on=table.device if table else None,
        recorded_in=table.path if table and table.recorded else None,
        memory=row.memory if row and not options.rehearses else None,
        tolerance_s=(
            marker.tolerance_s if marker.tolerance_s is not None or row is None else row.tolerance_s
        ),
        costs=costs,
        cost_bounds=find_cost_bounds(costs, row.tolerance) if row else {},
        slower=row is not None and resolved is not None and _promises_memory(row, resolved.table),
    )


def _promises_memory(row: Row, table: Table) -> bool:
    """Tell whether a row that may be slower has a promise of memory to keep.

    A source may publish one as a warning: it has no figure of memory, or its peak is documented to
    be no less than its baseline's. Its figures are held as they are.
    """
    if not row.slower or row.memory is not None:
        return row.slower
    baseline = table.row(row.baseline)
    theirs = baseline.memory_gb if baseline else None
    if row.memory_gb is not None and theirs is not None:
        return row.memory_gb < theirs
    return row.memory_gb is not None or row.load_gb is not None


class RowCase(NamedTuple):
    """Everything that the verdict on one row is made of.

    Attributes:
        data: what its campaign measured.
        candidate: what is judged.
        base: what it is compared with.
        resolved: the candidate's setup, or None for a callable.
        criteria: what it is held to.
        machine: where it was measured.
        options: options of the run.
        clip: loads the model behind bounds on CLIP scores.
        same_weights: candidate and baseline have the same weights, whatever the candidate's
            optimizations change.
        metrics: registered metrics of pictures by name.
        starts: what new processes took to start with it; None if it has no bound on that.
    """

    data: CampaignData
    candidate: Target
    base: Target
    resolved: ResolvedSetup | None
    criteria: Criteria
    machine: Machine
    options: Options
    clip: Callable[[], ClipScorer]
    same_weights: bool = False
    metrics: Mapping[str, PictureMetric] = MappingProxyType({})
    starts: ColdStarts | None = None

    @property
    def is_shrunk(self) -> bool:
        """Tell whether the candidate drew at toy size, with random weights."""
        return self.weights == REHEARSED

    @property
    def weights(self) -> str | None:
        """Say in a word where the candidate's weights come from; None for a callable."""
        return (
            weights_of(self.candidate.setup.recipe, self.options) if self.candidate.setup else None
        )


def weights_of(recipe: Recipe, options: Options) -> str:
    """Say in a word where a setup's weights come from."""
    from pytest_sdspeed.pipelines.embedded import EMBEDDED

    if recipe.model in EMBEDDED:
        return "embedded"
    if options.rehearses:
        return REHEARSED
    return "random" if options.random_weights else "pretrained"


def find_dry_weights(recipe: Recipe) -> str:
    """Say in a word where the weights of a setup that is counted come from."""
    from pytest_sdspeed.pipelines.embedded import EMBEDDED

    return "embedded" if recipe.model in EMBEDDED else "none"
