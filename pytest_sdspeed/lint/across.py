"""The same setup, published twice: in one table, in two, or beside a row's own figures.

Two rows are of one setup if they generate the same on the same device, with the same stack: model
(the last part of its name), kind of pipeline, size, frames, pictures, steps, unit, GPUs, type of
the weights, whether guidance doubles the calls, and further arguments of the call. The prompt, the
seed, the versions of libraries and the scheduler are no part of it, unless the scheduler calls the
denoiser twice a step. What this project cannot build is one setup only if the same is said about
it. Recorded tables and goals are not compared: they publish nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING

from pytest_sdspeed.lint.printed import differ_by
from pytest_sdspeed.lint.units import is_mistaken_unit
from pytest_sdspeed.model.devices import find_specs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_sdspeed.lint.entries import Entry, Material
    from pytest_sdspeed.lint.printed import Figure
    from pytest_sdspeed.model import Stated
    from pytest_sdspeed.model.contradictions import Contradiction

_OWN = {
    "latency_s": "s",
    "iterations_per_s": "it/s",
    "memory_gb": "GB",
    "load_gb": "GB after loading",
    "tflops": "TFLOP",
}
"""Figure that a source may state a second time -> its unit."""
_TWICE = ("latency_s", "iterations_per_s", "memory_gb", "load_gb", "tflops")
_TYPES = {"fp16": "float16", "bf16": "bfloat16"}
_DEFAULT = frozenset({"sdpa", *_TYPES})
"""Optimizations that the identity of a row has otherwise, or that every row has by default."""
_KINDS = ("Img2Img", "Inpaint", "ControlNet", "Fill", "Edit", "Kontext", "Upscale", "ImageToVideo")
_TWO_CALLS = ("Heun", "KDPM2", "2S", "SDE")
_STATISTIC = re.compile(r"\b(average|max|maximum|mean|median|min|minimum)\b", re.IGNORECASE)
_OF_STATISTIC = Decimal("0.05")

_AMBIGUOUS = "other rows of the table that cannot be built have the same stack"


def find_two_figures(material: Material) -> Iterator[Contradiction]:
    """Find setups that are published with two figures."""
    for entry in material.entries:
        yield from _judge_stated(entry)
    groups: dict[object, list[Entry]] = defaultdict(list)
    for entry in material.all_entries:
        if not entry.table.recorded:
            groups[identify(entry)].append(entry)
    for group in groups.values():
        told_apart = _drop_ambiguous(material, group)
        if len(told_apart) > 1:
            yield from _judge_group(material, told_apart)


def _drop_ambiguous(material: Material, group: Sequence[Entry]) -> list[Entry]:
    """Leave out rows that cannot be built and that one table tells apart by their names alone."""
    times = Counter(one.table.path for one in group)
    kept = []
    for one in group:
        if one.row.unsupported and times[one.table.path] > 1:
            if one.table.name in material.about:
                material.pass_over("two-figures", one, _AMBIGUOUS)
        else:
            kept.append(one)
    return kept


def identify(entry: Entry) -> object:
    """Return what a row is, apart from who published it: equal for rows of one setup."""
    row, recipe = entry.row, entry.row.recipe
    dtype = recipe.dtype
    for name in (one.name for one in entry.stack):
        dtype = _TYPES.get(name, dtype)
    stack = tuple(one.label for one in entry.stack if one.label not in _DEFAULT)
    call = {name: value for name, value in recipe.call.items() if name != "negative_prompt"}
    model = recipe.model.rsplit("/", 1)[-1].lower()
    pipeline = recipe.pipeline or ""
    return (
        _identify_device(entry.table.device),
        model,
        next((kind for kind in _KINDS if kind in pipeline), ""),
        (recipe.height, recipe.width, recipe.frames or 1, recipe.images, entry.steps),
        (recipe.as_calls.unit, row.gpus, dtype, stack, row.unsupported),
        recipe.guidance is not None and recipe.guidance <= 1,
        any(word in (recipe.scheduler or "") for word in _TWO_CALLS),
        repr(sorted(call.items())),
        repr(sorted(recipe.parts.items())),
        tuple(sorted(recipe.inputs)),
    )


@cache
def _identify_device(name: str) -> tuple[str, ...]:
    return tuple(spec.name for spec in find_specs(name)) or (name.lower(),)


def _judge_stated(entry: Entry) -> Iterator[Contradiction]:
    """Hold what else is stated of a row against its own figures."""
    for name, unit in _OWN.items():
        own = entry.figure(name)
        for index, stated, said in entry.stated(name):
            if own is None or said.agrees(own) or is_mistaken_unit(entry, name, said, own):
                continue
            if name == "latency_s" and _is_other_statistic(entry, stated, said, own):
                continue
            yield entry.find(
                "two-figures",
                f"stated[{index}].{name}",
                f"{said} {unit} is stated ({stated.where}) and the row has {own} {unit}:"
                f" {differ_by(said, own)} apart{_name_other(entry, name, said)}",
            )
        if own is None:
            yield from _judge_columns(entry, name, unit)


def _judge_columns(entry: Entry, name: str, unit: str) -> Iterator[Contradiction]:
    """Hold what is stated twice of one column: what stands before the comma of its place."""
    first: dict[str, Figure] = {}
    for index, stated, said in entry.stated(name):
        column = stated.where.partition(",")[0]
        before = first.setdefault(column, said)
        if not said.agrees(before):
            yield entry.find(
                "two-figures",
                f"stated[{index}].{name}",
                f"{said} {unit} is stated ({stated.where}), and {before} {unit} in the same column:"
                f" {differ_by(said, before)} apart",
            )


def _is_other_statistic(entry: Entry, stated: Stated, said: Figure, own: Figure) -> bool:
    """Tell whether a second latency is the mean, median or extreme of the same timings."""
    timings = entry.row.timings_s
    if timings:
        return said.high >= Decimal(repr(min(timings))) and said.low <= Decimal(repr(max(timings)))
    named = _STATISTIC.search(stated.where) is not None
    return named and abs(said.value / own.value - 1) < _OF_STATISTIC


def _name_other(entry: Entry, name: str, said: Figure) -> str:
    """Return which other row of the table has a stated figure to the last digit, if one has."""
    others = [
        row.setup
        for row in entry.table.rows
        if row.setup != entry.row.setup and getattr(row, name) == float(said.value)
    ]
    return f"; it is the figure of {others[0]!r}" if len(others) == 1 else ""


def _judge_group(material: Material, group: Sequence[Entry]) -> Iterator[Contradiction]:
    """Make one finding of the rows of one setup whose figures differ, about a table of the run."""
    own = [one for one in group if one.table.name in material.about]
    if not own:
        return
    differing = [name for name in _TWICE if _differ(group, name)]
    if not differing and not _differ_in_speedup(group):
        return
    names = differing or ["speedup"]
    parts = (_describe(group, name) for name in names)
    # The last of the run: what comes later is what says something else.
    subject = next((one for one in reversed(own) if _differs_from(one, group, names[0])), own[-1])
    others = dict.fromkeys(one.name for one in group if one.name != subject.name)
    yield subject.find(
        "two-figures",
        names[0],
        f"one setup is published {len(group)} times with different figures: {'; '.join(parts)}",
        tuple(others),
    )


def _list_figures(group: Sequence[Entry], name: str) -> list[tuple[Entry, Figure]]:
    figures = [(one, one.call_s if name == "latency_s" else one.figure(name)) for one in group]
    return [(one, figure) for one, figure in figures if figure is not None]


def _differ(group: Sequence[Entry], name: str) -> bool:
    figures = [figure for _, figure in _list_figures(group, name)]
    return any(
        not one.agrees(other) for index, one in enumerate(figures) for other in figures[:index]
    )


def _differs_from(entry: Entry, group: Sequence[Entry], name: str) -> bool:
    return any(_differ((entry, other), name) for other in group if other is not entry)


def _differ_in_speedup(group: Sequence[Entry]) -> bool:
    """Tell whether rows against one baseline, without times, have different speed-ups."""
    without = [one for one in group if one.documented_speedup and not one.row.latency_s]
    baselines = {identify(one.baseline) for one in without}
    return len(without) > 1 and len(baselines) == 1 and _differ(without, "speedup")


def _describe(group: Sequence[Entry], name: str) -> str:
    figures = _list_figures(group, name)
    ordered = sorted(figures, key=lambda one: one[1].value)
    said = ", ".join(f"{figure} ({one.name})" for one, figure in ordered)
    by = differ_by(ordered[0][1], ordered[-1][1])
    return f"{said} {_OWN.get(name, 'times as fast')}, {by} apart"
