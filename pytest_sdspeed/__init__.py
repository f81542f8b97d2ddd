"""A performance gate for diffusion pipelines. The public names load when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_sdspeed.errors import SdSpeedError
    from pytest_sdspeed.model import (
        Account,
        Finding,
        ImageGate,
        Place,
        Recipe,
        Result,
        Row,
        Table,
    )
    from pytest_sdspeed.pipelines.optimization import Optimization
    from pytest_sdspeed.setups.registry import Registry
    from pytest_sdspeed.setups.setup import Setup
    from pytest_sdspeed.tables import load_tables

__version__ = "0.1.0"
__all__ = [
    "Account",
    "Finding",
    "ImageGate",
    "Optimization",
    "Place",
    "Recipe",
    "Registry",
    "Result",
    "Row",
    "SdSpeedError",
    "Setup",
    "Table",
    "load_tables",
]

_HOMES = {
    "Account": "model",
    "Finding": "model",
    "ImageGate": "model",
    "Optimization": "pipelines.optimization",
    "Place": "model",
    "Recipe": "model",
    "Registry": "setups.registry",
    "Result": "model",
    "Row": "model",
    "SdSpeedError": "errors",
    "Setup": "setups.setup",
    "Table": "model",
    "load_tables": "tables",
}


def __getattr__(name: str) -> Any:
    """Import the module of a public name on its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
