"""What operations on tensors without values come to, looked up if the shapes were seen before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pytest_sdspeed.dry.tensors import CountedTensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.dry.ledger import Operation

    Shape = tuple[torch.Size, tuple[int, ...], torch.dtype]
    Known = tuple[Any, Operation | None]


_META = torch.device("meta")
_NUMBERS = frozenset({int, float, bool, type(None)})


class Memo:
    """Remembers the shapes of what operations return, and how they are written down.

    Most of the work of torch's meta device is finding them in Python.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Known] = {}

    def find(self, key: Any) -> Known | None:
        """Return the shapes and the operation that were kept, if any."""
        return None if key is None else self._known.get(key)

    def keep(self, key: Any, found: Any, operation: Operation | None) -> None:
        """Keep what an operation returned, if it is tensors of their own."""
        if key is not None and (shapes := _read(found)) is not None:
            self._known[key] = (shapes, operation)


def make_key(name: str, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Return what the results of an operation depend on, or None if that cannot be compared."""
    try:
        key = (name, id(func), _describe(args), _describe(kwargs) if kwargs else ())
        hash(key)
    except TypeError:
        return None
    return key


def _describe(value: Any) -> Any:
    """Describe an argument by what the shapes of results depend on; its type tells 1 from 1.0."""
    kind = type(value)
    if kind in _NUMBERS:
        return (kind, value)
    if kind is CountedTensor:
        value = value.inner
    if isinstance(value, torch.Tensor):
        # What a single number is does not matter, and its type does.
        where = value.is_meta or value.dim() > 0
        storage = value.untyped_storage().nbytes() if where else 0
        return (value.shape, value.stride(), value.dtype, value.storage_offset(), storage, where)
    if kind is list or kind is tuple:
        return tuple([_describe(one) for one in value])
    if kind is dict:
        return tuple((name, _describe(one)) for name, one in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(map(_describe, value))
    return (kind, value)


def _read(found: Any) -> Any:
    """Read the shapes of results, or return None if they are not dense tensors of their own."""
    if isinstance(found, torch.Tensor):
        dense = found.is_meta and found.layout is torch.strided and not found.storage_offset()
        return (found.shape, found.stride(), found.dtype) if dense else None
    if isinstance(found, tuple):
        shapes = tuple(map(_read, found))
        return None if None in shapes else [type(found), shapes]
    return None


def make_tensors(shapes: Any) -> Any:
    """Make tensors without values of shapes that were kept."""
    if isinstance(shapes, list):
        kind, inner = shapes
        return kind(map(make_tensors, inner))
    shape, stride, dtype = shapes
    return torch.empty_strided(shape, stride, dtype=dtype, device=_META)
