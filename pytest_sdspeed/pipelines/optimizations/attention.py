"""Optimizations of attention: who computes it."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import RegistrationError, read_first_line
from pytest_sdspeed.model import Finding
from pytest_sdspeed.pipelines.attention_modules import (
    count_processors,
    describe_counts,
    list_attention,
)
from pytest_sdspeed.pipelines.optimization import Optimization
from pytest_sdspeed.pipelines.optimizations.support import require_cuda, require_package
from pytest_sdspeed.pipelines.parts import AUTOENCODER, DENOISERS, find_parts, list_components
from pytest_sdspeed.pipelines.watching import find_denoisers, is_opaque, list_names, watch_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_sdspeed.model import Machine, Recipe

_BOTH = frozenset({DENOISERS, AUTOENCODER})
_CLASSIC = frozenset(
    {
        "AttnProcessor",
        "AttnProcessor2_0",
        "FusedAttnProcessor2_0",
        "SlicedAttnProcessor",
        "XFormersAttnProcessor",
    }
)
"""Processors of diffusers' ``Attention`` that can take each other's place."""
_SDPA = frozenset({"AttnProcessor2_0", "FusedAttnProcessor2_0"})


def _advise(processors: Iterable[str]) -> str:
    """Say what does change the attention of processors that take no backend."""
    if set(processors) & _CLASSIC:
        return "sdpa, vanilla_attention and xformers work there"
    return "no other kind of attention is known for these"


# Processors


def _set_processors(pipeline: Any, processor: str, owner: str) -> None:
    """Set a processor at all attention of denoisers and autoencoder that takes it.

    Raises:
        RegistrationError: no denoiser has any.
    """
    from diffusers.models import attention_processor

    made = getattr(attention_processor, processor)()
    taken = Counter[str]()
    components, denoisers = list_components(pipeline), find_denoisers(pipeline)
    for name in (*denoisers, *find_parts(AUTOENCODER, components)):
        for module in list_attention(components[name]):
            if type(module.processor).__name__ in _CLASSIC:
                module.set_processor(made)
                taken[name] += 1
    if not any(taken[name] for name in denoisers):
        modules = [module for part in denoisers.values() for module in list_attention(part)]
        others = Counter(type(module.processor).__name__ for module in modules)
        able = any(hasattr(module.processor, "_attention_backend") for module in modules)
        advice = ": attention(backend=...) is for those" if able else ""
        raise RegistrationError(
            f"{owner} replaces the processors of diffusers' Attention, and {list_names(denoisers)}"
            f" computes it by {describe_counts(others)}{advice}"
        )


@contextmanager
def _prove_processors(pipeline: Any, *, wanted: frozenset[str]) -> Iterator[Callable[[], Finding]]:
    """Count the processors of the denoisers when the generation is done."""
    counts: dict[str, Counter[str]] = {}
    yield lambda: _judge_processors(wanted, counts)
    counts |= {name: count_processors(part) for name, part in find_denoisers(pipeline).items()}


def _judge_processors(wanted: frozenset[str], counts: dict[str, Counter[str]]) -> Finding:
    set_to = {name: sum(found[kind] for kind in wanted) for name, found in counts.items()}
    said = (f"attention of {name} is by {describe_counts(found)}" for name, found in counts.items())
    return Finding(any(set_to.values()), "; ".join(said))


def _check_xformers(machine: Machine) -> str | None:
    return require_cuda("xformers", machine) or require_package("xformers", "xformers.ops")


def _apply_xformers(pipeline: Any, _recipe: Recipe) -> None:
    pipeline.enable_xformers_memory_efficient_attention()


# Backends by name


def _check_backend(machine: Machine, *, backend: str) -> str | None:
    """Return why a machine cannot run a backend of diffusers' dispatcher, or None."""
    kinds = next((kinds for start, kinds in _KINDS if backend.startswith(start)), ())
    if kinds and machine.kind not in kinds:
        return (
            f"attention(backend={backend!r}) needs a device of kind {' or '.join(kinds)}:"
            f" {machine.device} is of kind {machine.kind}"
        )
    try:
        from diffusers.models import attention_dispatch
    except ImportError:
        return "attention(backend=...) needs diffusers 0.35 or later: pip install -U diffusers"
    known = {one.value: one for one in attention_dispatch.AttentionBackendName}
    if backend not in known:
        raise RegistrationError(
            f"attention: unknown backend {backend!r} of diffusers; valid: {', '.join(known)}"
        )
    check = getattr(attention_dispatch, "_check_attention_backend_requirements", None)
    try:
        if check is not None:
            check(known[backend])
    except RuntimeError as error:
        return f"attention(backend={backend!r}): {read_first_line(error, 'it is not usable')}"
    return None


_KINDS = (
    ("_native_cudnn", ("cuda",)),
    ("_native_efficient", ("cuda",)),
    ("_native_npu", ("npu",)),
    ("_native_xla", ("xla",)),
    ("flash", ("cuda",)),
    ("_flash", ("cuda",)),
    ("aiter", ("cuda",)),
    ("sage", ("cuda",)),
    ("_sage", ("cuda",)),
    ("xformers", ("cuda",)),
)
"""Beginnings of backends' names, the longest first -> kinds of devices that have kernels for them;
the others run on any."""


def _apply_backend(pipeline: Any, _recipe: Recipe, *, backend: str) -> None:
    """Set a backend; diffusers' process-wide default, which this sets too, is held in the slots.

    Raises:
        RegistrationError: no denoiser has the method.
    """
    denoisers = find_denoisers(pipeline)
    able = [part for part in denoisers.values() if hasattr(part, "set_attention_backend")]
    if not able:
        raise RegistrationError(
            f"attention: {list_names(denoisers)} has no set_attention_backend in this version of"
            " diffusers"
        )
    for part in able:
        part.set_attention_backend(backend)


@contextmanager
def _prove_backend(pipeline: Any, *, backend: str) -> Iterator[Callable[[], Finding]]:
    """Count the processors that took a backend, and its calls where they can be seen.

    Processors without the attribute, as those of UNets, call torch's attention themselves:
    ``set_attention_backend`` passes over them and says nothing.
    """
    denoisers, took, all_of_them = find_denoisers(pipeline), 0, Counter[str]()
    seen = not any(map(is_opaque, denoisers.values()))
    calls, inside = list[bool](), list[str]()

    def look(name: str, call: Callable[[], Any]) -> Any:
        inside.append(name)
        try:
            return call()
        finally:
            inside.pop()

    with ExitStack() as held:
        if seen:
            held.enter_context(watch_calls(denoisers, look))
            held.enter_context(
                _count_calls(backend, lambda: calls.append(True) if inside else None)
            )
        yield lambda: _judge_backend(backend, denoisers, took, all_of_them, calls if seen else None)
    for part in denoisers.values():
        for module in list_attention(part):
            took += getattr(module.processor, "_attention_backend", None) == backend
        all_of_them += count_processors(part)


def _judge_backend(
    backend: str,
    denoisers: dict[str, Any],
    took: int,
    processors: Counter[str],
    calls: list[bool] | None,
) -> Finding:
    names, total = list_names(denoisers), processors.total()
    if not took and not calls:
        return Finding(
            acted=False,
            text=f"none of the {total} attention processors of {names} takes a backend"
            f" ({describe_counts(processors)}), and set_attention_backend passes over them:"
            f" {_advise(processors)}",
        )
    said = f"{took} of {total} attention processors of {names} took it"
    if calls is None:
        return Finding(acted=True, text=said)
    return Finding(bool(calls), f"{said}, and {backend} was called {len(calls)} times")


@contextmanager
def _count_calls(backend: str, count: Callable[[], None]) -> Iterator[None]:
    """Note every call of a backend's function in diffusers' registry."""
    from diffusers.models import attention_dispatch

    functions = attention_dispatch._AttentionBackendRegistry._backends  # noqa: SLF001 - no public way
    name = attention_dispatch.AttentionBackendName(backend)
    function = functions[name]

    def counted(*args: Any, **kwargs: Any) -> Any:
        count()
        return function(*args, **kwargs)

    functions[name] = counted
    try:
        yield
    finally:
        functions[name] = function


OPTIMIZATIONS = (
    Optimization(
        name="sdpa",
        summary="scaled dot product attention of torch",
        changes=_BOTH,
        apply=lambda pipeline, _recipe: _set_processors(pipeline, "AttnProcessor2_0", "sdpa"),
        prove=partial(_prove_processors, wanted=_SDPA),
    ),
    Optimization(
        name="vanilla_attention",
        summary="attention as separate matrix products, as before torch 2",
        changes=_BOTH,
        apply=lambda pipeline, _recipe: _set_processors(
            pipeline, "AttnProcessor", "vanilla_attention"
        ),
        prove=partial(_prove_processors, wanted=frozenset({"AttnProcessor"})),
    ),
    Optimization(
        name="xformers",
        summary="memory-efficient attention of xFormers",
        supported=_check_xformers,
        changes=_BOTH,
        apply=_apply_xformers,
        prove=partial(_prove_processors, wanted=frozenset({"XFormersAttnProcessor"})),
    ),
    Optimization(
        name="attention",
        summary="attention of the denoisers by a backend of diffusers' dispatcher",
        options={"backend": "native"},
        supported=_check_backend,
        changes=frozenset({DENOISERS}),
        apply=_apply_backend,
        prove=_prove_backend,
    ),
)
