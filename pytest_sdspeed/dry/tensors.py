"""A tensor of the counting device."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DEVICE = torch.device("cuda", 0)
"""What a tensor of the counting device says it is on: code that asks takes its path for a GPU."""
HOST = torch.device("cpu")


class Token:
    """Lives as long as a tensor of the device, whatever torch does to the tensor itself.

    Args:
        release: is called with ``key`` and ``size`` when the last tensor that has it is gone.
        key: identity of the tensor's memory.
        size: bytes of it.
    """

    __slots__ = ("_key", "_release", "_size")

    def __init__(self, release: Callable[[int, int], None], key: int, size: int) -> None:
        self._release, self._key, self._size = release, key, size

    def __del__(self) -> None:
        self._release(self._key, self._size)


class CountedTensor(torch.Tensor):  # type: ignore[misc]
    """A tensor that says that it is on a GPU, or a tensor of the host without values.

    ``inner`` is the tensor that has its values, on the CPU, or that has none, on torch's meta
    device. What is done to it goes to the counting device.

    Attributes:
        inner: see above.
        on_device: whether it is on the counting device, and not a tensor of the host.
        token: lives as long as the tensor, if its memory is the device's.
    """

    inner: torch.Tensor
    on_device: bool
    token: Token | None

    @staticmethod
    def __new__(
        cls: type[Self],
        inner: torch.Tensor,
        device: torch.device | None = None,
        token: Token | None = None,
        *,
        requires_grad: bool = False,
    ) -> Any:
        """Make a tensor; see the class.

        Without a device it is called as a parameter's class, by code that replaces a parameter by
        one of the same type.
        """
        if device is None:
            return torch.nn.Parameter(inner, requires_grad=requires_grad)
        made: Self = torch.Tensor._make_wrapper_subclass(  # noqa: SLF001 - torch's only way
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=device,
            requires_grad=inner.requires_grad,
        )
        made.inner, made.token = inner, token
        made.on_device = device.type == DEVICE.type
        return made

    # What the modes above see is seen already; without them it goes to the dispatcher as it is.
    __torch_function__ = torch._C._disabled_torch_function_impl  # noqa: SLF001

    @classmethod
    def __torch_dispatch__(
        cls,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do what the counting device does, also in a thread that its modes do not see."""
        return _find_device().run(func, args, kwargs or {})

    def __repr__(self) -> str:
        return _find_device().show(self) if _DEVICES else object.__repr__(self)

    def __format__(self, spec: str) -> str:
        # As torch does it: a single number is formatted as such.
        return format(self.item(), spec) if self.dim() == 0 else format(repr(self), spec)

    def record_stream(self, _stream: Any) -> None:
        """Do nothing: all streams work in order, so that no memory is reused too early."""


class Device(Protocol):
    """What does the work of counted tensors."""

    def run(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Do what an operation of torch asks for."""
        ...

    def show(self, tensor: CountedTensor) -> str:
        """Return a tensor in words."""
        ...


_DEVICES: list[Device] = []


@contextmanager
def hand_to(device: Device) -> Iterator[None]:
    """Hand operations on counted tensors to a device, inside the block."""
    _DEVICES.append(device)
    try:
        yield
    finally:
        _DEVICES.pop()


def is_running() -> bool:
    """Tell whether operations on counted tensors are handed to a device now."""
    return bool(_DEVICES)


def _find_device() -> Device:
    if not _DEVICES:
        raise RuntimeError(
            "a tensor of the counting device is used outside of the dry run that made it"
        )
    return _DEVICES[-1]
