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
    projections,
    schedulers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.pipelines.optimization import Optimization

KINDS = (
    precision,
    layout,
    attention,
    projections,
    compilation,
    caching,
    models,
    schedulers,
)
"""The modules that hold them, in the order of the documentation."""
OPTIMIZATIONS: tuple[Optimization, ...] = tuple(
    part for kind in KINDS for part in kind.OPTIMIZATIONS
)


def has_own_code(stack: Sequence[Optimization]) -> bool:
    """Tell whether a stack runs code that is not this project's."""
    own = {part.name for part in OPTIMIZATIONS}
    return any(part.name not in own for part in stack)
