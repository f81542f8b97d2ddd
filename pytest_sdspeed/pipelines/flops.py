"""Floating-point operations of a generation.

They are counted on twins of its modules, which have shapes but no numbers.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.pipelines.stages import unwrap

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.pipelines.stages import Shapes, StageTimer

_METHODS = {"text_encoder": "__call__", "unet": "__call__", "vae": "decode"}


class Twin(NamedTuple):
    """What a module is built from: its class and its configuration as JSON."""

    kind: Any
    config: str


def count_generation_flops(pipeline: Any, timer: StageTimer) -> int:
    """Count the FLOPs of a generation: the sum over calls of what each takes at its shapes.

    Compiled and traced graphs hide their operators, so every part is counted on its twin. The count
    is that of the architecture, whatever computes it. If calls of the UNet's submodules were
    counted as well, each submodule counts as often as it was called.

    Args:
        pipeline: pipeline that drew the generation.
        timer: what watched it, with the calls of each part.

    Raises:
        LookupError: the calls inside the UNet were to be counted, and they cannot be seen or differ
            in shape.
    """
    total = 0
    for part, calls in timer.calls.items():
        twin = describe_twin(getattr(pipeline, part))
        interval = getattr(getattr(pipeline, part), "interval", 1)
        if part == "unet" and timer.inner:
            total += _count_by_submodule(twin, calls, timer.inner)
        elif interval > 1:
            total += _count_cached_flops(twin, calls, interval)
        else:
            total += sum(
                count * count_call_flops(twin, _METHODS[part], shapes)[""]
                for shapes, count in calls.items()
            )
    return total


def describe_twin(part: Any) -> Twin:
    """Return what a part of a pipeline is built from.

    A wrapper of another module names the class of that module as ``original_class``.
    """
    module = unwrap(part)
    config = module.config.to_dict() if hasattr(module.config, "to_dict") else dict(module.config)
    return Twin(
        getattr(module, "original_class", type(module)),
        json.dumps(config, sort_keys=True, default=str),
    )


@cache
def count_call_flops(twin: Twin, method: str, shapes: Shapes) -> Mapping[str, int]:
    """Count the FLOPs of one call of a module.

    A multiplication and an addition are two. Matrix products, convolutions and attention count;
    elementwise operations do not (``torch.utils.flop_counter``).

    Args:
        twin: what the module is built from.
        method: name of the method that is called.
        shapes: shapes of the tensors that it is called with.

    Returns:
        Name of a submodule -> FLOPs, with those of all that it calls; "" is the whole module.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        module = _build(twin).eval()
        tensors = _make_tensors(shapes)
        args = [tensor for name, tensor in tensors.items() if isinstance(name, int)]
        kwargs = {name: tensor for name, tensor in tensors.items() if isinstance(name, str)}
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            getattr(module, method)(*args, **kwargs)
    lead = f"{type(module).__name__}."
    found = {
        name.removeprefix(lead): sum(counts.values())
        for name, counts in counter.get_flop_counts().items()
        if name.startswith(lead)
    }
    return found | {"": counter.get_total_flops()}


def _count_cached_flops(twin: Twin, calls: Mapping[Shapes, int], interval: int) -> int:
    """Count the FLOPs of a ``FeatureCachedUNet`` in one generation.

    Raises:
        LookupError: the calls differ in shape.
    """
    (shapes, count), *others = calls.items()
    if others:
        raise LookupError("a UNet that keeps features was called with several shapes")
    full = -(-count // interval)
    return full * count_call_flops(twin, "__call__", shapes)[""] + (
        count - full
    ) * count_shallow_flops(twin, shapes)


@cache
def count_shallow_flops(twin: Twin, shapes: Shapes) -> int:
    """Count the FLOPs of a pass that computes the outermost layers of a UNet only.

    Args:
        twin: what the UNet is built from.
        shapes: shapes of the tensors that the UNet is called with: sample, timestep, text.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from pytest_sdspeed.pipelines.feature_cache import split_passes

    with torch.device("meta"), torch.no_grad():
        full, shallow = split_passes(_build(twin).eval())
        tensors = _make_tensors(shapes).values()
        _, deep = full(*tensors)
        with FlopCounterMode(display=False) as counter:
            shallow(*tensors, deep)
    return int(counter.get_total_flops())


def _make_tensors(shapes: Shapes) -> dict[int | str, Any]:
    """Make tensors of these shapes, by position or keyword, on torch's default device."""
    import torch

    return {
        name: torch.empty(shape, dtype=torch.float32 if floats else torch.int64)
        for name, shape, floats in shapes
    }


def _build(twin: Twin) -> Any:
    """Build the module from its configuration, as diffusers or transformers do."""
    config = json.loads(twin.config)
    if hasattr(twin.kind, "from_config"):
        return twin.kind.from_config(config)
    return twin.kind(twin.kind.config_class.from_dict(config))


def _count_by_submodule(twin: Twin, calls: Mapping[Shapes, int], inner: Mapping[str, int]) -> int:
    if len(calls) > 1:
        raise LookupError("a UNet that leaves modules out was called with several shapes")
    own = _subtract_inner_flops(count_call_flops(twin, "__call__", next(iter(calls))))
    if not any(inner.get(name) for name in own if name):
        raise LookupError("the calls inside the UNet cannot be seen: it is compiled or traced")
    return sum(inner.get(name, 0) * flops for name, flops in own.items())


def _subtract_inner_flops(totals: Mapping[str, int]) -> dict[str, int]:
    """Return the FLOPs of each module without those of the modules that it calls."""
    own = dict(totals)
    for name, flops in totals.items():
        if name:
            own[_find_caller(name, totals)] -= flops
    return own


def _find_caller(name: str, known: Mapping[str, int]) -> str:
    """Return the innermost known module around one.

    Lists of modules are never called, so that they are not known.
    """
    above = name.rpartition(".")[0]
    while above not in known:
        above = above.rpartition(".")[0]
    return above
