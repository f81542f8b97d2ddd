"""Who does an operation: the counting device, the host, or the way between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pytest_sdspeed.dry import operations
from pytest_sdspeed.dry.tensors import DEVICE, CountedTensor
from pytest_sdspeed.dry.transfers import TRANSFERS
from pytest_sdspeed.dry.values import META, find_tensors, find_written, map_tensors
from pytest_sdspeed.errors import DryRunError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.dry.device import CountingDevice


class Dispatcher:
    """Takes every operation of torch.

    Args:
        device: the counting device.
    """

    def __init__(self, device: CountingDevice) -> None:
        self._device = device

    def show(self, tensor: CountedTensor) -> str:
        """Return a tensor in words, as printing it does: the host waits for its values."""
        if tensor.on_device:
            self._device.ledger.see("host_sync")
        inner = self._device.values.inner(tensor)
        shape, dtype = tuple(tensor.shape), tensor.dtype
        values = "values unknown" if inner.is_meta else repr(inner.tolist())
        return f"tensor({values}, shape={shape}, dtype={dtype}, device='{tensor.device}')"

    def run(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Do what an operation of torch asks for.

        Raises:
            DryRunError: it needs a value that is not known.
            RuntimeError: a real device would refuse it, too.
        """
        facts = operations.describe(func)
        if facts.is_composite:
            # As in inference mode, in which torch hands such operations on as they are.
            return func.decompose(*args, **kwargs)
        given = find_tensors(args, kwargs)
        on_device = False
        for one in given:
            if type(one) is CountedTensor and one.on_device:
                on_device = True
                break
        name, target = facts.name, kwargs.get("device")
        wanted = on_device if target is None else torch.device(target).type == DEVICE.type
        if not (on_device or wanted):
            return self._run_on_host(func, args, kwargs, given)
        if name in TRANSFERS:
            return TRANSFERS[name](self._device, func, args, kwargs)
        if not wanted:
            return func(*self._device.values.unwrap(args, valueless=False), **kwargs)
        if facts.makes_host_wait:
            self._device.ledger.see("host_sync")
            for one in given:
                self._device.values.known(one, "what it finds")
        if not facts.is_factory:
            _check_devices(func, given)
        return self._device.compute(func, args, kwargs, given=given)

    def _run_on_host(
        self,
        func: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        given: Sequence[torch.Tensor],
    ) -> Any:
        """Do what is done on the host, which is not counted."""
        if not any(type(one) is CountedTensor for one in given):
            return func(*args, **kwargs)
        values = self._device.values
        valueless = values.are_valueless(given)
        if operations.describe(func).makes_host_wait:
            for one in given:
                values.known(one, "the value")
        written = find_written(operations.describe(func).written, args, kwargs)
        if valueless and not all(type(one) is CountedTensor for one in written):
            raise DryRunError(f"{func} writes values that this dry run does not know to the host")
        inner_kwargs = values.unwrap(dict(kwargs), valueless=valueless)
        if valueless and kwargs.get("device") is not None:
            inner_kwargs["device"] = META
        found = func(*values.unwrap(args, valueless=valueless), **inner_kwargs)
        own = {id(one.inner): one for one in given if type(one) is CountedTensor}
        return map_tensors(
            found,
            lambda inner: own[id(inner)] if id(inner) in own else self._device.leave_on_host(inner),
        )


def _check_devices(func: Any, given: Sequence[torch.Tensor]) -> None:
    """Refuse what a real device refuses: tensors of the host beside its own."""
    for one in given:
        if not (type(one) is CountedTensor and one.on_device) and one.dim():
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices,"
                f" {DEVICE} and {one.device}! ({func})"
            )
