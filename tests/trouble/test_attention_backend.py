"""``set_attention_backend``, as diffusers documents it, in an optimization: its process-wide default is the setup's alone."""

from __future__ import annotations

import numpy as np
import pytest
from diffusers.models.attention_dispatch import _AttentionBackendRegistry

from pytest_sdspeed.device.flags import snapshot
from pytest_sdspeed.device.switches import ATTENTION_BACKEND
from pytest_sdspeed.errors import ChangedPartError, LeakedFlagError
from pytest_sdspeed.pipelines.optimization import Optimization

UNET = frozenset({"unet"})
SETS_A_DEFAULT = pytest.mark.skipif(
    not hasattr(_AttentionBackendRegistry, "set_active_backend"), reason="set_attention_backend of this diffusers sets no default"
)


def by_backend(name="_native_math", **fields):
    return Optimization(
        name="by_backend", summary="attention by name", apply=lambda pipeline, _recipe: pipeline.unet.set_attention_backend(name), **fields
    )


def backends_inside(setup):
    seen = []
    hook = setup.pipeline.unet.register_forward_hook(lambda *_: seen.append(snapshot()[ATTENTION_BACKEND].value))
    setup.generate(0)
    hook.remove()
    return set(seen)


@SETS_A_DEFAULT
def test_the_default_is_held_in_the_setups_slots_and_nowhere_else(make, drawn):
    before = make().generate(0), snapshot()
    setup = make(extra=[by_backend(changes=UNET)])
    assert backends_inside(setup) == {"_native_math"}
    assert snapshot() == before[1]
    assert backends_inside(make()) == {"native"}
    assert np.array_equal(make().generate(0), drawn)
    assert np.abs(setup.generate(0) - drawn).max() < 0.01


@SETS_A_DEFAULT
def test_two_setups_hold_their_own(make):
    first, second = make(extra=[by_backend(changes=UNET)]), make(extra=[by_backend("native", changes=UNET)])
    assert backends_inside(first) == {"_native_math"}
    assert backends_inside(second) == {"native"}
    assert backends_inside(first) == {"_native_math"}


def test_what_it_sets_on_a_shared_unet_is_named(make):
    before = make().pipeline, snapshot()
    processor = next(iter(before[0].unet.attn_processors.values()))

    def apply(pipeline, recipe):
        processor._attention_backend = "_native_math"  # as it does with those that can have one
        by_backend().apply(pipeline, recipe)

    with pytest.raises(ChangedPartError, match=r"unet\.\S+ processor attribute _attention_backend is .*_native_math"):
        make(extra=[Optimization(name="shared", summary="forgets changes", apply=apply)]).build()
    assert snapshot() == before[1]


@SETS_A_DEFAULT
def test_a_backend_set_in_a_slot_and_left_is_still_a_leak(make):
    class Leaky:
        def __enter__(self):
            from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry

            _AttentionBackendRegistry.set_active_backend(AttentionBackendName("_native_math"))

        def __exit__(self, *_):
            return None

    with pytest.raises(LeakedFlagError, match="diffusers attention backend is"):
        make(extra=[Optimization(name="leaky", summary="leaks", slot=Leaky)]).generate(0)


def test_other_switches_set_while_building_stay_an_error(make):
    import torch

    def apply(pipeline, recipe):
        by_backend().apply(pipeline, recipe)
        torch.backends.cudnn.benchmark = True

    before = make().pipeline, snapshot()
    with pytest.raises(LeakedFlagError, match=r"behind: torch\.backends\.cudnn\.benchmark is True, was False\. They"):
        make(extra=[Optimization(name="both", summary="sets two", apply=apply, changes=UNET)]).build()
    assert snapshot() == before[1]
