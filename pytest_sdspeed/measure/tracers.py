"""Tracers, debuggers and profilers, kept out of what is timed and put back exactly as they were.

A tracer that runs for each line slows Python and no kernel: a row's ratio would be another one. The
first generation of every arm runs with it, so that coverage sees the lines that only slots run.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
Callbacks = dict[tuple[int, int], Any]
"""(Tool of ``sys.monitoring``, event) -> the function that was called for it."""

_TOOLS = range(6)
_FREQUENT = ("LINE", "INSTRUCTION", "CALL", "JUMP", "BRANCH", "BRANCH_LEFT", "BRANCH_RIGHT")
"""Events that happen within functions: they cost something even if nothing is called for them."""


class _Watchers(NamedTuple):
    """What watches the running code.

    Attributes:
        tracer, profiler: of this thread.
        later_tracer, later_profiler: of the threads that will be started.
        tools: callbacks of ``sys.monitoring``.
    """

    tracer: Any
    profiler: Any
    later_tracer: Any
    later_profiler: Any
    tools: bool

    @property
    def any(self) -> bool:
        return any(self)


def find_watchers(monitoring: Any = None) -> _Watchers:
    """Find what watches this thread, and what will watch the threads that it starts.

    Args:
        monitoring: ``sys.monitoring``, which Python has from 3.12 on.
    """
    monitoring = monitoring or getattr(sys, "monitoring", None)
    tools = monitoring is not None and any(map(monitoring.get_tool, _TOOLS))
    return _Watchers(
        sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile(), tools
    )


def call_untraced(function: Callable[..., T], *arguments: Any, left: set[str] | None = None) -> T:
    """Call a function while no tracer, debugger or profiler watches it, or a thread it starts.

    Args:
        function: what is called.
        arguments: its arguments.
        left: gets the names of those that could not be suspended.

    Returns:
        What the function returns.
    """
    found = find_watchers()
    if not found.any:
        return function(*arguments)
    stop_profiler, restart_profiler = _find_switches(found.profiler)
    # Both are switched off and on in this very frame, and by no helper or context manager: one that
    # sees a call and not the return from it takes each frame further out for another.
    sys.settrace(None)
    stop_profiler()
    threading.settrace(None)
    threading.setprofile(None)
    callbacks = silence_tools() if found.tools else {}
    if left is not None:
        left.update(_name_what_is_left())
    try:
        return function(*arguments)
    finally:
        restore_tools(callbacks)
        threading.setprofile(found.later_profiler)
        threading.settrace(found.later_tracer)
        restart_profiler()
        sys.settrace(found.tracer)


def call_traced(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function whose lines a tracer may see, but not those of the threads that it starts.

    A pool of threads that it makes lives on in the slots, and nothing could suspend theirs.
    """
    tracer, profiler = threading.gettrace(), threading.getprofile()
    if tracer is None and profiler is None:
        return function(*arguments)
    threading.settrace(None)
    threading.setprofile(None)
    try:
        return function(*arguments)
    finally:
        threading.setprofile(profiler)
        threading.settrace(tracer)


def _find_switches(profiler: Any) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return what switches a profiler of this thread off, and on again."""
    if profiler is not None and not callable(profiler):
        # Up to Python 3.11 getprofile returns cProfile's own, which setprofile does not take back.
        return profiler.disable, profiler.enable
    return partial(sys.setprofile, None), partial(sys.setprofile, profiler)


def silence_tools(monitoring: Any = None) -> Callbacks:
    """Take the callbacks of every tool of ``sys.monitoring`` away, and return them.

    The events stay set. If they were switched off and on, the interpreter would instrument each
    function anew, and that in the slot. The callbacks answer for events of single functions too.
    """
    monitoring = monitoring or sys.monitoring  # type: ignore[attr-defined]
    return {
        (tool, event): callback
        for tool in _TOOLS
        if monitoring.get_tool(tool)
        for event in _list_events(monitoring).values()
        if (callback := monitoring.register_callback(tool, event, None)) is not None
    }


def restore_tools(callbacks: Callbacks, monitoring: Any = None) -> None:
    """Give the tools of ``sys.monitoring`` their callbacks back."""
    if not callbacks:
        return
    monitoring = monitoring or sys.monitoring  # type: ignore[attr-defined]
    for (tool, event), callback in callbacks.items():
        monitoring.register_callback(tool, event, callback)


def _list_events(monitoring: Any) -> dict[str, int]:
    """Return name -> event, for the single ones."""
    return {
        name: event
        for name, event in vars(monitoring.events).items()
        if isinstance(event, int) and event and event & (event - 1) == 0
    }


def _name_what_is_left() -> Iterator[str]:
    """Name the tracers that are still there."""
    if sys.gettrace() is not None:
        yield name_watcher(sys.gettrace())
    if sys.getprofile() is not None:
        yield name_watcher(sys.getprofile())


def list_unstoppable(monitoring: Any = None) -> Iterator[str]:
    """Yield what slows slots, although it is suspended in this thread, a clause each.

    Args:
        monitoring: ``sys.monitoring``, which Python has from 3.12 on.
    """
    monitoring = monitoring or getattr(sys, "monitoring", None)
    if monitoring is not None:
        often = [event for name, event in _list_events(monitoring).items() if name in _FREQUENT]
        for tool in _TOOLS:
            name = monitoring.get_tool(tool)
            if name and monitoring.get_events(tool) & sum(often):
                yield (
                    f"{name} has sys.monitoring tell it each line, call or branch, which slows"
                    " Python even while it is suspended"
                )
    names = [thread.name for thread in threading.enumerate() if _is_traced(thread)]
    if names:
        yield (
            f"threads that were started before are traced, which nothing can suspend:"
            f" {', '.join(sorted(names))}"
        )


def _is_traced(thread: threading.Thread) -> bool:
    """Tell whether a tracer follows another thread, by the frames that it is in."""
    if thread is threading.current_thread() or thread.ident is None:
        return False
    frame = sys._current_frames().get(thread.ident)  # noqa: SLF001 - documented, for debuggers
    while frame is not None:
        if frame.f_trace is not None:
            return True
        frame = frame.f_back
    return False


def name_tracer(monitoring: Any = None) -> str:
    """Name the tracer or profiler that watches this thread; "" if there is none."""
    monitoring = monitoring or getattr(sys, "monitoring", None)
    tools = (monitoring.get_tool(tool) for tool in _TOOLS) if monitoring is not None else ()
    tool = next(filter(None, tools), "")
    return next((name_watcher(one) for one in (sys.gettrace(), sys.getprofile()) if one), tool)


def name_watcher(watcher: Any) -> str:
    """Name a tracer as its author would know it: module and name of its function or type."""
    known = watcher if hasattr(watcher, "__qualname__") else type(watcher)
    return f"{known.__module__}.{known.__qualname__}"
