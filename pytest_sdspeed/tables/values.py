"""Checks of single TOML values.

A check takes what tomllib read and returns it, or raises ``InvalidValueError`` with what is wrong
and what would be valid; whoever calls it knows the file and the key. Numbers come as ``Decimal`` or
``int``, so that the precision they were written with is still known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[object], Any]

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


def type_name(value: object) -> str:
    """The TOML type of a value, with its article."""
    # bool comes before int, and datetime before date, because each is a subclass of the other.
    return next(
        (name for kind, name in _TYPE_NAMES if isinstance(value, kind)), type(value).__name__
    )


def expected(what: str, value: object) -> InvalidValueError:
    """The complaint about a value of another TOML type."""
    return InvalidValueError(f"must be {what}, not {type_name(value)}")


def any_text(value: object) -> str:
    """A string, which may be empty."""
    if not isinstance(value, str):
        raise expected("a string", value)
    return value


def text(value: object) -> str:
    """A string with something in it."""
    if not any_text(value).strip():
        raise InvalidValueError("must not be empty")
    return any_text(value)


def identifier(value: object) -> str:
    """A name that can be part of a fixture's name."""
    name = any_text(value)
    if not _IDENTIFIER.fullmatch(name):
        raise InvalidValueError(
            f"{name!r} is no valid name; valid: a lower-case letter, then lower-case letters,"
            " digits and underscores"
        )
    return name


def choice(kind: str, names: Sequence[str]) -> Check:
    """One of some strings."""

    def check(value: object) -> str:
        name = any_text(value)
        if name not in names:
            raise InvalidValueError(f"unknown {kind} {name!r}; valid: {', '.join(names)}")
        return name

    return check


def whole(least: int, *, most: int | None = None, multiple: int = 1) -> Check:
    """An integer of at least ``least``, at most ``most``, divisible by ``multiple``."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise expected("an integer", value)
        if value < least:
            raise InvalidValueError(f"must be at least {least}, not {value}")
        if most is not None and value > most:
            raise InvalidValueError(f"must be at most {most}, not {value}")
        if value % multiple:
            raise InvalidValueError(f"must be a multiple of {multiple}, not {value}")
        return value

    return check


def number(valid: str, within: Callable[[float], bool]) -> Check:
    """A finite number for which ``within`` holds; ``valid`` says the same in words. Returned as Decimal, as it was written."""

    def check(value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            raise expected("a number", value)
        written = Decimal(value)
        # The float is what is computed with later: 1e-400 is positive as a Decimal, and zero as a
        # float.
        if not math.isfinite(as_float(written)):
            raise InvalidValueError(f"must be finite, not {value}")
        if not within(as_float(written)):
            raise InvalidValueError(f"must be {valid}, not {value}")
        return written

    return check


def as_float(value: Decimal) -> float:
    """The nearest float; infinite where it is too large, NaN where it is not a number."""
    return math.nan if value.is_nan() else float(value)


def array(item: Check, *, unique: bool = False) -> Check:
    """An array whose items pass ``item``, as a tuple; with ``unique``, without repetition."""

    def check(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise expected("an array", value)
        items: list[Any] = []
        for index, entry in enumerate(value):
            try:
                items.append(item(entry))
            except InvalidValueError as problem:
                raise InvalidValueError(f"item {index} {problem}") from None
            if unique and entry in items[:-1]:
                raise InvalidValueError(f"lists {entry!r} twice")
        return tuple(items)

    return check


def table(value: object) -> dict[str, Any]:
    """A TOML table; its keys are checked apart."""
    if not isinstance(value, dict):
        raise expected("a table", value)
    return value


def tables(value: object) -> tuple[dict[str, Any], ...]:
    """An array of TOML tables, with at least one."""
    found: tuple[dict[str, Any], ...] = array(table)(value)
    if not found:
        raise InvalidValueError("must hold at least two rows: a baseline and one compared with it")
    return found
