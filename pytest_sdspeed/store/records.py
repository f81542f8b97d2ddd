"""The stored form of a result, and the result that a stored form stands for."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, fields
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.judge.speed.blocks import latencies
from pytest_sdspeed.model import (
    RECIPE_DEFAULTS,
    Against,
    Finding,
    HistoryKey,
    ImageVerdict,
    MetricRange,
    Proof,
    Recipe,
    Rehearsal,
    Result,
    SelfDifference,
    Verdict,
)
from pytest_sdspeed.model.numbers import finite_or_none, number_or_nan
from pytest_sdspeed.model.unit import OF_CALL
from pytest_sdspeed.store.forms import (
    read_interval,
    read_numbers,
    store_interval,
    store_numbers,
)
from pytest_sdspeed.store.pictures import describe, restore
from pytest_sdspeed.store.stages import read_stages, store_stages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

SCHEMA = 1
DAMAGE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What reading a stored form raises that is not what ``to_json`` makes."""


def _keep(value: Any) -> Any:
    return value


class _Form(NamedTuple):
    """How a figure of a result is stored, under its own name.

    Attributes:
        store: makes its stored form: builtins only, unknown is None.
        read: makes the figure of that.
        later: what makes the figure if a record of this schema lacks it, because it came later;
            None if all have it.
    """

    store: Callable[[Any], Any] = _keep
    read: Callable[[Any], Any] = _keep
    later: Callable[[], Any] | None = None


def _store_slots(pairs_s: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, list[list[float]]]:
    return {
        arm: [[float(slot) for slot in pair] for pair in pairs] for arm, pairs in pairs_s.items()
    }


def _store_times(times_s: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    return {
        operation: [float(seconds) for seconds in taken] for operation, taken in times_s.items()
    }


def _if_known(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what makes None of None, and of anything else what ``make`` does."""
    return lambda value: None if value is None else make(value)


def _store_against(against: Against) -> dict[str, Any]:
    return {
        **{name: getattr(against, name) for name in ("spec", "label", "identical", "turns")},
        "versions": dict(against.versions),
        "stages": store_numbers(against.stages),
        "process_control": _INTERVAL.store(against.process_control),
    }


def _read_against(stored: Mapping[str, Any]) -> Against:
    return Against(
        **{name: stored[name] for name in ("spec", "label", "versions", "identical")},
        turns=stored.get("turns", 1),
        stages=read_numbers(stored["stages"]),
        process_control=_INTERVAL.read(stored["process_control"]),
    )


def _store_ranges(ranges: Mapping[str, MetricRange]) -> dict[str, dict[str, float | None]]:
    return {name: store_numbers(asdict(found)) for name, found in ranges.items()}


def _read_ranges(stored: Mapping[str, Mapping[str, float | None]]) -> dict[str, MetricRange]:
    return {
        name: MetricRange(
            number_or_nan(found["low"]), number_or_nan(found["high"]), int(found["count"] or 0)
        )
        for name, found in stored.items()
    }


def _store_difference(found: SelfDifference) -> dict[str, Any]:
    return {
        "slots": found.slots,
        "differing": found.differing,
        "metrics": store_numbers(found.metrics),
    }


def _read_difference(stored: Mapping[str, Any]) -> SelfDifference:
    return SelfDifference(
        slots=int(stored["slots"]),
        differing=int(stored["differing"]),
        metrics=read_numbers(stored["metrics"]),
    )


def _store_counts(counts: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    return {name: [int(number) for number in pair] for name, pair in counts.items()}


def _read_counts(stored: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(int(number) for number in pair) for name, pair in stored.items()}


def _store_proofs(proofs: Sequence[Proof]) -> list[dict[str, Any]]:
    return [
        {"optimization": one.optimization, "acted": one.finding.acted, "text": one.finding.text}
        | ({"excused": True} if one.finding.excused else {})
        for one in proofs
    ]


def _read_proofs(stored: Sequence[Mapping[str, Any]]) -> tuple[Proof, ...]:
    return tuple(
        Proof(
            str(one["optimization"]),
            Finding(one["acted"], str(one["text"]), one.get("excused", False) is True),
        )
        for one in stored
    )


def _store_rehearsal(found: Rehearsal) -> dict[str, Any]:
    return {"drawn_s": finite_or_none(found.drawn_s), "nearest": found.nearest}


def _read_rehearsal(stored: Mapping[str, Any]) -> Rehearsal:
    return Rehearsal(drawn_s=number_or_nan(stored["drawn_s"]), nearest=str(stored["nearest"]))


_ALWAYS, _LATER = _Form(), _Form(later=NoneType)
_RATIO = _Form(finite_or_none, number_or_nan)
_NUMBER = _Form(read=float)
_MAPPING = _Form(_if_known(dict), later=NoneType)
_INTERVAL = _Form(_if_known(store_interval), _if_known(read_interval), NoneType)
_NAMES = _Form(_if_known(list), _if_known(tuple), NoneType)
_RATE = _Form(_if_known(finite_or_none), later=NoneType)
_NUMBERS = _Form(store_numbers, read_numbers, dict)
_DIFFERENCE = _Form(_if_known(_store_difference), _if_known(_read_difference), NoneType)
_REHEARSAL = _Form(_if_known(_store_rehearsal), _if_known(_read_rehearsal), NoneType)
_BY_STAGE = _Form(_if_known(store_stages), _if_known(read_stages), NoneType)
_PROOFS = _Form(_store_proofs, _read_proofs, tuple)

_FORMS: dict[str, _Form] = {
    "table": _ALWAYS,
    "setup": _ALWAYS,
    "baseline": _ALWAYS,
    "device": _ALWAYS,
    "speedup": _RATIO,
    "low": _RATIO,
    "high": _RATIO,
    "expected": _NUMBER,
    "tolerance": _NUMBER,
    "floor": _NUMBER,
    "verdict": _ALWAYS,
    "reasons": _Form(list, tuple),
    "blocks": _Form(read=int),
    "samples_s": _Form(_store_slots),
    "image": _Form(store_numbers, read_numbers),
    "image_verdict": _ALWAYS,
    "versions": _Form(dict),
    "peak_memory_bytes": _ALWAYS,
    "stages_s": _MAPPING,
    "telemetry": _MAPPING,
    "confirmation": _MAPPING,
    "documented_on": _LATER,
    "planned_blocks": _LATER,
    "resolves": _RATE,
    "control": _INTERVAL,
    "starts_s": _Form(_store_slots, later=dict),
    "canary_s": _Form(_store_times, later=dict),
    "recorded_in": _LATER,
    "raised": _LATER,
    "memory_share": _LATER,
    "memory_bound": _LATER,
    "against": _Form(_if_known(_store_against), _if_known(_read_against), NoneType),
    "notes": _Form(list, tuple, tuple),
    "image_ranges": _Form(_store_ranges, _read_ranges, dict),
    "self_difference": _DIFFERENCE,
    "baseline_self_difference": _DIFFERENCE,
    "biased": _LATER,
    "slow_pairs": _Form(_store_counts, _read_counts, dict),
    "optimizations": _NAMES,
    "baseline_optimizations": _NAMES,
    "revision": _LATER,
    "tolerance_s": _LATER,
    "peak_reserved_bytes": _LATER,
    "load_memory_bytes": _LATER,
    "load_reserved_bytes": _LATER,
    "iterations_per_s": _RATE,
    "first_s": _LATER,
    "compile_s": _LATER,
    "warm_compile_s": _LATER,
    "recompilations": _LATER,
    "documented_costs": _NUMBERS,
    "cost_bounds": _NUMBERS,
    "proofs": _PROOFS,
    "baseline_proofs": _PROOFS,
    "rehearsal": _REHEARSAL,
    "by_stage": _BY_STAGE,
}
"""Every figure of a result that is stored under its own name. ``recipe`` and ``pictures`` are not
among them; the latencies are medians of ``samples_s``."""
_BEFORE_RECIPE = "image_verdict"
"""Figure that the recipe follows in a stored form: the order of keys is kept for readers."""


def to_json(result: Result) -> dict[str, Any]:
    """Return the stored form of a result: builtins only, unknown is None.

    Pictures are named by their hashes; ``pictures.save`` writes them.
    """
    stored: dict[str, Any] = {"schema": SCHEMA}
    for name, form in _FORMS.items():
        stored[name] = form.store(getattr(result, name))
        if name == _BEFORE_RECIPE:
            stored["recipe"] = store_recipe(result)
    return stored | {"pictures": [describe(exhibit) for exhibit in result.exhibits]}


def store_recipe(result: Result) -> dict[str, Any] | None:
    """Return the stored form of a result's recipe and of its weights' kind; None for callables."""
    if result.recipe is None:
        return None
    return asdict(result.recipe) | {
        "more_prompts": list(result.recipe.more_prompts),
        "inputs": list(result.recipe.inputs),
        "weights": result.weights,
    }


def from_json(stored: Mapping[str, Any], folder: Path) -> Result:
    """Return the result that a stored form stands for, without the candidate's full pictures.

    Args:
        stored: what ``to_json`` made, of this schema; keys that came later may be missing.
        folder: folder of the file it was read from, which the paths of its pictures start from.

    Raises:
        StoredRunError: it is of another schema, or not what ``to_json`` makes.
    """
    schema = stored.get("schema") if isinstance(stored, dict) else None
    if schema != SCHEMA:
        raise StoredRunError(f"schema {schema!r} is not {SCHEMA}")
    try:
        return Result(**_read_facts(stored, folder))
    except DAMAGE as error:
        raise StoredRunError(
            f"not a record of this plugin: {type(error).__name__}: {error}"
        ) from None


def read_figure(stored: Mapping[str, Any], name: str) -> Any:
    """Return one figure of the result that a stored form stands for.

    Args:
        stored: what ``to_json`` made; keys that came later may be missing.
        name: name of the figure in ``Result``.

    Raises:
        KeyError: it is missing, or no figure that is stored under its own name.
        TypeError, ValueError, AttributeError: it is not what ``to_json`` makes.
    """
    form = _FORMS[name]
    if form.later is not None and name not in stored:
        return form.later()
    return form.read(stored[name])


def _read_facts(stored: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    recipe = stored["recipe"]
    if stored["verdict"] not in get_args(Verdict) or stored["image_verdict"] not in (
        *get_args(ImageVerdict),
        None,
    ):
        raise ValueError(f"verdicts {stored['verdict']!r} and {stored['image_verdict']!r}")
    latency_s, baseline_latency_s = _find_latencies(stored)
    known = {field.name for field in fields(Recipe)}
    return {
        **{name: read_figure(stored, name) for name in _FORMS},
        "latency_s": latency_s,
        "baseline_latency_s": baseline_latency_s,
        "images": None,
        "exhibits": tuple(restore(exhibit, folder) for exhibit in stored.get("pictures", ())),
        "recipe": (
            None
            if recipe is None
            else Recipe(
                **{name: _make_tuple(value) for name, value in recipe.items() if name in known}
            )
        ),
        "weights": None if recipe is None else recipe["weights"],
    }


def _find_latencies(stored: Mapping[str, Any]) -> tuple[float, float]:
    """Return the latencies of a row and of its baseline, seconds; NaN of one that was not timed."""
    samples, setup = stored["samples_s"], stored["setup"]
    if not stored["blocks"] and not samples[setup]:
        return math.nan, math.nan
    return latencies(samples, setup, stored["baseline"])


def _make_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def make_history_key(result: Result, test: str, cpu: str | None = None) -> HistoryKey:
    """Return what a result in hand belongs to the history of.

    Args:
        result: what was measured.
        test: id of the test that measured it, which tells callables apart.
        cpu: model of the processor, or None if it is unknown.
    """
    return HistoryKey.of(result, make_recipe_key(store_recipe(result), test), cpu)


def make_recipe_key(recipe: Mapping[str, Any] | None, test: str) -> str:
    """Return what tells recipes, weights and, for callables, tests apart.

    What has its default is left out, so that the records from before a recipe had it belong to the
    same history. So is what no latency depends on: a reference that is recorded from a table gives
    the latency of one call, and that of several in the table is no other work; a call that is
    measured by stages takes as long as one that is measured as a whole.

    Args:
        recipe: its stored form, or None for callables.
        test: full name of the test.
    """
    if recipe is None:
        return test
    told = {
        name: value
        for name, value in recipe.items()
        if name != _OF_DOCUMENT
        and not (name == "unit" and value in OF_CALL)
        and (name not in RECIPE_DEFAULTS or value != _store_default(RECIPE_DEFAULTS[name]))
    }
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


_OF_DOCUMENT = "repeats"
"""The field of a recipe that only says what a documented latency is the sum of."""


def _store_default(default: Any) -> Any:
    return list(default) if isinstance(default, tuple) else default
