"""Optimizations that keep what a denoiser computed for later steps."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.optimization import Optimization

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        prove=_prove_feature_cache,
        relation="approximation",
    )


@contextmanager
def _prove_feature_cache(pipeline: Any) -> Iterator[Callable[[], Finding]]:
    """Read how many of its calls the UNet computed in full."""
    counts: list[tuple[int, int]] = []
    yield lambda: _judge_feature_cache(counts)
    unet = pipeline.unet
    if hasattr(unet, "count_calls"):
        counts.append(unet.count_calls())


def _judge_feature_cache(counts: list[tuple[int, int]]) -> Finding:
    if not counts:
        return Finding(acted=False, text="another UNet stands in the place of the one that caches")
    calls, full = counts[0]
    return Finding(full < calls, f"computed {full} of {calls} calls of the UNet in full")


OPTIMIZATIONS = tuple(map(_make_feature_cache, _ORDINALS))
