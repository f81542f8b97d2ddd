"""What setups share stays what it is: a row that changes it fails by the part's name, and nothing after it is affected."""

from __future__ import annotations

import types
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor
from merging import TO_Q, UNET, WRITES, add, add_to_data, merging, optimization, to_q

from pytest_sdspeed.errors import ChangedPartError, GenerationError, RegistrationError
from pytest_sdspeed.pipelines import shared_part
from pytest_sdspeed.pipelines.pool import Pool


@pytest.mark.slow
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("changes", [UNET, frozenset()], ids=["copy", "original"])
def test_weights_written_while_building_are_named_and_put_back(write, changes, make, drawn):
    with pytest.raises(
        ChangedPartError, match=rf"building setup 'tested' changed what setups share: {TO_Q}; .* and 9 more\. It is put back"
    ):
        make(extra=[merging(write, changes=changes)]).build()
    assert np.array_equal(make().generate(0), drawn)


def test_the_message_says_what_to_declare(make):
    with pytest.raises(
        ChangedPartError, match=r"changes=\{'unet'\}\) gives it a copy .* rewrites=\{'unet'\} a copy whose weights are its own"
    ):
        make(extra=[merging(add, changes=UNET)]).build()


@pytest.mark.parametrize("write", WRITES)
def test_declared_rewriting_is_measured_and_leaves_the_baseline_alone(write, make, drawn):
    row = make(extra=[merging(write, rewrites=UNET)])
    pictures = row.generate(0)
    assert not np.array_equal(pictures, drawn)
    assert np.array_equal(make().generate(0), drawn)
    assert np.array_equal(row.generate(0), pictures)
    row.check()


def free_unet(pipeline, _recipe):
    pipeline.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4)


def hook(pipeline, _recipe):
    pipeline.unet.mid_block.register_forward_hook(lambda *_: None)


def set_processors(pipeline, _recipe):
    pipeline.unet.set_attn_processor(AttnProcessor())


def set_on_processor(pipeline, _recipe):
    next(iter(pipeline.unet.attn_processors.values())).scale = 2.0


def replace_forward(pipeline, _recipe):
    pipeline.unet.forward = types.MethodType(type(pipeline.unet).forward, pipeline.unet)


def train(pipeline, _recipe):
    pipeline.vae.train()


def cast(pipeline, _recipe):
    pipeline.text_encoder.to(torch.bfloat16)


def replace_module(pipeline, _recipe):
    pipeline.unet.conv_out = torch.nn.Identity()


def replace_weight(pipeline, _recipe):
    pipeline.unet.conv_out.weight = torch.nn.Parameter(pipeline.unet.conv_out.weight.detach().clone())


def set_config(pipeline, _recipe):
    pipeline.unet.register_to_config(flip_sin_to_cos=False)


def slice_vae(pipeline, _recipe):
    pipeline.vae.enable_slicing()


def patch_class(pipeline, _recipe):
    type(pipeline.unet.mid_block).forward = lambda self, hidden, *_args, **_kwargs: hidden


def change_class(pipeline, _recipe):
    kind = type(pipeline.unet.mid_block)
    pipeline.unet.mid_block.__class__ = type("Merging", (kind,), {})


def compile_it(pipeline, _recipe):
    pipeline.unet.compile(backend="eager")


def add_buffer(pipeline, _recipe):
    pipeline.unet.register_buffer("mask", torch.ones(1))


CHANGES = {
    free_unet: r"unet\.up_blocks\.0 attribute s1 is 0\.9, was not there",
    hook: r"unet\.mid_block _forward_hooks entry \d+ is a function, was not there",
    set_processors: r"unet\.down_blocks\.\d\.attentions\.0\.transformer_blocks\.0\.attn1 attribute processor is a AttnProcessor, was a AttnProcessor2_0",
    set_on_processor: r"unet\.\S+ processor attribute scale is 2\.0, was not there",
    replace_forward: r"unet attribute forward is a method, was not there",
    train: r"vae attribute training is True, was False",
    cast: r"text_encoder\.\S+ was moved, cast or replaced",
    replace_module: r"unet\.conv_out was replaced",
    replace_weight: r"unet\.conv_out\.weight was replaced",
    set_config: r"unet _internal_dict entry flip_sin_to_cos|unet attribute _internal_dict",
    slice_vae: r"vae attribute use_slicing is True, was False",
    patch_class: r"unet: method UNetMidBlock2DCrossAttn\.forward was replaced",
    change_class: r"unet\.mid_block is of class Merging, was UNetMidBlock2DCrossAttn",
    compile_it: r"unet attribute _compiled_call_impl is a",
    add_buffer: r"unet\.mask is new",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_is_changed_without_being_declared_is_named_and_put_back(change, make, drawn):
    with pytest.raises(ChangedPartError, match=f"what setups share: ({CHANGES[change]})"):
        make(extra=[optimization(change)]).build()
    assert np.array_equal(make().generate(0), drawn)


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES.keys() - {patch_class}, ids=lambda change: change.__name__)
def test_the_same_on_a_declared_copy_is_no_fault(change, make, drawn):
    make(extra=[optimization(change, changes=frozenset({"unet", "vae", "text_encoder"}))]).build()
    assert np.array_equal(make().generate(0), drawn)


def test_gradients_turned_off_on_what_is_shared_are_back_without_a_word(make):
    make(extra=[optimization(lambda pipeline, _recipe: pipeline.unet.requires_grad_(requires_grad=False))]).build()
    assert all(tensor.requires_grad for tensor in make().pipeline.unet.parameters())


def test_tokens_that_a_row_adds_are_its_own(make):
    before = len(make().pipeline.tokenizer)
    row = make(extra=[optimization(lambda pipeline, _recipe: pipeline.tokenizer.add_tokens(["<mine>"]))])
    assert len(row.pipeline.tokenizer) == before + 1
    assert len(make().pipeline.tokenizer) == before


def test_a_row_that_raises_halfway_leaves_the_baseline_alone(make, drawn):
    def apply(pipeline, _recipe):
        add_to_data(to_q(pipeline)[0])
        raise ValueError("planted")

    with pytest.raises(ValueError, match="planted"):
        make(extra=[optimization(apply, changes=UNET)]).build()
    assert np.array_equal(make().generate(0), drawn)


@pytest.mark.parametrize("field", ["changes", "rewrites"])
def test_a_component_that_the_pipeline_lacks_is_named_with_the_valid_ones(field, make):
    with pytest.raises(RegistrationError, match=r"it has no 'transformer'; valid: .*unet, vae"):
        make(extra=[optimization(**{field: frozenset({"transformer"})})]).build()


def in_slot(pipelines, write):
    """Write into the shared UNet in every slot."""

    @contextmanager
    def slot():
        write(to_q(pipelines[0])[0])
        yield

    return optimization(lambda pipeline, _recipe: pipelines.append(pipeline), slot=slot, changes=UNET)


@pytest.mark.parametrize("write", WRITES)
def test_weights_written_in_a_slot_fail_the_generation_and_are_put_back(write, make, drawn):
    with pytest.raises(ChangedPartError, match=rf"setup 'tested' changed what setups share: {TO_Q}\. It is put back"):
        make(extra=[in_slot([], write)]).generate(0)
    assert np.array_equal(make().generate(0), drawn)


def test_freeu_switched_on_in_a_slot_is_named(make, drawn):
    pipelines = []

    @contextmanager
    def slot():
        free_unet(pipelines[0], None)
        yield

    row = make(extra=[optimization(lambda pipeline, _recipe: pipelines.append(pipeline), slot=slot)])
    with pytest.raises(ChangedPartError, match=r"unet\.up_blocks\.0 attribute s1"):
        row.generate(0)
    assert np.array_equal(make().generate(0), drawn)


def test_tensors_that_a_call_keeps_for_the_next_are_no_fault(make):
    pipelines = []

    @contextmanager
    def slot():
        pipelines[0].unet.mid_block.positions = torch.zeros(2)
        yield

    make(extra=[optimization(lambda pipeline, _recipe: pipelines.append(pipeline), slot=slot)]).generate(0)
    make().generate(0)


def test_addresses_stay_since_graphs_keep_them(make):
    before = [tensor.data_ptr() for tensor in make().pipeline.unet.parameters()]
    with pytest.raises(ChangedPartError):
        make(extra=[merging(add, changes=UNET)]).build()
    with pytest.raises(ChangedPartError):
        make(extra=[optimization(lambda pipeline, _recipe: pipeline.unet.to(torch.bfloat16))]).build()
    assert [tensor.data_ptr() for tensor in make().pipeline.unet.parameters()] == before


def test_another_memory_format_is_put_back_too(make, drawn):
    clean = make("channels_last").generate(0)
    with pytest.raises(ChangedPartError, match="changed what setups share: unet"):
        make("channels_last", extra=[merging(add, changes=UNET)]).build()
    assert np.array_equal(make("channels_last").generate(0), clean)
    assert np.array_equal(make().generate(0), drawn)


def write_the_same(weight):
    with torch.no_grad():
        weight.mul_(1)


@pytest.mark.slow
@pytest.mark.parametrize("write", [*WRITES, write_the_same])
def test_what_is_put_back_is_no_change_of_another_memory_format(write, make, source):
    pool = Pool(source)
    clean = make("channels_last", pool=pool).generate(0)
    with nullcontext() if write is write_the_same else pytest.raises(ChangedPartError, match=r"what setups share: unet\.down_blocks"):
        make(pool=pool, extra=[merging(write)]).build()
    assert np.array_equal(make("channels_last", pool=pool).generate(0), clean)


class Forgetful:
    """A source that gives other weights each time."""

    def __init__(self, source):
        self._source, self._loaded = source, 0

    def load_pipeline(self, model, dtype, kind):
        self._loaded += 1
        pipeline = self._source.load_pipeline(model, dtype, kind)
        for weight in to_q(pipeline):
            weight.data.add_(self._loaded)
        return pipeline


def test_what_cannot_be_put_back_is_measured_no_more_until_it_is_loaded_again(source, make):
    pool = Pool(Forgetful(source))
    base = make(pool=pool)
    base.build()
    for setup in (make(pool=pool, extra=[merging(add, changes=UNET)]), base):
        with pytest.raises(
            ChangedPartError, match="unet was changed and could not be put back: its source gives other weights than before"
        ):
            setup.generate(0)
    pool.clear()
    base.release()
    base.generate(0)


def test_stacks_of_this_project_pay_for_no_digest(monkeypatch, make, source):
    monkeypatch.setattr(shared_part, "digest_all", lambda tensors: pytest.fail("a digest") if tensors else [])
    pool = Pool(source)
    for stack in [(), ("sdpa",), ("fused_qkv", "channels_last"), ("feature_cache_2",), ("distilled_unet", "tiny_vae")]:
        setup = make(*stack, pool=pool)
        setup.generate(0)
        setup.check()


def test_a_setup_that_raises_in_its_slot_leaves_the_baseline_alone(make, drawn):
    def apply(pipeline, _recipe):
        def before(*_args):
            add(to_q(pipeline)[0])
            raise GenerationError("planted")

        pipeline.unet.register_forward_pre_hook(before)

    with pytest.raises(GenerationError, match="planted"):
        make(extra=[optimization(apply, changes=UNET)]).generate(0)
    assert np.array_equal(make().generate(0), drawn)
