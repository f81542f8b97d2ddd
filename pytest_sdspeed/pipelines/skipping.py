"""What caches skip of a denoiser's calls, counted in a generation."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.named_modules import is_compiled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping


@dataclass
class Call:
    """One call of a denoiser: how often what a cache is applied to was called and computed."""

    called: int = 0
    computed: int = 0


@dataclass
class Tally:
    """Calls of denoisers in a generation.

    Attributes:
        calls: in order.
        unknown: whether something could not be told.
    """

    calls: list[Call] = field(default_factory=list)
    unknown: bool = False

    @property
    def latest(self) -> Call:
        """Return the call that runs; one of its own if the denoiser's was not seen."""
        if not self.calls:
            self.calls.append(Call())
        return self.calls[-1]

    def judge(self, nothing: str) -> Finding:
        """Say what was skipped.

        Args:
            nothing: what to say if nothing was.
        """
        skipping = sum(call.computed < call.called for call in self.calls)
        called = sum(call.called for call in self.calls)
        skipped = called - sum(call.computed for call in self.calls)
        if skipping:
            return Finding(
                acted=True,
                text=f"skipped something in {skipping} of {len(self.calls)} calls of the denoiser"
                f" ({skipped} of {called} calls of the layers that it is applied to)",
            )
        if self.unknown:
            return Finding(acted=None, text="what is skipped is not counted in compiled code")
        return Finding(
            acted=False, text=f"none of {len(self.calls)} calls of the denoiser was cut: {nothing}"
        )


@contextmanager
def count_skipped(denoisers: Mapping[str, Any], home: str) -> Iterator[Tally]:
    """Count what a cache of diffusers skips while the block runs.

    Hooks of modules are not called in compiled code, and what would be put into it would be
    compiled anew: there the caches' own state is read after each call of the denoiser.

    Args:
        denoisers: the denoisers by name.
        home: module of diffusers that defines the cache's hooks.
    """
    tally = Tally()
    with ExitStack() as held:
        for module in denoisers.values():
            hooks = list(find_hooks(module, home))
            if is_compiled(module):
                held.enter_context(_read_states(module, hooks, tally))
            else:
                held.enter_context(_count_calls(module, hooks, tally))
        yield tally


def find_hooks(module: Any, home: str) -> Iterator[Any]:
    """Yield the hooks of a module of diffusers that stand in the place of a ``forward``."""
    for one in module.modules():
        registry = vars(one).get("_diffusers_hook")
        for hook in registry.hooks.values() if registry else ():
            if type(hook).__module__ == home and hook.fn_ref.original_forward is not None:
                yield hook


@contextmanager
def _count_calls(module: Any, hooks: list[Any], tally: Tally) -> Iterator[None]:
    handle = module.register_forward_pre_hook(lambda *_args: tally.calls.append(Call()))
    before = [(hook.fn_ref, hook.fn_ref.forward, hook.fn_ref.original_forward) for hook in hooks]
    for reference, outer, inner in before:
        given: list[int] = []
        reference.forward = partial(_count_called, tally, given, outer)
        reference.original_forward = partial(_count_computed, tally, given, inner)
    try:
        yield
    finally:
        handle.remove()
        for reference, outer, inner in before:
            reference.forward, reference.original_forward = outer, inner


def _count_called(
    tally: Tally, given: list[int], call: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    tally.latest.called += 1
    given[:] = [_find_batch(args, kwargs)]
    return call(*args, **kwargs)


def _count_computed(
    tally: Tally, given: list[int], call: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    """Count a computation, unless it is of a part of the batch that the call was given."""
    tally.latest.computed += given == [_find_batch(args, kwargs)]
    return call(*args, **kwargs)


def _find_batch(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    import torch

    values = (*args, *kwargs.values())
    return next((one.shape[0] for one in values if torch.is_tensor(one) and one.dim()), 0)


@contextmanager
def _read_states(module: Any, hooks: list[Any], tally: Tally) -> Iterator[None]:
    last: dict[int, Any] = {id(hook): _read_cache(hook) for hook in hooks}

    def read(*_args: Any) -> None:
        call = Call()
        for hook in hooks:
            computed = _was_computed(hook, last)
            tally.unknown |= computed is None
            if computed is not None:
                call.called += 1
                call.computed += computed
        tally.calls.append(call)

    inner = getattr(module, "_compiled_call_impl", None)
    if inner is None:
        handle = module.register_forward_hook(read)
    else:
        module._compiled_call_impl = _call_then(inner, read)  # noqa: SLF001 - it has no public name
    try:
        yield
    finally:
        if inner is None:
            handle.remove()
        else:
            module._compiled_call_impl = inner  # noqa: SLF001 - as above


def _call_then(call: Callable[..., Any], then: Callable[[], None]) -> Callable[..., Any]:
    def both(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        then()
        return result

    return both


def _was_computed(hook: Any, last: MutableMapping[int, Any]) -> bool | None:
    """Tell from a hook's state whether its module was computed in the latest call, if it shows."""
    if hasattr(hook, "state_manager"):
        try:
            state = hook.state_manager.get_state()
        except ValueError:  # no context is set
            return None
        if hasattr(state, "last_update_step"):
            return bool(state.current_step == state.last_update_step)
        if hasattr(state, "should_compute"):
            return "FBCHead" in type(hook).__name__ or bool(state.should_compute)
        return None
    cache = _read_cache(hook)
    if cache is None or isinstance(cache, list):
        return None
    before, last[id(hook)] = last[id(hook)], cache
    return cache is not before


def _read_cache(hook: Any) -> Any:
    return getattr(getattr(hook, "state", None), "cache", None)
