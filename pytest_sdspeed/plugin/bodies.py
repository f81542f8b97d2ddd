"""Tell a body that a decorator runs again from one that asks its gate for something else."""

from __future__ import annotations

import inspect
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import (
    BuiltinMethodType,
    CodeType,
    FunctionType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakMethod, ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import FrameType

    import pytest

_MARK = "@"
"""What the name begins with under which the frame of a body is marked; pytest shows no such local.
"""
_PLAIN = (str, bytes, int, float, complex, type(None))
_DEPTH, _ABROAD, _MOST = 6, 3, 1000
"""How deep callables are looked into, how deep what they reach by global names, and how many values
of a list and in all."""
_HEAP_TYPE = 1 << 9
"""Flag of a type that is no static one of C."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call of a gate.

    Attributes:
        known: whether the body of the test was found among the callers.
        within: whether the gate was called before in this same run of the body.
        arguments: the values that the body was called with.
        asked: what tells candidate and baseline apart from those that another line, another
            closure, other globals or other figures make, as ``describe`` returns it.
    """

    known: bool
    within: bool
    arguments: tuple[Any, ...]
    asked: Sequence[Any]

    def asks_as(self, first: Call, after: Sequence[Any]) -> bool:
        """Tell whether this asks what an earlier call asked.

        Args:
            first: the earlier call.
            after: what it asked, described again when it was measured: what measuring changed is
                nothing else that is asked.
        """
        alike = [one for one in (first.asked, after) if len(one) == len(self.asked)]
        return all(
            any(bool(now == one[place]) for one in alike) for place, now in enumerate(self.asked)
        )

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
        )


def describe_call(item: pytest.Item, candidate: Any, baseline: Any, gate: str = "") -> Call:
    """Describe a call of a test's gate, and mark the run of the body that it comes from."""
    asked = describe(candidate, baseline)
    body = find_body(item)
    if body is None:
        return Call(known=False, within=False, arguments=(), asked=asked)
    # Frames have no identity that outlives them: an address is used again, and a reference would
    # keep everything alive that the body holds.
    within = _MARK + gate in body.f_locals
    body.f_locals[_MARK + gate] = True
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


class Itself:
    """Stands for an object that is compared by identity, without keeping it alive if it can.

    Once the object is gone, this equals nothing.
    """

    def __init__(self, value: Any) -> None:
        self._of_none = value is None
        self._refer = _refer(value)

    def __eq__(self, other: object) -> bool:
        """Tell whether both stand for one object; a method is what its object and function are."""
        if not isinstance(other, Itself):
            return NotImplemented
        ours, theirs = self._refer(), other._refer()
        if ours is None or theirs is None:
            return self._of_none and other._of_none
        return ours is theirs or (type(ours) is MethodType and bool(ours == theirs))

    __hash__ = None  # type: ignore[assignment]


def _refer(value: Any) -> Callable[[], Any]:
    try:
        # A bound method is made when it is asked for, and gone at once.
        kind: Any = WeakMethod if type(value) is MethodType else ref
        found: Callable[[], Any] = kind(value)
    except TypeError:
        return lambda: value
    return found


def describe(*values: Any) -> list[Any]:
    """Return what values have in common with others that the same code made of the same figures.

    What cannot be looked into, and what lies too deep, is compared by identity: in doubt they
    differ.
    """
    found: list[Any] = []
    seen: dict[int, tuple[int, Any]] = {}
    open_ = deque((value, _DEPTH) for value in values)
    while open_:
        value, depth = open_.popleft()
        # No object is asked for its class, which it may lie about, or raise at.
        if issubclass(type(value), (*_PLAIN, CodeType)):
            found.append((type(value), value))
        elif id(value) in seen:
            found.append(seen[id(value)][0])
        elif depth == 0 or len(seen) >= _MOST:
            found.append(Itself(value))
        else:
            # The value is kept with its number, so that its address is not used again.
            seen[id(value)] = len(seen), value
            parts = _try_to_take_apart(value)
            found.append((type(value), parts.figures))
            open_.extend((one, depth - 1) for one in parts.held)
            open_.extend((one, min(depth - 1, _ABROAD)) for one in parts.used)
    return found


class _Parts(NamedTuple):
    """What a value consists of.

    Attributes:
        figures: what is compared as it is.
        held: what belongs to it.
        used: what it only reaches, and shares with others: globals, and classes.
    """

    figures: Any
    held: Iterable[Any] = ()
    used: Iterable[Any] = ()


def _try_to_take_apart(value: Any) -> _Parts:
    try:
        return _take_apart(value)
    except Exception:  # noqa: BLE001 - objects of anybody's, that may raise whatever they are asked
        return _Parts(Itself(value))


def _take_apart(value: Any) -> _Parts:
    if isinstance(value, FunctionType):
        defaults = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        return _Parts(
            value.__code__,
            [*defaults, *_read_closure(value), *vars(value).values()],
            _read_globals(value),
        )
    if isinstance(value, type):
        return _Parts(Itself(value), (), _read_class(value))
    for kind, names in _WRAPPERS.items():
        if isinstance(value, kind):
            return _Parts(None, [getattr(value, name) for name in names])
    return _take_object_apart(value)


_WRAPPERS: Mapping[type, Sequence[str]] = {
    MethodType: ("__func__", "__self__"),
    BuiltinMethodType: ("__name__", "__self__"),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget",),
    partial: ("func", "args", "keywords"),
}
"""Kind of what calls something else -> its attributes that say what."""


def _take_object_apart(value: Any) -> _Parts:
    attributes = _read_attributes(value)
    names, held = tuple(attributes), list(attributes.values())
    if isinstance(value, list | tuple | dict) and len(value) <= _MOST:
        inside = [*value, *value.values()] if isinstance(value, dict) else value
        return _Parts((names, len(value)), [*held, *inside], [type(value)])
    return _Parts((names, None if _is_open(value) else Itself(value)), held, [type(value)])


def _is_open(value: Any) -> bool:
    """Tell whether the attributes of an object are all that it has: no code in C keeps more."""
    kind = type(value)
    return kind is SimpleNamespace or (
        kind is not object
        and all(one is object or "__module__" in vars(one) for one in kind.__mro__)
        and all(one is object or one.__flags__ & _HEAP_TYPE for one in kind.__mro__)
        and (hasattr(value, "__dict__") or any("__slots__" in vars(one) for one in kind.__mro__))
    )


def _read_attributes(value: Any) -> dict[str, Any]:
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            with suppress(AttributeError):
                found[name] = object.__getattribute__(value, _mangle(name, kind))
    return found


def _mangle(name: str, kind: type) -> str:
    private = name.startswith("__") and not name.endswith("__")
    return f"_{kind.__name__.lstrip('_')}{name}" if private else name


def _read_class(kind: type) -> list[Any]:
    if not kind.__flags__ & _HEAP_TYPE:
        return []
    own = [
        one
        for name, one in vars(kind).items()
        if not name.startswith("__") or isinstance(one, FunctionType)
    ]
    return [*own, *kind.__bases__]


def _read_globals(function: FunctionType) -> list[Any]:
    """Return what the global names of a function stand for, and those of modules among them."""
    found, names = [], _read_names(function.__code__)
    for name in names:
        if name in function.__globals__:
            value = function.__globals__[name]
            found.append(value)
            if isinstance(value, ModuleType):
                found += [vars(value)[one] for one in names if one in vars(value)]
    return found


def _read_names(code: CodeType) -> list[str]:
    """Return the names that a code and those inside of it ask for."""
    inside = [one for one in code.co_consts if isinstance(one, CodeType)]
    return [*code.co_names, *(name for one in inside for name in _read_names(one))]


def _read_closure(function: FunctionType) -> list[Any]:
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            # It has no value yet.
            found.append(None)
    return found
