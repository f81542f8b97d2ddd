"""From TOML text to a checked Table."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import DEFAULT_TOLERANCE, ImageGate, Recipe, Row, Spread, Table
from pytest_sdspeed.tables import schema, values
from pytest_sdspeed.tables.linking import check_spread, link, resolve_speedup
from pytest_sdspeed.tables.schema import TomlPath, read_section, read_value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def parse_table(text: str, path: str, metrics: Collection[str] | None = ()) -> Table:
    """Read a table from its TOML text.

    Args:
        text: TOML of schema 1.
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
    head = read_section(place, raw, schema.TABLE)
    recorded = _read_recorded(place.at("recorded"), head.get("recorded"))
    recipe = read_section(place.at("recipe"), head["recipe"], schema.RECIPE)
    return Table(
        name=head["name"],
        title=head["title"],
        source=head["source"],
        device=head["device"],
        rows=_read_rows(place.at("rows"), head, recipe, metrics, measured=bool(recorded)),
        notes=head.get("notes", ()),
        recorded=recorded,
        path=path,
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
    rows = [_read_row(place.item(index), raw, metrics) for index, raw in enumerate(head["rows"])]
    baselines = link(place, rows)
    tolerance = head.get("tolerance", Decimal(str(DEFAULT_TOLERANCE)))
    built = []
    for index, row in enumerate(rows):
        baseline = rows[baselines[row["baseline"]]]
        row.setdefault("tolerance", tolerance)
        row.setdefault("tolerance_s", head.get("tolerance_s"))
        speedup = resolve_speedup(place.item(index), row, baseline, measured=measured)
        check_spread(place.item(index), row, speedup, measured=measured)
        built.append(
            _make_row(
                row, Recipe(**_convert_to_floats({**recipe, **baseline.get("recipe", {})})), speedup
            )
        )
    return tuple(built)


def _read_row(
    place: TomlPath, raw: Mapping[str, object], metrics: Collection[str] | None
) -> dict[str, Any]:
    row = read_section(place, raw, schema.ROW)
    for name in ("image", "image_random"):
        if name in row:
            row[name] = _read_gate(place.at(name), row[name], metrics)
    if "account" in row:
        row["account"] = _read_account(place.at("account"), row["account"])
    if "recipe" in row:
        row["recipe"] = read_section(place.at("recipe"), row["recipe"], schema.ROW_RECIPE)
    if "spread" in row:
        row["spread"] = Spread(
            **_convert_to_floats(read_section(place.at("spread"), row["spread"], schema.SPREAD))
        )
    return row


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


def _make_row(facts: Mapping[str, Any], recipe: Recipe, speedup: float) -> Row:
    return Row(**{**_convert_to_floats(facts), "recipe": recipe, "speedup": speedup})


def _convert_to_floats(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: float(value) if isinstance(value, Decimal) else value for name, value in facts.items()
    }
