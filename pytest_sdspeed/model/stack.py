"""One entry of a setup's stack: the name of an optimization, and the options it is given."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FORM = re.compile(r"(?P<name>[^()]+)\((?P<options>.*)\)", re.DOTALL)
_OPTION = re.compile(rf"\s*(?P<name>{_NAME.pattern})\s*=\s*")


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


@dataclass(frozen=True, slots=True)
class StackEntry:
    """An optimization by name, with options.

    Its label, ``first_block_cache(threshold=0.08)``, is how it stands in ``Row.optimizations``, in
    stored records and in messages; values are written as JSON.

    Attributes:
        name: name of the optimization.
        options: option -> value; builtins only. Those that are left out have their defaults.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def label(self) -> str:
        """Return the name, with the options if there are any, in alphabetical order."""
        if not self.options:
            return self.name
        written = (f"{name}={json.dumps(value)}" for name, value in sorted(self.options.items()))
        return f"{self.name}({', '.join(written)})"

    @classmethod
    def of(cls, entry: str | Mapping[str, Any]) -> StackEntry:
        """Read an entry as users write it.

        Args:
            entry: a name, a label, or the options by name with the optimization's name under
                ``name``: ``{"name": "first_block_cache", "threshold": 0.08}``.

        Raises:
            ValueError: it has no name, or an option is no builtin that JSON has.
        """
        if isinstance(entry, str):
            return cls.parse(entry)
        name = entry.get("name")
        if not isinstance(name, str) or not name.strip():
            raise ValueError(
                'has no name; valid: as in {name = "first_block_cache", threshold = 0.08}'
            )
        if "(" in name or ")" in name:
            raise ValueError(f"name {name!r} has parentheses; valid: the name alone")
        options = {option: value for option, value in entry.items() if option != "name"}
        for option, value in options.items():
            _check_option(option, value)
        return cls.parse(cls(name, options).label)

    @classmethod
    def parse(cls, label: str) -> StackEntry:
        """Read a label.

        Raises:
            ValueError: the label has parentheses, and what is inside is no list of options.
        """
        form = _FORM.fullmatch(label)
        if form is None:
            return cls(label)
        return cls(form["name"], _read_options(form["options"], label))


def list_names(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the names of a stack's optimizations, without their options.

    Raises:
        ValueError: one of them is no label.
    """
    return tuple(StackEntry.parse(label).name for label in labels)


def _check_option(name: object, value: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"option {name!r} cannot be an argument; valid: a name as Python has them")
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError(
            f"option {name!r} is {value!r}; valid: a boolean, a finite number, a string, or a list"
            " or dictionary of them"
        ) from None


def _read_options(text: str, label: str) -> dict[str, Any]:
    """Read ``threshold=0.08, parts=["unet"]``."""
    options: dict[str, Any] = {}
    position = 0
    while position < len(text):
        option = _OPTION.match(text, position)
        if option is None or option["name"] in options:
            raise ValueError(f"{label!r}: valid: name(option=value, ...), each option once")
        try:
            value, end = _DECODER.raw_decode(text, option.end())
        except (ValueError, RecursionError):
            raise ValueError(f"{label!r}: the value of {option['name']!r} is no JSON") from None
        options[option["name"]] = value
        rest = text[end:].lstrip()
        if rest and not rest.startswith(","):
            raise ValueError(f"{label!r}: valid: name(option=value, ...), each option once")
        position = len(text) - len(rest) + 1 if rest else len(text)
    return options
