"""The tensors inside: which have values, and which have lost them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from pytest_sdspeed.dry.callers import find_caller
from pytest_sdspeed.dry.tensors import CountedTensor
from pytest_sdspeed.errors import DryRunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

META = torch.device("meta")
_LEAVES = frozenset(
    {int, float, bool, str, type(None), torch.dtype, torch.device, torch.layout}
    | {torch.memory_format}
)
"""Types of most arguments that are no tensors and have none."""


class Values:
    """Knows the tensor inside each counted one.

    A tensor without values that is written into one with values makes all that share its memory
    lose theirs: what was there before is not what a device would have there.
    """

    def __init__(self) -> None:
        self._lost: dict[int, tuple[torch.UntypedStorage, torch.Tensor]] = {}

    def inner(self, tensor: Any) -> Any:
        """Return the tensor inside, or an uncounted tensor as it is."""
        if type(tensor) is not CountedTensor:
            return tensor
        inner = tensor.inner
        if self._lost and not inner.is_meta:
            lost = self._lost.get(inner.untyped_storage()._cdata)  # noqa: SLF001
            if lost is not None:
                tensor.inner = inner = _view(lost[1], inner)
        return inner

    def lose(self, tensor: CountedTensor) -> None:
        """Forget the values of a tensor and of all that share its memory."""
        inner = self.inner(tensor)
        if inner.is_meta:
            return
        storage = inner.untyped_storage()
        base = torch.empty(storage.nbytes(), dtype=torch.uint8, device=META)
        # The storage is kept, so that no other takes its identity.
        self._lost[storage._cdata] = (storage, base)  # noqa: SLF001
        tensor.inner = _view(base, inner)

    def known(self, tensor: Any, what: str) -> Any:
        """Return the tensor inside one that has values.

        Args:
            tensor: the tensor; anything else is returned as it is.
            what: what is asked of it, for the message.

        Raises:
            DryRunError: it has no values; the message names the line that asks.
        """
        inner = self.inner(tensor)
        if isinstance(inner, torch.Tensor) and inner.is_meta:
            caller = find_caller()
            raise DryRunError(
                f"{caller.file}:{caller.line} needs {what} of a tensor that has no values in this"
                f" dry run: {caller.code or 'its source is not at hand'}. Count a small model with"
                " weights, whose values are real."
            )
        return inner

    def unwrap(self, tree: Any, *, valueless: bool) -> Any:
        """Return arguments with the tensors inside.

        Args:
            tree: a tensor, or lists, tuples and dictionaries of anything.
            valueless: whether one of all has no values: then the others lose theirs, except single
                numbers, which torch's meta device takes from the CPU.
        """
        kind = type(tree)
        if kind in _LEAVES:
            return tree
        if isinstance(tree, torch.Tensor):
            inner = self.inner(tree)
            if valueless and not inner.is_meta and inner.dim():
                return inner.to(META)
            return inner
        if isinstance(tree, (list, tuple)):
            return kind([self.unwrap(one, valueless=valueless) for one in tree])
        if isinstance(tree, dict):
            return {name: self.unwrap(one, valueless=valueless) for name, one in tree.items()}
        return tree

    def is_valueless(self, tensor: Any) -> bool:
        """Tell whether a tensor is a counted one without values."""
        return type(tensor) is CountedTensor and self.inner(tensor).is_meta

    def are_valueless(self, tensors: Iterable[Any]) -> bool:
        """Tell whether one of some tensors is a counted one without values."""
        for one in tensors:
            if type(one) is CountedTensor and (one.inner.is_meta or self.inner(one).is_meta):
                return True
        return False


def _view(base: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a tensor of the shape of another one, in the memory of a base on the meta device."""
    made = torch.empty(0, dtype=like.dtype, device=META)
    made.set_(base.untyped_storage(), like.storage_offset(), like.size(), like.stride())
    return made


def leave_values_out(tree: Any) -> Any:
    """Return a value with tensors without values in the place of those with some.

    They have the same strides, also if those repeat elements; single numbers stay.
    """
    if isinstance(tree, torch.Tensor):
        if tree.is_meta or not tree.dim():
            return tree
        return torch.empty_strided(tree.shape, tree.stride(), dtype=tree.dtype, device=META)
    if isinstance(tree, dict):
        return {
            name: META if name == "device" else leave_values_out(one) for name, one in tree.items()
        }
    return map_tensors(tree, leave_values_out)


def find_tensors(*trees: Any) -> list[torch.Tensor]:
    """Find the tensors among values, and in the lists, tuples and dictionaries among them."""
    found: list[torch.Tensor] = []
    _add_tensors(trees, found)
    return found


def _add_tensors(trees: Iterable[Any], found: list[torch.Tensor]) -> None:
    for tree in trees:
        kind = type(tree)
        if kind is CountedTensor:
            found.append(tree)
        elif kind in _LEAVES:
            continue
        elif isinstance(tree, torch.Tensor):
            found.append(tree)
        elif isinstance(tree, (list, tuple)):
            _add_tensors(tree, found)
        elif isinstance(tree, dict):
            _add_tensors(tree.values(), found)


def map_tensors(tree: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """Return a value with its tensors changed: a tensor, or lists and tuples with some."""
    if type(tree) in _LEAVES:
        return tree
    if isinstance(tree, torch.Tensor):
        return change(tree)
    if isinstance(tree, (list, tuple)):
        return type(tree)(map_tensors(one, change) for one in tree)
    return tree


def find_written(
    arguments: Sequence[tuple[int, str]], args: Any, kwargs: Mapping[str, Any]
) -> list[torch.Tensor]:
    """Return the tensors that an operation writes into.

    Args:
        arguments: position and name of each argument that it writes into.
        args: what it was given.
        kwargs: what it was given by name.
    """
    values = [args[at] if at < len(args) else kwargs.get(name) for at, name in arguments]
    return find_tensors(*values)
