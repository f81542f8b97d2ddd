"""The built-in optimizations: the names that tables and setups use, a module for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.pipelines.optimizations import (
    attention,
    autoencoder,
    caching,
    casting,
    compilation,
    deep_cache,
    layout,
    lora,
    models,
    offloading,
    precision,
    quantization,
    step_caches,
    token_merging,
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
    *step_caches.OPTIMIZATIONS,
    *deep_cache.OPTIMIZATIONS,
    *token_merging.OPTIMIZATIONS,
    *casting.OPTIMIZATIONS,
    *quantization.OPTIMIZATIONS,
    *offloading.OPTIMIZATIONS,
    *autoencoder.OPTIMIZATIONS,
    *models.OPTIMIZATIONS,
    *lora.OPTIMIZATIONS,
)


def has_own_code(stack: Sequence[Optimization]) -> bool:
    """Tell whether a stack runs code that is not this project's."""
    own = {part.name for part in OPTIMIZATIONS}
    return any(part.name not in own for part in stack)
