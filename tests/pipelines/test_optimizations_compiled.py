"""Caches in compiled code: what they skip is read from their state, since hooks are not called there and would be compiled in."""

from __future__ import annotations

import pytest
from optimized import Arms
from torch._dynamo.utils import counters

FIRST = ("first_block_cache(threshold=0.9)", "first_block_cache(threshold=0.0)")
TAYLOR = ("taylorseer(cache_interval=2, disable_cache_before_step=2)", "taylorseer(disable_cache_before_step=9)")
MAGNITUDES = ("mag_cache(threshold=0.5)", "mag_cache(retention_ratio=1.0)")
PYRAMID = ("pyramid_attention_broadcast", "pyramid_attention_broadcast(spatial_attention_timestep_skip_range=[1, 2])")
WAYS = {
    "repeated blocks": lambda transformer: transformer.compile_repeated_blocks(backend="eager"),
    "all of it": lambda transformer: transformer.compile(backend="eager"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cache", "way"),
    [
        (FIRST, "repeated blocks"),
        (FIRST, "all of it"),
        (TAYLOR, "repeated blocks"),
        (MAGNITUDES, "all of it"),
        (PYRAMID, "repeated blocks"),
    ],
    ids=["first block", "first block, whole", "taylor", "magnitudes", "pyramid"],
)
def test_what_is_skipped_is_told_as_without_compiling_and_nothing_is_compiled_anew(cache, way):
    label, idle = cache
    expected = Arms("flux", label).find()
    for of, acted in ((label, True), (idle, False)):
        arms = Arms("flux", of)
        WAYS[way](arms.pipeline.transformer)
        arms.draw()
        arms.draw()
        before = counters["stats"]["unique_graphs"]
        finding = arms.find()
        assert counters["stats"]["unique_graphs"] == before
        assert finding.acted is acted, finding.text
        if acted:
            assert finding.text.partition(" (")[0] == expected.text.partition(" (")[0]
        assert arms.draw() is not None
        assert counters["stats"]["unique_graphs"] == before
