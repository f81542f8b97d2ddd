"""Optimizations that compute with fewer bits."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.device.accelerator import find_kind
from pytest_sdspeed.device.flags import hold
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.flags import prove_flag
from pytest_sdspeed.pipelines.optimizations.support import GPU_HINT, require_ampere, require_cuda
from pytest_sdspeed.pipelines.watching import find_denoisers, watch_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
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


@contextmanager
def _prove_dtype(pipeline: Any, *, dtype: str) -> Iterator[Callable[[], Finding]]:
    """Look at the weights of the denoisers, and at what they return."""
    denoisers = find_denoisers(pipeline)
    weights: dict[str, float] = {}
    returned: dict[str, str] = {}

    def look(name: str, call: Callable[[], Any]) -> Any:
        result = call()
        if name not in weights:
            weights[name] = _measure_share(denoisers[name], dtype)
            returned[name] = _find_dtype(result)
        return result

    with watch_calls(denoisers, look):
        yield lambda: _judge_dtype(dtype, weights, returned)


def _judge_dtype(dtype: str, weights: dict[str, float], returned: dict[str, str]) -> Finding:
    if not weights:
        return Finding(None, "no denoiser was called")
    said = [
        f"{name} has {100 * share:.3g}% of its weights in {dtype} and returns {returned[name]}"
        for name, share in weights.items()
    ]
    acted = all(
        share >= _MOST and returned[name] in (dtype, _NO_FLOATS) for name, share in weights.items()
    )
    return Finding(acted, "; ".join(said))


_MOST = 0.5
"""Share of the weights that are to be in a type: some layers of most models stay wider."""
_NO_FLOATS = "no tensor of floats"


def _measure_share(module: Any, dtype: str) -> float:
    """Return the share of the weights, by their number, that are in a type or stored in fewer bits.

    What is quantized, or cast to 8 bits between calls, is computed with in that type.
    """
    import torch

    wanted = getattr(torch, dtype)
    counts = {True: 0, False: 0}
    for weight in module.parameters():
        if weight.is_floating_point():
            fits = weight.dtype == wanted or weight.dtype.itemsize < wanted.itemsize
            counts[fits] += weight.numel()
    total = sum(counts.values())
    return counts[True] / total if total else 1.0


def _find_dtype(result: Any) -> str:
    """Return the type of the first tensor of floats in what a module returned."""
    import torch
    from torch.utils import _pytree

    for leaf in _pytree.tree_leaves(result):
        if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
            return str(leaf.dtype).removeprefix("torch.")
    return _NO_FLOATS


def _hold_tf32() -> AbstractContextManager[None]:
    # Only the legacy flag: once its newer twin is set, torch refuses to read this one.
    return hold({"torch.backends.cuda.matmul.allow_tf32": True})


def _reads_tf32() -> bool:
    import torch

    return bool(torch.backends.cuda.matmul.allow_tf32)


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


def _reads_autocast() -> bool:
    import torch

    return bool(torch.is_autocast_enabled(find_kind() or "cuda"))


OPTIMIZATIONS = (
    Optimization(
        name="tf32",
        summary="TensorFloat-32 matrix multiplications (convolutions use it by default)",
        supported=lambda machine: require_ampere("tf32", machine),
        slot=_hold_tf32,
        prove=partial(prove_flag, name="allow_tf32", read=_reads_tf32),
        precision="tf32",
    ),
    Optimization(
        name="fp16",
        summary="weights and arithmetic in float16",
        supported=_check_fp16,
        dtype="float16",
        prove=partial(_prove_dtype, dtype="float16"),
    ),
    Optimization(
        name="bf16",
        summary="weights and arithmetic in bfloat16",
        supported=_check_bf16,
        dtype="bfloat16",
        prove=partial(_prove_dtype, dtype="bfloat16"),
    ),
    Optimization(
        name="autocast",
        summary="automatic mixed precision in float16 around the whole call",
        supported=_check_autocast,
        slot=_hold_autocast,
        prove=partial(prove_flag, name="autocast", read=_reads_autocast),
        precision="float16",
    ),
)
