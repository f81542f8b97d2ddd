"""Optimizations that compute with fewer bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.device.accelerator import find_kind
from pytest_sdspeed.device.flags import hold
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.support import GPU_HINT, require_ampere, require_cuda

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_sdspeed.model import Machine

_BF16_CPU = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
_FP16_CPU = frozenset({"avx512_fp16", "amx_fp16", "asimdhp"})


def _check_fp16(machine: Machine) -> str | None:
    if machine.kind == "cpu" and not machine.features & _FP16_CPU:
        return (
            "fp16 needs a CUDA GPU (this CPU has no native float16 and would be about 20 times"
            f" slower): {GPU_HINT}"
        )
    return None


def _check_bf16(machine: Machine) -> str | None:
    if machine.kind == "cpu":
        return (
            None
            if machine.features & _BF16_CPU
            else (
                f"bf16 needs an Ampere or later CUDA GPU, or a CPU with native bfloat16: {GPU_HINT}"
            )
        )
    if machine.capability is not None:
        return require_ampere("bf16", machine)
    return (
        None
        if "bf16" in machine.features
        else f"bf16 needs a device that computes in bfloat16: {machine.device} does not"
    )


def _hold_tf32() -> AbstractContextManager[None]:
    # Only the legacy flag: once its newer twin is set, torch refuses to read this one.
    return hold({"torch.backends.cuda.matmul.allow_tf32": True})


def _check_autocast(machine: Machine) -> str | None:
    if machine.kind in ("cpu", "cuda"):
        return require_cuda("autocast", machine)
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


OPTIMIZATIONS = (
    Optimization(
        name="tf32",
        summary="TensorFloat-32 matrix multiplications (convolutions use it by default)",
        supported=lambda machine: require_ampere("tf32", machine),
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
        name="autocast",
        summary="automatic mixed precision in float16 around the whole call",
        supported=_check_autocast,
        slot=_hold_autocast,
        precision="float16",
    ),
)
