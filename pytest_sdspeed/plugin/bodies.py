"""Tell a body that a decorator runs again from one that asks its gate for something else."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    import pytest

_MARK = "@sd_latency"
"""Name under which the frame of a body is marked; pytest shows no local that begins with @."""
_PLAIN = (str, bytes, int, float, complex, type(None))
_DEPTH, _MOST = 4, 1000
"""How deep closures and arguments of callables are looked into, and how many values of a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of a gate.

    Attributes:
        known: whether the body of the test was found among the callers.
        within: whether the gate was called before in this same run of the body.
        arguments: the values that the body was called with.
        asked: what tells candidate and baseline apart from those that another line, another closure
            or other figures make.
    """

    known: bool
    within: bool
    arguments: tuple[Any, ...]
    asked: Any

    def repeats(self, first: Call) -> bool:
        """Tell whether this is an earlier call once more: the body was started anew, as before."""
        return (
            self.known
            and first.known
            and not self.within
            and len(self.arguments) == len(first.arguments)
            and all(
                ours is theirs for ours, theirs in zip(self.arguments, first.arguments, strict=True)
            )
            and bool(self.asked == first.asked)
        )


def describe_call(item: pytest.Item, candidate: Any, baseline: Any) -> Call:
    """Describe a call of a test's gate, and mark the run of the body that it comes from."""
    try:
        asked: Any = (_describe(candidate, _DEPTH), _describe(baseline, _DEPTH))
    except Exception:  # noqa: BLE001 - objects of anybody's, that may raise whatever they are asked
        asked = object()
    body = find_body(item)
    if body is None:
        return Call(known=False, within=False, arguments=(), asked=asked)
    # Frames have no identity that outlives them: an address is used again, and a reference would
    # keep everything alive that the body holds.
    within = _MARK in body.f_locals
    body.f_locals[_MARK] = True
    return Call(known=True, within=within, arguments=_arguments_of(body), asked=asked)


def find_body(item: pytest.Item) -> FrameType | None:
    """Find the frame of a test's innermost function among those that are running, or None."""
    code = getattr(inspect.unwrap(getattr(item, "obj", None)), "__code__", None)  # type: ignore[arg-type]
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - documented, and the way to the caller
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame


def _arguments_of(frame: FrameType) -> tuple[Any, ...]:
    found = inspect.getargvalues(frame)
    values = found.locals
    return (
        *(values.get(name) for name in found.args),
        *(values.get(found.varargs, ()) if found.varargs else ()),
        *(values.get(found.keywords, {}).values() if found.keywords else ()),
    )


def _describe(value: Any, depth: int) -> Any:
    """Return what two values have in common if the same code made them of the same figures."""
    if isinstance(value, (*_PLAIN, CodeType)):
        return type(value), value
    if depth == 0:
        return type(value)
    figures, held = _take_apart(value)
    return type(value), figures, [_describe(one, depth - 1) for one in held]


def _take_apart(value: Any) -> tuple[Any, list[Any]]:
    """Return the figures of a value, and what it holds besides."""
    if isinstance(value, FunctionType):
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return value.__code__, [*defaults, *_read_closure(value)]
    if isinstance(value, MethodType):
        return None, [value.__func__, value.__self__]
    if isinstance(value, partial):
        return None, [value.func, value.args, value.keywords]
    if isinstance(value, list | tuple):
        return len(value), [*value[:_MOST]]
    if isinstance(value, dict):
        return None, [*value, *value.values()]
    known = getattr(value, "__dict__", {})
    return {name: one for name, one in known.items() if isinstance(one, _PLAIN)}, []


def _read_closure(function: FunctionType) -> list[Any]:
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            # It has no value yet.
            found.append(None)
    return found
