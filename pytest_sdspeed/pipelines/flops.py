"""Floating-point operations of a generation, counted on twins of its modules that have shapes but no numbers."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.pipelines.stages import unwrapped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.pipelines.stages import Shapes, Watch

_METHODS = {"text_encoder": "__call__", "unet": "__call__", "vae": "decode"}


class Twin(NamedTuple):
    """What a module is built from: its class and its configuration as JSON."""

    kind: Any
    config: str


def generation_flops(pipeline: Any, watch: Watch) -> int:
    """FLOPs of the generation that was watched: the calls of each part times what a call at these shapes takes.

    Compiled and traced graphs hide their operators, so every part is counted on its twin. The count is that of the architecture, whatever
    computes it. Where calls of the UNet's submodules were counted as well, each of them counts with its own calls.

    Args:
        pipeline: what was watched.
        watch: what it saw.

    Raises:
        LookupError: calls inside the UNet were to be counted, and none can be seen, or they differ in shape.
    """
    total = 0
    for part, calls in watch.calls.items():
        twin = twin_of(getattr(pipeline, part))
        interval = getattr(getattr(pipeline, part), "interval", 1)
        if part == "unet" and watch.inner:
            total += _by_submodule(twin, calls, watch.inner)
        elif interval > 1:
            total += _cached_flops(twin, calls, interval)
        else:
            total += sum(count * call_flops(twin, _METHODS[part], shapes)[""] for shapes, count in calls.items())
    return total


def twin_of(part: Any) -> Twin:
    """What a part of a pipeline is built from. A stand-in for another module names that one's class as ``original_class``."""
    module = unwrapped(part)
    config = module.config.to_dict() if hasattr(module.config, "to_dict") else dict(module.config)
    return Twin(getattr(module, "original_class", type(module)), json.dumps(config, sort_keys=True, default=str))


@cache
def call_flops(twin: Twin, method: str, shapes: Shapes) -> Mapping[str, int]:
    """FLOPs of one call: those of its submodules by name, each with all that it calls, and of the whole as "".

    A multiplication and an addition are two. Matrix products, convolutions and attention count; what works on single elements does not
    (``torch.utils.flop_counter``).

    Args:
        twin: of the module.
        method: what is called.
        shapes: of the tensors it is called with.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        module = _built(twin).eval()
        tensors = _tensors(shapes)
        args = [tensor for name, tensor in tensors.items() if isinstance(name, int)]
        kwargs = {name: tensor for name, tensor in tensors.items() if isinstance(name, str)}
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            getattr(module, method)(*args, **kwargs)
    lead = f"{type(module).__name__}."
    found = {name.removeprefix(lead): sum(counts.values()) for name, counts in counter.get_flop_counts().items() if name.startswith(lead)}
    return found | {"": counter.get_total_flops()}


def _cached_flops(twin: Twin, calls: Mapping[Shapes, int], interval: int) -> int:
    """Of a ``FeatureCachedUNet`` in one generation, which all its calls are of one shape in."""
    (shapes, count), *others = calls.items()
    if others:
        raise LookupError("a UNet that keeps features was called with several shapes")
    full = -(-count // interval)
    return full * call_flops(twin, "__call__", shapes)[""] + (count - full) * shallow_flops(twin, shapes)


@cache
def shallow_flops(twin: Twin, shapes: Shapes) -> int:
    """FLOPs of a pass that computes the outermost layers of a UNet only; see ``cached``.

    Args:
        twin: of the UNet.
        shapes: of the tensors that the UNet is called with: sample, timestep, text.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from pytest_sdspeed.pipelines.feature_cache import both_passes

    with torch.device("meta"), torch.no_grad():
        full, shallow = both_passes(_built(twin).eval())
        tensors = _tensors(shapes).values()
        _, deep = full(*tensors)
        with FlopCounterMode(display=False) as counter:
            shallow(*tensors, deep)
    return int(counter.get_total_flops())


def _tensors(shapes: Shapes) -> dict[int | str, Any]:
    """Tensors of these shapes by position or keyword, on torch's default device."""
    import torch

    return {name: torch.empty(shape, dtype=torch.float32 if floats else torch.int64) for name, shape, floats in shapes}


def _built(twin: Twin) -> Any:
    """The module, as diffusers or transformers build it from a configuration."""
    config = json.loads(twin.config)
    if hasattr(twin.kind, "from_config"):
        return twin.kind.from_config(config)
    return twin.kind(twin.kind.config_class.from_dict(config))


def _by_submodule(twin: Twin, calls: Mapping[Shapes, int], inner: Mapping[str, int]) -> int:
    if len(calls) > 1:
        raise LookupError("a UNet that leaves modules out was called with several shapes")
    own = _own_flops(call_flops(twin, "__call__", next(iter(calls))))
    if not any(inner.get(name) for name in own if name):
        raise LookupError("the calls inside the UNet cannot be seen: it is compiled or traced")
    return sum(inner.get(name, 0) * flops for name, flops in own.items())


def _own_flops(totals: Mapping[str, int]) -> dict[str, int]:
    """FLOPs of each module without those of the modules it calls."""
    own = dict(totals)
    for name, flops in totals.items():
        if name:
            own[_nearest_above(name, totals)] -= flops
    return own


def _nearest_above(name: str, known: Mapping[str, int]) -> str:
    """The innermost known module around one; lists of modules are called by nobody, and are not known."""
    above = name.rpartition(".")[0]
    while above not in known:
        above = above.rpartition(".")[0]
    return above
