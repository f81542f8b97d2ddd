"""Process-global switches of torch and diffusers: read, set for a while, and held to be as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from pytest_sdspeed.errors import LeakedFlagError


class Flag(NamedTuple):
    """One switch: how to read it and how to set it."""

    read: Callable[[], Any]
    write: Callable[[Any], Any]


def _attribute(holder: Any, name: str) -> Flag:
    return Flag(lambda: getattr(holder, name), lambda value: setattr(holder, name, value))


def _flags() -> Mapping[str, Flag]:
    """Every switch an optimization of this field is known to touch, by its public name."""
    import torch

    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    attributes = [
        ("torch.backends.cuda.matmul.allow_tf32", cuda.matmul, "allow_tf32"),
        ("torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction", cuda.matmul, "allow_fp16_reduced_precision_reduction"),
        ("torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction", cuda.matmul, "allow_bf16_reduced_precision_reduction"),
        ("torch.backends.cudnn.allow_tf32", cudnn, "allow_tf32"),
        ("torch.backends.cudnn.benchmark", cudnn, "benchmark"),
        ("torch.backends.cudnn.deterministic", cudnn, "deterministic"),
        ("torch.backends.cudnn.enabled", cudnn, "enabled"),
    ]
    flags = {name: _attribute(holder, attribute) for name, holder, attribute in attributes}
    for kind in ("flash", "mem_efficient", "math", "cudnn"):
        name = f"torch.backends.cuda.{kind}_sdp"
        flags[name] = Flag(getattr(cuda, f"{kind}_sdp_enabled"), getattr(cuda, f"enable_{kind}_sdp"))
    for device in ("cpu", "cuda"):
        flags[f"torch.autocast({device!r})"] = Flag(
            lambda device=device: torch.is_autocast_enabled(device), lambda value, device=device: torch.set_autocast_enabled(device, value)
        )
    flags["torch default dtype"] = Flag(torch.get_default_dtype, torch.set_default_dtype)
    flags["torch number of threads"] = Flag(torch.get_num_threads, torch.set_num_threads)
    flags["torch gradients"] = Flag(torch.is_grad_enabled, torch.set_grad_enabled)
    flags["torch deterministic algorithms"] = Flag(torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms)
    return flags | _attention_backend()


def _attention_backend() -> Mapping[str, Flag]:
    """The attention backend that diffusers keeps per process; empty where this diffusers has none.

    ``set_attention_backend`` changes it for every later pipeline and offers no public way to read it.
    """
    try:
        from diffusers.models.attention_dispatch import _AttentionBackendRegistry as Registry
    except ImportError:
        return {}
    return {"diffusers attention backend": _attribute(Registry, "_active_backend")} if hasattr(Registry, "_active_backend") else {}


def snapshot() -> Mapping[str, Any]:
    """Every watched switch and its value. One that torch refuses to read (its newer twin was set) reads as ``"unreadable"``."""
    values = {}
    for name, flag in _flags().items():
        try:
            values[name] = flag.read()
        except RuntimeError:
            values[name] = "unreadable"
    return values


@contextmanager
def guarded(owner: str) -> Iterator[None]:
    """Hold every watched switch to be after the block what it was before.

    Args:
        owner: who is blamed, "setup 'tf32'".

    Raises:
        LeakedFlagError: a switch was left changed. It is put back first, so that nothing measured later is touched. An exception from
            inside the block goes on instead.
    """
    before = snapshot()
    try:
        yield
    except BaseException:
        _restore(before)
        raise
    leaked = _restore(before)
    if leaked:
        raise LeakedFlagError(
            f"{owner} left process-global flags behind: {'; '.join(leaked)}. They are put back. An optimization may hold flags only inside "
            "its slot: set them in the context manager of Optimization.slot and restore them there."
        )


def _restore(before: Mapping[str, Any]) -> list[str]:
    leaked = []
    for name, value in snapshot().items():
        if value != before[name]:
            leaked.append(f"{name} is {value}, was {before[name]}")
            if before[name] != "unreadable":
                _flags()[name].write(before[name])
    return leaked


@contextmanager
def holding(values: Mapping[str, Any]) -> Iterator[None]:
    """Set watched switches inside the block and put them back after it.

    Args:
        values: public name -> value, ``{"torch.backends.cudnn.benchmark": True}``.
    """
    flags = _flags()
    before = {name: flags[name].read() for name in values}
    try:
        for name, value in values.items():
            flags[name].write(value)
        yield
    finally:
        for name, value in before.items():
            flags[name].write(value)
