"""Operations that cross between host and device, or make the host wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pytest_sdspeed.dry.tensors import DEVICE, CountedTensor
from pytest_sdspeed.dry.values import META
from pytest_sdspeed.errors import DryRunError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_sdspeed.dry.device import CountingDevice


_MASKS = (torch.bool, torch.uint8)


def _is_on_device(tensor: Any) -> bool:
    return type(tensor) is CountedTensor and tensor.on_device


def _read_value(
    device: CountingDevice, func: Any, args: Sequence[Any], _kwargs: Mapping[str, Any]
) -> Any:
    """Give the host a number: ``item``, ``bool``, ``int``, ``float``."""
    device.ledger.see("host_sync")
    return func(device.values.known(args[0], "the value"))


def _convert(
    device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Copy a tensor: to another device, to another type, to another layout."""
    source, target = args[0], kwargs.get("device")
    here = _is_on_device(source)
    there = here if target is None else torch.device(target).type == DEVICE.type
    dtype = kwargs.get("dtype") or source.dtype
    inside = {"dtype": dtype} | {
        name: kwargs[name] for name in ("memory_format",) if kwargs.get(name) is not None
    }
    if here and there:
        return device.compute(func, args, inside, "" if dtype != source.dtype else "clone")
    inner = device.values.inner(source)
    if target is not None and torch.device(target).type == META.type:
        return func(inner.to(META), **inside)
    if there:
        device.ledger.see("host_to_device")
        large = device.is_large(inner.numel()) and not inner.is_meta
        return device.take(func(inner, **inside, **({"device": META} if large else {})))
    if dtype != source.dtype:
        # A GPU casts before it copies.
        found = torch.empty_like(inner, dtype=dtype, device=META)
        device.add_operation("_to_copy", (inner,), (found,), 0, cast=True)
    _see_copy_to_host(device, waits=not kwargs.get("non_blocking"))
    return device.leave_on_host(func(inner, **inside))


def _see_copy_to_host(device: CountingDevice, *, waits: bool) -> None:
    device.ledger.see("device_to_host", *(("host_sync",) if waits else ()))


def _copy_into(
    device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Copy a tensor into another one, on this side or the other."""
    into, source = args[0], args[1]
    there, here = _is_on_device(into), _is_on_device(source)
    if there and here:
        return device.compute(func, args[:2], {})
    values = device.values
    if there:
        device.ledger.see("host_to_device")
    else:
        waits = not (kwargs.get("non_blocking") or (len(args) > 2 and args[2]))  # noqa: PLR2004
        _see_copy_to_host(device, waits=waits)
    inner = values.inner(source)
    if inner.is_meta:
        if type(into) is not CountedTensor:
            raise DryRunError(
                "values that this dry run does not know are copied into a tensor of the host"
            )
        values.lose(into)
    target = values.inner(into)
    if not target.is_meta:
        func(target, inner)
    return into


def _choose(
    device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Choose elements by indices or masks."""
    source, indices = args[0], args[1]
    if _is_on_device(source):
        _bring_indices(device, indices)
        chosen = _replace_masks(device, indices) if device.values.is_valueless(source) else indices
        return device.compute(func, (source, chosen), kwargs)
    # The host needs to know what they choose.
    _see_copy_to_host(device, waits=True)
    known = [device.values.known(one, "the index") for one in indices]
    return device.leave_on_host(func(device.values.inner(source), known))


def _write_chosen(
    device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Write to elements that are chosen by indices or masks."""
    into, indices, new = args[0], args[1], args[2]
    if not _is_on_device(into):
        _see_copy_to_host(device, waits=True)
        known = [device.values.known(one, "the index") for one in indices]
        func(device.values.inner(into), known, device.values.known(new, "the value"), *args[3:])
        return into
    if not _fills(new, indices):
        if not _is_on_device(new):
            device.ledger.see("host_to_device")
        _bring_indices(device, indices)
    return device.compute(func, args, kwargs)


def _fills(new: torch.Tensor, indices: Sequence[Any]) -> bool:
    """Tell whether a number of the host is filled in at a mask, wherever that is true.

    Torch then needs neither a copy nor the number of elements: ``canDispatchToMaskedFill`` in
    ``aten/src/ATen/native/TensorAdvancedIndexing.cpp``.
    """
    masks = [one for one in indices if one is not None]
    return (
        new.numel() == 1
        and not _is_on_device(new)
        and len(masks) == 1
        and masks[0].dtype in _MASKS
        and _is_on_device(masks[0])
    )


def _bring_indices(device: CountingDevice, indices: Sequence[Any]) -> None:
    """Write down what choosing by indices takes: copies, and waits for the size of a mask."""
    for one in indices:
        if one is None:
            continue
        if not _is_on_device(one):
            device.ledger.see("host_to_device")
        if one.dtype in _MASKS:
            if _is_on_device(one):
                device.ledger.see("host_sync")
            device.values.known(one, "the number of elements that a mask chooses")


def _replace_masks(device: CountingDevice, indices: Sequence[Any]) -> list[Any]:
    """Return indices in the place of masks, of which torch's meta device makes no shapes."""
    found: list[Any] = []
    for one in indices:
        if one is not None and one.dtype in _MASKS:
            found += device.values.known(one, "the mask").nonzero(as_tuple=True)
        else:
            found.append(one)
    return found


def _repeat(
    device: CountingDevice, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Repeat elements as often as a tensor says; the host waits for their sum if not told it."""
    if kwargs.get("output_size") is None:
        device.ledger.see("host_sync")
        device.values.known(args[0], "the number of repeats")
    return device.compute(func, args, kwargs)


TRANSFERS: Mapping[str, Callable[[CountingDevice, Any, Sequence[Any], Mapping[str, Any]], Any]] = {
    "_local_scalar_dense": _read_value,
    "_to_copy": _convert,
    "copy_": _copy_into,
    "index": _choose,
    "index_put": _write_chosen,
    "index_put_": _write_chosen,
    "_index_put_impl_": _write_chosen,
    "repeat_interleave": _repeat,
}
"""Name of an operation -> what the device does then."""
