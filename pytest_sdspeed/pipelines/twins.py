"""Twins of modules, which have shapes but no numbers, and the floating-point operations of a call.

A twin is built from the configuration that a module was built from. It stands for the module only
if it has the same parameters, in modules of the same classes.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.pipelines.recorded_calls import make_call, make_tensors
from pytest_sdspeed.pipelines.stages import unwrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_sdspeed.pipelines.recorded_calls import Shapes

_FUSED = re.compile(r"(.+\.)?(to_(added_)?(qkv|kv|q|k|v)|add_[qkv]_proj)\.(weight|bias)")
"""Projections of attention, which may be fused into one of the same size."""
_MASKING = ("transformers.masking_utils", "transformers.modeling_attn_mask_utils")
_WRAPPED = ".base_layer."
"""What adapters put between a module and its weight."""


class Twin(NamedTuple):
    """What a module is built from.

    Attributes:
        kind: its class.
        config: its configuration as JSON.
        state: attributes that may have been set since, such as whether it works in tiles.
    """

    kind: Any
    config: str
    state: tuple[tuple[str, Any], ...] = ()


def describe_twin(part: Any) -> Twin:
    """Return what a part of a pipeline is built from.

    A wrapper of another module names the class of that module as ``original_class``.

    Raises:
        LookupError: it does not say.
    """
    module = unwrap(part)
    config = getattr(module, "config", None)
    if config is None:
        raise LookupError(f"{type(module).__name__} has no configuration to build a twin from")
    told = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    return Twin(
        getattr(module, "original_class", type(module)),
        json.dumps(told, sort_keys=True, default=str),
        tuple(sorted(_list_state(module))),
    )


def check_twin(part: Any, twin: Twin) -> None:
    """Check that a twin stands for a part: for what is wrapped, its class says so.

    Raises:
        LookupError: the part has other parameters, or other classes of modules inside.
    """
    module = unwrap(part)
    if hasattr(module, "original_class"):
        return
    parameters, classes = _describe_structure(twin)
    own = dict(_list_parameters(module))
    for name in sorted(own.keys() ^ parameters.keys()):
        raise LookupError(
            f"{type(module).__name__} is not what its configuration says: {name} is in"
            f" {'the module' if name in own else 'the configuration'} alone"
        )
    for name, shape in own.items():
        # What is packed by a quantization has another shape.
        if shape is not None and shape != parameters[name]:
            raise LookupError(
                f"{type(module).__name__} is not what its configuration says: {name} is {shape},"
                f" and not {parameters[name]}"
            )
    for name, inner in module.named_modules():
        expected = classes.get(name)
        if expected and any(True for _ in inner.children()) and type(inner).__name__ != expected:
            raise LookupError(
                f"{type(module).__name__} is not what its configuration says: {name} is a"
                f" {type(inner).__name__}, and not a {expected}"
            )


def _list_state(module: Any) -> Iterator[tuple[str, Any]]:
    """List the plain attributes of a module that are not torch's own."""
    for name, value in vars(module).items():
        if not name.startswith("_") and name != "training" and type(value) in (bool, int, float):
            yield name, value


def _list_parameters(module: Any) -> Iterator[tuple[str, tuple[int, ...] | None]]:
    """List names and shapes; no shape of what is packed, and no name of what may be fused."""
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if not _FUSED.fullmatch(name):
            shape = tuple(parameter.shape) if parameter.is_floating_point() else None
            yield f".{name}".replace(_WRAPPED, ".")[1:], shape


@cache
def _describe_structure(
    twin: Twin,
) -> tuple[Mapping[str, tuple[int, ...] | None], Mapping[str, str]]:
    """Return the parameters of a twin and their shapes, and the classes of its modules."""
    import torch

    with torch.device("meta"):
        module = _build(twin)
    classes = {name: type(inner).__name__ for name, inner in module.named_modules()}
    return dict(_list_parameters(module)), classes


@cache
def count_call_flops(twin: Twin, method: str, shapes: Shapes) -> Mapping[str, int]:
    """Count the FLOPs of one call of a module.

    A multiplication and an addition are two. Matrix products, convolutions and attention count;
    elementwise operations do not (``torch.utils.flop_counter``).

    Args:
        twin: what the module is built from.
        method: name of the method that is called.
        shapes: what it is called with.

    Returns:
        Name of a submodule -> FLOPs, with those of all that it calls; "" is the whole module.

    Raises:
        LookupError: nothing can stand for an argument.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        module = _build(twin).eval()
        args, kwargs = make_call(shapes)
        with torch.no_grad(), _answer_masks(), FlopCounterMode(display=False) as counter:
            getattr(module, method)(*args, **kwargs)
    lead = f"{type(module).__name__}."
    found = {
        name.removeprefix(lead): sum(counts.values())
        for name, counts in counter.get_flop_counts().items()
        if name.startswith(lead)
    }
    return found | {"": counter.get_total_flops()}


@cache
def count_shallow_flops(twin: Twin, shapes: Shapes) -> int:
    """Count the FLOPs of a pass that computes the outermost layers of a UNet only.

    Args:
        twin: what the UNet is built from.
        shapes: what the UNet is called with: first the tensors sample, timestep, text.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from pytest_sdspeed.pipelines.feature_cache import split_passes

    with torch.device("meta"), torch.no_grad():
        full, shallow = split_passes(_build(twin).eval())
        tensors = make_tensors(shapes)
        _, deep = full(*tensors)
        with FlopCounterMode(display=False) as counter:
            shallow(*tensors, deep)
    return int(counter.get_total_flops())


@contextmanager
def _answer_masks() -> Iterator[None]:
    """Answer no to what transformers ask of the numbers of a mask, inside the block.

    They ask whether it leaves anything out, to go without one that does not: with or without it,
    the same products are computed. Nothing else is answered, since it could decide what is.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    asked = (torch.Tensor.__bool__, torch.Tensor.item)

    class Answering(TorchFunctionMode):  # type: ignore[misc] # torch is not followed
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func in asked and args[0].is_meta and args[0].dtype == torch.bool:
                caller = sys._getframe(1).f_globals.get("__name__")  # noqa: SLF001
                if caller in _MASKING:
                    return False
            return func(*args, **kwargs or {})

    with Answering():
        yield


def _build(twin: Twin) -> Any:
    """Build the module from its configuration, as diffusers or transformers do."""
    config = json.loads(twin.config)
    if hasattr(twin.kind, "from_config"):
        module = twin.kind.from_config(config)
    else:
        module = twin.kind(twin.kind.config_class.from_dict(config))
    for name, value in twin.state:
        if type(vars(module).get(name)) in (bool, int, float):
            setattr(module, name, value)
    return module
