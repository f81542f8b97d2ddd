"""The planted slowdown of ``same.py``."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from pytest_sdspeed import Optimization

if TYPE_CHECKING:
    from pytest_sdspeed.model import Recipe
    from pytest_sdspeed.setups.registry import Registry

EVERY = 20
"""Divides the steps of ``same.toml``: all generations have the same number of extra calls."""


def repeat_calls(pipeline: Any, _recipe: Recipe) -> None:
    """Call the UNet twice, with the same arguments, at every 20th call; pictures do not change."""
    forward, calls = pipeline.unet.forward, count(1)

    def repeated(*args: Any, **kwargs: Any) -> Any:
        if next(calls) % EVERY == 0:
            forward(*args, **kwargs)
        return forward(*args, **kwargs)

    pipeline.unet.forward = repeated


def pytest_sdspeed_register(registry: Registry) -> None:
    """Add ``every_20th_call_repeated``."""
    registry.add_optimization(
        Optimization(
            name="every_20th_call_repeated",
            summary="5% more calls of the UNet",
            changes=frozenset({"unet"}),
            apply=repeat_calls,
        )
    )
