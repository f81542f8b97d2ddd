"""What stands in for optimizations in a rehearsal: a run on a GPU, tried at toy size on a CPU."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import read_first_line
from pytest_sdspeed.model import StackEntry
from pytest_sdspeed.pipelines.optimizations.flags import prove_flag
from pytest_sdspeed.pipelines.optimizations.support import GPU_HINT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_sdspeed.model import Finding, Machine, Recipe
    from pytest_sdspeed.pipelines.optimization import Optimization

INERT = frozenset({"tf32", "cudnn_benchmark"})
"""Switches of a GPU that any process can set, and that do nothing on a CPU."""
_COMPILED = frozenset({"compile", "compile_repeated_blocks"})
_CACHE, _INTERVAL = "deepcache", 3
"""Of ten steps a toy computes four in full at this interval, and two at five: too few for a picture
that tells its case from another one."""
_SLOW_IN = {
    "conv2d": ("float16",),
    "conv3d": ("float16", "bfloat16"),
    "linear": ("float16",),
}
"""Functions of ``torch.nn.functional`` -> half types that CPUs take many times as long for as for
float32: 5 to 40 times for float16 without instructions for it, nine times for videos."""
_HALF = {"fp16": "float16", "bf16": "bfloat16", "autocast": "float16"}
"""Optimizations that compute in half types -> the type. A CPU without instructions for it takes
many times as long, which matters at full size only."""


def rehearse_stack(
    stack: Sequence[Optimization],
    baseline: Sequence[Optimization],
    *,
    shrunk: bool = True,
    lora: str | None = None,
) -> tuple[Optimization, ...]:
    """Return a stack as a CPU runs it at toy size.

    Half types are computed whatever time they take, features are kept for few steps, and nothing is
    compiled to machine code; see ``rehearse``. A switch that does nothing here is set if
    something else tells the stack from that of its baseline: otherwise it cannot be rehearsed, and
    the optimization's own reason says why. What depends on sizes is excused if it has no effect at
    toy size.

    Args:
        stack: optimizations in order.
        baseline: those of the setup that it is compared with, which may be itself.
        shrunk: whether it draws at toy size.
        lora: hub id or folder of the recipe's LoRA, or None. One of the hub is of weights at full
            size: no toy can take it.
    """
    differing = set(map(_name, stack)) ^ set(map(_name, baseline))
    acts = not differing or bool({name for name, _ in differing} - INERT)
    rehearsed = (_rehearse(part, inert_too=acts) for part in stack)
    if not shrunk:
        return tuple(rehearsed)
    return tuple(_excuse(_refuse_lora(part, lora)) for part in rehearsed)


def describe_left_out(labels: Iterable[str]) -> Iterator[str]:
    """Describe what of a stack a rehearsal only goes through, a line each.

    Args:
        labels: labels of its optimizations.
    """
    stack = tuple(map(StackEntry.parse, labels))
    names = {entry.name for entry in stack}
    for name in sorted(names & INERT):
        yield f"{name} was set, and does nothing on a CPU"
    for entry in stack:
        if entry.name == _CACHE and entry.options.get("interval", 0) > _INTERVAL:
            yield f"{entry.label} kept its features for {_INTERVAL} steps: a rehearsal has few"
    for name in sorted(names & _COMPILED):
        yield f"{name} was traced, and the graphs run as they were traced: nothing was compiled"


def _name(part: Optimization) -> tuple[str, str]:
    return part.name, part.label


def _rehearse(part: Optimization, *, inert_too: bool) -> Optimization:
    if (part.name in INERT and inert_too) or part.name in _COMPILED:
        return replace(part, supported=_support)
    if part.name == _CACHE and part.options["interval"] > _INTERVAL:
        return replace(part, options={**part.options, "interval": _INTERVAL})
    if part.name == "scheduler":
        return replace(part, apply=partial(_apply_scheduler, part.apply))
    if part.name in _HALF:
        supported = partial(_check_type, _HALF[part.name])
        if part.name != "autocast":
            return replace(part, supported=supported)
        prove = partial(prove_flag, name="autocast of the CPU", read=_reads_autocast)
        return replace(part, supported=supported, slot=_hold_autocast, prove=prove)
    return part


def _apply_scheduler(
    apply: Callable[..., None], pipeline: Any, recipe: Recipe, *, steps: int, **options: Any
) -> None:
    """Take a step fewer than the recipe, which may have been cut to as many, if not another number.

    At full size the same number of steps would have no effect.
    """
    same = steps == recipe.steps
    apply(pipeline, recipe, steps=max(1, steps - 1) if same else steps, **options)


def _refuse_lora(part: Optimization, lora: str | None) -> Optimization:
    if part.name != "lora" or lora is None or Path(lora).exists():
        return part
    reason = f"the LoRA {lora} is of weights at full size, and a rehearsal draws at toy size"
    return replace(part, supported=lambda _machine, **_options: reason)


def _excuse(part: Optimization) -> Optimization:
    """Excuse an optimization that depends on sizes from having an effect at toy size."""
    if not part.depends_on_size or part.prove is None:
        return part
    return replace(part, prove=partial(_prove_if_it_can, part.prove))


@contextmanager
def _prove_if_it_can(
    prove: Callable[..., Any], pipeline: Any, **options: Any
) -> Iterator[Callable[[], Finding]]:
    with prove(pipeline, **options) as ask:
        yield lambda: _excuse_idle(ask())


def _excuse_idle(found: Finding) -> Finding:
    return replace(found, excused=True) if found.acted is False else found


def _support(_machine: Machine, **_options: Any) -> str | None:
    return None


def _check_type(dtype: str, _machine: Machine, **_options: Any) -> str | None:
    return find_missing_kernel(dtype)


@cache
def find_missing_kernel(dtype: str) -> str | None:
    """Return why torch cannot compute in a type on this CPU, and what would help; None if it can.

    Args:
        dtype: ``float16`` or ``bfloat16``.
    """
    import torch
    from torch.nn import functional

    try:
        with torch.no_grad():
            picture = torch.ones(1, 8, 4, 4, dtype=getattr(torch, dtype))
            drawn = functional.conv2d(picture, torch.ones(8, 8, 3, 3, dtype=picture.dtype))
            drawn = functional.interpolate(functional.group_norm(drawn, 2), scale_factor=2.0)
            tokens = functional.layer_norm(drawn.flatten(2), (16,))
            functional.scaled_dot_product_attention(tokens, tokens, tokens).softmax(-1)
    except RuntimeError as error:
        first = read_first_line(error, type(error).__name__)
        return f"torch {torch.__version__} computes no {dtype} on this CPU ({first}): {GPU_HINT}"
    return None


def _hold_autocast() -> Any:
    import torch

    return torch.autocast("cpu", dtype=torch.float16)


def _reads_autocast() -> bool:
    import torch

    return bool(torch.is_autocast_enabled("cpu"))


@contextmanager
def rehearse() -> Iterator[None]:
    """Have torch compute as it is quick at toy size, inside the block.

    ``torch.compile`` traces and guards as ever, and compiles nothing: the graphs run as they were
    traced. So graph breaks, wrappers and pictures are those of compiled code, without a C++
    compiler and its minutes. There is one thread: several wait for each other at this size.
    Convolutions and linear layers in half types are computed in float32 and rounded, as a GPU sums
    them up too; see ``_SLOW_IN``.
    """
    import torch
    from torch.nn import functional

    compile_plainly, threads = torch.compile, torch.get_num_threads()
    slow = {name: getattr(functional, name) for name in _SLOW_IN}
    torch.compile = _make_tracer(compile_plainly)
    for name, plain in slow.items():
        types = frozenset(getattr(torch, dtype) for dtype in _SLOW_IN[name])
        setattr(functional, name, _sum_up_in_float32(plain, types))
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.compile = compile_plainly
        for name, plain in slow.items():
            setattr(functional, name, plain)
        torch.set_num_threads(threads)
        # Torch keeps few versions of a function, and would run further ones uncompiled.
        if "torch._dynamo" in sys.modules:
            torch.compiler.reset()


def _make_tracer(plain: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(plain)
    def trace(model: Any = None, **arguments: Any) -> Any:
        left_out = ("backend", "mode", "options")
        kept = {name: value for name, value in arguments.items() if name not in left_out}
        return plain(model, backend="eager", **kept)

    return trace


def _sum_up_in_float32(plain: Callable[..., Any], types: frozenset[Any]) -> Callable[..., Any]:
    """Make a layer's function that sums up in float32; mixed types stay an error.

    Args:
        plain: the function, of an input, weights and perhaps a bias.
        types: types of torch that it is done for.
    """
    import torch

    own = (torch.Tensor, torch.nn.Parameter)

    @wraps(plain)
    def compute(given: Any, weight: Any, bias: Any = None, *rest: Any, **named: Any) -> Any:
        taken = (given, weight) if bias is None else (given, weight, bias)
        # Quantized weights are tensors of other classes, which bring their own kernels.
        if not all(type(one) in own and one.dtype == given.dtype for one in taken):
            return plain(given, weight, bias, *rest, **named)
        if given.dtype not in types or given.device.type != "cpu":
            return plain(given, weight, bias, *rest, **named)
        wide = (None if one is None else one.float() for one in (given, weight, bias))
        return plain(*wide, *rest, **named).to(given.dtype)

    return compute
