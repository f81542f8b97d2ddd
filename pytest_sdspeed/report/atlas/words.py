"""What tables, rows and claims say, in the words of the atlas."""

from __future__ import annotations

import re
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from pytest_sdspeed.report.account_text import format_seconds
from pytest_sdspeed.report.page.recipe import describe_recipe
from pytest_sdspeed.report.text import format_ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_sdspeed.model.limits import Limit
    from pytest_sdspeed.model.tables import Claim, Recipe, Row, Stated
    from pytest_sdspeed.report.atlas.entries import Measured

_STATED: Mapping[str, str] = {
    "latency_s": "{} s",
    "speedup": "x{}",
    "saved_percent": "{}% of the time saved",
    "iterations_per_s": "{} it/s",
    "memory_gb": "{} GiB at the peak",
    "load_gb": "{} GiB after loading",
    "tflops": "{} TFLOPs",
}
_COMMIT = re.compile(r"(?<=/)([0-9a-f]{10})[0-9a-f]{30}(?=/)")
_LEFT_OUT = ("prompt", "seed")
"""What tells little about a figure, and takes room in every table."""


def shorten_address(address: str) -> str:
    """Return an address as people read it: without its scheme, and commits with ten digits."""
    return _COMMIT.sub(r"\1", re.sub(r"^https?://", "", address))


def list_figures(row: Row) -> list[str]:
    """List the figures of a row, as they are documented or recorded: its speed-up first."""
    return list(_write_figures(row))


def _write_figures(row: Row) -> Iterator[str]:
    yield "baseline" if row.is_baseline else _write_ratio(row.speedup)
    if row.latency_s is not None:
        yield f"{_write_exactly(row.latency_s)} s" + (
            f" for {row.recipe.repeats} calls" if row.recipe.repeats > 1 else ""
        )
    costs = {
        "{} it/s": row.iterations_per_s,
        "{} GiB at the peak": row.memory_gb,
        "{} GiB after loading": row.load_gb,
        "{} s to compile": row.compile_s,
        "{} s with a warm cache": row.warm_compile_s,
        "{} s to the first picture": row.first_s,
        "{} TFLOPs": row.tflops,
    }
    yield from (
        form.format(_write_exactly(value)) for form, value in costs.items() if value is not None
    )
    if row.gpus > 1:
        yield f"{row.gpus} GPUs"


def _write_exactly(figure: float) -> str:
    """Write a published figure with all of its digits."""
    return f"{figure:.12g}"


def _write_ratio(speedup: float) -> str:
    """Write a speed-up with two digits after the point, or with the three that it may have."""
    printed = _write_exactly(speedup)
    three = len(printed.partition(".")[2]) == 3  # noqa: PLR2004 - a ratio of latencies has more
    return f"x{printed}" if three else format_ratio(speedup)


def describe_floor(row: Row) -> str:
    """Describe what a run holds a row to: ``held to x1.43``; "" for a baseline."""
    if row.is_baseline:
        return ""
    speed = f"held to {format_ratio(row.speedup * (1 - row.tolerance))}"
    if row.memory is None:
        return speed
    return f"{speed}, and at most {100 * row.memory:g}% of the baseline's memory"


def describe_stack(row: Row, baselines: int) -> str:
    """Describe what a row stacks, and the baseline that it is compared with if there are several.

    Args:
        row: a row of a table.
        baselines: number of baselines in its table.
    """
    stack = " + ".join(row.optimizations).replace('"', "") or "as it comes"
    against = f", against {row.baseline}" if baselines > 1 and not row.is_baseline else ""
    return f"{stack}{against}"


def describe_limit(limit: Limit | None, row: Row) -> tuple[str, str]:
    """Return the least time of one call on the table's device, and what the published one is to it.

    Args:
        limit: what the device can do at best, or None if nothing was counted.
        row: the row, for its latency.
    """
    if limit is None:
        return "not counted", ""
    if limit.certain_s is None:
        return "unknown", limit.reason
    words = format_seconds(limit.certain_s)
    if row.latency_s is None or not row.recipe.of_call or not limit.certain_s:
        return words, limit.device
    ratio = row.latency_s / row.recipe.repeats / limit.certain_s
    return words, f"{limit.device}; published is {ratio:.3g} times that"


def describe_measured(measured: Measured) -> tuple[str, str]:
    """Return the figures of a recorded row, and on what they were recorded."""
    row, recorded = measured.row, measured.table.recorded
    figures = list_figures(row)
    if row.spread is not None:
        interval = f"[{row.spread.low:.2f}, {row.spread.high:.2f}]"
        figures[0] += f", A/A x{interval}" if row.is_baseline else f" {interval}"
    facts = [measured.table.device]
    weights = recorded.get("weights")
    facts += [f"{weights} weights"] if weights else []
    facts += [recorded["date"][:10]] if "date" in recorded else []
    facts += [f"torch {recorded['version_torch']}"] if "version_torch" in recorded else []
    return ", ".join(figures), ", ".join(facts)


def describe_stated(stated: Stated) -> str:
    """Describe what a source states of a row beside its figures: ``column x: 37.88% ...``."""
    figures = [
        _STATED[name].format(_write_exactly(value)) for name, value in stated.figures.items()
    ]
    return f"{stated.where}: {', '.join([*figures, *filter(None, [stated.text])])}"


def describe_timings(timings: Sequence[float]) -> str:
    """Describe published timings of single calls; "" if there are none."""
    if not timings:
        return ""
    spread = f", CV {stdev(timings) / fmean(timings):.2%}" if len(timings) > 1 else ""
    low, high = map(_write_exactly, (min(timings), max(timings)))
    return f"{len(timings)} single timings published: {low} to {high} s{spread}"


def describe_differences(recipe: Recipe, common: Mapping[str, str]) -> str:
    """Describe what a baseline's recipe says besides what all of its table have in common."""
    own = list_recipe(recipe)
    return ", ".join(
        f"{label} {value}" for label, value in own.items() if common.get(label) != value
    )


def list_common(recipes: Sequence[Recipe]) -> Mapping[str, str]:
    """Return label -> value of what all recipes say."""
    first, *others = map(list_recipe, recipes)
    return {
        label: value
        for label, value in first.items()
        if all(other.get(label) == value for other in others)
    }


def list_recipe(recipe: Recipe) -> Mapping[str, str]:
    """Return label -> value of what a recipe says, without what tells little about a figure."""
    said = describe_recipe(recipe)
    return {label: value for label, value in said.items() if label not in _LEFT_OUT}


def describe_claim(claim: Claim) -> str:
    """Describe what a claim compares, as a sentence without its end."""
    subject = claim.rows[0] if claim.rows else ""
    others = " and of ".join(claim.rows[1:])
    share = "" if claim.by is None else f", at most {100 * claim.by:g}% of it"
    ratio = "" if claim.by is None else f", at least x{claim.by:g}"
    part = f" in its {claim.part}" if claim.part else ""
    bounds = ", ".join(f"{name} at most {most}" for name, most in claim.bounds.items())
    values = ", ".join(f"{name} = {value}" for name, value in claim.defaults.items())
    return {
        "faster": f"{subject} takes less time than {' and '.join(claim.rows[1:])}{ratio}",
        "slower": f"{subject} takes more time than {' and '.join(claim.rows[1:])}{ratio}",
        "less_memory": f"the peak memory of {subject} is below that of {others}{share}",
        "parameters": f"{subject} has fewer parameters{part} than {' and '.join(claim.rows[1:])}"
        f"{share.replace(' of it', ' of them')}",
        "account": f"what {subject} asks of a device: {bounds}",
        "comparable": f"the pictures of {subject} are within its bounds against those of {others}",
        "defaults": f"torch as imported has {values}",
    }[claim.kind]
