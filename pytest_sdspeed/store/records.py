"""The stored form of a result, and the result that a stored form stands for."""

from __future__ import annotations

import json
import math
from dataclasses import MISSING, asdict, fields
from typing import TYPE_CHECKING, Any, get_args

from pytest_sdspeed.errors import StoredRunError
from pytest_sdspeed.judge.speed.blocks import latencies
from pytest_sdspeed.model import Against, ImageVerdict, Interval, Recipe, Result, Verdict
from pytest_sdspeed.store.pictures import described, restored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SCHEMA = 1
_UNKNOWN = ("stages_s", "telemetry", "confirmation")
"""Mappings that may be None."""
_REQUIRED = ("table", "setup", "baseline", "device", "verdict", "image_verdict", "versions", "peak_memory_bytes")
_LATER = ("documented_on", "planned_blocks", "resolves", "recorded_in", "raised", "memory_share", "memory_bound", *_UNKNOWN)
"""Keys that records of this schema may lack."""


def record(result: Result) -> dict[str, Any]:
    """The stored form of a result: builtins only, unknown is None.

    The pictures are named by their hashes; ``pictures.save`` writes them.
    """
    return {
        "schema": SCHEMA,
        **_named(result, "table", "setup", "baseline", "device"),
        "speedup": _number(result.speedup),
        "low": _number(result.low),
        "high": _number(result.high),
        **_named(result, "expected", "tolerance", "floor", "verdict"),
        "reasons": list(result.reasons),
        "blocks": result.blocks,
        "samples_s": _slots(result.samples_s),
        "image": {metric: _number(value) for metric, value in result.image.items()},
        "image_verdict": result.image_verdict,
        "recipe": stored_recipe(result),
        "versions": dict(result.versions),
        "peak_memory_bytes": result.peak_memory_bytes,
        **{name: None if getattr(result, name) is None else dict(getattr(result, name)) for name in _UNKNOWN},
        **_named(result, "documented_on", "planned_blocks"),
        "resolves": None if result.resolves is None else _number(result.resolves),
        "control": _stored_interval(result.control),
        "starts_s": _slots(result.starts_s),
        "canary_s": {operation: [float(seconds) for seconds in taken] for operation, taken in result.canary_s.items()},
        **_named(result, "recorded_in", "raised", "memory_share", "memory_bound"),
        "against": None if result.against is None else _stored_against(result.against),
        "notes": list(result.notes),
        "pictures": [described(exhibit) for exhibit in result.exhibits],
    }


def stored_recipe(result: Result) -> dict[str, Any] | None:
    """The stored form of a result's recipe, with where its weights come from; None for callables."""
    if result.recipe is None:
        return None
    return asdict(result.recipe) | {"more_prompts": list(result.recipe.more_prompts), "weights": result.weights}


def _stored_against(against: Against) -> dict[str, Any]:
    return {
        **_named(against, "spec", "label", "identical", "turns"),
        "versions": dict(against.versions),
        "stages": {stage: _number(ratio) for stage, ratio in against.stages.items()},
        "process_control": _stored_interval(against.process_control),
    }


def _against_of(stored: Mapping[str, Any] | None) -> Against | None:
    if stored is None:
        return None
    stages = {stage: figure(ratio) for stage, ratio in stored["stages"].items()}
    return Against(
        **{name: stored[name] for name in ("spec", "label", "versions", "identical")},
        turns=stored.get("turns", 1),
        stages=stages,
        process_control=_interval_of(stored["process_control"]),
    )


def _stored_interval(found: Interval | None) -> dict[str, float | None] | None:
    return None if found is None else {name: _number(value) for name, value in asdict(found).items()}


def _interval_of(stored: Mapping[str, float | None] | None) -> Interval | None:
    return None if stored is None else Interval(*map(figure, stored.values()))


def _named(result: Result | Against, *names: str) -> dict[str, Any]:
    return {name: getattr(result, name) for name in names}


def _slots(pairs_s: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, list[list[float]]]:
    return {arm: [[float(slot) for slot in pair] for pair in pairs] for arm, pairs in pairs_s.items()}


def result_of(stored: Mapping[str, Any], folder: Path) -> Result:
    """The result that a stored form stands for, without the candidate's full pictures.

    Args:
        stored: what ``record`` made, of this schema; keys that came later may be missing.
        folder: of the file it was read from, which the paths of its pictures start from.

    Raises:
        StoredRunError: it is of another schema, or not what ``record`` makes.
    """
    schema = stored.get("schema") if isinstance(stored, dict) else None
    if schema != SCHEMA:
        raise StoredRunError(f"schema {schema!r} is not {SCHEMA}")
    try:
        return Result(**_facts(stored, folder))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoredRunError(f"not a record of this plugin: {type(error).__name__}: {error}") from None


def figure(value: float | None) -> float:
    """A figure of a stored form, which holds None for what is not finite."""
    return math.nan if value is None else float(value)


def _facts(stored: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    recipe = stored["recipe"]
    if stored["verdict"] not in get_args(Verdict) or stored["image_verdict"] not in (*get_args(ImageVerdict), None):
        raise ValueError(f"verdicts {stored['verdict']!r} and {stored['image_verdict']!r}")
    latency_s, baseline_latency_s = latencies(stored["samples_s"], stored["setup"], stored["baseline"])
    known = {field.name for field in fields(Recipe)}
    return {
        **{name: stored[name] for name in _REQUIRED},
        **{name: stored.get(name) for name in _LATER},
        **{name: float(stored[name]) for name in ("expected", "tolerance", "floor")},
        "blocks": int(stored["blocks"]),
        **{name: figure(stored[name]) for name in ("speedup", "low", "high")},
        "control": _interval_of(stored.get("control")),
        "reasons": tuple(stored["reasons"]),
        "notes": tuple(stored.get("notes", ())),
        "samples_s": stored["samples_s"],
        "starts_s": stored.get("starts_s", {}),
        "canary_s": stored.get("canary_s", {}),
        "latency_s": latency_s,
        "baseline_latency_s": baseline_latency_s,
        "image": {metric: figure(value) for metric, value in stored["image"].items()},
        "images": None,
        "exhibits": tuple(restored(exhibit, folder) for exhibit in stored.get("pictures", ())),
        "against": _against_of(stored.get("against")),
        "recipe": None if recipe is None else Recipe(**{name: _tupled(value) for name, value in recipe.items() if name in known}),
        "weights": None if recipe is None else recipe["weights"],
    }


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _number(value: float) -> float | None:
    """A number that strict JSON can hold, or None."""
    return float(value) if math.isfinite(value) else None


_DEFAULTS = {field.name: field.default for field in fields(Recipe) if field.default is not MISSING}


def recipe_key(recipe: Mapping[str, Any] | None, test: str) -> str:
    """What tells recipes, weights and, for callables, tests apart.

    What has its default is left out, so that the records from before a recipe had it belong to the same history.

    Args:
        recipe: as it is stored, or None for callables.
        test: the full name of the test.
    """
    if recipe is None:
        return test
    told = {name: value for name, value in recipe.items() if name not in _DEFAULTS or value != _stored(_DEFAULTS[name])}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def _stored(default: Any) -> Any:
    return list(default) if isinstance(default, tuple) else default
