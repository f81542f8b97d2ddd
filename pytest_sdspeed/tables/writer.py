"""From a Table to TOML text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, fields, replace
from functools import partial
from typing import Any

from pytest_sdspeed.errors import TableError
from pytest_sdspeed.model import (
    DEFAULT_TOLERANCE,
    RECIPE_DEFAULTS,
    SCHEDULERS,
    Claim,
    Recipe,
    Row,
    StackEntry,
    Stated,
    Table,
    toml_text,
)
from pytest_sdspeed.tables import schema
from pytest_sdspeed.tables.arguments import has_options
from pytest_sdspeed.tables.parser import parse_table

_FIELDS = tuple(field.name for field in fields(Recipe))
_LATER = {
    section: tuple(name for name, key in keys.items() if key.since > 1)
    for section, keys in (("recipe", schema.RECIPE), ("row", schema.ROW))
}
"""Section -> its keys that schema 1 does not have."""
_ROW_DEFAULTS = {field.name: field.default for field in fields(Row)}
_EXACT = ("call", "optimizations")
"""Keys whose numbers are handed on: 1.0 stays a float."""


def dumps_table(table: Table) -> str:
    """Write a table as TOML, of schema 1 if it has nothing of schema 2.

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


def _find_schema(table: Table) -> int:
    """Return the first schema that can hold a table."""
    if table.claims:
        return 2
    return 2 if any(_is_later(row) or _is_later_recipe(row.recipe) for row in table.rows) else 1


def _is_later(row: Row) -> bool:
    return (
        any(getattr(row, name) != _ROW_DEFAULTS[name] for name in _LATER["row"])
        or bool(row.timings_s)
        or any(map(has_options, row.optimizations))
    )


def _is_later_recipe(recipe: Recipe) -> bool:
    return (
        recipe.scheduler not in SCHEDULERS
        or recipe.guidance is None
        or any(getattr(recipe, name) != RECIPE_DEFAULTS[name] for name in _LATER["recipe"])
    )


def _list_facts(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in _FIELDS}


def _list_defaults(number: int) -> dict[str, Any]:
    """Return what each key of a recipe is if it is left out; MISSING if it must be there."""
    known = {**RECIPE_DEFAULTS, **schema.RECIPE_DEFAULTS[number]}
    return {name: known.get(name, MISSING) for name in _FIELDS}


def _write_lines(table: Table) -> Iterator[str]:
    baselines = [row for row in table.rows if row.is_baseline]
    number = _find_schema(table)
    defaults = _list_defaults(number)
    shared = _shared_recipe([row.recipe for row in baselines], defaults)
    yield f"schema = {number}"
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
        yield from _write_pairs(_list_row_facts(row, {**defaults, **shared}))
    for claim in table.claims:
        yield from ("", "[[claims]]")
        yield from _write_pairs(_list_claim_facts(claim))


def _shared_recipe(recipes: Iterable[Recipe], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of ``[recipe]``.

    A row cannot undo a key of ``[recipe]``, since TOML has no null: keys that are not required are
    there only if all baselines agree on them.
    """
    facts = [_list_facts(recipe) for recipe in recipes]
    shared = {}
    for name, default in defaults.items():
        found = [fact[name] for fact in facts]
        if not found:
            continue
        agreed = all(value == found[0] for value in found)
        if default is MISSING or (agreed and found[0] != default):
            shared[name] = found[0]
    return shared


def _list_row_facts(row: Row, shared: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in _list_facts(row.recipe).items() if value != shared[name]}
    facts = {
        "setup": row.setup,
        "optimizations": [_list_entry(label) for label in row.optimizations],
        "baseline": row.baseline,
        "latency_s": row.latency_s,
        "speedup": row.speedup,
        "tolerance": None if row.tolerance == DEFAULT_TOLERANCE else row.tolerance,
        "image": row.image and row.image.bounds,
        "image_random": row.image_random and row.image_random.bounds,
        "tolerance_s": row.tolerance_s,
        "memory": row.memory,
        **_list_later_facts(row),
        "account": dict(row.account) or None,
        "recipe": own or None if row.is_baseline else None,
        "notes": row.notes or None,
        "spread": _list_spread(row),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _list_later_facts(row: Row) -> dict[str, Any]:
    """Return the keys of schema 2 that say something."""
    facts = {name: getattr(row, name) for name in _LATER["row"]}
    facts["stated"] = tuple(map(_list_stated, row.stated))
    return {name: value for name, value in facts.items() if value != _ROW_DEFAULTS[name]}


def _list_spread(row: Row) -> dict[str, Any] | None:
    if row.timings_s:
        return {"timings_s": row.timings_s}
    return None if row.spread is None else asdict(row.spread)


def _list_stated(stated: Stated) -> dict[str, Any]:
    text = {"text": stated.text} if stated.text else {}
    return {"where": stated.where, **text, **stated.figures}


def _list_claim_facts(claim: Claim) -> dict[str, Any]:
    facts: dict[str, Any] = {"text": claim.text}
    if claim.kind == "account":
        facts |= {"row": claim.rows[0], "bounds": dict(claim.bounds)}
    elif claim.kind == "defaults":
        facts["defaults"] = dict(claim.defaults)
    else:
        facts[claim.kind] = claim.rows
    further = {"by": claim.by, "part": claim.part, "notes": claim.notes or None}
    return facts | {name: value for name, value in further.items() if value is not None}


def _list_entry(label: str) -> str | dict[str, Any]:
    """Return an entry of a stack as people write it: its name, or a table with its options."""
    try:
        entry = StackEntry.parse(label)
    except ValueError:
        return label
    return {"name": entry.name, **entry.options} if entry.options else label


def _write_pairs(facts: Mapping[str, Any], *, exact: bool = False) -> Iterator[str]:
    """Write keys with their values.

    Args:
        facts: key -> value.
        exact: whether a float stays one: figures are written as short as they read back, arguments
            of a call keep their types.
    """
    for name, value in facts.items():
        inner = exact or name in _EXACT
        yield f"{toml_text.write_key(name)} = {_write_value(value, exact=inner)}"


def _write_value(value: object, *, exact: bool = False) -> str:
    if isinstance(value, str):
        return toml_text.quote(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(_write_pairs(value, exact=exact)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(partial(_write_value, exact=exact), value)) + "]"
    if isinstance(value, float):
        # The shortest decimal that reads back as the same float: more places than were read would
        # make a figure more exact than it is. numpy's subclass would add its own name.
        written = float.__repr__(value)
        return written if exact else written.removesuffix(".0")
    return str(value)
