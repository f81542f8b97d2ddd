"""What stands in for optimizations in a rehearsal: what a CPU lacks is computed, traced, set or refused, and never dropped unseen."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

from pytest_sdspeed.device.machine import describe_cpu
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines import rehearsing
from pytest_sdspeed.pipelines.optimization import Optimization, compare_by_autoencoder, compare_by_weights
from pytest_sdspeed.pipelines.proving import prove_stack
from pytest_sdspeed.pipelines.rehearsing import describe_left_out, find_missing_kernel, rehearse, rehearse_stack
from pytest_sdspeed.setups.registry import Registry

PLAIN_CPU = replace(describe_cpu(), features=frozenset())


def stack(recipe, *names):
    return Registry().stack(names, "test", recipe)


def reasons(recipe, names, baseline=()):
    found = rehearse_stack(stack(recipe, *names), stack(recipe, *baseline))
    assert [part.label for part in found] == list(names)
    return [part.supported(PLAIN_CPU, **part.options) for part in found]


def test_half_types_are_computed_on_a_cpu_that_has_no_instructions_for_them(recipe):
    assert stack(recipe, "fp16")[0].supported(PLAIN_CPU) is not None
    assert reasons(recipe, ["fp16", "bf16", "autocast"]) == [None, None, None]
    autocast = rehearse_stack(stack(recipe, "autocast"), ())[0]
    with autocast.slot():
        assert torch.is_autocast_enabled("cpu")
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float16


def test_a_type_without_kernels_is_a_reason_to_skip(recipe, monkeypatch):
    def missing(*_args, **_kwargs):
        raise RuntimeError("\"slow_conv2d_cpu\" not implemented for 'Half'")

    find_missing_kernel.cache_clear()
    monkeypatch.setattr(torch.nn.functional, "conv2d", missing)
    try:
        assert "(\"slow_conv2d_cpu\" not implemented for 'Half'): run with --sd-gpu" in reasons(recipe, ["fp16"])[0]
    finally:
        find_missing_kernel.cache_clear()


def test_a_switch_without_effect_is_set_if_something_else_tells_the_row_apart(recipe):
    lacking = "tf32 needs an Ampere or later CUDA GPU: run with --sd-gpu"
    assert reasons(recipe, ["tf32"]) == [lacking]
    assert reasons(recipe, ["tf32", "sdpa"]) == [None, None]
    assert reasons(recipe, ["tf32", "sdpa"], ["sdpa"]) == [lacking, None]
    # A row without one that its baseline has is no other on a CPU.
    assert reasons(recipe, ["cudnn_benchmark"], ["cudnn_benchmark", "tf32"])[0].startswith("cudnn_benchmark needs a CUDA GPU")
    assert reasons(recipe, ["tf32"], ["tf32"]) == [None]
    assert list(describe_left_out(["tf32", "sdpa", "compile"])) == [
        "tf32 was set, and does nothing on a CPU",
        "compile was traced, and the graphs run as they were traced: nothing was compiled",
    ]


def test_features_are_kept_for_as_many_steps_as_a_toy_can_bear(recipe):
    long, short = "deepcache(branch=1, interval=5)", "deepcache(interval=2)"
    found = rehearse_stack(stack(recipe, long, short), ())
    assert [(part.label, part.options["interval"]) for part in found] == [(long, 3), (short, 2)]
    assert list(describe_left_out([long, short])) == [f"{long} kept its features for 3 steps: a rehearsal has few"]


def test_what_needs_a_gpu_says_so_as_ever(recipe):
    assert reasons(recipe, ["cuda_graphs", "fp16"])[0] == "cuda_graphs needs a CUDA GPU: run with --sd-gpu"
    assert reasons(recipe, ["xformers"])[0] is not None


def test_users_own_optimizations_keep_their_word(recipe):
    own = Optimization(name="mine", summary="own", dtype="float16", supported=lambda _machine: "needs my kernels")
    assert rehearse_stack([own], ())[0] is own


@pytest.mark.slow
def test_compiled_code_is_traced_and_guarded_and_no_compiler_runs(recipe, monkeypatch):
    assert reasons(recipe, ["compile"]) == [None]
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert reasons(recipe, ["compile"]) == [None]
    plainly, threads = torch.compile, torch.get_num_threads()
    with rehearse():
        assert torch.get_num_threads() == 1
        double = torch.compile(lambda x: 2 * x, mode="max-autotune", fullgraph=True)
        assert double(torch.ones(1)).item() == 2
        broken = torch.compile(lambda x: (torch._dynamo.graph_break(), x), fullgraph=True, options={"max_autotune": True})
        with pytest.raises(Exception, match="graph_break"):
            broken(torch.ones(1))
        again = torch.compile(fullgraph=True)(lambda x: 3 * x)
        assert again(torch.ones(1)).item() == 3
    assert (torch.compile, torch.get_num_threads()) == (plainly, threads)


def test_other_weights_are_compared_with_themselves_alone(recipe):
    def names(*stacked):
        found = compare_by_weights(stack(recipe, *stacked))
        return found.relation, found.reference and [part.name for part in found.reference]

    assert names("fp16", "feature_cache_2") == ("approximation", None)
    assert names("fp16", "distilled_unet", "sdpa") == ("same_weights", ["distilled_unet"])
    assert names("distilled_unet", "tiny_vae", "feature_cache_2") == ("approximation", ["distilled_unet", "tiny_vae"])
    assert names("distilled_unet", "tiny_vae") == ("other_weights", None)
    assert names() == ("same_weights", None)
    # A measured run compares a tiny autoencoder with the model's own.
    measured = compare_by_autoencoder(stack(recipe, "fp16", "tiny_vae"))
    assert [part.name for part in measured.reference] == ["fp16"]
    assert compare_by_autoencoder(stack(recipe, "distilled_unet")).reference is None


def test_what_a_rehearsal_names_exists():
    known = Registry().optimizations()
    assert known.keys() >= rehearsing.INERT
    assert rehearsing._HALF.keys() <= known.keys()


BY_SIZE = {
    "deepcache",
    "faster_cache",
    "first_block_cache",
    "mag_cache",
    "pyramid_attention_broadcast",
    "quantize",
    "taylorseer",
    "tome",
    "vae_tiling",
}
"""What acts on many steps, large pictures, wide layers or trained weights, and perhaps not on toys."""


def test_what_depends_on_sizes_says_so_and_nothing_else_is_excused():
    known = Registry().optimizations()
    assert {name for name, one in known.items() if one.depends_on_size} == BY_SIZE
    assert all(known[name].prove for name in BY_SIZE)


def proven(part, acted, *, shrunk=True):
    """Return what one optimization, whose proof finds what is given, is found to do in a rehearsal."""

    @contextmanager
    def prove(_pipeline, **_options):
        yield lambda: Finding(acted, "seen")

    rehearsed = rehearse_stack([replace(part, prove=prove)], (), shrunk=shrunk)
    return prove_stack(rehearsed, None, lambda: None)[0].finding


@pytest.mark.parametrize("name", sorted(BY_SIZE))
def test_what_depends_on_sizes_is_excused_at_toy_size_alone(name):
    part = Registry().optimizations()[name]
    assert proven(part, acted=False) == Finding(acted=False, text="seen", excused=True)
    assert proven(part, acted=True) == Finding(acted=True, text="seen")
    # A proof that broke, or that cannot tell, is no word on the size.
    assert proven(part, acted=None) == Finding(acted=None, text="seen")
    # The models that the package brings draw at their own size.
    assert proven(part, acted=False, shrunk=False) == Finding(acted=False, text="seen")


@pytest.mark.parametrize(
    "name", ["bf16", "fuse_qkv", "group_offload", "layerwise_casting", "compile_repeated_blocks", "sdpa", "feature_cache_2"]
)
def test_what_acts_at_any_size_is_not_excused(name):
    assert proven(Registry().optimizations()[name], acted=False) == Finding(acted=False, text="seen")


LAYERS = {
    "conv3d": (lambda: torch.nn.Conv3d(4, 4, 3, padding=1), (1, 4, 3, 8, 8), {"padding": 1}),
    "conv2d": (lambda: torch.nn.Conv2d(4, 4, 3, padding=1), (1, 4, 8, 8), {"padding": 1}),
    "linear": (lambda: torch.nn.Linear(4, 4, bias=False), (2, 4), {}),
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("conv3d", torch.float16),
        ("conv3d", torch.bfloat16),
        ("conv2d", torch.float16),
        ("linear", torch.float16),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_layers_in_half_types_are_rounded_sums_of_float32(name, dtype, compiled):
    make, shape, options = LAYERS[name]
    layer, given = make().to(dtype), torch.rand(shape).to(dtype)
    plainly = getattr(torch.nn.functional, name)
    with torch.no_grad(), rehearse():
        drawn = (torch.compile(layer, fullgraph=True) if compiled else layer)(given)
        bias = None if layer.bias is None else layer.bias.float()
        exact = plainly(given.float(), layer.weight.float(), bias, **options)
        assert drawn.dtype == dtype
        assert torch.equal(drawn, exact.to(dtype))
    assert getattr(torch.nn.functional, name) is plainly


@pytest.mark.parametrize("name", LAYERS)
def test_what_a_gpu_refuses_to_compute_is_refused_in_a_rehearsal_too(name):
    make, shape, _ = LAYERS[name]
    layer, given = make().half(), torch.rand(shape)
    with torch.no_grad(), rehearse(), pytest.raises(RuntimeError):
        layer(given)
    with torch.no_grad(), rehearse():
        assert layer.float()(given).dtype == torch.float32


def test_weights_of_another_class_of_tensors_are_left_to_their_own_kernels():
    asked = []

    class Quantized(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            asked.append(function)
            with torch._C.DisableTorchFunctionSubclass():
                return function(*args, **(kwargs or {}))

    plainly, weight = torch.nn.functional.linear, torch.rand(4, 4).half().as_subclass(Quantized)
    with torch.no_grad(), rehearse():
        torch.nn.functional.linear(torch.rand(2, 4).half(), weight)
    assert plainly in asked
