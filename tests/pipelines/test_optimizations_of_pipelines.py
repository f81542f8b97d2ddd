"""Built-in optimizations on pipelines of any kind: each acts and says by what, or it has no effect, or it says why it cannot be applied."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_pipelines import maker
from tiny_pipelines import tiny_recipe

from pytest_sdspeed.device.flags import snapshot
from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.errors import GenerationError, RegistrationError, UnknownNameError
from pytest_sdspeed.model import Case, Machine
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations import OPTIMIZATIONS
from pytest_sdspeed.pipelines.pool import Pool
from pytest_sdspeed.pipelines.proving import prove_stack
from pytest_sdspeed.pipelines.rehearsing import rehearse_stack

BY_NAME = {part.name: part for part in OPTIMIZATIONS}
CUDA = Machine(kind="cuda", device="NVIDIA H200", versions={}, capability=(9, 0))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, source, cpu):
    """Return ``tiny("flux", "bf16", ...)``, which makes a setup of that pipeline and stack."""
    makers = {}

    def make(name, *stack, extra=()):
        if name not in makers:
            makers[name] = maker(tiny_recipe(name, tmp_path_factory.mktemp("tiny")), Pool(source), cpu)
        return makers[name](*stack, extra=extra)

    return make


def prove(setup):
    """Return what is seen: label -> (acted, text); nothing of the process and nothing that is shared may change."""
    before = snapshot()
    found = {one.optimization: (one.finding.acted, one.finding.text) for one in setup.prove(Case(0))}
    assert snapshot() == before
    setup.check()
    return found


# What acts


@pytest.mark.parametrize(
    ("name", "stack", "said"),
    [
        (
            "sdxl",
            ("bf16", "channels_last", "sdpa", "fused_qkv"),
            {
                "bf16": "unet has 100% of its weights in bfloat16 and returns bfloat16",
                "channels_last": "convolutions channels last; vae has",
                "sdpa": "attention of unet is by 8 FusedAttnProcessor2_0",
                "fused_qkv": "fused projections of unet were called",
            },
        ),
        ("sd3", ("bf16", "fuse_qkv"), {"bf16": "transformer has 100%", "fuse_qkv": "4 of 4 fused projections of transformer were called"}),
        (
            "flux",
            ("channels_last", 'attention(backend="_native_math")', "fuse_qkv"),
            {
                "channels_last": "transformer has none to lay out",
                'attention(backend="_native_math")': "took it, and _native_math was called",
                "fuse_qkv": "fused projections of transformer were called",
            },
        ),
        (
            "wan",
            ("bf16", "channels_last", "attention"),
            {"bf16": "returns bfloat16", "channels_last": "transformer has 1 of 1 convolutions", "attention": "native was called"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_acts_and_says_what_was_seen(tiny, name, stack, said):
    found = prove(tiny(name, *stack))
    assert list(found) == list(stack)
    for label, text in said.items():
        assert found[label][0] is True, found
        assert text in found[label][1]


def test_those_of_stable_diffusion_act_there_as_before(make_small):
    found = prove(make_small("vanilla_attention", "channels_last", "traced_unet"))
    assert {acted for acted, _ in found.values()} == {True}, found
    assert found["vanilla_attention"][1] == "attention of unet is by 12 AttnProcessor"
    assert prove(make_small("feature_cache_2")) == {"feature_cache_2": (True, "computed 1 of 2 calls of the UNet in full")}


def test_the_arms_beside_it_draw_the_same_bits_as_without_it(tiny):
    before = tiny("flux").generate(0)
    for stack in (("bf16",), ("fuse_qkv", 'attention(backend="_native_math")'), ("channels_last",)):
        pictures = tiny("flux", *stack).generate(0)
        assert pictures.shape == before.shape
        assert np.abs(pictures - before).mean() < 0.02
    assert np.array_equal(tiny("flux").generate(0), before)


# No-ops


def later(apply, **fields):
    return Optimization(name="later", summary="undoes what came before", apply=apply, **fields)


def test_a_backend_that_no_processor_of_a_unet_takes_has_no_effect(tiny):
    acted, text = prove(tiny("sdxl", "attention"))["attention"]
    assert acted is False
    assert "attention processors of unet takes a backend (8 AttnProcessor2_0), and set_attention_backend passes over them" in text
    assert "sdpa, vanilla_attention and xformers work there" in text


def test_nor_one_that_the_processors_of_sd3_do_not_take(tiny):
    acted, text = prove(tiny("sd3", "attention"))["attention"]
    assert acted is False
    assert "no other kind of attention is known" in text


def test_a_backend_that_processors_take_and_never_call_has_no_effect(tiny):
    def ignore(pipeline, _recipe):
        from diffusers.models.attention_dispatch import AttentionBackendName

        class Own:
            def __init__(self, taken, kind):
                self._attention_backend, self._kind = taken, kind()
                self._kind._attention_backend = AttentionBackendName.NATIVE

            def __call__(self, *args, **kwargs):
                return self._kind(*args, **kwargs)

        for module in pipeline.transformer.modules():
            if hasattr(module, "set_processor"):
                module.set_processor(Own(module.processor._attention_backend, type(module.processor)))

    setup = tiny("flux", 'attention(backend="_native_flash")', extra=[later(ignore, changes=frozenset({"transformer"}))])
    acted, text = prove(setup)['attention(backend="_native_flash")']
    assert acted is False, text
    assert text.endswith("_native_flash was called 0 times")


def test_a_type_that_a_later_entry_undoes_had_no_effect(tiny):
    changes = frozenset({"denoisers", "text_encoders", "autoencoder"})
    setup = tiny("sd3", "bf16", extra=[later(lambda pipeline, _: pipeline.to(torch.float32), changes=changes)])
    acted, text = prove(setup)["bf16"]
    assert acted is False
    assert text == "transformer has 0% of its weights in bfloat16 and returns float32"


def test_a_type_that_the_model_keeps_from_most_of_its_weights_had_no_effect(tiny):
    def keep(pipeline, _recipe):
        pipeline.transformer.transformer_blocks.float()
        for block in pipeline.transformer.transformer_blocks:
            block.register_forward_pre_hook(in_float32, with_kwargs=True)
            block.register_forward_hook(in_bfloat16)

    def in_float32(_module, args, kwargs):
        return args, {name: value.float() if isinstance(value, torch.Tensor) else value for name, value in kwargs.items()}

    def in_bfloat16(_module, _args, result):
        return tuple(one if one is None else one.bfloat16() for one in result)

    acted, text = prove(tiny("sd3", "bf16", extra=[later(keep, changes=frozenset({"denoisers"}))]))["bf16"]
    assert acted is False, text
    assert text.endswith("and returns bfloat16")


def test_a_layout_that_a_later_entry_undoes_had_no_effect(tiny):
    def undo(pipeline, _recipe):
        pipeline.unet.to(memory_format=torch.contiguous_format)

    acted, text = prove(tiny("sdxl", "channels_last", extra=[later(undo, changes=frozenset({"unet"}))]))["channels_last"]
    assert acted is False
    assert text.startswith("unet has 0 of ")


def test_processors_that_a_later_entry_replaces_had_no_effect(make_small):
    found = prove(make_small("vanilla_attention", "sdpa"))
    assert found["vanilla_attention"] == (False, "attention of unet is by 12 AttnProcessor2_0")
    assert found["sdpa"][0] is True


def test_fusing_a_denoiser_without_attention_has_no_effect():
    from diffusers import UNet2DModel
    from toy_pipelines import stable_diffusion

    pipeline, call = stable_diffusion()
    unet = UNet2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        add_attention=False,
    )
    own = unet.forward
    unet.forward = lambda sample, timestep, return_dict=True, **_others: own(sample, timestep, return_dict=return_dict)
    pipeline.unet = unet
    unet.register_to_config(time_cond_proj_dim=None)
    pipeline.set_progress_bar_config(disable=True)
    fuse = BY_NAME["fuse_qkv"]
    fuse.apply(pipeline, None)
    with torch.no_grad():
        (proof,) = prove_stack((fuse,), pipeline, lambda: pipeline(num_inference_steps=1, **call))
    assert str(proof) == "fuse_qkv had no effect: unet has no attention whose projections diffusers can fuse"


def test_fused_projections_that_are_not_called_have_no_effect(make_small):
    def unfuse(pipeline, _recipe):
        from diffusers.models.attention_processor import AttnProcessor2_0

        pipeline.unet.set_attn_processor(AttnProcessor2_0())

    acted, text = prove(make_small("fused_qkv", extra=[later(unfuse, changes=frozenset({"unet"}))]))["fused_qkv"]
    assert acted is False
    assert text == "0 of 12 fused projections of unet were called"


def test_a_cache_with_one_step_has_no_effect(make_small):
    setup = make_small("feature_cache_2")
    setup.recipe = replace(setup.recipe, steps=1)
    assert prove(setup) == {"feature_cache_2": (False, "computed 1 of 1 calls of the UNet in full")}


# Reasons


@pytest.mark.parametrize(
    ("name", "entry", "reason"),
    [
        (
            "flux",
            "sdpa",
            r"sdpa replaces the processors of diffusers' Attention, and transformer computes it by \d+ FluxAttnProcessor: attention",
        ),
        ("sd3", "vanilla_attention", r"transformer computes it by \d+ JointAttnProcessor2_0$"),
        ("wan", "feature_cache_2", "feature_cache_2 is for UNets of Stable Diffusion 1's kind, which WanPipeline has none of"),
        ("sdxl", "feature_cache_3", "this one has addition_embed_type"),
        ("sdxl", "traced_unet", "StableDiffusionXLPipeline has another denoiser"),
        ("flux", "traced_unet", "FluxPipeline has another denoiser"),
    ],
)
def test_what_a_pipeline_cannot_take_says_why(tiny, name, entry, reason):
    before = snapshot()
    with pytest.raises(RegistrationError, match=reason):
        tiny(name, entry).build()
    assert snapshot() == before
    tiny(name).generate(0)


@pytest.mark.parametrize(
    ("backend", "machine", "reason"),
    [
        ("native", "cpu", None),
        ("_native_math", "cpu", None),
        ("flash", "cpu", "attention(backend='flash') needs a device of kind cuda: test CPU is of kind cpu"),
        ("_native_cudnn", "cpu", "attention(backend='_native_cudnn') needs a device of kind cuda: test CPU is of kind cpu"),
        ("sage", CUDA, "attention(backend='sage'): Sage Attention backend 'sage' is not usable because of missing package"),
        ("_native_npu", CUDA, "attention(backend='_native_npu') needs a device of kind npu: NVIDIA H200 is of kind cuda"),
    ],
)
def test_backends_that_a_machine_lacks_say_what_is_missing(cpu, backend, machine, reason):
    found = BY_NAME["attention"].supported(cpu if machine == "cpu" else machine, backend=backend)
    assert found == reason if reason is None else found.startswith(reason)


def test_a_backend_that_diffusers_does_not_know_is_an_error(cpu):
    with pytest.raises(RegistrationError, match=r"unknown backend 'fast' of diffusers; valid: .*native"):
        BY_NAME["attention"].supported(cpu, backend="fast")


# Schedulers


def test_another_scheduler_is_seen_to_take_the_steps(tiny):
    label = 'scheduler(class="LCMScheduler", steps=1)'
    assert prove(tiny("sdxl", label)) == {label: (True, "LCMScheduler in the place of EulerDiscreteScheduler in 1 steps took 1 steps")}


def test_other_settings_of_the_own_scheduler_are_told(tiny):
    label = 'scheduler(config={"timestep_spacing": "trailing"})'
    acted, text = prove(tiny("sdxl", label))[label]
    assert (acted, text) == (True, "EulerDiscreteScheduler with timestep_spacing='trailing' took 2 steps")


def test_the_own_scheduler_has_no_effect(tiny):
    label = 'scheduler(class="EulerDiscreteScheduler")'
    assert prove(tiny("sdxl", label)) == {label: (False, "the pipeline's own is EulerDiscreteScheduler with the same settings and steps")}


def test_as_many_steps_as_the_recipe_has_are_no_effect(tiny):
    label = "scheduler(steps=2)"
    assert prove(tiny("sdxl", label)) == {label: (False, "the pipeline's own is EulerDiscreteScheduler with the same settings and steps")}


def test_a_rehearsal_takes_fewer_steps_if_its_own_recipe_has_been_cut_to_as_many(tiny):
    (part,) = rehearse_stack([BY_NAME["scheduler"].with_options({"steps": 2}, "a test")], [])
    pipeline = tiny("sdxl").pipeline
    own = pipeline.scheduler
    part.apply(pipeline, replace(tiny("sdxl").recipe, steps=2), **part.options)
    made, pipeline.scheduler = pipeline.scheduler, own
    with quiet():
        made.set_timesteps(2)
    assert len(made.timesteps) == 1


def test_a_scheduler_that_a_later_entry_replaces_had_no_effect(tiny):
    def back(pipeline, _recipe):
        pipeline.scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config)

    label = 'scheduler(class="LCMScheduler")'
    assert prove(tiny("sdxl", label, extra=[later(back)]))[label] == (False, "LCMScheduler, another one, stands in its place")


@pytest.mark.parametrize(
    ("entry", "error", "said"),
    [
        ("scheduler", RegistrationError, "give it a class, settings or steps"),
        ('scheduler(config={"speed": 2})', RegistrationError, "EulerDiscreteScheduler has no setting speed; valid: .*beta_end"),
        ('scheduler(class="FastScheduler")', UnknownNameError, "unknown scheduler 'FastScheduler'"),
    ],
)
def test_a_scheduler_that_cannot_be_made_says_why(tiny, entry, error, said):
    with pytest.raises(error, match=said):
        tiny("sdxl", entry).build()


def test_steps_that_the_pipeline_decides_by_itself_are_refused(tiny):
    with pytest.raises((RegistrationError, GenerationError), match="the pipeline gives its scheduler times of its own"):
        tiny("flux", "scheduler(steps=1)").generate(0)


# Flags


def test_a_flag_that_is_off_at_the_denoiser_has_no_effect(make_small):
    found = prove(make_small("cudnn_benchmark"))
    assert found == {"cudnn_benchmark": (True, "cudnn.benchmark was on in 2 of 2 calls of unet")}

    @contextmanager
    def off():
        before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, False
        yield
        torch.backends.cudnn.benchmark = before

    undone = make_small("cudnn_benchmark", extra=[Optimization(name="off", summary="turns it off", slot=off)])
    assert prove(undone) == {"cudnn_benchmark": (False, "cudnn.benchmark was on in 0 of 2 calls of unet")}


def test_every_built_in_optimization_has_a_proof_but_those_that_other_weights_show():
    assert {part.name for part in OPTIMIZATIONS if part.prove is None} == {"distilled_unet", "tiny_vae"}
