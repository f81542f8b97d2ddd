"""One unit of a pipeline's call, timed by itself: its denoising loop, one forward, its decoding."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.device.accelerator import find_module, synchronize
from pytest_sdspeed.errors import GenerationError
from pytest_sdspeed.model.stages import DENOISING, PRIOR, find_stage
from pytest_sdspeed.pipelines.parts import AUTOENCODER, DENOISERS, find_parts, list_modules
from pytest_sdspeed.pipelines.stages import (
    EventTimestamps,
    HostTimestamps,
    Timestamps,
    is_compiled_in_place,
    replace_method,
    unwrap,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_sdspeed.model import Case

_VIDEO = 5
"""Dimensions of a decoded video: (N, C, F, H, W)."""


class Call(NamedTuple):
    """One call of a part: its arguments are copies, as long as they are tensors."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def repeat(self) -> Any:
        """Call it again with the same, and return its first result."""
        found = self.function(*self.args, **self.kwargs)
        return found[0] if isinstance(found, tuple) else found.sample


class UnitTimer:
    """Times one unit of what a pipeline draws.

    Arguments of a single call are captured in a whole generation of this very pipeline, once for
    each case: their types, shapes and layout are its own, and equal noise makes their numbers
    those of every other pipeline, up to their type.

    Args:
        pipeline: pipeline that draws.
        draw: draws one generation of a case.
        unit: ``denoising``, ``denoiser`` or ``decode``.
        owner: what it belongs to, for messages.
        kind: kind of the device.
    """

    def __init__(
        self, pipeline: Any, draw: Callable[[Case], Any], unit: str, owner: str, kind: str
    ) -> None:
        self.pipeline = pipeline
        self._draw, self._unit, self._owner = draw, unit, owner
        self._timestamps = make_timestamps(kind)
        self._calls: dict[Case, list[Call]] = {}

    def time(self, case: Case) -> tuple[Any, float]:
        """Draw a case, or do what is the unit of it, and wait for the device.

        Args:
            case: what to draw.

        Returns:
            Pictures of the call or of its decoding, or what the denoiser returned; and the seconds
            of the unit alone.

        Raises:
            GenerationError: the pipeline has no such unit.
        """
        if self._unit == "denoising":
            return self._time_loop(case)
        if case not in self._calls:
            self._calls[case] = self._capture(case)
        return self._time_calls(self._calls[case])

    def _time_loop(self, case: Case) -> tuple[Any, float]:
        loop = Loop(self._timestamps)
        with loop.watch(self.pipeline):
            pictures = self._draw(case)
        synchronize()
        if loop.first is None:
            self._refuse("its pipeline called no denoiser")
        return pictures, self._timestamps.seconds(loop.first, loop.last)

    def _time_calls(self, calls: list[Call]) -> tuple[Any, float]:
        import torch

        with torch.no_grad():
            synchronize()
            start = self._timestamps.now()
            found = [call.repeat() for call in calls]
            end = self._timestamps.now()
            synchronize()
        seconds = self._timestamps.seconds(start, end)
        if self._unit == "denoiser":
            return found[0].detach(), seconds
        return show_decoded(torch.cat([one.detach() for one in found])), seconds

    def _capture(self, case: Case) -> list[Call]:
        """Capture the calls of the unit in a whole generation: its first forward, all decoding."""
        if self._unit == "denoiser":
            self._refuse_dependent()
        calls: list[Call] = []
        with ExitStack() as held:
            if self._unit == "denoiser":
                for module in find_denoisers(self.pipeline).values():
                    held.enter_context(watch_calls(module, _keep_first(module, calls)))
            else:
                modules = list_modules(self.pipeline)
                for name in find_parts(AUTOENCODER, modules):
                    vae = unwrap(modules[name])
                    if hasattr(vae, "decode"):
                        held.enter_context(_watch_decode(vae, calls))
            self._draw(case)
        if not calls:
            part = "denoiser" if self._unit == "denoiser" else "decode of an autoencoder"
            self._refuse(f"its pipeline called no {part}")
        return calls

    def _refuse_dependent(self) -> None:
        """Refuse a denoiser whose calls depend on one another: alone, one of them says nothing.

        Raises:
            GenerationError: it keeps what it computed for later calls.
        """
        kept = find_kept(self.pipeline)
        if kept:
            self._refuse(kept)

    def _refuse(self, why: str) -> None:
        raise GenerationError(
            f"setup {self._owner!r}: the recipe's unit {self._unit!r} cannot be timed: {why}"
            f" ({type(self.pipeline).__name__})"
        )


class Loop:
    """Notes when a denoising loop began, and when its last call so far ended.

    Args:
        timestamps: points in the device's time, or None to count alone.

    Attributes:
        first: before the first call of a denoiser, None if there was none yet.
        last: after the last call of a denoiser or step of the scheduler.
        steps: how often the scheduler stepped.
    """

    def __init__(self, timestamps: Timestamps | None = None) -> None:
        self._timestamps = timestamps
        self.first: Any = None
        self.last: Any = None
        self.steps = 0

    @contextmanager
    def watch(self, pipeline: Any) -> Iterator[None]:
        """Watch a pipeline inside the block, and restore it afterwards."""
        with ExitStack() as held:
            for module in find_loop_modules(pipeline) if self._timestamps else ():
                held.enter_context(watch_calls(module, self._begin, self._end))
            scheduler = getattr(pipeline, "scheduler", None)
            if hasattr(scheduler, "step"):
                held.enter_context(replace_method(scheduler, "step", self._note_step))
            yield

    def count_iterations(self, steps: int, order: int) -> int:
        """Return the denoising steps as a progress bar counts them.

        Schedulers of a higher order, and those that take a step twice, step more often than that;
        a call that starts from a picture takes fewer.

        Args:
            steps: steps that were asked for.
            order: calls of the scheduler for one of them.
        """
        return min(steps, -(-self.steps // max(1, order))) if self.steps else steps

    def _begin(self, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        if self.first is None and self._timestamps is not None:
            # What came before is not the loop's.
            synchronize()
            self.first = self.last = self._timestamps.now()

    def _end(self) -> None:
        if self._timestamps is not None:
            self.last = self._timestamps.now()

    def _note_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> Any:
            found = step(*args, **kwargs)
            self.steps += 1
            self._end()
            return found

        return note


def make_timestamps(kind: str) -> Timestamps:
    """Make points in a device's time that wait for it as little as that can be."""
    if kind == "cpu":
        return HostTimestamps()
    module = find_module(kind)
    return EventTimestamps(module) if hasattr(module, "Event") else HostTimestamps(synchronize)


def show_decoded(decoded: Any) -> Any:
    """Return the pictures of a decoder's result, as pipelines return them.

    Args:
        decoded: tensor (N, C, H, W) or, of videos, (N, C, F, H, W), in [-1, 1]. A video of one
            frame is a picture of a pipeline that decodes both alike.

    Returns:
        Float32 (N, H, W, C) or (N, F, H, W, C) in [0, 1].
    """
    scaled = (decoded.float() / 2 + 0.5).clamp(0, 1)
    if scaled.dim() == _VIDEO and scaled.shape[2] == 1:
        scaled = scaled[:, :, 0]
    order = (0, 2, 3, 4, 1) if scaled.dim() == _VIDEO else (0, 2, 3, 1)
    return scaled.permute(*order).cpu().numpy()


@contextmanager
def watch_calls(
    module: Any,
    before: Callable[[tuple[Any, ...], dict[str, Any]], None],
    after: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Watch the calls of a module from outside, compiled or not.

    A hook would be inside of what ``module.compile()`` compiles, and be compiled with it: there the
    compiled call is replaced for the time being.

    Args:
        module: the very object that the pipeline calls.
        before: gets the arguments of each call.
        after: called after each call.
    """

    def wrap(compiled: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            before(args, kwargs)
            found = compiled(*args, **kwargs)
            after()
            return found

        return call

    with ExitStack() as held:
        if is_compiled_in_place(module):
            held.enter_context(replace_method(module, "_compiled_call_impl", wrap))
        else:
            hooks = (
                module.register_forward_pre_hook(
                    lambda _module, args, kwargs: before(args, kwargs), with_kwargs=True
                ),
                module.register_forward_hook(lambda _module, _args, _output: after()),
            )
            for hook in hooks:
                held.callback(hook.remove)
        yield


def find_loop_modules(pipeline: Any) -> list[Any]:
    """Find what a pipeline calls in its denoising loop, controls of the denoiser among them.

    A prior has a loop of its own, before that; it is the denoiser if there is no other one.
    """
    modules = list_modules(pipeline)
    stages = {name: find_stage(name, "forward") for name in modules}
    wanted = DENOISING if DENOISING in stages.values() else PRIOR
    return [module for name, module in modules.items() if stages[name] == wanted]


def find_denoisers(pipeline: Any) -> dict[str, Any]:
    """Find the denoisers of a pipeline by their names, without what controls them."""
    modules = list_modules(pipeline)
    return {name: modules[name] for name in find_parts(DENOISERS, modules)}


def find_kept(pipeline: Any) -> str:
    """Say what a pipeline's denoisers keep of a step for the next ones, or return ""."""
    deep = hasattr(pipeline, "deep_cache_helper")
    for name, wrapped in find_denoisers(pipeline).items():
        if deep or _is_keeping(unwrap(wrapped)):
            return f"its {name} keeps what it computed for its next calls"
    return ""


def _is_keeping(module: Any) -> bool:
    """Tell whether a denoiser is cached: by itself, or by hooks of diffusers on its parts."""
    interval = getattr(module, "interval", 1)
    if getattr(module, "is_cache_enabled", False) or (isinstance(interval, int) and interval > 1):
        return True
    registries = [getattr(part, "_diffusers_hook", None) for part in module.modules()]
    return any(
        getattr(hook, "_is_stateful", False)
        for registry in registries
        for hook in getattr(registry, "hooks", {}).values()
    )


def _keep_first(
    module: Any, calls: list[Call]
) -> Callable[[tuple[Any, ...], dict[str, Any]], None]:
    def keep(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not calls:
            calls.append(Call(module, _copy(args), _copy(kwargs)))

    return keep


@contextmanager
def _watch_decode(vae: Any, calls: list[Call]) -> Iterator[None]:
    def wrap(decode: Callable[..., Any]) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> Any:
            calls.append(Call(decode, _copy(args), _copy(kwargs)))
            return decode(*args, **kwargs)

        return note

    with replace_method(vae, "decode", wrap):
        yield


def _copy(value: Any) -> Any:
    """Copy the tensors in what a part was called with."""
    if hasattr(value, "is_floating_point"):
        return value.detach().clone()
    if type(value) in (tuple, list):
        return type(value)(_copy(one) for one in value)
    if type(value) is dict:
        return {name: _copy(one) for name, one in value.items()}
    return value
