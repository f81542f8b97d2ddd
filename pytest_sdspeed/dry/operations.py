"""What an operation of torch is to a device: a view, an allocation, a kernel, or a wait."""

from __future__ import annotations

import math
from functools import cache
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
_METADATA = frozenset(
    {"is_same_size", "is_pinned", "is_set_to", "sparse_dim", "dense_dim", "_has_same_storage_numel"}
    | {"sym_size", "sym_stride", "sym_numel", "sym_storage_offset", "is_contiguous", "numel", "dim"}
)
"""They tell the host what it knows without the device."""


@cache
def name_of(func: Any) -> str:
    """Return the name of an operation without its overload: ``add`` of ``aten::add.Tensor``."""
    return str(func.name()).split("::")[1].split(".")[0]


@cache
def is_view(func: Any) -> bool:
    """Tell whether the results of an operation are views of what it is given."""
    if name_of(func) in _VIEWS:
        return True
    returned = [one.alias_info for one in func._schema.returns]  # noqa: SLF001
    return bool(returned) and all(one is not None and not one.is_write for one in returned)


@cache
def starts_kernel(func: Any) -> bool:
    """Tell whether an operation gives the device something to compute."""
    return not is_view(func) and name_of(func) not in ALLOCATIONS


@cache
def makes_host_wait(func: Any) -> bool:
    """Tell whether an operation needs a value on the host: it returns a number, or sizes by one."""
    if name_of(func) in _SIZED_BY_VALUES:
        return True
    kinds = {str(one.type) for one in func._schema.returns}  # noqa: SLF001
    return bool(kinds & {"bool", "number", "int", "float"}) and name_of(func) not in _METADATA


@cache
def overwrites(func: Any) -> bool:
    """Tell whether an operation writes to its first argument without reading it."""
    return name_of(func) in _WRITE_ONLY


def is_factory(name: str) -> bool:
    """Tell whether an operation only takes the shape and type of the tensors that it is given."""
    return name.endswith("_like") or name.startswith("new_")


def count_new_elements(args: Any) -> int:
    """Count the elements of a new tensor, whose size is the first argument; 0 if it is not."""
    if not args or not isinstance(args[0], (list, tuple)):
        return 0
    return math.prod(int(length) for length in args[0])


@cache
def is_composite(func: Any) -> bool:
    """Tell whether an operation is made of others for every device."""
    return bool(
        torch._C._dispatch_has_kernel_for_dispatch_key(  # noqa: SLF001
            func.name(), "CompositeImplicitAutograd"
        )
    )


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
