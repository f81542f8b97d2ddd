"""Functions of torch that are seen above the dispatcher.

Below it they have lost what is to be counted (attention is many operations there), or torch looks
for a GPU that is not there (a device named without its index, Python's numbers).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from pytest_sdspeed.compatibility import has_fused_rms_norm
from pytest_sdspeed.dry.tensors import DEVICE, HOST, CountedTensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_sdspeed.dry.device import CountingDevice


class FunctionMode(TorchFunctionMode):  # type: ignore[misc]
    """Sees calls of torch's functions and methods.

    Args:
        device: the counting device.
    """

    def __init__(self, device: CountingDevice) -> None:
        super().__init__()
        self._device = device

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function, with the device's index where one is named."""
        special = _FUNCTIONS.get(func)
        if special is not None:
            return special(self._device, func, args, kwargs or {})
        if kwargs and "device" in kwargs:
            kwargs = {**kwargs, "device": complete_device(kwargs["device"])}
        if kwargs and kwargs.get("pin_memory"):
            kwargs = {**kwargs, "pin_memory": False}
        if kwargs and kwargs.get("generator") is not None:
            _check_generator(kwargs["generator"], kwargs.get("device"), args)
        return func(*args, **(kwargs or {}))


def complete_device(device: Any) -> Any:
    """Return the counting device if a GPU is named, in any form that torch takes; else ``device``.

    Raises:
        RuntimeError: it is a GPU that a machine with one does not have.
    """
    if isinstance(device, int) and not isinstance(device, bool):
        device = torch.device(DEVICE.type, device)
    if isinstance(device, str) and device.split(":")[0] == DEVICE.type:
        device = torch.device(device)
    if not isinstance(device, torch.device) or device.type != DEVICE.type:
        return device
    if device.index not in (None, DEVICE.index):
        raise RuntimeError(f"invalid device ordinal: {device}; the dry run has one, {DEVICE}")
    return DEVICE


def _check_generator(generator: Any, device: Any, args: Sequence[Any]) -> None:
    """Refuse what torch refuses: a generator of another device than what it fills."""
    if device is None:
        first = args[0] if args else None
        device = first.device if isinstance(first, torch.Tensor) else torch.get_default_device()
    wanted = torch.device(device).type
    if wanted not in {"meta", generator.device.type}:
        raise RuntimeError(
            f"Expected a '{wanted}' device type for generator but found '{generator.device.type}'"
        )


def _move(
    _device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Call ``to`` or ``cuda`` with the device's index, which torch would ask a GPU for.

    A tensor of the host without values is on torch's meta device for code that asks for that: it
    stays what it is, a parameter above all.
    """
    tensor, *rest = args
    named = {
        name: complete_device(value) if name == "device" else value
        for name, value in kwargs.items()
    }
    if func is torch.Tensor.cuda:
        device = rest[0] if rest else named.pop("device", None)
        return torch.Tensor.to(
            tensor, complete_device(DEVICE if device is None else device), *rest[1:], **named
        )
    if rest and isinstance(rest[0], (str, int, torch.device)):
        rest[0] = complete_device(rest[0])
    found = func(tensor, *rest, **named)
    stays = _is_valueless(tensor) and _is_valueless(found) and tensor.dtype == found.dtype
    return tensor if stays and "copy" not in named else found


def _is_valueless(tensor: Any) -> bool:
    """Tell whether it is a tensor of the host without values."""
    return type(tensor) is CountedTensor and not tensor.on_device and tensor.inner.is_meta


def _make(
    _device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Make a tensor of Python's numbers or numpy's: on the host, which then copies it."""
    data, *rest = args or (kwargs["data"],)
    named = {name: value for name, value in kwargs.items() if name != "data"}
    device = complete_device(named.get("device", _default_device()))
    if isinstance(data, torch.Tensor):
        # It stays on its device unless another is named, and is copied in any case.
        target = data.device if named.get("device") is None else device
        return torch.Tensor.to(
            data.detach(), device=target, dtype=named.get("dtype") or data.dtype, copy=True
        )
    data = _fetch_numbers(data)
    if _is_device(device):
        made = func(data, *rest, **{**named, "device": HOST, "pin_memory": False})
        return torch.Tensor.to(made, device)
    return func(data, *rest, **{**named, "device": device})


def _fetch_numbers(data: Any) -> Any:
    """Return numbers in lists; torch asks each tensor of the device among them for its own."""
    if isinstance(data, (list, tuple)):
        return type(data)(map(_fetch_numbers, data))
    if type(data) is not CountedTensor:
        return data
    if data.dim():
        return [_fetch_numbers(one) for one in data]
    return torch.tensor(data.item(), dtype=data.dtype, device=HOST)


def _convert(
    _device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Make a tensor of anything, unless it is one."""
    source, *rest = args or (kwargs["data"],)
    dtype = rest[0] if rest else kwargs.get("dtype")
    device = complete_device(rest[1] if len(rest) > 1 else kwargs.get("device"))
    if isinstance(source, torch.Tensor):
        return torch.Tensor.to(
            source, device=source.device if device is None else device, dtype=dtype
        )
    made = func(_fetch_numbers(source), dtype=dtype, device=HOST)
    return torch.Tensor.to(made, device) if _is_device(device or _default_device()) else made


def _make_like(
    _device: CountingDevice, _func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Make a tensor of Python's numbers, of the type and on the device of another one."""
    like, data = args[0], args[1] if len(args) > 1 else kwargs["data"]
    dtype, device = kwargs.get("dtype") or like.dtype, kwargs.get("device") or like.device
    if isinstance(data, torch.Tensor):
        return torch.Tensor.to(data, complete_device(device), dtype, copy=True)
    made = torch.tensor(_fetch_numbers(data), dtype=dtype, device=HOST)
    return torch.Tensor.to(made, complete_device(device))


def _index(
    _device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Choose elements, or write to them, by lists among others, which the host makes tensors of."""
    tensor, key, *new = args
    if type(tensor) is CountedTensor and tensor.on_device:
        key = tuple(map(_make_index, key)) if isinstance(key, tuple) else _make_index(key)
    return func(tensor, key, *new, **kwargs)


def _make_index(key: Any) -> Any:
    if isinstance(key, np.ndarray):
        return torch.from_numpy(key)
    if not isinstance(key, list) or any(isinstance(one, (slice, torch.Tensor)) for one in key):
        return key
    return torch.tensor(key, dtype=None if key else torch.long, device=HOST)


def _pin(_device: CountingDevice, _func: Any, args: Sequence[Any], _kwargs: Any) -> torch.Tensor:
    """Return a tensor of the host as it is: there is no memory that only a GPU could reach."""
    pinned: torch.Tensor = args[0]
    return pinned


def _is_pinned(_device: CountingDevice, _func: Any, _args: Sequence[Any], _kwargs: Any) -> bool:
    return False


def _default_device() -> Any:
    return torch.get_default_device()


def _is_device(device: Any) -> bool:
    return device is not None and torch.device(device).type == DEVICE.type


def _list_values(
    device: CountingDevice, _func: Any, args: Sequence[Any], _kwargs: Mapping[str, Any]
) -> Any:
    """Give the host all numbers of a tensor."""
    (tensor,) = args
    if type(tensor) is CountedTensor and tensor.on_device:
        device.ledger.see("host_sync")
    inner = device.values.known(tensor, "the values")
    return inner.tolist()


def _give_to_numpy(
    device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Give numpy the memory of a tensor of the host."""
    if type(args[0]) is CountedTensor and args[0].on_device:
        raise TypeError(
            f"can't convert {DEVICE} device type tensor to numpy. Use Tensor.cpu() to copy the"
            " tensor to host memory first."
        )
    return func(device.values.known(args[0], "the values"), *args[1:], **kwargs)


def _replace_data(
    device: CountingDevice, func: Any, args: Sequence[Any], _kwargs: Mapping[str, Any]
) -> None:
    """Give a tensor the memory of another one, whose side it then is on."""
    tensor, new = args
    if type(tensor) is CountedTensor and type(new) is CountedTensor:
        if tensor.device == new.device:
            func(tensor, new)
            tensor.inner, tensor.token = device.values.inner(new), new.token
            return
    elif type(new) is not CountedTensor and type(tensor) is not CountedTensor:
        func(tensor, new)
        return
    made: Any = new.detach()
    if isinstance(tensor, torch.nn.Parameter):
        made = torch.nn.Parameter(made, requires_grad=tensor.requires_grad)
    torch.utils.swap_tensors(tensor, made)


def _attend(
    device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Compute attention as one operation, as the kernels of a GPU do."""
    query = args[0] if args else kwargs["query"]
    if not (type(query) is CountedTensor and query.on_device):
        return func(*args, **kwargs)
    return _attend_on_device(device, func, *args, **kwargs)


def _attend_on_device(  # noqa: PLR0917 - torch's signature
    device: CountingDevice,
    func: Any,
    query: CountedTensor,
    key: CountedTensor,
    value: CountedTensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,  # noqa: FBT001, FBT002
    **others: Any,
) -> torch.Tensor:
    given = [one for one in (query, key, value, attn_mask) if one is not None]
    for one in given:
        if type(one) is not CountedTensor or not one.on_device:
            raise RuntimeError(
                "Expected all tensors to be on the same device: attention got one on"
                f" {one.device} beside those on {DEVICE}"
            )
    inner = [device.values.inner(one) for one in given]
    shape = (*query.shape[:-1], value.shape[-1])
    if any(one.is_meta for one in inner):
        found = torch.empty(shape, dtype=query.dtype, device="meta")
    else:
        mask = inner[3] if attn_mask is not None else None
        found = func(*inner[:3], mask, dropout_p, is_causal, **others)
    if len(shape) == 4:  # noqa: PLR2004
        # Its kernels write (batch, sequence, heads, channels).
        laid_out = torch.empty_like(found.transpose(1, 2), memory_format=torch.contiguous_format)
        found = laid_out.copy_(found.transpose(1, 2)).transpose(1, 2)
    products = found.numel() // max(shape[-1], 1) * key.shape[-2]
    flops = 2 * products * (query.shape[-1] + value.shape[-1])
    device.add_operation("scaled_dot_product_attention", inner, (found,), flops)
    return device.take(found)


def _normalize(
    device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Divide by the root mean square as one operation, if this torch has a kernel for it."""
    tensor = args[0] if args else kwargs["input"]
    weight = args[2] if len(args) > 2 else kwargs.get("weight")  # noqa: PLR2004
    fuses = _FUSES_RMS_NORM and (weight is None or weight.dtype == tensor.dtype)
    if not (type(tensor) is CountedTensor and tensor.on_device and fuses):
        return func(*args, **kwargs)
    inner = device.values.unwrap([*args, *kwargs.values()], valueless=False)
    given = [one for one in inner if isinstance(one, torch.Tensor)]
    if any(one.is_meta for one in given):
        found = torch.empty_like(given[0], device="meta")
    else:
        found = func(*inner[: len(args)], **dict(zip(kwargs, inner[len(args) :], strict=True)))
    device.add_operation("_fused_rms_norm", given, (found,), 0)
    return device.take(found)


_FUSES_RMS_NORM = has_fused_rms_norm(torch)

_FUNCTIONS: Mapping[Any, Callable[[CountingDevice, Any, Sequence[Any], Mapping[str, Any]], Any]] = {
    torch.Tensor.to: _move,
    torch.Tensor.cuda: _move,
    torch.tensor: _make,
    torch.as_tensor: _convert,
    torch.asarray: _convert,
    torch.Tensor.new_tensor: _make_like,
    torch.Tensor.tolist: _list_values,
    torch.Tensor.numpy: _give_to_numpy,
    torch.Tensor.__getitem__: _index,
    torch.Tensor.__setitem__: _index,
    torch.Tensor.pin_memory: _pin,
    torch.Tensor.is_pinned: _is_pinned,
    torch.Tensor.data.__set__: _replace_data,
    torch.nn.functional.scaled_dot_product_attention: _attend,
    torch.rms_norm: _normalize,
    torch.nn.functional.rms_norm: _normalize,
}
"""Function or method of torch -> what is done instead."""
