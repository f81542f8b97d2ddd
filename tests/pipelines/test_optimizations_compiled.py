"""Caches in compiled code: what they skip is read from their state, since hooks are not called there and would be compiled in."""

from __future__ import annotations

import pytest
import torch
from optimized import Arms
from torch._dynamo.utils import counters

from pytest_sdspeed.pipelines.compiled import clone_results
from pytest_sdspeed.pipelines.named_modules import is_compiled
from pytest_sdspeed.pipelines.watching import is_opaque

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


class Watcher:
    """Stands in the place of a module's call, as other proofs do that share the generation."""

    def __init__(self, call):
        self._call = call

    def __call__(self, *args, **kwargs):
        return self._call(*args, **kwargs)


def test_a_module_that_another_proof_watches_is_not_taken_for_compiled_and_a_compiled_one_is():
    arms = Arms("flux", "first_block_cache(threshold=0.9)")
    transformer = arms.pipeline.transformer
    transformer._compiled_call_impl = Watcher(transformer._call_impl)
    assert not is_compiled(transformer)
    assert arms.find().acted
    del vars(transformer)["_compiled_call_impl"]
    plain = transformer.forward
    compiled = torch.compile(plain, backend="eager")
    for call in (compiled, clone_results(compiled)):
        transformer.forward = call
        assert is_compiled(transformer)
    transformer.forward = plain
    assert not is_compiled(transformer)
    transformer.transformer_blocks[0].compile(backend="eager")
    assert is_compiled(transformer)


@pytest.mark.parametrize("label", ["faster_cache(is_guidance_distilled=true)", 'group_offload(offload_type="block_level")'])
def test_a_denoiser_with_hooks_of_its_own_can_be_compiled_after_them(label):
    arms = Arms("flux", label, 'compile(backend="eager")')
    assert is_compiled(arms.pipeline.transformer)
    assert is_opaque(arms.pipeline.transformer)
