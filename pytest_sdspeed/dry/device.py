"""The counting device: it computes results, and writes down what that asks for."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from torch.utils.flop_counter import flop_registry

from pytest_sdspeed.dry import operations
from pytest_sdspeed.dry.ledger import Operation
from pytest_sdspeed.dry.memo import Memo, make_key, make_tensors
from pytest_sdspeed.dry.tensors import DEVICE, HOST, CountedTensor
from pytest_sdspeed.dry.values import (
    META,
    Values,
    find_tensors,
    find_written,
    leave_values_out,
    map_tensors,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from pytest_sdspeed.dry.ledger import Ledger
    from pytest_sdspeed.dry.operations import Facts


class CountingDevice:
    """A GPU that only counts.

    Args:
        ledger: what it writes into.
        values_up_to: tensors of more elements have no values; None for no bound. What is computed
            from a tensor without values has none either.

    Attributes:
        ledger: as given.
        values: which tensors have values.
        written: while a CUDA graph is captured, the tensors that are written; else None.
    """

    def __init__(self, ledger: Ledger, *, values_up_to: int | None = None) -> None:
        self.ledger, self.values = ledger, Values()
        self.written: list[weakref.ref[CountedTensor]] | None = None
        self._values_up_to = values_up_to
        self._memo = Memo()

    def take(self, inner: torch.Tensor) -> CountedTensor:
        """Return a tensor of the device around one with values or of torch's meta device."""
        return self.see_written(CountedTensor(inner, DEVICE, self.ledger.hold(inner)))

    def see_written(self, tensor: CountedTensor) -> CountedTensor:
        """Note that a tensor was written to, and return it."""
        if self.written is not None:
            self.written.append(weakref.ref(tensor))
        return tensor

    @staticmethod
    def leave_on_host(inner: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the host: a counted one if it has no values."""
        return CountedTensor(inner, HOST) if inner.is_meta else inner

    def is_large(self, elements: int) -> bool:
        """Tell whether a tensor of this size would have no values."""
        return self._values_up_to is not None and elements > self._values_up_to

    def compute(
        self,
        func: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        name: str = "",
        given: Sequence[torch.Tensor] | None = None,
    ) -> Any:
        """Compute results that are on the device, and write the operation down.

        Args:
            func: operation of torch.
            args: its arguments.
            kwargs: those that are named.
            name: what to call it instead of its own name.
            given: the tensors among them, if they are known.
        """
        values, facts = self.values, operations.describe(func)
        written = find_written(facts.written, args, kwargs) if facts.written else []
        given = find_tensors(args, kwargs) if given is None else given
        valueless = values.are_valueless(given)
        if valueless:
            for one in written:
                assert type(one) is CountedTensor  # noqa: S101 - others were refused
                values.lose(one)
        large = "device" in kwargs and (
            valueless or self.is_large(operations.count_new_elements(args))
        )
        key = None
        if (valueless or large) and not written and not facts.is_view:
            key = make_key(name, func, args, kwargs)
            if (known := self._memo.find(key)) is not None:
                if known[1] is not None:
                    self.ledger.add(known[1])
                return map_tensors(make_tensors(known[0]), self.take)
        inner_args = values.unwrap(args, valueless=valueless)
        inner_kwargs = self._unwrap_named(kwargs, META if large else HOST, valueless=valueless)
        run = operations.run if valueless or large or written else self._run_with_values
        found = run(func, facts, inner_args, inner_kwargs)
        operation = None
        if facts.starts_kernel:
            operation = self._describe(func, name, inner_args, inner_kwargs, found)
            self.ledger.add(operation)
        self._memo.keep(key, found, operation)
        return self._wrap(found, given, written)

    def _unwrap_named(
        self, kwargs: Mapping[str, Any], where: torch.device, *, valueless: bool
    ) -> dict[str, Any]:
        """Return named arguments with the tensors inside, and the device that these are on."""
        if not kwargs:
            return {}
        inner: dict[str, Any] = self.values.unwrap(dict(kwargs), valueless=valueless)
        inner.pop("pin_memory", None)
        if "device" in kwargs:
            inner["device"] = where
        return inner

    def _run_with_values(
        self, func: Any, facts: Facts, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Run an operation on values, unless what it makes of them is too large to have any.

        A comparison of all tokens of a video with each other would fill the memory of this machine.
        """
        if not (facts.is_view or facts.makes_host_wait) and self.is_large(
            operations.count_most_elements(args)
        ):
            try:
                found = func(*leave_values_out(args), **leave_values_out(kwargs))
            except (NotImplementedError, RuntimeError):
                # Its sizes depend on values.
                found = None
            if any(self.is_large(one.numel()) for one in find_tensors(found)):
                return found
        return operations.run(func, facts, args, kwargs)

    @staticmethod
    def _describe(
        func: Any, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], found: Any
    ) -> Operation:
        """Describe an operation by the tensors inside."""
        own = operations.name_of(func)
        counter = flop_registry.get(func.overloadpacket)
        flops = counter(*args, **kwargs, out_val=found) if counter else 0
        cast = (own == "_to_copy" and name != "clone") or (
            own == "copy_" and args[0].dtype != args[1].dtype
        )
        read = find_tensors(args[1:] if operations.describe(func).overwrites else args, kwargs)
        return _make_operation(name or own, read, find_tensors(found), int(flops), cast=cast)

    def add_operation(
        self,
        name: str,
        read: Any,
        written: Sequence[torch.Tensor],
        flops: int,
        *,
        cast: bool = False,
    ) -> None:
        """Write an operation down.

        Args:
            name: as torch calls it.
            read: tensors inside those that it reads.
            written: tensors inside those that it writes.
            flops: its floating-point operations.
            cast: whether it changes the type of a tensor.
        """
        self.ledger.add(_make_operation(name, read, written, flops, cast=cast))

    def _wrap(
        self, found: Any, given: Sequence[torch.Tensor], written: Sequence[torch.Tensor]
    ) -> Any:
        """Return results on the device; what was written into is returned itself."""
        if not written:
            return map_tensors(found, self.take)
        own = {id(one.inner): one for one in given if type(one) is CountedTensor}
        for one in written:
            _follow_shape(one)
            self.see_written(one)
        return map_tensors(
            found, lambda inner: own[id(inner)] if id(inner) in own else self.take(inner)
        )


def _make_operation(
    name: str, read: Any, written: Sequence[torch.Tensor], flops: int, *, cast: bool
) -> Operation:
    moved = sum(map(operations.count_bytes, (*read, *written)))
    dtype = str(written[0].dtype).removeprefix("torch.") if written else ""
    return Operation(name, dtype, flops, moved, cast)


def _follow_shape(tensor: CountedTensor) -> None:
    """Give a tensor the shape of the one inside, which an operation such as ``t_`` changed."""
    inner = tensor.inner
    if tensor.shape != inner.shape or tensor.stride() != inner.stride():
        tensor.data = CountedTensor(inner, tensor.device)
