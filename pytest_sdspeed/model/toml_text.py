"""TOML spelling of strings and keys, for the writer and for dotted keys in messages."""

from __future__ import annotations

import re

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {
    "\\": "\\\\",
    '"': '\\"',
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
}
_MUST_ESCAPE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029"\\]')
"""TOML asks for control characters of ASCII; the others would break a line, or steer a terminal."""


def quote(text: str) -> str:
    """Return a TOML basic string that reads back as ``text``."""
    return (
        '"'
        + _MUST_ESCAPE.sub(lambda match: _ESCAPES.get(match[0], f"\\u{ord(match[0]):04x}"), text)
        + '"'
    )


def write_key(name: str) -> str:
    """Return a TOML key that reads back as ``name``: bare if TOML allows it, else quoted."""
    return name if _BARE_KEY.fullmatch(name) else quote(name)
