"""Process-global switches of torch and diffusers: read, set for a while, and held to be as they were."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.errors import LeakedFlagError, UsageMistakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

UNREADABLE = "unreadable"
"""Value of a switch that torch refuses to read, since its newer twin was set."""


class Flag(NamedTuple):
    """One switch: how to read it and how to set it."""

    read: Callable[[], Any]
    write: Callable[[Any], Any]


def _attribute(holder: Any, name: str) -> Flag:
    return Flag(lambda: getattr(holder, name), lambda value: setattr(holder, name, value))


def _flags() -> dict[str, Flag]:
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
        flags[f"torch.autocast({device!r})"] = Flag(partial(torch.is_autocast_enabled, device), partial(torch.set_autocast_enabled, device))
    flags["torch default dtype"] = Flag(torch.get_default_dtype, torch.set_default_dtype)
    flags["torch number of threads"] = Flag(torch.get_num_threads, torch.set_num_threads)
    flags["torch gradients"] = Flag(torch.is_grad_enabled, torch.set_grad_enabled)
    # The debug mode also tells "warn only" apart, which the plain switch would lose when it is put back.
    flags["torch deterministic debug mode"] = Flag(torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode)
    return flags | _attention_backend()


def _attention_backend() -> dict[str, Flag]:
    """The attention backend that diffusers keeps per process; empty where this diffusers has none.

    ``set_attention_backend`` changes it for every later pipeline and offers no public way to read it.
    """
    try:
        from diffusers.models.attention_dispatch import _AttentionBackendRegistry as Registry
    except ImportError:
        return {}
    return {"diffusers attention backend": _attribute(Registry, "_active_backend")} if hasattr(Registry, "_active_backend") else {}


def snapshot() -> Mapping[str, Any]:
    """Every watched switch and its value, ``UNREADABLE`` included."""
    return {name: _value(flag) for name, flag in _flags().items()}


def _value(flag: Flag) -> Any:
    try:
        return flag.read()
    except RuntimeError:
        return UNREADABLE


def _put(flag: Flag, value: Any) -> None:
    # Writing a legacy switch its own value would still undo what its newer twin says.
    if _value(flag) != value:
        flag.write(value)


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
            if before[name] != UNREADABLE:
                _flags()[name].write(before[name])
    return leaked


@contextmanager
def holding(values: Mapping[str, Any]) -> Iterator[None]:
    """Set watched switches inside the block and put them back after it.

    Args:
        values: public name -> value, ``{"torch.backends.cudnn.benchmark": True}``.

    Raises:
        UsageMistakeError: torch refuses to read one, so that it could not be put back.
    """
    flags = {name: flag for name, flag in _flags().items() if name in values}
    before = {name: _value(flag) for name, flag in flags.items()}
    for name, value in before.items():
        if value == UNREADABLE:
            raise UsageMistakeError(
                f"{name} cannot be held: its newer twin (fp32_precision) was set in this process. Set one of the two, not both."
            )
    try:
        for name, flag in flags.items():
            _put(flag, values[name])
        yield
    finally:
        for name, flag in flags.items():
            _put(flag, before[name])
