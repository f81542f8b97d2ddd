"""The built-in optimizations: machines that each runs on, and its effect on the picture."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pytest_sdspeed.model import Machine
from pytest_sdspeed.pipelines.optimization import find_relation
from pytest_sdspeed.pipelines.optimizations import OPTIMIZATIONS, compilation, precision, support

BY_NAME = {part.name: part for part in OPTIMIZATIONS}
CACHES = {"feature_cache_2", "feature_cache_3"}
EVERYWHERE = {"channels_last", "sdpa", "vanilla_attention", "fused_qkv", "traced_unet", "distilled_unet", "tiny_vae"} | CACHES
DOCUMENTED = sorted(EVERYWHERE | {"tf32", "fp16", "bf16", "cudnn_benchmark", "xformers", "autocast", "compile", "cuda_graphs"})
"""Those that the tables of Stable Diffusion 1 name."""
CPU = Machine(kind="cpu", device="CPU", versions={})
CPU_BF16 = Machine(kind="cpu", device="CPU", versions={}, features=frozenset({"avx512_bf16"}))
CPU_FP16 = Machine(kind="cpu", device="CPU", versions={}, features=frozenset({"avx512_fp16"}))
TURING = Machine(kind="cuda", device="Tesla T4", versions={}, capability=(7, 5))
AMPERE = Machine(kind="cuda", device="NVIDIA A100", versions={}, capability=(8, 0))

HINT = "run with --sd-gpu"
REASONS = {
    CPU.device: {
        "tf32": f"tf32 needs an Ampere or later CUDA GPU: {HINT}",
        "fp16": f"fp16 needs a CUDA GPU (this CPU has no native float16 and would be about 20 times slower): {HINT}",
        "bf16": f"bf16 needs an Ampere or later CUDA GPU, or a CPU with native bfloat16: {HINT}",
        "cudnn_benchmark": f"cudnn_benchmark needs a CUDA GPU: {HINT}",
        "xformers": f"xformers needs a CUDA GPU: {HINT}",
        "autocast": f"autocast needs a CUDA GPU: {HINT}",
        "cuda_graphs": f"cuda_graphs needs a CUDA GPU: {HINT}",
    },
    TURING.device: {name: f"{name} needs an Ampere or later CUDA GPU: Tesla T4 has compute capability 7.5" for name in ("tf32", "bf16")},
    AMPERE.device: {},
}


def is_installed(monkeypatch, *, installed=True):
    """Have every package installed, and importable, or none."""
    for module in (support, compilation):
        monkeypatch.setattr(module, "find_spec", lambda name: name if installed else None)
    monkeypatch.setattr(support, "import_module", lambda name: name)


def psnr(one, other):
    error = float(((one.astype(np.float64) - other) ** 2).mean())
    return float("inf") if error == 0 else -10 * np.log10(error)


def test_the_documented_names():
    assert len(OPTIMIZATIONS) == len(BY_NAME)
    assert set(DOCUMENTED) == EVERYWHERE | {"tf32", "fp16", "bf16", "cudnn_benchmark", "xformers", "autocast", "compile", "cuda_graphs"}
    assert set(DOCUMENTED) <= set(BY_NAME)
    assert all(part.summary for part in OPTIMIZATIONS)


@pytest.mark.parametrize("machine", [CPU, TURING, AMPERE], ids=lambda machine: machine.device)
@pytest.mark.parametrize("name", DOCUMENTED)
def test_support_on(machine, name, monkeypatch):
    is_installed(monkeypatch)
    monkeypatch.setattr(shutil, "which", lambda program: program)
    assert BY_NAME[name].supported(machine) == REASONS[machine.device].get(name)


@pytest.mark.parametrize(("name", "machine"), [("bf16", CPU_BF16), ("fp16", CPU_FP16)])
def test_a_native_type_of_the_cpu_is_supported(name, machine):
    assert BY_NAME[name].supported(machine) is None


@pytest.mark.parametrize(("name", "machine"), [("bf16", CPU_FP16), ("fp16", CPU_BF16), ("tf32", CPU_BF16)])
def test_another_native_type_does_not_help(name, machine):
    assert BY_NAME[name].supported(machine) == REASONS["CPU"][name]


@pytest.mark.parametrize(
    ("name", "machine", "reason"),
    [
        ("xformers", AMPERE, "xformers is not installed: pip install xformers"),
        ("compile", AMPERE, "compile needs Triton on a CUDA GPU: pip install triton"),
        ("compile", CPU, "compile needs a C and C++ compiler: install gcc and g++"),
    ],
)
def test_what_is_not_installed_is_named(name, machine, reason, monkeypatch):
    is_installed(monkeypatch, installed=False)
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    assert BY_NAME[name].supported(machine) == reason


def test_a_gpu_needs_a_compiler_for_its_launchers(monkeypatch):
    is_installed(monkeypatch)
    monkeypatch.setattr(shutil, "which", lambda _program: None)
    assert BY_NAME["compile"].supported(AMPERE) == "compile needs a C and C++ compiler: install gcc and g++"


def test_xformers_for_another_torch_is_named(monkeypatch):
    def fails(_module):
        raise ImportError("undefined symbol: aten\nand more")

    is_installed(monkeypatch)
    monkeypatch.setattr(support, "import_module", fails)
    assert BY_NAME["xformers"].supported(AMPERE) == "xformers cannot be imported: undefined symbol: aten: pip install xformers"


def test_a_stack_is_unsupported_for_its_first_reason(make):
    assert make("sdpa", "fp16", "tf32").unsupported == REASONS["CPU"]["fp16"]
    assert make("sdpa", "distilled_unet").unsupported is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sdpa", "vanilla_attention", "fused_qkv", "channels_last", "traced_unet", "tf32"])
def test_same_weights_draw_the_same_picture(name, make, drawn):
    setup = make(name)
    pictures = setup.generate(0)
    assert setup.relation == "same_weights"
    assert pictures.shape == drawn.shape
    assert psnr(pictures, drawn) >= 45


@pytest.mark.parametrize("stack", [("sdpa", "fused_qkv"), ("channels_last", "sdpa"), ("channels_last", "vanilla_attention")])
def test_stacks_draw_the_same_picture(stack, make, drawn):
    assert psnr(make(*stack).generate(0), drawn) >= 45


def test_another_seed_fails_the_same_measure(make, drawn):
    assert psnr(make().generate(1), drawn) < 30


@pytest.mark.parametrize(
    ("stack", "relation"),
    [(("distilled_unet",), "other_weights"), (("tiny_vae",), "other_autoencoder"), (("distilled_unet", "tiny_vae"), "other_weights")],
)
def test_other_weights_draw_another_picture(stack, relation, make, drawn):
    setup = make(*stack)
    pictures = setup.generate(0)
    assert setup.relation == relation
    assert pictures.shape == drawn.shape
    assert np.isfinite(pictures).all()
    assert pictures.std() > 0.01
    assert psnr(pictures, drawn) < 30


def test_the_loosest_relation_is_that_of_the_stack():
    assert find_relation(()) == "same_weights"
    assert find_relation((BY_NAME["tiny_vae"], BY_NAME["sdpa"])) == "other_autoencoder"
    assert find_relation((BY_NAME["distilled_unet"], BY_NAME["tiny_vae"])) == "other_weights"


def test_bfloat16_is_near(make, drawn):
    setup = make("bf16")
    assert setup.pipeline.unet.dtype == setup.pipeline.vae.dtype == setup.pipeline.text_encoder.dtype == torch.bfloat16
    pictures = setup.generate(0)
    assert pictures.dtype == np.float32
    assert 30 <= psnr(pictures, drawn) < 100


def test_the_structures_are_what_their_names_say(make):
    processors = {
        name: {type(part).__name__ for part in make(name).pipeline.unet.attn_processors.values()}
        for name in ("sdpa", "vanilla_attention", "fused_qkv")
    }
    assert processors == {"sdpa": {"AttnProcessor2_0"}, "vanilla_attention": {"AttnProcessor"}, "fused_qkv": {"FusedAttnProcessor2_0"}}
    assert type(make("tiny_vae").pipeline.vae).__name__ == "AutoencoderTiny"
    assert make("distilled_unet").pipeline.unet.config.mid_block_type is None


@pytest.mark.slow
def test_a_traced_unet_draws_without_guidance(make, recipe):
    unguided = replace(recipe, guidance=1.0, images=2, steps=1)
    setup = make("traced_unet", recipe=unguided)
    assert type(setup.pipeline.unet).__name__ == "TracedUNet"
    assert psnr(setup.generate(0), make(recipe=unguided).generate(0)) >= 45


@pytest.mark.skipif("SDSPEED_TEST_COMPILE" not in os.environ, reason="compiling takes minutes: set SDSPEED_TEST_COMPILE=1")
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="no C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_pipeline_draws_the_same_picture(make, drawn):
    setup = make("compile")
    assert psnr(setup.generate(0), drawn) >= 45
    assert type(make().pipeline.unet).__name__ == "UNet2DConditionModel"


# Accelerators other than NVIDIA's

XPU = Machine(kind="xpu", device="Intel Arc B580", versions={}, features=frozenset({"bf16"}))
METAL = Machine(kind="mps", device="Apple M1", versions={})
MI300 = Machine(kind="cuda", device="AMD Instinct MI300X", versions={}, features=frozenset({"bf16"}))
OTHERS = {
    "tf32": "tf32 needs an Ampere or later CUDA GPU: {} is none",
    "cudnn_benchmark": "cudnn_benchmark needs a CUDA GPU: {} is none",
    "xformers": "xformers needs a CUDA GPU: {} is none",
    "cuda_graphs": "cuda_graphs needs a CUDA GPU: {} is none",
}


@pytest.mark.parametrize(
    ("machine", "skipped"),
    [
        (XPU, OTHERS),
        (METAL, OTHERS | {"bf16": "bf16 needs a device that computes in bfloat16: {} does not"}),
        (MI300, {"tf32": OTHERS["tf32"]}),
    ],
    ids=lambda value: getattr(value, "device", ""),
)
@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_is_for_nvidia_alone_is_skipped_with_its_reason(machine, skipped, name, monkeypatch):
    is_installed(monkeypatch)
    monkeypatch.setattr(shutil, "which", lambda program: program)
    assert BY_NAME[name].supported(machine) == (skipped[name].format(machine.device) if name in skipped else None)


def test_an_xpu_compiles_by_a_triton_of_its_own_and_metal_by_none(monkeypatch):
    is_installed(monkeypatch, installed=False)
    monkeypatch.setattr(shutil, "which", lambda program: program)
    assert BY_NAME["compile"].supported(XPU) == "compile needs Triton on an XPU: install the pytorch-triton-xpu of this torch"
    assert BY_NAME["compile"].supported(METAL) is None


@pytest.mark.parametrize("kind", ["xpu", "mps", None])
def test_autocast_is_that_of_the_accelerator(monkeypatch, kind):
    held = []
    monkeypatch.setattr(precision, "find_kind", lambda: kind)
    monkeypatch.setattr(torch, "autocast", lambda *given, **_options: held.append(given))
    BY_NAME["autocast"].slot()
    assert held == [(kind or "cuda",)]


def test_autocast_is_skipped_where_torch_has_none(monkeypatch):
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda kind: kind != "xpu")
    assert BY_NAME["autocast"].supported(XPU) == "autocast needs a device that torch has it for: Intel Arc B580 is none"
    assert BY_NAME["autocast"].supported(METAL) is None
