"""Where a generation is: its denoising steps, and the parts of its pipeline."""

from __future__ import annotations

import functools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_sdspeed.dry.ledger import Ledger, Mark

_CALLS = ("forward", "encode", "decode", "get_text_features", "get_image_features")
"""Methods of a part that a pipeline calls."""


@contextmanager
def watch_schedulers(ledger: Ledger) -> Iterator[None]:
    """Write down each step of every scheduler of diffusers, inside the block.

    Those that are imported inside the block are watched, too.

    Args:
        ledger: what is written into.
    """
    from diffusers import SchedulerMixin

    calls: tuple[tuple[str, Mark], ...] = (("set_timesteps", "schedule"), ("step", "step"))
    running: set[int] = set()
    with ExitStack() as held:

        def watch(kind: type[Any]) -> None:
            for name, mark in calls:
                if name in vars(kind):
                    method = _mark_after(vars(kind)[name], ledger, mark, running)
                    held.enter_context(patch.object(kind, name, method))

        def watch_new(kind: type[Any], /, **kwargs: Any) -> None:
            super(SchedulerMixin, kind).__init_subclass__(**kwargs)
            watch(kind)

        for kind in _find_subclasses(SchedulerMixin):
            watch(kind)
        held.enter_context(
            patch.object(SchedulerMixin, "__init_subclass__", classmethod(watch_new))
        )
        yield


def _find_subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    seen: set[type[Any]] = set()
    waiting: list[type[Any]] = [kind]
    while waiting:
        for one in waiting.pop().__subclasses__():
            if one not in seen:
                seen.add(one)
                waiting.append(one)
                yield one


def _mark_after(method: Any, ledger: Ledger, mark: Mark, running: set[int]) -> Any:
    """Wrap a method of a scheduler; what it calls of its base class belongs to the same step."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if id(self) in running:
            return method(self, *args, **kwargs)
        running.add(id(self))
        try:
            found = method(self, *args, **kwargs)
        finally:
            running.discard(id(self))
        ledger.mark(mark, self)
        return found

    return call


@contextmanager
def watch_parts(ledger: Ledger, parts: Mapping[str, Any]) -> Iterator[None]:
    """Write down which part of a pipeline works, inside the block.

    Args:
        ledger: what is written into.
        parts: name of a component -> the component; those that are no modules are left out.
    """
    with ExitStack() as held:
        for name, part in parts.items():
            if not hasattr(part, "parameters"):
                continue
            for method in _CALLS:
                if hasattr(type(part), method):
                    held.enter_context(_watch_call(ledger, name, part, method))
        yield


@contextmanager
def _watch_call(ledger: Ledger, name: str, part: Any, method: str) -> Iterator[None]:
    own, call = vars(part).get(method), getattr(part, method)

    @functools.wraps(call)
    def watched(*args: Any, **kwargs: Any) -> Any:
        start = len(ledger.events)
        try:
            return call(*args, **kwargs)
        finally:
            ledger.spans.append((f"{name}.{method}", start, len(ledger.events)))

    setattr(part, method, watched)
    try:
        yield
    finally:
        if own is None:
            delattr(part, method)
        else:
            setattr(part, method, own)
