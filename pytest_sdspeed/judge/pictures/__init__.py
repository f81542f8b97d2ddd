"""Rules of pictures: metrics, gates, and what is shown of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_sdspeed.judge.pictures.conversion import as_pictures, find_defects
    from pytest_sdspeed.judge.pictures.conversion import find_defects as defects
    from pytest_sdspeed.judge.pictures.forms import keep
    from pytest_sdspeed.judge.pictures.output import Output

__all__ = ["Output", "as_pictures", "defects", "find_defects", "keep"]

_HOMES = {
    "Output": ("output", "Output"),
    "as_pictures": ("conversion", "as_pictures"),
    "defects": ("conversion", "find_defects"),
    "find_defects": ("conversion", "find_defects"),
    "keep": ("forms", "keep"),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: numpy takes longer than all the rest."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)
