"""The built-in optimizations: the names that tables and setups use, a module for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.pipelines.optimizations import (
    attention,
    caching,
    compilation,
    layout,
    models,
    precision,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.pipelines.optimization import Optimization

OPTIMIZATIONS: tuple[Optimization, ...] = (
    *precision.OPTIMIZATIONS,
    *layout.OPTIMIZATIONS,
    *attention.OPTIMIZATIONS,
    *compilation.OPTIMIZATIONS,
    *caching.OPTIMIZATIONS,
    *models.OPTIMIZATIONS,
)


def has_own_code(stack: Sequence[Optimization]) -> bool:
    """Tell whether a stack runs code that is not this project's."""
    own = {part.name for part in OPTIMIZATIONS}
    return any(part.name not in own for part in stack)
