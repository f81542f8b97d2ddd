"""Optimizations that keep what a denoiser computed for later steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.pipelines.optimization import Optimization

if TYPE_CHECKING:
    from pytest_sdspeed.model import Recipe

_ORDINALS = {2: "second", 3: "third"}


def _make_feature_cache(interval: int) -> Optimization:
    def apply(pipeline: Any, _recipe: Recipe) -> None:
        from pytest_sdspeed.pipelines.feature_cache import cache_features

        cache_features(pipeline, interval)

    return Optimization(
        name=f"feature_cache_{interval}",
        summary=f"deep features of the UNet computed at every {_ORDINALS[interval]} step only",
        apply=apply,
        relation="approximation",
    )


OPTIMIZATIONS = tuple(map(_make_feature_cache, _ORDINALS))
