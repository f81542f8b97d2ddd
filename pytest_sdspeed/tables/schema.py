"""The keys of a table file, schemas 1 and 2, and how a section is checked against them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import (
    ACCOUNT_BOUNDS,
    CLAIM_KINDS,
    DTYPES,
    STATED_FIGURES,
    UNITS,
    toml_text,
)
from pytest_sdspeed.tables import arguments, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SCHEMAS = (1, 2)

_LONGEST = 800
"""Characters of a key, and of a problem, that a message shows."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section.

    Attributes:
        check: how its value is checked.
        required: whether it must be there.
        since: the first schema that has it.
        first: what it is in schema 1, None if it is the same.
    """

    check: values.Check
    required: bool = False
    since: int = 1
    first: Key | None = None


@dataclass(frozen=True, slots=True)
class TomlPath:
    """A file and a dotted key in it.

    Attributes:
        path: the file.
        key: the dotted key, "" for the file as a whole.
    """

    path: str
    key: str = ""

    def at(self, name: str) -> TomlPath:
        """Return the place of a key inside."""
        name = toml_text.write_key(name)
        return TomlPath(self.path, f"{self.key}.{name}" if self.key else name)

    def item(self, index: int) -> TomlPath:
        """Return the place of an item inside, counted from 0."""
        return TomlPath(self.path, f"{self.key}[{index}]")

    def error(self, problem: str) -> TableError:
        """Return what to raise for a problem here."""
        return TableError(self.path, _shorten(self.key), _shorten(problem))


def _shorten(text: str) -> str:
    """Return a text whose middle is left out if no message should be as long: a value may be."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"


def _check_schema(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise values.reject_type("an integer", value)
    if value not in SCHEMAS:
        raise values.InvalidValueError(
            f"unknown schema {value}; valid: {', '.join(map(str, SCHEMAS))}"
        )
    return value


def _check_quartiles(value: object) -> tuple[float, ...]:
    found = values.expect_array(_positive)(value)
    if len(found) != 3 or sorted(found) != list(found):  # noqa: PLR2004 - quartiles are three
        raise values.InvalidValueError(
            "must be the lower quartile, the median and the upper quartile, in this order"
        )
    return tuple(map(float, found))


def _check_timings(value: object) -> tuple[float, ...]:
    found = values.expect_array(_positive)(value)
    if len(found) < 2:  # noqa: PLR2004 - one timing is no spread
        raise values.InvalidValueError("must be at least two timings of single calls")
    return tuple(map(float, found))


def _check_claimed_rows(value: object) -> tuple[str, ...]:
    found: tuple[str, ...] = values.expect_array(values.check_identifier, unique=True)(value)
    if len(found) < 2:  # noqa: PLR2004 - it takes two to compare
        raise values.InvalidValueError(
            "must be at least two rows: the one that the sentence is about, and what it is compared"
            " with"
        )
    return found


def _check_defaults(value: object) -> dict[str, Any]:
    found = values.check_table(value)
    if not found:
        raise values.InvalidValueError("must not be empty")
    for name, inner in found.items():
        if not all(part.isidentifier() for part in name.split(".")):
            raise values.InvalidValueError(
                f"{name!r} is not a dotted name in torch, such as backends.cuda.matmul.allow_tf32"
            )
        if not isinstance(inner, (bool, str, int)):
            raise values.InvalidValueError(f"{name!r} must be a boolean, a whole number or a text")
    return found


_positive = values.expect_number("greater than 0", lambda number: number > 0)
_not_negative = values.expect_number("0 or greater", lambda number: number >= 0)
_fraction = values.expect_number("at least 0 and below 1", lambda number: 0 <= number < 1)
_share = values.expect_number("greater than 0 and at most 1", lambda number: 0 < number <= 1)
_number = values.expect_number("a number", math.isfinite)
_similarity = values.expect_number("between -1 and 1", lambda number: -1 <= number <= 1)
_count = values.expect_whole(1)
_pixels = values.expect_whole(8, multiple=8)

TABLE = {
    "schema": Key(_check_schema, required=True),
    "name": Key(values.check_identifier, required=True),
    "title": Key(values.check_text, required=True),
    "source": Key(values.check_text, required=True),
    "device": Key(values.check_text, required=True),
    "tolerance": Key(_fraction),
    "tolerance_s": Key(_not_negative),
    "notes": Key(values.expect_array(values.check_text)),
    "recipe": Key(values.check_table, required=True),
    "recorded": Key(values.check_table),
    "rows": Key(values.check_tables, required=True),
    "claims": Key(values.expect_array(values.check_table), since=2),
}

RECIPE = {
    "model": Key(values.check_text, required=True),
    "prompt": Key(values.check_any_text, required=True),
    "height": Key(_pixels, required=True),
    "width": Key(_pixels, required=True),
    "steps": Key(_count, required=True),
    "scheduler": Key(
        arguments.check_scheduler,
        first=Key(arguments.check_short_scheduler, required=True),
    ),
    "images": Key(_count),
    "guidance": Key(_not_negative),
    "dtype": Key(values.expect_choice("dtype", DTYPES)),
    "repeats": Key(_count),
    "student": Key(values.check_text),
    "tiny_vae": Key(values.check_text),
    # torch.Generator.manual_seed takes a signed 64-bit integer.
    "seed": Key(values.expect_whole(0, most=2**63 - 1)),
    "more_prompts": Key(values.expect_array(values.check_text, unique=True)),
    "pipeline": Key(arguments.check_class, since=2),
    "frames": Key(_count, since=2),
    "call": Key(arguments.check_call, since=2),
    "inputs": Key(values.expect_array(arguments.check_input, unique=True), since=2),
    "parts": Key(arguments.check_parts, since=2),
    "unit": Key(values.expect_choice("unit", tuple(UNITS)), since=2),
}

RECIPE_DEFAULTS: dict[int, dict[str, Any]] = {
    1: {},
    2: {"scheduler": None, "guidance": None},
}
"""Schema -> what a key of the recipe is if it is left out, unless it is the field's default."""

ROW = {
    "setup": Key(values.check_identifier, required=True),
    "optimizations": Key(
        arguments.check_stack, required=True, first=Key(arguments.check_names, required=True)
    ),
    "baseline": Key(values.check_identifier),
    "latency_s": Key(_positive),
    "speedup": Key(_positive),
    "tolerance": Key(_fraction),
    "tolerance_s": Key(_not_negative),
    "image": Key(values.check_table),
    "image_random": Key(values.check_table),
    "memory": Key(_positive),
    "iterations_per_s": Key(_positive, since=2),
    "memory_gb": Key(_positive, since=2),
    "load_gb": Key(_positive, since=2),
    "compile_s": Key(_positive, since=2),
    "warm_compile_s": Key(_positive, since=2),
    "first_s": Key(_positive, since=2),
    "slower": Key(values.check_boolean, since=2),
    "account": Key(values.check_table),
    "recipe": Key(values.check_table),
    "notes": Key(values.check_any_text),
    "spread": Key(values.check_table),
    "unsupported": Key(values.check_text, since=2),
    "tflops": Key(_positive, since=2),
    "gpus": Key(_count, since=2),
    "stated": Key(values.expect_array(values.check_table), since=2),
}

STATED = {
    "where": Key(values.check_text, required=True),
    "text": Key(values.check_text),
} | {name: Key(_positive) for name in STATED_FIGURES}

SPREAD = {
    "blocks": Key(values.expect_whole(2), required=True),
    "low": Key(_positive, required=True),
    "high": Key(_positive, required=True),
    "sd": Key(_not_negative, required=True),
    "quartiles_s": Key(_check_quartiles, required=True),
}

TIMINGS = {"timings_s": Key(_check_timings, required=True)}
"""Of a documented row, ``spread`` has the published timings of single calls."""

CLAIM = {
    "text": Key(values.check_text, required=True),
    "by": Key(_positive),
    "part": Key(values.check_identifier),
    "row": Key(values.check_identifier),
    "bounds": Key(values.check_table),
    "defaults": Key(_check_defaults),
    "notes": Key(values.check_any_text),
} | {kind: Key(_check_claimed_rows) for kind in CLAIM_KINDS if kind not in {"account", "defaults"}}

GATE = {
    "psnr": Key(_positive),
    "ssim": Key(_similarity),
    "mae": Key(_positive),
    "flip": Key(_share),
    "clip_drop": Key(_positive),
    "temporal": Key(_positive),
    "max_abs": Key(_positive),
    "mean_abs": Key(_positive),
    "cosine": Key(_similarity),
}

ACCOUNT = {name: Key(values.expect_whole(0)) for name in ACCOUNT_BOUNDS}


def list_gate_keys(metrics: Iterable[str]) -> dict[str, Key]:
    """Return the keys of a gate, with those of registered metrics: any number is a bound."""
    return GATE | {name: Key(_number) for name in metrics}


def read_section(
    place: TomlPath,
    raw: Mapping[str, object],
    keys: Mapping[str, Key],
    schema: int = SCHEMAS[-1],
    *,
    whole: bool = True,
) -> dict[str, Any]:
    """Check a section against its keys.

    Args:
        place: place of the section.
        raw: the section as tomllib read it.
        keys: the keys that it may have.
        schema: the file's schema.
        whole: whether the keys that are required have to be there.

    Returns:
        The checked values of the keys that are there.

    Raises:
        TableError: a key is unknown, of a later schema or missing, or its value is invalid.
    """
    known = keys if schema == SCHEMAS[-1] else _select_keys(keys, schema)
    for name in raw:
        if name not in known:
            raise place.at(name).error(
                _explain_later_key(schema) if name in keys else _explain_unknown_key(name, known)
            )
    for name, key in known.items():
        if key.required and whole and name not in raw:
            raise place.at(name).error(
                f"missing; required: {', '.join(other for other in known if known[other].required)}"
            )
    found = {}
    # Tables have ten thousands of values: the place of one is only made for a message.
    for name, value in raw.items():
        try:
            found[name] = known[name].check(value)
        except values.InvalidValueError as problem:
            raise place.at(name).error(str(problem)) from None
    return found


def _select_keys(keys: Mapping[str, Key], schema: int) -> dict[str, Key]:
    """Return the keys that a schema before the last one has, each as it is there."""
    return {
        name: key.first or key if schema == 1 else key
        for name, key in keys.items()
        if key.since <= schema
    }


def read_value(place: TomlPath, value: object, key: Key) -> Any:
    """Check one value.

    Raises:
        TableError: the value is invalid.
    """
    try:
        return key.check(value)
    except values.InvalidValueError as problem:
        raise place.error(str(problem)) from None


def _explain_later_key(schema: int) -> str:
    return (
        f"is a key of schema {SCHEMAS[-1]}, and this file begins with schema = {schema}; valid:"
        f" schema = {SCHEMAS[-1]} there, or without this key"
    )


def _explain_unknown_key(name: str, keys: Mapping[str, Key]) -> str:
    close = get_close_matches(name, keys, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown key; {hint}valid: {', '.join(keys)}"
