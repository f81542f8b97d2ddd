"""What a campaign is expected to cost, before anything is measured.

The rules are rough on purpose: they order campaigns, and tell which of them a total budget has no
time for. A call is taken to last as long as its page says; or as its baseline's page and its
speed-up say; or as its documented rate of steps says; or twice the limit of its stored counts; or,
if nothing is known, ``STEP_S`` for each step and megapixel. What was documented on another device
is scaled by what the two differ least in, or most against this one: arithmetic or bandwidth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_sdspeed.dry.limits import compute_limit
from pytest_sdspeed.judge.speed.put_together import count_sampled
from pytest_sdspeed.judge.speed.whole_calls import count_palindromes
from pytest_sdspeed.measure.staging import AUTO_S
from pytest_sdspeed.model import CampaignKey, list_names
from pytest_sdspeed.model.costs import GIB
from pytest_sdspeed.model.devices import find_specs
from pytest_sdspeed.model.machine import is_another_device

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_sdspeed.lint.counts import Counts
    from pytest_sdspeed.model import Row, Table
    from pytest_sdspeed.setups.catalog import ResolvedSetup

BLOCKS = 3
"""Blocks that are estimated: the first look, after which a row may be decided."""
OF_LIMIT = 2.0
"""How many times its limit a call is taken to last: pages of A100 and H100 explain about half."""
STEP_S = 0.1
"""Seconds of a step for each megapixel of a picture, if nothing is known of it."""
COMPILE_S = 90.0
"""Seconds that a row which compiles takes for it, if its page does not say."""
LOAD_S, LOAD_BYTES_S = 10.0, 1e9
"""Seconds to build an arm, and bytes of weights that are read in a second."""
PROFILES = 2
"""Generations of each arm for its profile."""
_FRAMES_OF_PICTURE = 4
"""Frames of a video that a denoiser sees as one: autoencoders of videos compress time by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignEstimate:
    """What a campaign is expected to cost.

    Attributes:
        key: its campaign.
        weights: what it shares with other campaigns: model, pipeline and dtype.
        rows: its rows that fit the device, the baseline not among them.
        before_s: seconds for building, compiling, warm-up and profiles.
        timed_s: seconds of ``BLOCKS`` blocks, and of whole calls after blocks by stages.
        block_s: seconds of one more block.
        call_s: seconds of one call of the baseline.
        is_known: whether pages or stored counts say how long each of its calls takes.
        by_stages: whether its calls are put together from stages.
    """

    key: CampaignKey
    weights: tuple[str, str, str]
    rows: tuple[str, ...]
    before_s: float
    timed_s: float
    block_s: float = 0.0
    call_s: float = 0.0
    is_known: bool = False
    by_stages: bool = False

    @property
    def total_s(self) -> float:
        """Seconds of the whole campaign."""
        return self.before_s + self.timed_s

    def find_most_s(self, budget_s: float, max_blocks: int) -> float:
        """Return the seconds of the whole campaign if it takes all of its blocks.

        Args:
            budget_s: seconds that its blocks may take.
            max_blocks: most blocks.
        """
        palindrome_s = self.timed_s - BLOCKS * self.block_s
        spent_s = max(BLOCKS * self.block_s, min(budget_s, max_blocks * self.block_s))
        blocks = min(max_blocks, int(budget_s / self.block_s)) if self.block_s else 0
        _least, palindromes = count_palindromes(blocks)
        return self.before_s + spent_s + palindromes * palindrome_s


def estimate_campaign(
    base: ResolvedSetup,
    rows: Sequence[ResolvedSetup],
    device: str,
    counts: Callable[[Row], Counts | None],
    unit: str = "call",
) -> CampaignEstimate:
    """Estimate what a campaign costs on a device.

    Args:
        base: its baseline.
        rows: the rows that are measured beside it.
        device: name of the device.
        counts: returns the stored counts of a row, None if there are none.
        unit: what a slot is: ``call``, ``stage`` or ``auto``. By stages, a call is taken to last
            as its denoising steps do, of which some are measured.
    """
    assert base.row is not None  # noqa: S101 - a baseline is a row
    recipe, known = base.recipe, [row.row for row in rows if row.row is not None]
    measured = [base.row, *known]
    calls = [estimate_call_s(base.table, row, device, counts(row)) for row in measured]
    others = [prompt for prompt in recipe.more_prompts if prompt != recipe.prompt]
    warm_ups = 2 + len(others) + PROFILES
    read = counts(base.row)
    load_s = ((read.weight_bytes or 0) if read else 0) / LOAD_BYTES_S
    compiling = sum(_estimate_compile_s(row) for row in measured)
    # The baseline has two pairs of slots in a palindrome, a row has one.
    block_s, after_s = 4 * calls[0] + 2 * sum(calls[1:]), 0.0
    by_stages = unit == "stage" or (unit == "auto" and calls[0] >= AUTO_S)
    if by_stages:
        block_s *= count_sampled(recipe.steps) / recipe.steps
        after_s = 2 * sum(calls)
    return CampaignEstimate(
        key=base.campaign,
        weights=(recipe.model, recipe.pipeline or "", recipe.dtype),
        rows=tuple(row.setup for row in rows),
        before_s=load_s + LOAD_S * len(calls) + compiling + warm_ups * sum(calls),
        timed_s=BLOCKS * block_s + after_s,
        block_s=block_s,
        call_s=calls[0],
        is_known=all(
            _find_call_by_source(base.table, row, device, counts(row)) is not None
            for row in measured
        ),
        by_stages=by_stages,
    )


def estimate_call_s(table: Table, row: Row, device: str, counts: Counts | None) -> float:
    """Estimate the seconds of one call of a row on a device.

    Args:
        table: its table.
        row: the row.
        device: name of the device.
        counts: its stored counts, or None.
    """
    found = _find_call_by_source(table, row, device, counts)
    if found is not None:
        return found
    recipe = row.recipe
    pictures = recipe.images * max(1.0, (recipe.frames or 1) / _FRAMES_OF_PICTURE)
    return STEP_S * recipe.steps * pictures * recipe.height * recipe.width / 1e6


def _find_call_by_source(
    table: Table, row: Row, device: str, counts: Counts | None
) -> float | None:
    """Return the seconds of a call by its page or its stored counts, or None."""
    documented = _find_documented_s(table, row)
    if documented is not None:
        return documented * compare_devices(table.device, device)
    if counts is not None and counts.work:
        for name, scale in ((device, 1.0), (table.device, compare_devices(table.device, device))):
            limit_s = compute_limit(counts.account, name, counts.precision).limit_s
            if limit_s:
                return OF_LIMIT * limit_s * scale
    return None


def _find_documented_s(table: Table, row: Row) -> float | None:
    """Return the seconds of a call by its page, or by its baseline's; None if neither says."""
    own = _find_call_s(row)
    if own is not None or row.is_baseline:
        return own
    base = table.row(row.baseline)
    theirs = _find_call_s(base) if base else None
    return None if theirs is None else theirs / row.speedup


def _find_call_s(row: Row) -> float | None:
    steps = row.recipe.steps
    of_unit = {"call": 1, "stage": 1, "denoising": 1, "denoiser": steps}
    if row.latency_s is not None and row.recipe.unit in of_unit:
        return row.latency_s * of_unit[row.recipe.unit] / row.recipe.repeats
    return steps / row.iterations_per_s if row.iterations_per_s else None


def _estimate_compile_s(row: Row) -> float:
    if row.compile_s is not None:
        return row.compile_s
    names = list_names(row.optimizations)
    return COMPILE_S if any("compile" in name for name in names) else 0.0


def compare_devices(documented: str, device: str) -> float:
    """Return how many times as long something takes on a device as on the documented one.

    It is the largest ratio of their published peaks: float32, half precision, and bandwidth. Of a
    name that several devices have the slowest is this one, the fastest the documented one. Devices
    that are not known take as long as each other, and so does one that the documented name means.
    """
    if not is_another_device(device, documented):
        return 1.0
    ratios = [
        max(
            theirs.bandwidth_gbs / ours.bandwidth_gbs,
            *(
                theirs.tflops[kind] / ours.tflops[kind]
                for kind in ("float32", "float16")
                if kind in theirs.tflops and kind in ours.tflops
            ),
        )
        for theirs in find_specs(documented)
        for ours in find_specs(device)
    ]
    return max(ratios, default=1.0)


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What a row needs of the device's memory, and how that is known.

    Attributes:
        size: bytes.
        source: how that is known, in words.
    """

    size: float
    source: str


def find_memory_need(row: Row, counts: Counts | None) -> MemoryNeed | None:
    """Find what a row needs of the device's memory: its page's figure, else what was counted."""
    if row.memory_gb is not None:
        return MemoryNeed(row.memory_gb * GIB, "documented at its peak")
    if counts is None:
        return None
    if counts.peak_bytes:
        return MemoryNeed(counts.peak_bytes, "counted at its peak")
    return MemoryNeed(counts.weight_bytes, "of weights alone") if counts.weight_bytes else None


def explain_misfit(
    resolved: ResolvedSetup,
    base: ResolvedSetup,
    device: str,
    memory_bytes: float,
    counts: Callable[[Row], Counts | None],
) -> str | None:
    """Say why a row does not fit a device's memory, or its baseline, or return None.

    Args:
        resolved: the row.
        base: its baseline, without which no speed-up is measured.
        device: name of the device.
        memory_bytes: size of its memory.
        counts: returns the stored counts of a row, None if there are none.
    """
    for one in (base, resolved):
        need = find_memory_need(one.row, counts(one.row)) if one.row else None
        if need is not None and need.size > memory_bytes:
            whose = "it" if one.setup == resolved.setup else f"its baseline {one.setup}"
            return (
                f"does not fit: {whose} needs {need.size / GIB:.1f} GB ({need.source}), and"
                f" {device} has {memory_bytes / GIB:.1f} GB"
            )
    return None
