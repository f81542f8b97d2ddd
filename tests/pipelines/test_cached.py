"""The feature cache: the same numbers at interval 1, less work at others, and a new start for every generation."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from small import ONE_BLOCK, UNET, exchange_unet, save_small_models
from torch.utils.flop_counter import FlopCounterMode

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.errors import RegistrationError
from pytest_sdspeed.judge.pictures.metrics import compare_batches
from pytest_sdspeed.pipelines.architectures import find_architecture
from pytest_sdspeed.pipelines.feature_cache import FeatureCachedUNet, cache_features
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.sources import PretrainedSource
from pytest_sdspeed.tables import load_tables

pytestmark = pytest.mark.slow


def caching(interval):
    return Optimization(name=f"cached_{interval}", summary="", apply=lambda pipeline, _recipe: cache_features(pipeline, interval))


def calls_of(setup):
    """Count the calls of each part of a UNet in one generation."""
    unet, counts = setup.pipeline.unet.unet, Counter()
    parts = {"down": unet.down_blocks, "up": unet.up_blocks, "middle": [unet.mid_block] if unet.mid_block else []}
    parts |= {"layers": [layer for block in (*unet.down_blocks, *unet.up_blocks) for layer in block.resnets]}
    hooks = [
        part.register_forward_hook(lambda *_, name=name: counts.update([name]))
        for name, group in (parts | {"whole": [unet.conv_in]}).items()
        for part in group
    ]
    setup.generate(0)
    for hook in hooks:
        hook.remove()
    return dict(counts)


@pytest.mark.parametrize("stack", [(), ("distilled_unet",), ("fused_qkv", "channels_last")], ids=str)
@pytest.mark.parametrize("changes", [{}, {"scheduler": "pndm", "height": 40, "images": 2}, {"guidance": 1.0}], ids=str)
def test_at_interval_1_it_is_the_unet_bit_by_bit(stack, changes, make, recipe):
    changed = replace(recipe, **changes)
    assert np.array_equal(make(*stack, recipe=changed, extra=[caching(1)]).generate(0), make(*stack, recipe=changed).generate(0))


@pytest.mark.parametrize(("interval", "full"), [(2, 3), (3, 2), (9, 1)])
def test_the_other_steps_work_at_the_outermost_layers_only(interval, full, make, recipe):
    steps = replace(recipe, steps=6, height=16, width=16)
    counts = calls_of(make(recipe=steps, extra=[caching(interval)]))
    # The miniature has 3 blocks on either side, of 2 layers and of 3, whose last up-block is always taken layer by layer.
    assert counts == {"down": 3 * full, "up": 2 * full, "middle": full, "layers": 15 * full + 3 * (6 - full), "whole": 6}


def test_a_student_without_a_middle_is_cached_too(make, recipe):
    steps = replace(recipe, steps=4, height=16, width=16)
    counts = calls_of(make("distilled_unet", recipe=steps, extra=[caching(2)]))
    assert counts == {"down": 6, "up": 4, "layers": 9 * 2 + 3 * 2, "whole": 4}


@pytest.mark.parametrize("scheduler", ["ddim", "pndm"])
def test_every_generation_starts_with_a_full_step(scheduler, make, recipe):
    # 5 calls of the UNet with DDIM, 6 with PNDM: neither is a multiple of 4.
    cached = make(recipe=replace(recipe, scheduler=scheduler, steps=5, height=16, width=16), extra=[caching(4)])
    first = cached.generate(0)
    assert not np.array_equal(cached.generate(1), first)
    assert np.array_equal(cached.generate(0), first)


def test_another_step_count_size_or_number_of_pictures_starts_anew(make, recipe):
    cached = make(recipe=replace(recipe, steps=5, height=16, width=16), extra=[caching(4)])
    others = [{"steps": 3}, {"steps": 3, "height": 40, "width": 24}, {"steps": 2, "images": 3}, {"steps": 7}]
    for changes in others:
        cached.recipe = replace(recipe, **{"height": 16, "width": 16} | changes)
        assert np.array_equal(cached.generate(0), make(recipe=cached.recipe, extra=[caching(4)]).generate(0))


def test_a_generation_that_broke_off_leaves_nothing_to_the_next(make, recipe):
    cached = make(recipe=replace(recipe, steps=3, height=16, width=16), extra=[caching(3)])
    first = cached.generate(0)

    def breaks(*_):
        raise KeyboardInterrupt

    hook = cached.pipeline.unet.unet.conv_out.register_forward_hook(breaks)
    with pytest.raises(KeyboardInterrupt):
        cached.generate(1)
    hook.remove()
    assert np.array_equal(cached.generate(0), first)


@pytest.mark.parametrize(
    ("model", "whole", "outermost"), [("CompVis/stable-diffusion-v1-4", 401.6, 90.1), ("nota-ai/bk-sdm-small", 255.4, 94.3)]
)
def test_the_work_of_either_pass_is_what_the_table_says(model, whole, outermost):
    with quiet(), torch.device("meta"), torch.no_grad():
        cached = FeatureCachedUNet(UNet2DConditionModel(**find_architecture(model).find_config("unet")).eval(), 2)
        inputs = (torch.empty(1, 4, 64, 64), torch.empty((), dtype=torch.int64), torch.empty(1, 77, 768))
        for expected in (whole, outermost):
            with FlopCounterMode(display=False) as counter:
                cached(*inputs)
            assert counter.get_total_flops() / 2e9 == pytest.approx(expected, abs=0.05)
    notes = " ".join(next(table for table in load_tables(()) if table.name == "fastest").notes)
    assert f"{outermost} of {whole} GMAC" in notes


def test_the_pictures_are_near_and_not_the_same(make, recipe):
    steps = replace(recipe, steps=20, height=64, width=64)
    whole = make(recipe=steps)
    drawn = whole.generate(0)
    near = [compare_batches(make(f"feature_cache_{interval}", recipe=steps).generate(0), drawn)["psnr"] for interval in (2, 3)]
    another = compare_batches(whole.generate(1), drawn)["psnr"]
    assert 100 > near[0] > another + 3
    assert 100 > near[1] > another + 3


def test_setups_that_share_the_unet_keep_theirs(make, recipe):
    cached, plain = make("feature_cache_2"), make()
    assert isinstance(cached.pipeline.unet, FeatureCachedUNet)
    assert cached.pipeline.unet.unet is plain.pipeline.unet
    assert cached.pipeline.scheduler is not plain.pipeline.scheduler
    assert cached.weight_bytes() == plain.weight_bytes()


def test_what_stands_in_the_unets_place_cannot_be_taken_apart(make_one_block):
    with pytest.raises(
        RegistrationError, match="feature_cache_2 takes the UNet apart: list it before compile, cuda_graphs and traced_unet"
    ):
        make_one_block("traced_unet", "feature_cache_2").build()


def test_a_unet_of_another_kind_is_refused(make):
    pipeline = make("sdpa").pipeline
    pipeline.unet.register_to_config(addition_embed_type="text_time")
    with pytest.raises(RegistrationError, match="kind: this one has addition_embed_type"):
        cache_features(pipeline, 2)


def test_both_passes_compile_in_one_graph_each(make, recipe, tmp_path):
    # Two blocks of a layer on either side, and a middle.
    names = save_small_models(tmp_path, exchange_unet(ONE_BLOCK, {**UNET, "layers_per_block": 1}))
    small = replace(recipe, steps=4, height=16, width=16, **names)
    cached = make("feature_cache_2", recipe=small, pool=Pool(PretrainedSource("cpu")))
    drawn = cached.generate(0)
    unet = cached.pipeline.unet
    unet.passes = tuple(torch.compile(call, backend="eager", fullgraph=True, dynamic=False) for call in unet.passes)
    assert np.allclose(cached.generate(0), drawn, atol=1e-5)
    cached.release()
