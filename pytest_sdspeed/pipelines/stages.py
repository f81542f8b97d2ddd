"""When each stage of a generation began and ended, and the shapes its parts were called with."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pytest_sdspeed.model.stages import LOOPS, STAGES, Run, find_stage, group_runs
from pytest_sdspeed.pipelines.parts import list_modules
from pytest_sdspeed.pipelines.recorded_calls import Shapes, read_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_METHODS = ("encode", "decode", "get_text_features", "get_image_features")
"""Methods of a part that pipelines call, beside the part itself."""


class Timestamps(Protocol):
    """Points in a device's time."""

    def now(self) -> Any:
        """Return a point after all that the device was asked to do so far."""
        ...

    def seconds(self, start: Any, end: Any) -> float:
        """Return the seconds between two points, once the device has passed them."""
        ...


class HostTimestamps:
    """Points in the time of a CPU, which is synchronous, or of what it waits for.

    Args:
        synchronize: waits for the device.
    """

    def __init__(self, synchronize: Callable[[], None] = lambda: None) -> None:
        self._synchronize = synchronize

    def now(self) -> float:
        """Return the monotonic performance counter, seconds, once the device has done its work."""
        self._synchronize()
        return time.perf_counter()

    def seconds(self, start: float, end: float) -> float:
        """Return the seconds between two points."""
        return end - start


class EventTimestamps:
    """Points in the time of an accelerator's current stream, without waiting for it.

    Args:
        module: the accelerator's module, such as ``torch.cuda``.
    """

    def __init__(self, module: Any) -> None:
        self._module = module

    def now(self) -> Any:
        """Return an event that the stream passes once it has done what it was asked before."""
        event = self._module.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        """Wait for the second event, and return the seconds between the two."""
        end.synchronize()
        # torch tells milliseconds.
        return float(start.elapsed_time(end)) / 1e3


class Part(NamedTuple):
    """A method of a component of a pipeline.

    Attributes:
        name: name of the component.
        method: ``forward`` for a call of the component itself.
    """

    name: str
    method: str

    @property
    def key(self) -> str:
        """Return the component's name, and that of a method that is not the usual one."""
        return self.name if self.method in ("forward", "decode") else f"{self.name}.{self.method}"


class StageTimer:
    """The parts of a pipeline, watched from outside.

    They are watched by hooks on the very objects that the pipeline calls: for a compiled module
    this is its wrapper, so that the hooks do not change the graph inside. What hooks do not see is
    replaced for the time being: methods such as ``decode``, and the call of a module that was
    compiled in place.

    Args:
        timestamps: points in the device's time.

    Attributes:
        calls: key of a part -> shapes -> number of calls. What a part calls of another one counts
            for the first alone.
        parts: key of a part -> the part.
        inner: name of a denoiser -> its submodule -> number of times that it was computed, if they
            are counted; none if they cannot be seen.
    """

    def __init__(self, timestamps: Timestamps) -> None:
        self._timestamps = timestamps
        self._runs: list[Run] = []
        self._running: list[Part] = []
        self.calls: dict[str, Counter[Shapes]] = {}
        self.parts: dict[str, Part] = {}
        self.inner: dict[str, Counter[str]] = {}

    @contextmanager
    def watch(self, pipeline: Any, *, inside: bool) -> Iterator[None]:
        """Watch a pipeline inside the block, and restore it afterwards.

        Args:
            pipeline: a pipeline of diffusers, or any that has its modules as attributes.
            inside: whether to count the calls of every submodule of its denoisers too.

        Raises:
            LookupError: no call of a denoiser was seen.
        """
        modules = list_modules(pipeline)
        with ExitStack() as held:
            for name, module in modules.items():
                held.enter_context(self._watch_module(name, module))
                if inside and find_stage(name, "forward") in LOOPS:
                    held.enter_context(self._watch_inside(name, module))
            yield
        if not any(run.stage in LOOPS for run in self._list_runs()):
            raise LookupError(f"no call of {self._describe_unseen(modules)} was seen")

    def measure_stages_s(self) -> Mapping[str, float]:
        """Return stage -> seconds, in the order of stages, once the device has done it all."""
        return {
            stage: sum(self._timestamps.seconds(run.start, run.end) for run in runs)
            for stage, runs in group_runs(self._list_runs()).items()
        }

    def _list_runs(self) -> list[Run]:
        """Return the runs that ended: what raised has none."""
        return [run for run in self._runs if run.end is not None]

    def _describe_unseen(self, modules: Mapping[str, Any]) -> str:
        """Name what works in a stage and was not called, in the order of stages."""
        unseen = {name: find_stage(name, "forward") for name in modules if name not in self.calls}
        ordered = [name for stage in STAGES for name, own in unseen.items() if own == stage]
        return ", ".join(ordered) or "a denoiser"

    def _begin(self, part: Part) -> None:
        self._running.append(part)
        stage = find_stage(*part)
        if len(self._running) > 1 or stage is None:
            return
        if not self._runs or self._runs[-1].stage != stage or self._runs[-1].end is None:
            self._runs.append(Run(stage, self._timestamps.now(), None))

    def _end(self, part: Part, *, complete: bool = True) -> None:
        self._running.pop()
        if complete and not self._running and find_stage(*part) is not None:
            run = self._runs.pop()
            self._runs.append(Run(run.stage, run.start, self._timestamps.now()))

    def _record(self, part: Part, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Note the shapes of a call."""
        self.parts[part.key] = part
        self.calls.setdefault(part.key, Counter())[read_call(args, kwargs)] += 1

    @contextmanager
    def _watch_module(self, name: str, module: Any) -> Iterator[None]:
        own, part = unwrap(module), Part(name, "forward")
        with ExitStack() as held:
            if is_compiled_in_place(module):
                held.enter_context(replace_method(module, "_compiled_call_impl", self._time(part)))
            else:
                held.enter_context(self._watch_call(part, module))
            for method in _METHODS:
                if callable(getattr(own, method, None)):
                    held.enter_context(replace_method(own, method, self._time(Part(name, method))))
            yield

    @contextmanager
    def _watch_call(self, part: Part, module: Any) -> Iterator[None]:
        """Watch a module by hooks; its shapes are those that hooks of diffusers pass on to it."""
        inner = None if unwrap(module) is not module else find_own_forward(module)
        before = self._hook_before_inner if inner else self._hook_before
        hooks = (
            module.register_forward_pre_hook(partial(before, part), with_kwargs=True),
            module.register_forward_hook(partial(self._hook_after, part), always_call=True),
        )
        with ExitStack() as held:
            for hook in hooks:
                held.callback(hook.remove)
            if inner:
                held.enter_context(replace_method(*inner, partial(self._note_call, part)))
            yield

    def _note_call(self, part: Part, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            if self._running == [part]:
                self._record(part, args, kwargs)
            return call(*args, **kwargs)

        return noted

    def _time(self, part: Part) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Return what makes a call that is timed of another one."""

        def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
            def timed(*args: Any, **kwargs: Any) -> Any:
                if not self._running:
                    self._record(part, args, kwargs)
                self._begin(part)
                complete = False
                try:
                    returned = call(*args, **kwargs)
                    complete = True
                finally:
                    self._end(part, complete=complete)
                return returned

            return timed

        return wrap

    def _hook_before(
        self, part: Part, _module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        if not self._running:
            self._record(part, args, kwargs)
        self._begin(part)

    def _hook_before_inner(self, part: Part, *_call: Any) -> None:
        self._begin(part)

    def _hook_after(self, part: Part, _module: Any, _args: Any, output: Any) -> None:
        self._end(part, complete=output is not None)

    @contextmanager
    def _watch_inside(self, name: str, denoiser: Any) -> Iterator[None]:
        """Count how often each submodule of a denoiser is computed; what is compiled hides it.

        Caches of diffusers wrap ``forward``, so that a module that they skip is called all the
        same: its own ``forward`` is what is counted.
        """
        inner = self.inner.setdefault(name, Counter())
        compiled = unwrap(denoiser) is not denoiser or any(
            map(is_compiled_in_place, denoiser.modules())
        )
        with ExitStack() as held:
            for path, module in () if compiled else denoiser.named_modules():
                own = find_own_forward(module)
                if own:
                    held.enter_context(replace_method(*own, partial(_count, inner, path)))
                else:
                    hook = module.register_forward_pre_hook(partial(_count_call, inner, path))
                    held.callback(hook.remove)
            yield


def unwrap(module: Any) -> Any:
    """Return the module inside one that ``torch.compile`` made; return any other as it is."""
    return getattr(module, "_orig_mod", module)


def is_compiled_in_place(module: Any) -> bool:
    """Tell whether ``module.compile()`` was called: its hooks are then part of the graph."""
    return getattr(module, "_compiled_call_impl", None) is not None


def find_own_forward(module: Any) -> tuple[Any, str] | None:
    """Return where the hooks of diffusers keep a module's own ``forward``, or None without any."""
    references = getattr(getattr(module, "_diffusers_hook", None), "_fn_refs", None)
    if not references:
        return None
    first = references[0]
    return first, "forward" if first.original_forward is None else "original_forward"


def _count(inner: Counter[str], path: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*args: Any, **kwargs: Any) -> Any:
        inner[path] += 1
        return call(*args, **kwargs)

    return counted


def _count_call(inner: Counter[str], path: str, _module: Any, _args: Any) -> None:
    inner[path] += 1


class _StandIn:
    """What is called in a method's place, with the method's name and signature.

    A copy of its owner that is made meanwhile has the method itself: some pipelines copy their
    scheduler in every call, and the steps of the copy are its own.
    """

    def __init__(self, owner: Any, name: str, wrapped: Callable[..., Any]) -> None:
        self._owner, self._name, self._wrapped = owner, name, wrapped
        self._own = vars(owner).get(name)
        # Pipelines read from its signature what a scheduler's step takes.
        update_wrapper(self, getattr(owner, name), updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._wrapped(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        twin = memo.get(id(self._owner))
        if twin is None:
            return self
        own = getattr(type(self._owner), self._name, None) if self._own is None else None
        return deepcopy(self._own, memo) if own is None else own.__get__(twin)

    def remove(self) -> None:
        """Put the method back."""
        if self._own is None:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._own)


@contextmanager
def replace_method(
    owner: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
) -> Iterator[None]:
    """Wrap a method of an object inside the block."""
    stand_in = _StandIn(owner, name, wrap(getattr(owner, name)))
    setattr(owner, name, stand_in)
    try:
        yield
    finally:
        stand_in.remove()
