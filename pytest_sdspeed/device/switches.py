"""The process-wide switches of torch and diffusers that can be read and set again."""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.compatibility import find_alias, set_default_device
from pytest_sdspeed.device.accelerator import find_built_kind, find_module, list_used

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

UNREADABLE = "unreadable"
"""Value of a flag that torch refuses to read, because its newer twin was set."""

DEFAULT = "its default"
"""Value of an entry of a configuration that nobody set."""

_TWINS = (
    "fp32_precision",
    "cuda.matmul.fp32_precision",
    "cudnn.fp32_precision",
    "cudnn.conv.fp32_precision",
    "cudnn.rnn.fp32_precision",
    "mkldnn.fp32_precision",
    "mkldnn.matmul.fp32_precision",
    "mkldnn.conv.fp32_precision",
    "mkldnn.rnn.fp32_precision",
)
"""The newer switches of TF32, below ``torch.backends``."""

_ATTRIBUTES = (
    "cuda.matmul.allow_tf32",
    "cuda.matmul.allow_fp16_reduced_precision_reduction",
    "cuda.matmul.allow_bf16_reduced_precision_reduction",
    "cuda.matmul.allow_fp16_accumulation",
    "cudnn.allow_tf32",
    "cudnn.benchmark",
    "cudnn.deterministic",
    "cudnn.enabled",
    "mkldnn.enabled",
    "mkldnn.deterministic",
    "opt_einsum.enabled",
    "quantized.engine",
)
"""Switches below ``torch.backends`` that are attributes."""

_CONFIGURATIONS = ("torch._dynamo.config", "torch._inductor.config")


class Flag(NamedTuple):
    """A flag: how to read it and how to set it.

    Attributes:
        read: returns its value.
        write: sets a value that ``read`` returned.
        initial: returns what it is when its library is imported; None if that is torch.
    """

    read: Callable[[], Any]
    write: Callable[[Any], Any]
    initial: Callable[[], Any] | None = None


def list_flags() -> dict[str, Flag]:
    """Return every flag that code of this field is known to set, by its public name.

    A library that is not imported yet has none: nothing is imported for them but torch.
    """
    return _list_torch_flags() | _find_attention_backend()


@cache
def _list_torch_flags() -> dict[str, Flag]:
    import torch

    cuda, functional = torch.backends.cuda, torch.nn.functional
    flags = dict(_find_attributes(torch.backends, _ATTRIBUTES))
    for kind in ("flash", "mem_efficient", "math", "cudnn"):
        flags[f"torch.backends.cuda.{kind}_sdp"] = Flag(
            getattr(cuda, f"{kind}_sdp_enabled"), getattr(cuda, f"enable_{kind}_sdp")
        )
    kinds = tuple(dict.fromkeys(("cuda", find_built_kind(torch) or "cuda")))
    for device in ("cpu", *kinds):
        flags[f"torch.autocast({device!r})"] = Flag(
            partial(torch.is_autocast_enabled, device), partial(torch.set_autocast_enabled, device)
        )
        flags[f"torch autocast dtype of {device}"] = Flag(
            partial(torch.get_autocast_dtype, device), partial(torch.set_autocast_dtype, device)
        )
    flags |= {
        "torch default dtype": Flag(torch.get_default_dtype, torch.set_default_dtype),
        "torch number of threads": Flag(torch.get_num_threads, torch.set_num_threads),
        "torch inference mode": Flag(torch.is_inference_mode_enabled, _set_inference_mode),
        "torch gradients": Flag(torch.is_grad_enabled, torch.set_grad_enabled),
        # The debug mode also tells "warn only" apart, which restoring the plain flag would lose.
        "torch deterministic debug mode": Flag(
            torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode
        ),
        "torch default device": Flag(_read_default_device, partial(set_default_device, torch)),
        "torch function modes": Flag(_read_function_modes, _leave_function_modes),
        "torch dispatch modes": Flag(_read_dispatch_modes, _leave_dispatch_modes),
        "torch hooks of every module": Flag(_read_module_hooks, _write_module_hooks),
        "torch profiler": Flag(
            torch._C._autograd._profiler_enabled,  # noqa: SLF001 - it has no public name
            _leave_profiler,
        ),
        "torch flush denormal": Flag(_flushes_denormal, torch.set_flush_denormal),
        "torch.backends.mha fast path": Flag(
            torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled
        ),
        # Attention libraries tell their users to replace it.
        "torch.nn.functional.scaled_dot_product_attention": _wrap_attribute(
            functional, "scaled_dot_product_attention"
        ),
        "torch float32 matmul precision": Flag(
            torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
        ),
    }
    for kind in kinds:
        if hasattr(find_module(kind), "set_device"):
            flags[f"torch current {kind.upper()} device"] = Flag(
                partial(_read_device, kind), partial(_write_device, kind)
            )
    if torch.version.cuda or torch.version.hip:  # others refuse to set them
        flags |= {
            f"torch.backends.cuda.{name}": Flag(getattr(cuda, name), getattr(cuda, name))
            for name in ("preferred_blas_library", "preferred_linalg_library")
            if hasattr(cuda, name)
        }
    if hasattr(os, "sched_getaffinity"):  # Linux
        flags["processors that may be used"] = Flag(
            partial(os.sched_getaffinity, 0), partial(os.sched_setaffinity, 0)
        )
    return flags | dict(_find_attributes(torch.backends, _TWINS))


def _wrap_attribute(holder: Any, name: str, initial: Callable[[], Any] | None = None) -> Flag:
    return Flag(lambda: getattr(holder, name), lambda value: setattr(holder, name, value), initial)


def _find_attributes(backends: Any, paths: Sequence[str]) -> Iterator[tuple[str, Flag]]:
    for path in paths:
        *parents, name = path.split(".")
        holder = backends
        for parent in parents:
            holder = getattr(holder, parent, None)
        try:
            getattr(holder, name)
        except AttributeError:
            continue  # this torch does not have it
        except RuntimeError:
            pass  # it has it, and refuses to read it
        yield f"torch.backends.{path}", _wrap_attribute(holder, name)


def _find_attention_backend() -> dict[str, Flag]:
    """Return the flag of the attention backend that diffusers keeps per process, if it has one.

    ``set_attention_backend`` changes it for every later pipeline, and there is no public way to
    read it.
    """
    module = sys.modules.get("diffusers.models.attention_dispatch")
    registry = getattr(module, "_AttentionBackendRegistry", None)
    if not hasattr(registry, "_active_backend"):
        return {}

    def start() -> Any:
        return module.AttentionBackendName(module.DIFFUSERS_ATTN_BACKEND)  # type: ignore[union-attr]

    return {ATTENTION_BACKEND: _wrap_attribute(registry, "_active_backend", start)}


ATTENTION_BACKEND = "diffusers attention backend"


def read_configurations() -> Mapping[str, Any]:
    """Return what was set in the configurations of dynamo and inductor, by its full name.

    What has its default is left out; so is everything if torch compiled nothing yet.
    """
    return {
        f"{module}.{name}": value
        for module in _CONFIGURATIONS
        for name, entry in getattr(sys.modules.get(module), "_config", {}).items()
        if (value := _read_override(entry)) is not None
    }


def _read_override(entry: Any) -> Any:
    """Return what an entry of a configuration was set to, or None if that is its default.

    Reading a list or a dictionary of a configuration sets it to a copy of the default.
    """
    override = entry.user_override
    # Up to torch 2.11 the value itself is there, which may be a dictionary.
    value = override.get() if isinstance(override, ContextVar) else override
    if type(value) is object or value == entry.default or find_alias(entry) is not None:
        return None
    return value


def write_configuration(name: str, value: Any) -> None:
    """Set an entry of a configuration by its full name; ``DEFAULT`` stands for its default."""
    module = next(one for one in _CONFIGURATIONS if name.startswith(f"{one}."))
    configuration, key = sys.modules[module], name.removeprefix(f"{module}.")
    setattr(
        configuration,
        key,
        vars(configuration)["_config"][key].default if value is DEFAULT else value,
    )


def count_autocasts() -> int:
    """Return how many autocasts were entered and not left; torch forgets its casts at none."""
    torch = sys.modules.get("torch")
    if torch is None:
        return 0
    torch.autocast_increment_nesting()
    return int(torch.autocast_decrement_nesting())


def leave_autocasts(entered: int) -> None:
    """Leave autocasts until no more are entered than that, and forget what was cast for them."""
    import torch

    for _ in range(count_autocasts() - entered):
        torch.autocast_decrement_nesting()
    torch.clear_autocast_cache()


def _read_default_device() -> Any:
    import torch

    context = getattr(
        getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None
    )  # get_default_device makes a tensor, and tells the CPU and no device apart no more
    return None if context is None else context.device


def _read_function_modes() -> tuple[Any, ...]:
    import torch
    from torch.overrides import _get_current_function_mode_stack

    default = getattr(getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
    return tuple(mode for mode in _get_current_function_mode_stack() if mode is not default)


def _read_dispatch_modes() -> tuple[Any, ...]:
    from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

    return tuple(_get_current_dispatch_mode_stack())


def _leave_function_modes(wanted: tuple[Any, ...]) -> None:
    """Take modes that were entered and not left off their stack.

    A device that was entered as a context cannot be left by its ``__exit__``.
    """
    from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode

    left = [mode for mode in _read_function_modes() if not any(mode is kept for kept in wanted)]
    kept = [
        mode for mode in _get_current_function_mode_stack() if not any(mode is one for one in left)
    ]
    for _ in range(len(kept) + len(left)):
        _pop_mode()
    for mode in kept:
        _push_mode(mode)


def _leave_dispatch_modes(wanted: tuple[Any, ...]) -> None:
    """Leave modes that were entered and not left, the last first."""
    for mode in reversed(_read_dispatch_modes()):
        if not any(mode is kept for kept in wanted):
            mode.__exit__(None, None, None)


def _leave_profiler(wanted: bool) -> None:  # noqa: FBT001 - a flag's setter
    """Stop the profiler if none ran before; one that was stopped cannot go on."""
    import torch

    if not wanted:
        torch._C._autograd._disable_profiler()  # noqa: SLF001 - it has no public name


def _read_device(kind: str) -> int:
    """Return the index of the device that ``cuda`` means: the first one until CUDA is used."""
    return int(find_module(kind).current_device()) if kind in list_used() else 0


def _write_device(kind: str, index: int) -> None:
    if kind in list_used():
        find_module(kind).set_device(index)


class ModuleHook(NamedTuple):
    """A hook that every module calls.

    Attributes:
        table: name of the table that holds it, in ``torch.nn.modules.module``.
        key: what torch removes it by.
        hook: the function.
        manners: names of the tables that say how it is called. Torch leaves entries of hooks that
            are gone in them.
    """

    table: str
    key: int
    hook: Callable[..., Any]
    manners: tuple[str, ...]


_MANNERS = ("_always_called", "_with_kwargs")
"""Ends of the names of tables that say how a hook is called."""


@cache
def _find_hook_tables(*, manners: bool) -> Mapping[str, dict[int, Any]]:
    """Return torch's tables of hooks by name; it changes them in place and replaces none."""
    from torch.nn.modules import module

    return {
        name: table
        for name, table in vars(module).items()
        if name.startswith("_global_")
        and isinstance(table, dict)
        and name.endswith(_MANNERS) == manners
    }


def _read_module_hooks() -> tuple[ModuleHook, ...]:
    manners = _find_hook_tables(manners=True)
    return tuple(
        ModuleHook(name, key, hook, tuple(one for one, said in manners.items() if key in said))
        for name, table in _find_hook_tables(manners=False).items()
        for key, hook in table.items()
    )


def _write_module_hooks(wanted: tuple[ModuleHook, ...]) -> None:
    for name, table in _find_hook_tables(manners=False).items():
        table.clear()
        table.update((one.key, one.hook) for one in wanted if one.table == name)
    for name, said in _find_hook_tables(manners=True).items():
        said.update((one.key, True) for one in wanted if name in one.manners)


_INFERENCE: list[Any] = []


def _set_inference_mode(enabled: bool) -> None:  # noqa: FBT001 - a flag's setter
    """Set inference mode for good.

    A guard object sets it and sets it back at its end, so that this one is kept.
    """
    import torch

    guard = torch.inference_mode(enabled)
    guard.__enter__()
    _INFERENCE.append(guard)


def _flushes_denormal() -> bool:
    """Tell whether this thread takes the smallest numbers for zero, which no torch tells."""
    return sys.float_info.min / 2 == 0.0
