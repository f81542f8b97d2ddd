"""Checks of single TOML values.

A check takes what tomllib read and returns it, or raises ``InvalidValueError`` with what is wrong
and what would be valid; the caller knows the file and the key. Numbers come as ``Decimal`` or
``int``, so that the precision with which they were written is known. A function ``expect_*``
returns a check.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[object], Any]

_DEEPEST = 16
"""Arrays and tables in one another that a value may have."""
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "a boolean"),
    (str, "a string"),
    (int, "an integer"),
    (Decimal, "a float"),
    (list, "an array"),
    (dict, "a table"),
    (datetime, "a date-time"),
    (date, "a date"),
    (time, "a time"),
)


class InvalidValueError(Exception):
    """What is wrong with a value; the loader adds file and key."""


def name_type(value: object) -> str:
    """Return the TOML type of a value, with its article."""
    # A bool is an int, and a datetime is a date: the subclass comes first.
    return next(
        (name for kind, name in _TYPE_NAMES if isinstance(value, kind)), type(value).__name__
    )


def reject_type(what: str, value: object) -> InvalidValueError:
    """Return what to raise for a value of another TOML type."""
    return InvalidValueError(f"must be {what}, not {name_type(value)}")


def check_any_text(value: object) -> str:
    """Check a string, which may be empty."""
    if not isinstance(value, str):
        raise reject_type("a string", value)
    return value


def check_text(value: object) -> str:
    """Check a string that has more than white space."""
    text = check_any_text(value)
    if not text.strip():
        raise InvalidValueError("must not be empty")
    return text


def check_boolean(value: object) -> bool:
    """Check a boolean."""
    if not isinstance(value, bool):
        raise reject_type("a boolean", value)
    return value


def is_identifier(name: str) -> bool:
    """Tell whether a name can be part of a fixture's name."""
    return _IDENTIFIER.fullmatch(name) is not None


def check_identifier(value: object) -> str:
    """Check a name that can be part of a fixture's name."""
    name = check_any_text(value)
    if not is_identifier(name):
        raise InvalidValueError(
            f"{name!r} is not a valid name; valid: a lower-case letter, then lower-case letters,"
            " digits and underscores"
        )
    return name


def expect_choice(kind: str, names: Sequence[str]) -> Check:
    """Expect one of some strings."""

    def check(value: object) -> str:
        name = check_any_text(value)
        if name not in names:
            raise InvalidValueError(f"unknown {kind} {name!r}; valid: {', '.join(names)}")
        return name

    return check


def expect_whole(least: int, *, most: int | None = None, multiple: int = 1) -> Check:
    """Expect an integer of at least ``least``, at most ``most``, divisible by ``multiple``."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise reject_type("an integer", value)
        if value < least:
            raise InvalidValueError(f"must be at least {least}, not {value}")
        if most is not None and value > most:
            raise InvalidValueError(f"must be at most {most}, not {value}")
        if value % multiple:
            raise InvalidValueError(f"must be a multiple of {multiple}, not {value}")
        return value

    return check


def expect_number(valid: str, within: Callable[[float], bool]) -> Check:
    """Expect a finite number for which ``within`` holds, and return it as a Decimal.

    Args:
        valid: which numbers are valid, in words.
        within: tells whether a number is valid.
    """

    def check(value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise reject_type("a number", value)
        written = Decimal(value)
        # Later computations use the float: 1e-400 is positive as a Decimal, and zero as a float.
        number = to_float(written)
        if not math.isfinite(number):
            raise InvalidValueError(f"must be finite, not {value}")
        if not within(number):
            raise InvalidValueError(f"must be {valid}, not {value}")
        return written

    return check


def to_float(value: Decimal) -> float:
    """Return the nearest float: infinite if it is too large, NaN if it is not a number."""
    return math.nan if value.is_nan() else float(value)


def expect_array(item: Check, *, unique: bool = False) -> Check:
    """Expect an array whose items pass ``item``, and return a tuple.

    Args:
        item: check of an item.
        unique: whether repeated items are invalid; they must be hashable.
    """

    def check(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise reject_type("an array", value)
        items: list[Any] = []
        seen: set[Any] = set()
        for index, entry in enumerate(value):
            try:
                items.append(item(entry))
            except InvalidValueError as problem:
                raise InvalidValueError(f"item {index} {problem}") from None
            if unique and entry in seen:
                raise InvalidValueError(f"lists {entry!r} twice")
            if unique:
                seen.add(entry)
        return tuple(items)

    return check


def check_builtin(value: object, depth: int = _DEEPEST) -> Any:
    """Check what JSON has as well, nested up to a depth: no dates, no NaN; floats are floats."""
    if isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, Decimal):
        if not math.isfinite(to_float(value)):
            raise InvalidValueError(f"must be finite, not {value}")
        return to_float(value)
    if not isinstance(value, (list, dict)):
        raise reject_type("a boolean, a number, a string, or an array or table of them", value)
    if not depth:
        raise InvalidValueError(f"must be nested at most {_DEEPEST} deep")
    if isinstance(value, list):
        return [check_builtin(inner, depth - 1) for inner in value]
    return {name: check_builtin(inner, depth - 1) for name, inner in value.items()}


def check_table(value: object) -> dict[str, Any]:
    """Check a TOML table; its keys are checked separately."""
    if not isinstance(value, dict):
        raise reject_type("a table", value)
    return value


def check_tables(value: object) -> tuple[dict[str, Any], ...]:
    """Check an array of TOML tables, with at least one."""
    found: tuple[dict[str, Any], ...] = expect_array(check_table)(value)
    if not found:
        raise InvalidValueError("must hold at least two rows: a baseline and one compared with it")
    return found


def find_zeros(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures that are written with zeros at their end, which floats do not keep."""
    return {
        name: str(value)
        for name, value in facts.items()
        if isinstance(value, Decimal) and str(value).endswith("0") and value.as_tuple().exponent
    }
