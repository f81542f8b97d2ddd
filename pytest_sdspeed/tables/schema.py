"""The keys of a table file, schema 1, and the reading of one section against them."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import DTYPES, SCHEDULERS
from pytest_sdspeed.tables import toml_text, values

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section: how its value is checked, and whether it must be there."""

    check: values.Check
    required: bool = False


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
        """The key of that name inside."""
        name = toml_text.key(name)
        return TomlPath(self.path, f"{self.key}.{name}" if self.key else name)

    def item(self, index: int) -> TomlPath:
        """The item of that index inside, counted from 0."""
        return TomlPath(self.path, f"{self.key}[{index}]")

    def error(self, problem: str) -> TableError:
        """What to raise for a problem here."""
        return TableError(self.path, self.key, problem)


def _schema(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise values.expected("an integer", value)
    if value != SCHEMA:
        raise values.InvalidValueError(f"unknown schema {value}; valid: {SCHEMA}")
    return SCHEMA


def _quartiles(value: object) -> tuple[float, ...]:
    found = values.array(_positive)(value)
    if len(found) != 3 or sorted(found) != list(found):  # noqa: PLR2004 - quartiles are three
        raise values.InvalidValueError(
            "must be the lower quartile, the median and the upper quartile, in this order"
        )
    return tuple(map(float, found))


_positive = values.number("greater than 0", lambda number: number > 0)
_not_negative = values.number("0 or greater", lambda number: number >= 0)
_fraction = values.number("at least 0 and below 1", lambda number: 0 <= number < 1)
_share = values.number("greater than 0 and at most 1", lambda number: 0 < number <= 1)
_similarity = values.number("between -1 and 1", lambda number: -1 <= number <= 1)
_count = values.whole(1)
_pixels = values.whole(8, multiple=8)

TABLE = {
    "schema": Key(_schema, required=True),
    "name": Key(values.identifier, required=True),
    "title": Key(values.text, required=True),
    "source": Key(values.text, required=True),
    "device": Key(values.text, required=True),
    "tolerance": Key(_fraction),
    "notes": Key(values.array(values.text)),
    "recipe": Key(values.table, required=True),
    "recorded": Key(values.table),
    "rows": Key(values.tables, required=True),
}

RECIPE = {
    "model": Key(values.text, required=True),
    "prompt": Key(values.any_text, required=True),
    "height": Key(_pixels, required=True),
    "width": Key(_pixels, required=True),
    "steps": Key(_count, required=True),
    "scheduler": Key(values.choice("scheduler", SCHEDULERS), required=True),
    "images": Key(_count),
    "guidance": Key(_not_negative),
    "dtype": Key(values.choice("dtype", DTYPES)),
    "repeats": Key(_count),
    "student": Key(values.text),
    "tiny_vae": Key(values.text),
    # torch.Generator.manual_seed takes a signed 64-bit integer.
    "seed": Key(values.whole(0, most=2**63 - 1)),
    "more_prompts": Key(values.array(values.text, unique=True)),
}

ROW_RECIPE = {name: Key(key.check) for name, key in RECIPE.items()}

ROW = {
    "setup": Key(values.identifier, required=True),
    "optimizations": Key(values.array(values.text, unique=True), required=True),
    "baseline": Key(values.identifier),
    "latency_s": Key(_positive),
    "speedup": Key(_positive),
    "tolerance": Key(_fraction),
    "image": Key(values.table),
    "image_random": Key(values.table),
    "memory": Key(_positive),
    "recipe": Key(values.table),
    "notes": Key(values.any_text),
    "spread": Key(values.table),
}

SPREAD = {
    "blocks": Key(values.whole(2), required=True),
    "low": Key(_positive, required=True),
    "high": Key(_positive, required=True),
    "sd": Key(_not_negative, required=True),
    "quartiles_s": Key(_quartiles, required=True),
}

GATE = {
    "psnr": Key(_positive),
    "ssim": Key(_similarity),
    "mae": Key(_positive),
    "flip": Key(_share),
    "clip_drop": Key(_positive),
}


def read_section(
    place: TomlPath, raw: Mapping[str, object], keys: Mapping[str, Key]
) -> dict[str, Any]:
    """Check a section against its keys.

    Args:
        place: where the section is.
        raw: what tomllib read.
        keys: the keys it may have.

    Returns:
        The checked values of the keys that are there.

    Raises:
        TableError: a key is unknown or missing, or its value is invalid.
    """
    for name in raw:
        if name not in keys:
            raise place.at(name).error(_unknown(name, keys))
    for name, key in keys.items():
        if key.required and name not in raw:
            raise place.at(name).error(
                f"missing; required: {', '.join(other for other in keys if keys[other].required)}"
            )
    return {name: read_value(place.at(name), value, keys[name]) for name, value in raw.items()}


def read_value(place: TomlPath, value: object, key: Key) -> Any:
    """Check one value.

    Raises:
        TableError: the value is invalid.
    """
    try:
        return key.check(value)
    except values.InvalidValueError as problem:
        raise place.error(str(problem)) from None


def _unknown(name: str, keys: Mapping[str, Key]) -> str:
    close = get_close_matches(name, keys, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"unknown key; {hint}valid: {', '.join(keys)}"
