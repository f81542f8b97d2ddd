"""Weights that modules share, which stay shared when a module moves to the counting device."""

from __future__ import annotations

from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Place = tuple[dict[str, Any], str]


@contextmanager
def keep_tied() -> Iterator[None]:
    """Keep parameters one that several modules have, as torch does if it converts them in place.

    It replaces them by new ones here, each by its own, which would count a tied embedding twice.
    """
    plain = torch.nn.Module._apply  # noqa: SLF001 - what ``to`` and its siblings call
    running: list[bool] = []

    @wraps(plain)
    def apply(self: Any, fn: Callable[[Any], Any], *args: Any, **kwargs: Any) -> Any:
        if running:
            return plain(self, fn, *args, **kwargs)
        tied = _find_tied(self)
        running.append(True)
        try:
            found = plain(self, _remember(fn, tied), *args, **kwargs)
        finally:
            running.pop()
        for (parameters, name), *others in tied.values():
            for other, other_name in others:
                other[other_name] = parameters[name]
        return found

    torch.nn.Module._apply = apply  # noqa: SLF001
    try:
        yield
    finally:
        torch.nn.Module._apply = plain  # noqa: SLF001


def _find_tied(module: Any) -> dict[int, list[Place]]:
    """Return identity of a parameter -> where it is, for those that are in several places."""
    places: dict[int, list[Place]] = {}
    for one in module.modules():
        for name, parameter in one._parameters.items():  # noqa: SLF001 - as it is stored
            if parameter is not None:
                places.setdefault(id(parameter), []).append((one._parameters, name))  # noqa: SLF001
    return {key: found for key, found in places.items() if len(found) > 1}


def _remember(fn: Callable[[Any], Any], tied: dict[int, list[Place]]) -> Callable[[Any], Any]:
    """Convert what is tied once."""
    done: dict[int, Any] = {}

    def convert(tensor: Any) -> Any:
        if id(tensor) not in tied:
            return fn(tensor)
        if id(tensor) not in done:
            done[id(tensor)] = fn(tensor)
        return done[id(tensor)]

    return convert
