"""What ``torch.cuda`` says during a dry run."""

from __future__ import annotations

import functools
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

import torch
import torch._dynamo  # it reads torch.cuda when it is imported, which torch does at the first mode

from pytest_sdspeed.dry.graphs import make_graph_answers, refuse_trace
from pytest_sdspeed.dry.tensors import DEVICE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_sdspeed.dry.device import CountingDevice
    from pytest_sdspeed.dry.ledger import Ledger

NAME = "NVIDIA A100-SXM4-80GB"
"""The GPU that it says it is: code that asks takes that one's path."""
CAPABILITY = (8, 0)
_TOTAL_BYTES = 80 * 2**30
_CACHED = ("accelerate.utils", "diffusers.utils", "transformers.utils")
"""Packages that remember whether there is a GPU."""
_CACHE = type(functools.cache(lambda: None))


class _Stream:
    """A stream, an event, or a device as a context: all work is done in order, at once."""

    ledger: Ledger

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        self.device, self.device_index, self.cuda_stream = DEVICE, DEVICE.index, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_args: object) -> None:
        """Leave the stream."""

    def synchronize(self) -> None:
        self.ledger.see("host_sync")

    def query(self) -> bool:
        return True

    def record_event(self, event: Any = None) -> Any:
        return event or type(self)()

    def elapsed_time(self, _end: Any) -> float:
        raise RuntimeError("a dry run has no time: it counts")

    def record(self, _stream: Any = None) -> None:
        """Record nothing: all before is done."""

    wait = wait_event = wait_stream = record


class _Generator(torch.Generator):  # type: ignore[misc]
    """A generator of the device; its numbers are the CPU's."""

    device = DEVICE


class _GeneratorType(type(torch.Generator)):  # type: ignore[misc]
    """Makes generators of the device or the CPU; every generator is an instance of it."""

    def __call__(cls, device: Any = "cpu") -> torch.Generator:
        if torch.device(device).type == DEVICE.type:
            return _Generator()
        return _REAL_GENERATOR(device)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _REAL_GENERATOR)


_REAL_GENERATOR = torch.Generator


class _GeneratorStandIn(metaclass=_GeneratorType):
    """Stands for ``torch.Generator``."""


@contextmanager
def pretend_cuda(device: CountingDevice) -> Iterator[None]:
    """Let ``torch.cuda`` tell of the counting device, inside the block.

    Args:
        device: the device: ``synchronize`` is a wait that it counts, memory is what it holds.
    """
    ledger = device.ledger
    with ExitStack() as held:
        for name, value in (_make_answers(ledger) | make_graph_answers(device)).items():
            if hasattr(torch.cuda, name):
                held.enter_context(patch.object(torch.cuda, name, value))
        for name in ("trace", "trace_module"):
            held.enter_context(patch.object(torch.jit, name, refuse_trace))
        accelerator = getattr(torch, "accelerator", None)
        if accelerator is not None:
            for name, value in _make_accelerator_answers(ledger).items():
                if hasattr(accelerator, name):
                    held.enter_context(patch.object(accelerator, name, value))
        held.enter_context(patch.object(torch, "Generator", _GeneratorStandIn))
        held.callback(_forget_answers)
        _forget_answers()
        yield


def _make_answers(ledger: Ledger) -> dict[str, Any]:
    def wait(_device: Any = None) -> None:
        ledger.see("host_sync")

    # Code names them in annotations, so that they are classes.
    stream = type("Stream", (_Stream,), {"ledger": ledger})
    event = type("Event", (_Stream,), {"ledger": ledger})
    properties = SimpleNamespace(
        name=NAME,
        major=CAPABILITY[0],
        minor=CAPABILITY[1],
        total_memory=_TOTAL_BYTES,
        multi_processor_count=108,
        warp_size=32,
        gcnArchName="",
    )
    nothing = _do_nothing
    return {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda *_args, **_kwargs: True,
        "_lazy_init": nothing,
        "init": nothing,
        "device_count": lambda: 1,
        "current_device": lambda: DEVICE.index,
        "set_device": nothing,
        "device": stream,
        "get_device_name": lambda _device=None: NAME,
        "get_device_capability": lambda _device=None: CAPABILITY,
        "get_device_properties": lambda _device=None: properties,
        "synchronize": wait,
        "empty_cache": nothing,
        "ipc_collect": nothing,
        "memory_allocated": lambda _device=None: ledger.held,
        "max_memory_allocated": lambda _device=None: ledger.most_held,
        "memory_reserved": lambda _device=None: ledger.held,
        "max_memory_reserved": lambda _device=None: ledger.most_held,
        "mem_get_info": lambda _device=None: (_TOTAL_BYTES - ledger.held, _TOTAL_BYTES),
        "reset_peak_memory_stats": nothing,
        "reset_max_memory_allocated": nothing,
        "manual_seed": nothing,
        "manual_seed_all": nothing,
        "seed": nothing,
        "seed_all": nothing,
        "get_rng_state": lambda _device=None: torch.get_rng_state(),
        "set_rng_state": lambda state, _device=None: torch.set_rng_state(state),
        "Stream": stream,
        "Event": event,
        "current_stream": lambda _device=None: stream(),
        "default_stream": lambda _device=None: stream(),
        "stream": nullcontext,
        "set_stream": nothing,
        "memory_stats": lambda _device=None: {"allocated_bytes.all.current": ledger.held},
    }


def _make_accelerator_answers(ledger: Ledger) -> Mapping[str, Any]:
    def wait(_device: Any = None) -> None:
        ledger.see("host_sync")

    return {
        "is_available": lambda: True,
        "current_accelerator": lambda *_args, **_kwargs: torch.device(DEVICE.type),
        "device_count": lambda: 1,
        "current_device_index": lambda: DEVICE.index,
        "current_device_idx": lambda: DEVICE.index,
        "synchronize": wait,
    }


def _do_nothing(*_args: Any, **_kwargs: Any) -> None:
    """Do nothing: a device that only counts has no state of this kind."""


def _forget_answers() -> None:
    """Let packages ask again whether there is a GPU, instead of remembering."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_CACHED):
            for value in list(vars(module).values()):
                if isinstance(value, _CACHE):
                    value.cache_clear()
