"""What an operation of torch is to a device: a view, an allocation, a kernel, or a wait."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

ALLOCATIONS = frozenset(
    {"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided"}
)
"""They take memory and start no kernel."""
_VIEWS = frozenset({"_unsafe_view", "lift", "lift_fresh", "is_pinned", "_pin_memory"})
"""They start no kernel either, though their schema does not say so."""
_WRITE_ONLY = frozenset({"copy_", "fill_", "zero_", "normal_", "uniform_", "random_", "bernoulli_"})
"""They do not read what they write to."""
_SIZED_BY_VALUES = frozenset(
    {
        "nonzero",
        "masked_select",
        "_unique",
        "_unique2",
        "unique_dim",
        "unique_consecutive",
        "unique_dim_consecutive",
        "bincount",
        "_linalg_check_errors",
    }
)
"""The host waits for the size of what they find."""
_WIDENING = frozenset({"_softmax", "_log_softmax"})
"""They may return float32 of float16."""
_METADATA = frozenset(
    {"is_same_size", "is_pinned", "is_set_to", "sparse_dim", "dense_dim", "_has_same_storage_numel"}
    | {"sym_size", "sym_stride", "sym_numel", "sym_storage_offset", "is_contiguous", "numel", "dim"}
)
"""They tell the host what it knows without the device."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What an operation is.

    Attributes:
        func: the operation.
        name: its name without its overload: ``add`` of ``aten::add.Tensor``.
        is_view: whether its results are views of what it is given.
        starts_kernel: whether it gives the device something to compute.
        makes_host_wait: whether it needs a value on the host: it returns a number, or sizes by one.
        overwrites: whether it writes to its first argument without reading it.
        is_composite: whether it is made of others for every device.
        is_factory: whether it only takes the shape and type of the tensors that it is given.
        written: position and name of each argument that it writes into.
    """

    func: Any
    name: str
    is_view: bool
    starts_kernel: bool
    makes_host_wait: bool
    overwrites: bool
    is_composite: bool
    is_factory: bool
    written: tuple[tuple[int, str], ...]


_KNOWN: dict[int, Facts] = {}


def describe(func: Any) -> Facts:
    """Return what an operation is."""
    facts = _KNOWN.get(id(func))
    # It is kept in the facts, so that no other takes its identity.
    return facts if facts is not None else _KNOWN.setdefault(id(func), _find_facts(func))


def _find_facts(func: Any) -> Facts:
    name = str(func.name()).split("::")[1].split(".")[0]
    schema = func._schema  # noqa: SLF001
    is_view = name in _VIEWS or _returns_views(schema)
    return Facts(
        func=func,
        name=name,
        is_view=is_view,
        starts_kernel=not is_view and name not in ALLOCATIONS,
        makes_host_wait=name in _SIZED_BY_VALUES
        or (_returns_number(schema) and name not in _METADATA),
        overwrites=name in _WRITE_ONLY,
        is_composite=_has_composite_kernel(func),
        is_factory=name.endswith("_like") or name.startswith("new_"),
        written=tuple(
            (at, argument.name)
            for at, argument in enumerate(schema.arguments)
            if argument.alias_info is not None and argument.alias_info.is_write
        ),
    )


def _returns_views(schema: Any) -> bool:
    returned = [one.alias_info for one in schema.returns]
    return bool(returned) and all(one is not None and not one.is_write for one in returned)


def _returns_number(schema: Any) -> bool:
    return bool({str(one.type) for one in schema.returns} & {"bool", "number", "int", "float"})


def _has_composite_kernel(func: Any) -> bool:
    return bool(
        torch._C._dispatch_has_kernel_for_dispatch_key(  # noqa: SLF001
            func.name(), "CompositeImplicitAutograd"
        )
    )


def name_of(func: Any) -> str:
    """Return the name of an operation without its overload."""
    return describe(func).name


def run(func: Any, facts: Facts, args: Any, kwargs: Any) -> Any:
    """Run an operation on the CPU, or on torch's meta device; some the CPU cannot do as it is."""
    if facts.name in _WIDENING and args[2] and not args[0].is_meta:
        return func(args[0].float(), args[1], False)  # noqa: FBT003 - torch's signature
    return func(*args, **kwargs)


def count_new_elements(args: Any) -> int:
    """Count the elements of a new tensor, whose size is the first argument; 0 if it is not."""
    if not args or not isinstance(args[0], (list, tuple)):
        return 0
    return math.prod(int(length) for length in args[0])


def count_most_elements(args: Any) -> int:
    """Return how many elements the results of most operations have at most.

    Tensors that are combined have at most the product of their elements, and those that are
    repeated or resized that times what they are told.

    Args:
        args: arguments of the operation.
    """
    most = 1
    for tree in args:
        if isinstance(tree, torch.Tensor):
            most *= max(1, tree.numel())
        elif isinstance(tree, (list, tuple)):
            for one in tree:
                if isinstance(one, torch.Tensor):
                    most *= max(1, one.numel())
                elif isinstance(one, int):
                    most *= max(1, one)
    return most


def count_bytes(tensor: torch.Tensor) -> int:
    """Count the bytes that an operation touches of a tensor.

    An expanded tensor has more elements than memory; what it repeats is read once.
    """
    if not tensor.numel():
        return 0
    repeated = zip(tensor.shape, tensor.stride(), strict=True)
    elements = math.prod(int(length) for length, stride in repeated if stride)
    size: int = min(elements * tensor.element_size(), tensor.untyped_storage().nbytes())
    return size
