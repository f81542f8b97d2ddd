"""What a module was called with, without the numbers: enough to call its twin alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Shapes: TypeAlias = tuple[tuple[Any, ...], ...]
"""The arguments of a call: position or keyword, and then what stands for the value. A tensor is its
shape, and whether it holds floating-point numbers, or else the name of its type if that is no
integer; anything else is one value, or a ``Group``, ``Tensor`` or ``Unknown``."""

Floats: TypeAlias = "bool | str"

_PLAIN = (bool, int, str, type(None))
_TENSOR = 2
"""Entries after the name of an argument that is a tensor."""


class Tensor(NamedTuple):
    """A tensor inside of an argument; see ``Shapes``."""

    shape: tuple[int, ...]
    floats: Floats


class Group(NamedTuple):
    """A list, tuple or dict of values: its kind, its keys (of a dict), and its values."""

    kind: str
    keys: tuple[Any, ...]
    values: tuple[Any, ...]


class Unknown(NamedTuple):
    """A value that nothing can stand for: the name of its type."""

    kind: str


class Setting(NamedTuple):
    """A floating-point ``dtype``, or a ``device``: twins compute in one type, on one device."""

    kind: str


def read_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Shapes:
    """Return what a call's arguments are without their numbers."""
    return tuple(
        (name, *read) if isinstance(read, Tensor) else (name, read)
        for name, value in (dict(enumerate(args)) | dict(kwargs)).items()
        for read in (_read(value),)
    )


def make_call(shapes: Shapes) -> tuple[list[Any], dict[str, Any]]:
    """Make the arguments of such a call, by position and by keyword, on torch's default device.

    Raises:
        LookupError: nothing can stand for one of them.
    """
    made = {
        name: _make(Tensor(*told) if len(told) == _TENSOR else told[0]) for name, *told in shapes
    }
    return (
        [value for name, value in made.items() if isinstance(name, int)],
        {name: value for name, value in made.items() if isinstance(name, str)},
    )


def make_tensors(shapes: Shapes) -> list[Any]:
    """Make the tensors among the arguments of such a call, in order."""
    return [_make(Tensor(*told)) for _, *told in shapes if len(told) == _TENSOR]


def _read(value: Any) -> Any:
    import torch

    match value:
        case torch.Tensor():
            return Tensor(tuple(value.shape), _name_type(value))
        case dict():
            return Group("dict", tuple(value), tuple(map(_read, value.values())))
        case float():
            # Numbers decide no shape. A step's own would make every call one of its kind.
            return 1.0
        case torch.Generator():
            # What draws noise has no say in what is computed.
            return None
    if type(value) in (list, tuple, torch.Size):
        kind = "list" if isinstance(value, list) else "tuple"
        return Group(kind, (), tuple(map(_read, value)))
    return value if isinstance(value, _PLAIN) else _read_setting(value)


def _read_setting(value: Any) -> Any:
    import torch

    if isinstance(value, torch.dtype) and value.is_floating_point:
        return Setting("dtype")
    return Setting("device") if isinstance(value, torch.device) else Unknown(type(value).__name__)


def _name_type(tensor: Any) -> Floats:
    if tensor.is_floating_point():
        return True
    name = str(tensor.dtype).removeprefix("torch.")
    return name if name in ("bool", "complex64", "complex128") else False


def _make(told: Any) -> Any:
    import torch

    match told:
        case Tensor(shape, floats):
            named = floats if isinstance(floats, str) else "float32" if floats else "int64"
            return torch.empty(shape, dtype=getattr(torch, named))
        case Group("dict", keys, values):
            return dict(zip(keys, map(_make, values), strict=True))
        case Group(kind, _, values):
            return list(map(_make, values)) if kind == "list" else tuple(map(_make, values))
        case Setting(kind):
            return torch.float32 if kind == "dtype" else torch.get_default_device()
        case Unknown(kind):
            raise LookupError(f"nothing stands for a {kind} among its arguments")
    return told
