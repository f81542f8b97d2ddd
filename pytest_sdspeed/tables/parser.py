"""From TOML text to a checked Table."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import (
    DEFAULT_TOLERANCE,
    STATED_FIGURES,
    ImageGate,
    Recipe,
    Row,
    Spread,
    Stated,
    Table,
)
from pytest_sdspeed.tables import figures, schema, values
from pytest_sdspeed.tables.claims import read_claims
from pytest_sdspeed.tables.linking import link
from pytest_sdspeed.tables.schema import TomlPath, read_section, read_value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def parse_table(text: str, path: str, metrics: Collection[str] | None = ()) -> Table:
    """Read a table from its TOML text.

    Args:
        text: TOML of schema 1 or 2.
        path: the file it came from, for messages and ``Table.path``.
        metrics: names of the registered metrics of pictures, on which gates may have bounds; None
            if any name may be one.

    Returns:
        The table.

    Raises:
        TableError: the text is not TOML, violates the schema, or contradicts itself.
    """
    place = TomlPath(path)
    raw = _read_toml(text, path)
    # A file of a later schema would fail at its new keys; the message must name the schema instead.
    if "schema" in raw:
        read_value(place.at("schema"), raw["schema"], schema.TABLE["schema"])
    number = raw.get("schema", schema.SCHEMAS[-1])
    head = read_section(place, raw, schema.TABLE, number)
    recorded = _read_recorded(place.at("recorded"), head.get("recorded"))
    recipe = read_section(place.at("recipe"), head["recipe"], schema.RECIPE, head["schema"])
    rows = _read_rows(place.at("rows"), head, recipe, metrics, measured=bool(recorded))
    return Table(
        name=head["name"],
        title=head["title"],
        source=head["source"],
        device=head["device"],
        rows=rows,
        notes=head.get("notes", ()),
        recorded=recorded,
        path=path,
        claims=read_claims(place.at("claims"), head.get("claims", ()), rows),
    )


def _read_toml(text: str, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise TableError(path, "", f"is not valid TOML: {error}") from None
    except RecursionError:
        raise TableError(path, "", "is not valid TOML here: nested too deeply") from None
    except (ValueError, ArithmeticError) as error:
        raise TableError(
            path, "", f"is not valid TOML here: a number is too large to be read ({error})"
        ) from None


def _read_recorded(place: TomlPath, raw: Mapping[str, object] | None) -> dict[str, str]:
    if raw is None:
        return {}
    if not raw:
        raise place.error(
            "must not be empty; it says where and with what the table was recorded, or is left out"
        )
    text = schema.Key(values.check_any_text)
    return {name: read_value(place.at(name), value, text) for name, value in raw.items()}


def _read_rows(
    place: TomlPath,
    head: Mapping[str, Any],
    recipe: Mapping[str, Any],
    metrics: Collection[str] | None,
    *,
    measured: bool,
) -> tuple[Row, ...]:
    """Read every row first, because a row may name a baseline further down."""
    number, shared_place = head["schema"], TomlPath(place.path).at("recipe")
    rows = [
        _read_row(place.item(index), raw, metrics, number) for index, raw in enumerate(head["rows"])
    ]
    baselines = link(place, rows)
    recipes = {
        name: _make_recipe(
            place.item(index).at("recipe") if "recipe" in rows[index] else shared_place,
            {**recipe, **rows[index].get("recipe", {})},
            number,
        )
        for name, index in baselines.items()
    }
    tolerance = head.get("tolerance", Decimal(str(DEFAULT_TOLERANCE)))
    built = []
    for index, row in enumerate(rows):
        row.setdefault("tolerance", tolerance)
        row.setdefault("tolerance_s", head.get("tolerance_s"))
        baseline, drawn = rows[baselines[row["baseline"]]], recipes[row["baseline"]]
        speedup = _check_figures(place.item(index), row, baseline, drawn, number, measured=measured)
        facts = {**_convert_to_floats(row), "recipe": drawn, "speedup": speedup}
        built.append(Row(**facts, written=values.find_zeros(row)))
    return tuple(built)


def _check_figures(
    place: TomlPath,
    row: Mapping[str, Any],
    baseline: Mapping[str, Any],
    recipe: Recipe,
    number: int,
    *,
    measured: bool,
) -> float:
    """Return a row's speed-up, and check its figures against each other and its baseline's."""
    speedup = figures.resolve_speedup(place, row, baseline, measured=measured, unit=recipe.unit)
    figures.check_spread(place, row, speedup, measured=measured)
    figures.check_memory(place, row, baseline, measured=measured)
    if number > 1:
        figures.check_slower(place, row, baseline, speedup, measured=measured)
    return speedup


def _make_recipe(place: TomlPath, facts: Mapping[str, Any], number: int) -> Recipe:
    """Return the recipe of a baseline row.

    Args:
        place: place of the row's own keys if it has some, else of the table's.
        facts: the table's keys, those of the row in their place.
        number: the file's schema.
    """
    recipe = Recipe(**_convert_to_floats({**schema.RECIPE_DEFAULTS[number], **facts}))
    both = [name for name in recipe.inputs if name in recipe.call]
    if both:
        raise place.error(
            f"{both[0]!r} is in call and among the inputs, which get a seeded picture; valid: one"
            " of the two"
        )
    named = [role for role in ("student", "tiny_vae") if role in facts and role in recipe.parts]
    if named:
        raise place.error(f"{named[0]!r} is a key and a role of parts; valid: one of the two")
    return recipe


def _read_row(
    place: TomlPath, raw: Mapping[str, object], metrics: Collection[str] | None, number: int
) -> dict[str, Any]:
    row = read_section(place, raw, schema.ROW, number)
    for name in ("image", "image_random"):
        if name in row:
            row[name] = _read_gate(place.at(name), row[name], metrics)
    if "account" in row:
        row["account"] = _read_account(place.at("account"), row["account"])
    if "recipe" in row:
        row["recipe"] = read_section(
            place.at("recipe"), row["recipe"], schema.RECIPE, number, whole=False
        )
    if "spread" in row:
        row |= _read_spread(place.at("spread"), row.pop("spread"), number)
    if "stated" in row:
        row["stated"] = tuple(
            _read_stated(place.at("stated").item(index), one)
            for index, one in enumerate(row["stated"])
        )
    return row


def _read_spread(place: TomlPath, raw: Mapping[str, object], number: int) -> dict[str, Any]:
    """Return the spread of a recorded row, or the published timings of a documented one."""
    if number > 1 and "timings_s" in raw:
        return read_section(place, raw, schema.TIMINGS)
    return {"spread": Spread(**_convert_to_floats(read_section(place, raw, schema.SPREAD)))}


def _read_stated(place: TomlPath, raw: Mapping[str, object]) -> Stated:
    found = read_section(place, raw, schema.STATED)
    where, text = found.pop("where"), found.pop("text", "")
    if not found and not text:
        raise place.error(f"states no figure; valid: {', '.join(STATED_FIGURES)}, text")
    return Stated(
        where=where, figures=_convert_to_floats(found), text=text, written=values.find_zeros(found)
    )


def _read_gate(
    place: TomlPath, raw: Mapping[str, object], metrics: Collection[str] | None
) -> ImageGate:
    keys = schema.list_gate_keys(_find_metrics(raw) if metrics is None else metrics)
    if not raw:
        raise place.error(f"must not be empty; valid: {', '.join(keys)}")
    return ImageGate.of(_convert_to_floats(read_section(place, raw, keys)))


def _read_account(place: TomlPath, raw: Mapping[str, object]) -> dict[str, int]:
    if not raw:
        raise place.error(f"must not be empty; valid: {', '.join(schema.ACCOUNT)}")
    return read_section(place, raw, schema.ACCOUNT)


def _find_metrics(raw: Mapping[str, object]) -> list[str]:
    """List the keys of a gate that could be registered metrics."""
    return [name for name in raw if name not in schema.GATE and values.is_identifier(name)]


def _convert_to_floats(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: float(value) if isinstance(value, Decimal) else value for name, value in facts.items()
    }
