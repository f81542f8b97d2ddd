"""What ``torch.compile`` would compile, counted on the CPU with a backend that compiles nothing.

Dynamo traces as ever, and guards what it traced. It tells of graph breaks and recompilations in its
structured trace, the one that ``TORCH_TRACE`` writes, which is read here.
"""

from __future__ import annotations

import functools
import linecache
import logging
from collections import Counter, defaultdict
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch
from torch._dynamo import config, eval_frame, reset
from torch._dynamo.convert_frame import register_bytecode_hook
from torch._dynamo.utils import counters
from torch._guards import CompileContext
from torch._logging import trace_structured

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.dry.callers import shorten
from pytest_sdspeed.dry.messages import (
    explain_break,
    explain_guard,
    explain_limit,
    find_place,
    is_limit,
)
from pytest_sdspeed.model.accounts import Compilation, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import CodeType

    from pytest_sdspeed.model.accounts import Cause, PlaceKind

_BREAK, _RECOMPILATION = "dynamo_graph_break_reason", "recompile_reasons"
_COMPILER = "torch._dynamo.convert_frame"
"""The logger that tells that a frame was given up."""
_LISTENED = ("torch._dynamo.symbolic_convert.__graph_breaks", f"{_COMPILER}.__graph_breaks")
"""Loggers without which torch does not tell of some graph breaks elsewhere either."""
_LEFT_OUT = ("backend", "mode", "options", "fullgraph")
"""Arguments of ``torch.compile``."""
_NOT_BEFORE = "it was not compiled before"
_FORGOTTEN = "torch no longer has what it compiled before"
_FULL_GRAPH = "fullgraph=True was left out: with it torch raises an error at the first graph break"
_FILTER = "guard_filter_fn was left out: what it lets pass is compiled again here"
_UNSETTLED = {"automatic_dynamic_local_pgo": False, "automatic_dynamic_remote_pgo": False}
"""Settings of torch by which it would remember what other processes compiled."""


class Recorder:
    """Writes down what is compiled.

    Attributes:
        cause: what runs now, by which recompilations are told apart.
    """

    def __init__(self) -> None:
        self.cause: Cause = "steps"
        self._graphs = 0
        self._breaks: dict[tuple[str, int], Place] = {}
        self._again: dict[Cause, dict[tuple[str, int], Place]] = defaultdict(dict)
        self._compiled: set[tuple[str, CodeType]] = set()
        self._guards: dict[Any, str] = {}
        self._notes: dict[str, None] = {}
        self.asked_full_graph = False

    def compile_nothing(self, graph: Any, _inputs: Any, **_options: Any) -> Callable[..., Any]:
        """Count a graph: this is the backend."""
        if self.cause == "steps":
            self._graphs += 1
        return graph.forward  # type: ignore[no-any-return] # torch is not followed

    def hear(self, name: str, text: Callable[[], Any]) -> None:
        """Hear of a graph break, or of a guard that failed.

        Args:
            name: what torch calls that kind of line of its trace.
            text: returns what it says.
        """
        if name == _RECOMPILATION:
            said = text()
            first = said if isinstance(said, str) else next(iter(said), "")
            self._guards[CompileContext.current_compile_id()] = first
        elif name == _BREAK:
            self._hear_break(str(text()))

    def _hear_break(self, said: str) -> None:
        if self.cause == "steps" and not is_limit(said):
            file, line = find_place(said) or ("?", 0)
            _add(self._breaks, "graph_break", file, line, explain_break(said))

    def see_frame(self, code: CodeType, _new: CodeType) -> None:
        """See that a frame was compiled."""
        key = code.co_filename, code
        guard = self._guards.pop(CompileContext.current_compile_id(), None)
        known = key in self._compiled
        self._compiled.add(key)
        forgotten = known and not _has_entries(code)
        if guard is None and not forgotten and self.cause == "steps":
            return
        file, line = (guard and find_place(guard)) or (code.co_filename, code.co_firstlineno)
        reason = explain_guard(guard) if guard else _FORGOTTEN if known else _NOT_BEFORE
        _add(self._again[self.cause], "recompilation", file, line, reason)

    def note(self, text: str) -> None:
        """Note what a GPU may do otherwise."""
        self._notes[text] = None

    def sum_up(self, causes: tuple[Cause, ...]) -> Compilation | None:
        """Return what was compiled, or None if nothing was.

        Args:
            causes: what ran, in order.
        """
        if not (self._compiled or self._breaks):
            return None
        if self.asked_full_graph and self._breaks:
            self.note(_FULL_GRAPH)
        return Compilation(
            graphs=self._graphs,
            breaks=_sort(self._breaks),
            recompiled={cause: _sort(self._again[cause]) for cause in causes},
            notes=tuple(self._notes),
        )


def _add(
    places: dict[tuple[str, int], Place], kind: PlaceKind, file: str, line: int, reason: str
) -> None:
    """Count a place once more; its reason is that of the first time."""
    before = places.get((file, line))
    places[file, line] = Place(
        kind,
        shorten(file),
        line,
        linecache.getline(file, line).strip(),
        1 + (before.count if before else 0),
        before.reason if before else reason,
    )


def _sort(places: Mapping[tuple[str, int], Place]) -> tuple[Place, ...]:
    return tuple(sorted(places.values(), key=lambda place: (-place.count, place)))


def _has_entries(code: CodeType) -> bool:
    """Tell whether torch has anything compiled for a code object."""
    return bool(torch._C._dynamo.eval_frame._debug_get_cache_entry_list(code))  # noqa: SLF001


@contextmanager
def record_compilation() -> Iterator[Recorder]:
    """Let ``torch.compile`` compile nothing, whatever its backend, and write down what it would.

    What this process compiled before is compiled again at its next call after the block: torch
    forgets it, so that what is counted does not depend on it. All else is as before.
    """
    recorder = Recorder()
    with ExitStack() as held:
        held.enter_context(quiet())
        held.callback(reset)
        reset()
        held.enter_context(_keep_counters())
        held.enter_context(_keep_settings())
        held.enter_context(config.patch(**_UNSETTLED))
        held.enter_context(_listen(recorder))
        held.callback(register_bytecode_hook(recorder.see_frame).remove)
        trace = _overhear(trace_structured, recorder)
        held.enter_context(patch("torch._logging.trace_structured", trace))
        compiler = _leave_out(torch.compile, recorder.compile_nothing, recorder)
        held.enter_context(patch.object(torch, "compile", compiler))
        # What was compiled before the block, as by a decorator, has a backend of its own.
        held.enter_context(
            torch.compiler.set_stance("default", force_backend=recorder.compile_nothing)
        )
        yield recorder


def _leave_out(
    compile_it: Callable[..., Any], backend: Callable[..., Any], recorder: Recorder | None = None
) -> Callable[..., Any]:
    """Wrap ``torch.compile``: what says how a graph is compiled is left out, and ``fullgraph``.

    Without it all graph breaks are found, and not only the first.
    """

    @functools.wraps(compile_it)
    def compile_nothing(model: Any = None, **given: Any) -> Any:
        if recorder is not None:
            recorder.asked_full_graph |= bool(given.get("fullgraph"))
            if "guard_filter_fn" in (given.get("options") or {}):
                recorder.note(_FILTER)
        others = {name: value for name, value in given.items() if name not in _LEFT_OUT}
        return compile_it(model, backend=backend, **others)

    return compile_nothing


def _overhear(trace: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    """Wrap what writes torch's structured trace."""

    @functools.wraps(trace)
    def write(
        name: str,
        metadata_fn: Callable[[], Any] = dict,
        *,
        payload_fn: Callable[[], Any] = lambda: None,
        **others: Any,
    ) -> Any:
        if name == "artifact":
            recorder.hear(metadata_fn().get("name", ""), payload_fn)
        return trace(name, metadata_fn, payload_fn=payload_fn, **others)

    return write


class _Handler(logging.Handler):
    """Hears that torch gives up a frame."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        if limit := explain_limit(record.getMessage()):
            self._recorder.note(limit)


@contextmanager
def _listen(recorder: Recorder) -> Iterator[None]:
    """Let torch tell of every graph break, and print nothing."""
    levels = {_COMPILER: logging.WARNING} | dict.fromkeys(_LISTENED, logging.DEBUG)
    loggers = {logging.getLogger(name): level for name, level in levels.items()}
    with ExitStack() as held:
        dynamo = logging.getLogger("torch._dynamo")
        for logger in (dynamo, *loggers):
            held.callback(logger.setLevel, logger.level)
        dynamo.setLevel(logging.ERROR)
        for logger, level in loggers.items():
            logger.setLevel(level)
            held.enter_context(patch.object(logger, "propagate", new=False))
            held.enter_context(patch.object(logger, "handlers", [_Handler(recorder)]))
        yield


@contextmanager
def _keep_counters() -> Iterator[None]:
    before = {name: Counter(counted) for name, counted in counters.items()}
    try:
        yield
    finally:
        counters.clear()
        counters.update(before)


@contextmanager
def _keep_settings() -> Iterator[None]:
    before = config.get_config_copy()
    try:
        yield
    finally:
        for name, value in config.get_config_copy().items():
            if name in before and value != before[name]:
                setattr(config, name, before[name])


class Watched:
    """Whether anything was called that ``torch.compile`` compiles.

    Attributes:
        found: whether there was.
    """

    def __init__(self) -> None:
        self.found = False


@contextmanager
def watch_for_compiled() -> Iterator[Watched]:
    """Find out whether the block calls anything that ``torch.compile`` compiles.

    It need not be compiled, as in a dry run, which forces it not to be. ``torch.compile`` loads no
    compiler inside the block.
    """
    watched = Watched()
    compiler = _leave_out(torch.compile, lambda graph, _inputs: graph.forward)
    choose = getattr(eval_frame, "_callback_from_stance", None)
    if choose is None:
        # This torch does not say. It costs a second run to find out that there is nothing.
        watched.found = True
        with patch.object(torch, "compile", compiler):
            yield watched
        return

    @functools.wraps(choose)
    def note(callback: Any) -> Any:
        watched.found |= callback not in (False, None)
        return choose(callback)

    with (
        patch.object(torch, "compile", compiler),
        patch.object(eval_frame, "_callback_from_stance", note),
    ):
        yield watched
