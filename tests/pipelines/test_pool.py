"""Pipelines share what they can, and no stack changes the pipeline of another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pytest_sdspeed.device.flags import snapshot
from pytest_sdspeed.errors import LeakedFlagError
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.pool import Pool

WEIGHTED = ("unet", "vae", "text_encoder")


def storages(*modules):
    """Return address -> bytes of every distinct memory block of the parameters."""
    tensors = [tensor for module in modules for tensor in module.parameters()]
    return {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}


def parts(*setups):
    return [getattr(setup.pipeline, name) for setup in setups for name in WEIGHTED]


def addresses(module):
    return [tensor.data_ptr() for tensor in module.parameters()]


class Counting:
    """A source that keeps a list of what was asked of it."""

    def __init__(self, source):
        self.source, self.asked = source, []

    def __getattr__(self, name):
        def give(*asked):
            self.asked.append((name, *asked[: 3 if name == "load_part" else 2]))
            return getattr(self.source, name)(*asked)

        return give


def test_flags_only_setups_are_the_baselines_modules(make):
    base, tf32, again = make().pipeline, make("tf32").pipeline, make().pipeline
    for name in WEIGHTED:
        assert getattr(tf32, name) is getattr(base, name)
        assert getattr(again, name) is getattr(base, name)
    assert again is not base
    assert again.scheduler is not base.scheduler


@pytest.mark.parametrize("name", ["sdpa", "vanilla_attention"])
def test_a_changed_structure_shares_every_weight(name, make):
    base = make().pipeline
    before = [type(processor) for processor in base.unet.attn_processors.values()]
    own = list(base.unet.attn_processors.values())
    changed = make(name).pipeline
    assert changed.unet is not base.unet
    assert changed.vae is not base.vae
    assert changed.text_encoder is base.text_encoder
    assert addresses(changed.unet) == addresses(base.unet)
    assert addresses(changed.vae) == addresses(base.vae)
    assert [type(processor) for processor in base.unet.attn_processors.values()] == before
    assert all(mine is not theirs for mine, theirs in zip(own, changed.unet.attn_processors.values(), strict=True))


def test_fused_projections_leave_the_original_alone(make, drawn):
    base = make().pipeline
    count = sum(1 for _ in base.unet.parameters())
    fused = make("fused_qkv").pipeline
    assert sum(1 for _ in fused.unet.parameters()) > count
    assert sum(1 for _ in base.unet.parameters()) == count
    assert storages(base.unet).keys() <= storages(fused.unet).keys()
    assert np.array_equal(make().generate(0), drawn)


def test_channels_last_leaves_the_original_alone_and_is_shared(make, drawn):
    base, one, other = make().pipeline, make("channels_last").pipeline, make("channels_last", "tf32").pipeline
    assert one.unet is other.unet
    assert one.vae is other.vae
    assert one.unet is not base.unet
    kernels = [tensor for tensor in base.unet.parameters() if tensor.dim() == 4 and not one_by_one(tensor)]
    assert kernels
    assert not any(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in kernels)
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in one.unet.parameters() if tensor.dim() == 4)
    assert addresses(make("channels_last", "sdpa").pipeline.unet) == addresses(one.unet)
    assert np.array_equal(make().generate(0), drawn)


def one_by_one(tensor):
    return tensor.shape[2:] == (1, 1)


def test_other_dtypes_are_not_shared(make):
    base, half, combined = make(), make("fp16"), make("fp16", "tf32")
    assert half.pipeline.unet.dtype == torch.float16
    assert not storages(*parts(base)).keys() & storages(*parts(half)).keys()
    assert combined.pipeline.unet is half.pipeline.unet


def test_the_recipes_dtype_is_that_of_a_stack_that_names_none(make, recipe):
    half = make(recipe=replace(recipe, dtype="float16"))
    assert half.pipeline.unet is make("fp16").pipeline.unet


@pytest.mark.slow
def test_every_weight_is_held_once(source, recipe, make):
    pool = Pool(source)
    stacks = [(), ("tf32",), ("sdpa",), ("vanilla_attention",), ("distilled_unet",), ("tiny_vae",), ("distilled_unet", "tiny_vae")]
    setups = [make(*stack, pool=pool) for stack in stacks]
    needed = [*parts(setups[0]), source.load_part("unet", recipe.student, "float32"), source.load_part("vae", recipe.tiny_vae, "float32")]
    held = sum(storages(*parts(*setups)).values())
    assert held == sum(storages(*needed).values())

    twins = [make("channels_last", pool=pool), make("channels_last", "sdpa", pool=pool)]
    laid_out = [tensor for name in ("unet", "vae") for tensor in getattr(setups[0].pipeline, name).parameters() if tensor.dim() == 4]
    more = sum(storages(*parts(*setups, *twins)).values()) - held
    assert more == sum(tensor.untyped_storage().nbytes() for tensor in laid_out) > 0


def test_a_source_is_asked_once_for_each_weights(source, make):
    counting = Counting(source)
    pool = Pool(counting)
    for stack in [(), ("tf32",), ("distilled_unet",), ("distilled_unet", "sdpa"), ("distilled_unet", "tiny_vae")]:
        _ = make(*stack, pool=pool).pipeline
    assert sorted(counting.asked) == [
        ("load_part", "unet", "miniature-student", "float32"),
        ("load_part", "vae", "miniature-tiny-vae", "float32"),
        ("load_pipeline", "miniature", "float32"),
    ]


def test_modules_do_not_train_and_keep_the_leaves_that_autocast_caches(make):
    for module in parts(make("distilled_unet", "tiny_vae"), make("channels_last")):
        assert not module.training
        assert all(tensor.requires_grad and tensor.is_leaf for tensor in module.parameters())


def leak(_pipeline, _recipe):
    torch.backends.cudnn.benchmark = True


def fail(_pipeline, _recipe):
    torch.backends.cudnn.benchmark = True
    raise ValueError("planted")


def test_a_leak_while_building_names_the_setup(make):
    before = snapshot()
    leaky = Optimization(name="leaky", summary="leaves a switch behind", apply=leak)
    with pytest.raises(LeakedFlagError, match=r"building setup 'tested' left .*torch\.backends\.cudnn\.benchmark is True, was False"):
        _ = make(extra=[leaky]).pipeline
    assert snapshot() == before


def test_an_exception_while_building_goes_through(make):
    before = snapshot()
    with pytest.raises(ValueError, match="planted"):
        _ = make(extra=[Optimization(name="failing", summary="raises", apply=fail)]).pipeline
    assert snapshot() == before


def test_a_users_optimization_is_applied_to_a_copy(make):
    def mark(pipeline, recipe):
        pipeline.unet.marked = recipe.prompt

    setup = make(extra=[Optimization(name="marking", summary="marks the UNet", changes=frozenset({"unet"}), apply=mark)])
    assert setup.pipeline.unet.marked == setup.recipe.prompt
    assert not hasattr(make().pipeline.unet, "marked")


def test_clear_lets_go_and_built_pipelines_go_on(source, make, drawn):
    pool = Pool(source)
    before = make(pool=pool)
    unet = before.pipeline.unet
    pool.clear()
    after = make(pool=pool)
    assert after.pipeline.unet is not unet
    assert before.pipeline.unet is unet
    assert np.array_equal(before.generate(0), drawn)
    assert np.array_equal(after.generate(0), drawn)
