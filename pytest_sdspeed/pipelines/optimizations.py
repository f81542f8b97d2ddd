"""The built-in optimizations: the names that documented tables use, and what each does."""

from __future__ import annotations

import os
import shutil
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.accelerator import find_kind
from pytest_sdspeed.device.flags import hold
from pytest_sdspeed.device.machine import AMPERE
from pytest_sdspeed.errors import read_first_line
from pytest_sdspeed.model.machine import COUNTS_ONLY
from pytest_sdspeed.pipelines.optimization import Optimization

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from pytest_sdspeed.model import Machine, Recipe


_BF16_CPU = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_FP16_CPU = frozenset({"avx512_fp16", "amx_fp16", "asimdhp"})
_BOTH = frozenset({"unet", "vae"})
_ORDINALS = {2: "second", 3: "third"}
_GPU_HINT = "run with --sd-gpu"
_TRITON = {
    "cuda": "a CUDA GPU: pip install triton",
    "xpu": "an XPU: install the pytorch-triton-xpu of this torch",
}
"""Kind of device that torch compiles for by Triton -> its name, and where Triton comes from."""


def _require_cuda(name: str, machine: Machine) -> str | None:
    return None if machine.kind == "cuda" else f"{name} needs a CUDA GPU: {_advise(machine)}"


def _advise(machine: Machine) -> str:
    """Say how to get a CUDA GPU, or that ``--sd-gpu`` found another accelerator."""
    return _GPU_HINT if machine.kind == "cpu" else f"{machine.device} is none"


def _require_ampere(name: str, machine: Machine) -> str | None:
    if machine.capability is None:
        return f"{name} needs an Ampere or later CUDA GPU: {_advise(machine)}"
    if machine.capability < AMPERE:
        return (
            f"{name} needs an Ampere or later CUDA GPU: {machine.device} has compute capability"
            f" {machine.capability[0]}.{machine.capability[1]}"
        )
    return None


def _check_fp16(machine: Machine) -> str | None:
    if machine.kind == "cpu" and not machine.features & _FP16_CPU:
        return (
            "fp16 needs a CUDA GPU (this CPU has no native float16 and would be about 20 times"
            f" slower): {_GPU_HINT}"
        )
    return None


def _check_bf16(machine: Machine) -> str | None:
    if machine.kind == "cpu":
        return (
            None
            if machine.features & _BF16_CPU
            else (
                "bf16 needs an Ampere or later CUDA GPU, or a CPU with native bfloat16:"
                f" {_GPU_HINT}"
            )
        )
    if machine.capability is not None:
        return _require_ampere("bf16", machine)
    return (
        None
        if "bf16" in machine.features
        else f"bf16 needs a device that computes in bfloat16: {machine.device} does not"
    )


def _check_xformers(machine: Machine) -> str | None:
    reason = _require_cuda("xformers", machine)
    if reason:
        return reason
    if not find_spec("xformers"):
        return "xformers is not installed: pip install xformers"
    try:
        import_module("xformers.ops")  # one built for another torch is found, but fails to load
    except Exception as error:  # noqa: BLE001 - whatever it raises, it cannot be used
        first = read_first_line(error, type(error).__name__)
        return f"xformers cannot be imported: {first}: pip install xformers"
    return None


def _check_compile(machine: Machine) -> str | None:
    if COUNTS_ONLY in machine.features:
        return None
    if machine.kind in _TRITON and not find_spec("triton"):
        return f"compile needs Triton on {_TRITON[machine.kind]}"
    names = (
        ("g++", "clang++", "c++")
        if machine.kind == "cpu"
        else (os.environ.get("CC", "gcc"), "gcc", "clang", "cc")
    )
    return (
        None
        if any(map(shutil.which, names))
        else "compile needs a C and C++ compiler: install gcc and g++"
    )


def _hold_tf32() -> AbstractContextManager[None]:
    # Only the legacy flag: once its newer twin is set, torch refuses to read this one.
    return hold({"torch.backends.cuda.matmul.allow_tf32": True})


def _hold_cudnn_benchmark() -> AbstractContextManager[None]:
    return hold({"torch.backends.cudnn.benchmark": True})


def _check_autocast(machine: Machine) -> str | None:
    if machine.kind in ("cpu", "cuda"):
        return _require_cuda("autocast", machine)
    import torch

    return (
        None
        if torch.amp.is_autocast_available(machine.kind)
        else f"autocast needs a device that torch has it for: {machine.device} is none"
    )


def _hold_autocast() -> AbstractContextManager[None]:
    import torch

    slot: AbstractContextManager[None] = torch.autocast(find_kind() or "cuda", dtype=torch.float16)
    return slot


def _set_processors(pipeline: Any, processor: str) -> None:
    from diffusers.models import attention_processor

    for part in (pipeline.unet, pipeline.vae):
        if hasattr(part, "set_attn_processor"):
            part.set_attn_processor(getattr(attention_processor, processor)())


def _apply_sdpa(pipeline: Any, _recipe: Recipe) -> None:
    _set_processors(pipeline, "AttnProcessor2_0")


def _apply_vanilla_attention(pipeline: Any, _recipe: Recipe) -> None:
    _set_processors(pipeline, "AttnProcessor")


def _apply_xformers(pipeline: Any, _recipe: Recipe) -> None:
    pipeline.enable_xformers_memory_efficient_attention()


def _fuse_qkv(pipeline: Any, _recipe: Recipe) -> None:
    for part in (pipeline.unet, pipeline.vae):
        if hasattr(part, "fuse_qkv_projections"):
            part.fuse_qkv_projections()


def _apply_compile(pipeline: Any, _recipe: Recipe) -> None:
    import torch

    from pytest_sdspeed.pipelines.unet_wrapper import wrap_compiled

    # Autotuned matrix kernels and CUDA graphs pay on a GPU. On a CPU autotuning only lengthens the
    # compilation, and there are no CUDA graphs.
    mode = "max-autotune" if pipeline.device.type == "cuda" else "default"
    # Dynamo shares what it learns about shapes between all UNets of a process: another batch size
    # must not make this one dynamic.
    compiler = partial(torch.compile, mode=mode, dynamic=False)
    pipeline.unet = wrap_compiled(pipeline.unet, compiler)
    pipeline.vae.decode = compiler(pipeline.vae.decode)


def _apply_cuda_graphs(pipeline: Any, _recipe: Recipe) -> None:
    from pytest_sdspeed.pipelines.unet_wrapper import wrap_graphed

    pipeline.unet = wrap_graphed(pipeline.unet)


def _make_feature_cache(interval: int) -> Optimization:
    def apply(pipeline: Any, _recipe: Recipe) -> None:
        from pytest_sdspeed.pipelines.feature_cache import cache_features

        cache_features(pipeline, interval)

    return Optimization(
        name=f"feature_cache_{interval}",
        summary=f"deep features of the UNet computed at every {_ORDINALS[interval]} step only",
        apply=apply,
        relation="approximation",
    )


def _apply_traced_unet(pipeline: Any, recipe: Recipe) -> None:
    from pytest_sdspeed.pipelines.traced import trace_unet

    pipeline.unet = trace_unet(pipeline, recipe)


OPTIMIZATIONS: tuple[Optimization, ...] = (
    Optimization(
        name="tf32",
        summary="TensorFloat-32 matrix multiplications (convolutions use it by default)",
        supported=lambda machine: _require_ampere("tf32", machine),
        slot=_hold_tf32,
        precision="tf32",
    ),
    Optimization(
        name="fp16",
        summary="weights and arithmetic in float16",
        supported=_check_fp16,
        dtype="float16",
    ),
    Optimization(
        name="bf16",
        summary="weights and arithmetic in bfloat16",
        supported=_check_bf16,
        dtype="bfloat16",
    ),
    Optimization(
        name="channels_last",
        summary="UNet and autoencoder in channels-last memory format",
        memory_format="channels_last",
    ),
    Optimization(
        name="cudnn_benchmark",
        summary="cuDNN picks its fastest convolution by trying",
        supported=lambda machine: _require_cuda("cudnn_benchmark", machine),
        slot=_hold_cudnn_benchmark,
    ),
    Optimization(
        name="sdpa",
        summary="scaled dot product attention of torch",
        changes=_BOTH,
        apply=_apply_sdpa,
    ),
    Optimization(
        name="vanilla_attention",
        summary="attention as separate matrix products, as before torch 2",
        changes=_BOTH,
        apply=_apply_vanilla_attention,
    ),
    Optimization(
        name="xformers",
        summary="memory-efficient attention of xFormers",
        supported=_check_xformers,
        changes=_BOTH,
        apply=_apply_xformers,
    ),
    Optimization(
        name="autocast",
        summary="automatic mixed precision in float16 around the whole call",
        supported=_check_autocast,
        slot=_hold_autocast,
        precision="float16",
    ),
    Optimization(
        name="compile",
        summary="torch.compile of UNet and autoencoder",
        supported=_check_compile,
        changes=_BOTH,
        apply=_apply_compile,
    ),
    Optimization(
        name="cuda_graphs",
        summary="calls of the UNet replayed from CUDA graphs, for those who do not compile",
        supported=lambda machine: _require_cuda("cuda_graphs", machine),
        apply=_apply_cuda_graphs,
    ),
    *map(_make_feature_cache, _ORDINALS),
    Optimization(
        name="fused_qkv",
        summary="query, key and value projections as one",
        changes=_BOTH,
        apply=_fuse_qkv,
    ),
    Optimization(
        name="traced_unet",
        summary="UNet traced to TorchScript",
        changes=frozenset({"unet"}),
        apply=_apply_traced_unet,
    ),
    Optimization(
        name="distilled_unet",
        summary="the UNet of a distilled student",
        replaces={"unet": "student"},
        relation="other_weights",
    ),
    Optimization(
        name="tiny_vae",
        summary="a tiny autoencoder in the autoencoder's place",
        replaces={"vae": "tiny_vae"},
        relation="other_autoencoder",
    ),
)


def has_own_code(stack: Sequence[Optimization]) -> bool:
    """Tell whether a stack runs code that is not this project's."""
    own = {part.name for part in OPTIMIZATIONS}
    return any(part.name not in own for part in stack)
