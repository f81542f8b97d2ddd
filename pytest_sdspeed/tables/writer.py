"""From a Table to TOML text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, fields, replace
from typing import Any

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import DEFAULT_TOLERANCE, RECIPE_DEFAULTS, Recipe, Row, Table, toml_text
from pytest_sdspeed.tables.parser import parse_table
from pytest_sdspeed.tables.schema import SCHEMA

_RECIPE_DEFAULTS = {
    field.name: RECIPE_DEFAULTS.get(field.name, MISSING) for field in fields(Recipe)
}


def dumps_table(table: Table) -> str:
    """Write a table as TOML of schema 1.

    Args:
        table: table to write; its ``path`` is left out.

    Returns:
        Text that reads back as an equal table, apart from ``path``.

    Raises:
        TableError: the table could not be read back, see ``load_table``.
    """
    text = "\n".join(_write_lines(table)) + "\n"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TableError(
            table.path or table.name,
            "",
            f"cannot be written as UTF-8: {error.object[error.start]!a} is not a character",
        ) from None
    back = parse_table(text, table.path or table.name, metrics=None)
    if replace(back, path=table.path) != table:
        raise TableError(
            table.path or table.name,
            _find_difference(table, back),
            "would not read back as it is: not a table that a file can hold",
        )
    return text


def _find_difference(table: Table, back: Table) -> str:
    index = next(
        (
            index
            for index, rows in enumerate(zip(table.rows, back.rows, strict=True))
            if rows[0] != rows[1]
        ),
        None,
    )
    return "" if index is None else f"rows[{index}]"


def _write_lines(table: Table) -> Iterator[str]:
    baselines = [row for row in table.rows if row.is_baseline]
    shared = _shared_recipe([row.recipe for row in baselines])
    yield f"schema = {SCHEMA}"
    yield from _write_pairs(
        {"name": table.name, "title": table.title, "source": table.source, "device": table.device}
    )
    if table.notes:
        yield "notes = ["
        yield from (f"    {_write_value(note)}," for note in table.notes)
        yield "]"
    yield from ("", "[recipe]")
    yield from _write_pairs(shared)
    if table.recorded:
        yield from ("", "[recorded]")
        yield from _write_pairs(table.recorded)
    for row in table.rows:
        yield from ("", "[[rows]]")
        yield from _write_pairs(_list_row_facts(row, shared))


def _shared_recipe(recipes: Iterable[Recipe]) -> dict[str, Any]:
    """Return the keys of ``[recipe]``.

    A row cannot undo a key of ``[recipe]``, since TOML has no null: keys that are not required are
    there only if all baselines agree on them.
    """
    facts = [asdict(recipe) for recipe in recipes]
    shared = {}
    for name, default in _RECIPE_DEFAULTS.items():
        found = [fact[name] for fact in facts]
        if not found:
            continue
        agreed = all(value == found[0] for value in found)
        if default is MISSING or (agreed and found[0] != default):
            shared[name] = found[0]
    return shared


def _list_row_facts(row: Row, shared: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "setup": row.setup,
        "optimizations": row.optimizations,
        "baseline": row.baseline,
    }
    if row.latency_s is not None:
        facts["latency_s"] = row.latency_s
    facts["speedup"] = row.speedup
    if row.tolerance != DEFAULT_TOLERANCE:
        facts["tolerance"] = row.tolerance
    for name, gate in (("image", row.image), ("image_random", row.image_random)):
        if gate is not None:
            facts[name] = gate.bounds
    bounds = {"tolerance_s": row.tolerance_s, "memory": row.memory}
    facts |= {name: bound for name, bound in bounds.items() if bound is not None}
    if row.account:
        facts["account"] = dict(row.account)
    if row.is_baseline:
        own = {
            name: value
            for name, value in asdict(row.recipe).items()
            if value != shared.get(name, _RECIPE_DEFAULTS[name])
        }
        if own:
            facts["recipe"] = own
    if row.notes:
        facts["notes"] = row.notes
    if row.spread is not None:
        facts["spread"] = asdict(row.spread)
    return facts


def _write_pairs(facts: Mapping[str, Any]) -> Iterator[str]:
    return (f"{toml_text.write_key(name)} = {_write_value(value)}" for name, value in facts.items())


def _write_value(value: object) -> str:
    if isinstance(value, str):
        return toml_text.quote(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(_write_pairs(value)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_write_value, value)) + "]"
    if isinstance(value, float):
        # The shortest decimal that reads back as the same float: more places than were read would
        # make a figure more exact than it is. numpy's subclass would add its own name.
        return float.__repr__(value).removesuffix(".0")
    return str(value)
