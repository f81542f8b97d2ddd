"""Shapes of results, looked up if the same operation was given the same shapes before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Shape = tuple[torch.Size, tuple[int, ...], torch.dtype]


class Memo:
    """Runs operations on tensors without values, and remembers the shapes of what they return.

    Most of the work of torch's meta device is finding them in Python.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def run(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run an operation whose results are new tensors, or make tensors like those of before."""
        try:
            key = (func, _describe(args), _describe(tuple(kwargs.items())))
            shapes = self._known.get(key)
        except TypeError:  # an argument that cannot be compared
            return func(*args, **kwargs)
        if shapes is not None:
            return _make(shapes)
        found = func(*args, **kwargs)
        if (shapes := _read(found)) is not None:
            self._known[key] = shapes
        return found


def _describe(value: Any) -> Any:
    """Describe an argument by what the shapes of results depend on; its type tells 1 from 1.0."""
    if isinstance(value, torch.Tensor):
        if not value.is_meta:  # a single number, which only its type matters of
            return value.dtype
        return (value.shape, value.stride(), value.storage_offset(), value.dtype)
    if isinstance(value, (list, tuple)):
        return tuple(map(_describe, value))
    return (type(value), value)


def _read(found: Any) -> Any:
    """Read the shapes of results, or return None if they are not dense tensors of their own."""
    if isinstance(found, torch.Tensor):
        dense = found.is_meta and found.layout is torch.strided and not found.storage_offset()
        return (found.shape, found.stride(), found.dtype) if dense else None
    if isinstance(found, tuple):
        shapes = tuple(map(_read, found))
        return None if None in shapes else [type(found), shapes]
    return None


def _make(shapes: Any) -> Any:
    if isinstance(shapes, list):
        kind, inner = shapes
        return kind(map(_make, inner))
    shape, stride, dtype = shapes
    return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
