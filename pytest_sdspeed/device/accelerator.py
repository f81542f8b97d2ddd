"""Accelerators as torch has them: which there is, which this process uses, how to wait for it.

An accelerator is known by its kind, the type of its torch device: ``cuda`` (ROCm's too), ``xpu``,
``mps``, or what a package that extends torch calls its own. Only one is there at a time, as
``torch.accelerator`` has it. Nothing here gives a process a context on a device that it has not
got, and nothing imports torch for a process that has not done so.
"""

from __future__ import annotations

import gc
import sys
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from typing import Any

from pytest_sdspeed.compatibility import find_current_accelerator

_KNOWN = ("cuda", "xpu", "mps")
_NAMES = {"cuda": "CUDA", "xpu": "XPU", "mps": "MPS"}


def find_build_without_accelerators() -> str | None:
    """Return the version of a torch that was built for no accelerator, without importing it.

    That would take seconds. None means that only torch itself can tell: it is imported already, it
    was built for some accelerator, or a package extends it.
    """
    found = find_spec("torch")
    if "torch" in sys.modules or found is None or found.origin is None:
        return None
    facts = Path(found.origin).with_name("version.py")
    # Of MPS it says nothing.
    if sys.platform == "darwin" or entry_points(group="torch.backends") or not facts.is_file():
        return None
    built = run_path(str(facts))
    kinds = [built.get(name, "unknown") for name in ("cuda", "hip", "xpu")]
    return None if any(kinds) else str(built["__version__"])


def find_kind() -> str | None:
    """Return the kind of the accelerator that torch can use, or None; it imports torch."""
    import torch

    kind = find_built_kind(torch)
    return kind if kind and _has_device(kind) else None


def find_built_kind(torch: Any) -> str | None:
    """Return the kind of the accelerator that torch was built for, None if it has none.

    Before torch 2.7 it is None too if there is no such device.
    """
    found = find_current_accelerator(torch)
    return str(found.type) if found else None


@cache
def _has_device(_kind: str) -> bool:
    # Unlike is_available, the count of CUDA asks NVML first: a process may still fork afterwards.
    return bool(sys.modules["torch"].accelerator.device_count())


def find_module(kind: str) -> Any:
    """Return ``torch.cuda``, ``torch.xpu``, ``torch.mps`` or that of another kind."""
    return getattr(sys.modules["torch"], kind)


def is_rocm(kind: str) -> bool:
    """Tell whether what torch calls ``cuda`` is ROCm."""
    import torch

    return kind == "cuda" and torch.version.hip is not None


def name_kind(kind: str) -> str:
    """Name a kind as its users do: ``CUDA``, ``ROCm``, ``XPU``."""
    return "ROCm" if is_rocm(kind) else _NAMES.get(kind, kind)


def list_used() -> list[str]:
    """List the kinds of accelerators that this process uses, without beginning to use one."""
    torch = sys.modules.get("torch")
    if not hasattr(torch, "accelerator"):  # not imported, or just being so
        return []
    current = find_built_kind(torch)
    return [kind for kind in dict.fromkeys((*_KNOWN, current)) if kind and _is_used(kind, current)]


def _is_used(kind: str, current: str | None) -> bool:
    module = find_module(kind)
    if hasattr(module, "is_initialized"):
        return bool(module.is_initialized())
    # MPS does not tell. To wait for it costs nothing if it has nothing to do.
    in_bad_fork = getattr(module, "_is_in_bad_fork", lambda: False)
    return kind == current and not in_bad_fork() and _has_device(kind)


def synchronize() -> None:
    """Wait for everything that this process asked of accelerators."""
    for kind in list_used():
        module = find_module(kind)
        indices = _list_indices(kind, module)
        if indices is None:
            module.synchronize()
        for index in indices or ():
            module.synchronize(index)


def _list_indices(kind: str, module: Any) -> list[int] | None:
    """List the devices of a kind that may be at work; None if the current one is enough.

    A callable may use another than the current one. Waiting for a device of CUDA gives it a context
    if this process has none there, which takes seconds and memory; on XPU all have one together.
    """
    indices = range(module.device_count()) if kind in ("cuda", "xpu") else ()
    if len(indices) <= 1:
        return None
    if kind == "xpu":
        return list(indices)
    # It has no public name.
    has_context = getattr(find_module("_C"), "_cuda_hasPrimaryContext", None)
    return None if has_context is None else [index for index in indices if has_context(index)]


def free_device_memory() -> None:
    """Free the device memory that nothing uses any more.

    Collect what compiled pipelines hold in cycles, reset Dynamo, and empty the allocators' caches.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if "torch._dynamo" in sys.modules and torch is not None:
        torch.compiler.reset()
        gc.collect()
    for kind in list_used():
        getattr(find_module(kind), "empty_cache", lambda: None)()
