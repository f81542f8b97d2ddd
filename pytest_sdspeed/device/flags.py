"""Process-global flags of torch and diffusers: read, held for a while, and checked for leaks."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.errors import LeakedFlagError, UsageMistakeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

UNREADABLE = "unreadable"
"""Value of a flag that torch refuses to read, because its newer twin was set."""


class Flag(NamedTuple):
    """A flag: how to read it and how to set it."""

    read: Callable[[], Any]
    write: Callable[[Any], Any]


def _wrap_attribute(holder: Any, name: str) -> Flag:
    return Flag(lambda: getattr(holder, name), lambda value: setattr(holder, name, value))


def _list_flags() -> dict[str, Flag]:
    """Return every flag that an optimization of this field is known to set, by its public name."""
    import torch

    cuda, cudnn = torch.backends.cuda, torch.backends.cudnn
    attributes = [
        ("torch.backends.cuda.matmul.allow_tf32", cuda.matmul, "allow_tf32"),
        (
            "torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
            cuda.matmul,
            "allow_fp16_reduced_precision_reduction",
        ),
        (
            "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction",
            cuda.matmul,
            "allow_bf16_reduced_precision_reduction",
        ),
        ("torch.backends.cudnn.allow_tf32", cudnn, "allow_tf32"),
        ("torch.backends.cudnn.benchmark", cudnn, "benchmark"),
        ("torch.backends.cudnn.deterministic", cudnn, "deterministic"),
        ("torch.backends.cudnn.enabled", cudnn, "enabled"),
    ]
    flags = {name: _wrap_attribute(holder, attribute) for name, holder, attribute in attributes}
    for kind in ("flash", "mem_efficient", "math", "cudnn"):
        name = f"torch.backends.cuda.{kind}_sdp"
        flags[name] = Flag(
            getattr(cuda, f"{kind}_sdp_enabled"), getattr(cuda, f"enable_{kind}_sdp")
        )
    for device in ("cpu", "cuda"):
        flags[f"torch.autocast({device!r})"] = Flag(
            partial(torch.is_autocast_enabled, device), partial(torch.set_autocast_enabled, device)
        )
    flags["torch default dtype"] = Flag(torch.get_default_dtype, torch.set_default_dtype)
    flags["torch number of threads"] = Flag(torch.get_num_threads, torch.set_num_threads)
    flags["torch gradients"] = Flag(torch.is_grad_enabled, torch.set_grad_enabled)
    # The debug mode also tells "warn only" apart, which restoring the plain flag would lose.
    flags["torch deterministic debug mode"] = Flag(
        torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode
    )
    return flags | _find_attention_backend()


def _find_attention_backend() -> dict[str, Flag]:
    """Return the flag of the attention backend that diffusers keeps per process, if it has one.

    ``set_attention_backend`` changes it for every later pipeline, and there is no public way to
    read it.
    """
    try:
        from diffusers.models.attention_dispatch import _AttentionBackendRegistry as Registry
    except ImportError:
        return {}
    return (
        {"diffusers attention backend": _wrap_attribute(Registry, "_active_backend")}
        if hasattr(Registry, "_active_backend")
        else {}
    )


def snapshot() -> Mapping[str, Any]:
    """Return every flag and its value, ``UNREADABLE`` included."""
    return {name: _read(flag) for name, flag in _list_flags().items()}


def _read(flag: Flag) -> Any:
    try:
        return flag.read()
    except RuntimeError:
        return UNREADABLE


def _write(flag: Flag, value: Any) -> None:
    # Writing even the same value to a legacy flag would undo what its newer twin says.
    if _read(flag) != value:
        flag.write(value)


@contextmanager
def guard(owner: str) -> Iterator[None]:
    """Check that every flag is after the block what it was before.

    Args:
        owner: what the message blames, such as "setup 'tf32'".

    Raises:
        LeakedFlagError: a flag was left changed. It is restored first, so that nothing measured
            later is affected. An exception from inside the block takes precedence.
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
            f"{owner} left process-global flags behind: {'; '.join(leaked)}. They are restored. An"
            " optimization may hold flags only inside its slot: set them in the context manager of"
            " Optimization.slot and restore them there."
        )


def _restore(before: Mapping[str, Any]) -> list[str]:
    leaked = []
    for name, value in snapshot().items():
        if value != before[name]:
            leaked.append(f"{name} is {value}, was {before[name]}")
            if before[name] != UNREADABLE:
                _list_flags()[name].write(before[name])
    return leaked


@contextmanager
def hold(values: Mapping[str, Any]) -> Iterator[None]:
    """Set flags inside the block and restore them after it.

    Args:
        values: public name -> value, ``{"torch.backends.cudnn.benchmark": True}``.

    Raises:
        UsageMistakeError: torch refuses to read a flag, so that it could not be restored.
    """
    flags = {name: flag for name, flag in _list_flags().items() if name in values}
    before = {name: _read(flag) for name, flag in flags.items()}
    for name, value in before.items():
        if value == UNREADABLE:
            raise UsageMistakeError(
                f"{name} cannot be held: its newer twin (fp32_precision) was set in this process."
                " Set one of the two, not both."
            )
    try:
        for name, flag in flags.items():
            _write(flag, values[name])
        yield
    finally:
        for name, flag in flags.items():
            _write(flag, before[name])
