"""What a line of code does to the device or to its compiler, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACE_WORDS: Mapping[str, str] = {
    "host_sync": "host sync",
    "host_to_device": "copy to the device",
    "device_to_host": "copy to the host",
    "cast": "cast",
    "graph_break": "graph break",
    "recompilation": "recompilation",
}
_PLURALS: Mapping[str, str] = {
    "host_sync": "host syncs",
    "host_to_device": "copies to the device",
    "device_to_host": "copies to the host",
    "cast": "casts",
    "graph_break": "graph breaks",
    "recompilation": "recompilations",
}
"""Words for every kind of place: one of them, and several."""


def name_kind(kind: str, count: int = 1) -> str:
    """Return what a line of code does, in words.

    Args:
        kind: kind of the place.
        count: how often it does.
    """
    words = PLACE_WORDS if count == 1 else _PLURALS
    default = kind.replace("_", " ") + ("" if count == 1 else "s")
    return words.get(kind, default)
