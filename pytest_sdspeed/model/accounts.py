"""What a generation asks of a device, counted and not timed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

PlaceKind = Literal["host_sync", "host_to_device", "device_to_host"]
"""What is counted by the line of code that asked for it."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of code that made the host wait for the device, or that copied between the two.

    Attributes:
        kind: what it did.
        file: path of the file, from the folder that its package or project is in.
        line: number of the line, from 1.
        code: the line, without its indentation; "" if the source is not at hand.
        count: how often.
    """

    kind: PlaceKind
    file: str
    line: int
    code: str
    count: int

    def __str__(self) -> str:
        """Return ``diffusers/schedulers/scheduling_ddim.py:281  timestep.item()``."""
        return f"{self.file}:{self.line}" + (f"  {self.code}" if self.code else "")


@dataclass(frozen=True, slots=True, order=True)
class Work:
    """Operations of one size, for the time that a device needs at least for them.

    Attributes:
        operation: name of the operation, as torch calls it.
        dtype: type of its results, such as ``float16``.
        flops: floating-point operations of one of them.
        bytes_moved: bytes that one of them reads and writes.
        count: how many there are.
    """

    operation: str
    dtype: str
    flops: int
    bytes_moved: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one call asks of a device.

    Attributes:
        operations: operations that the device computes: views, allocations and copies from and to
            the host are none. Attention is one.
        host_syncs: times that the host waits for the device.
        host_to_device, device_to_host: copies.
        casts: operations that change the type of a tensor.
        flops: floating-point operations of matrix products, convolutions and attention; a
            multiplication and an addition are two.
        bytes_moved: bytes that the operations read and write.
        peak_bytes: most bytes that are held on the device at once.
        weight_bytes: bytes of the weights on the device before the call, or None if no weights are
            known.
        graph_breaks, recompilations: of what is compiled; None if nothing is, or if that was not
            counted.
        steps: denoising steps.
        per_step: account of one denoising step in steady state, field by field that of the step
            with most; None if there are less than two steps.
        uneven_steps: fields in which the steps in steady state differ from each other.
        stages: stage -> its account, in order.
        places: every line that made the host wait or copied.
        work: all operations by their sizes.
        notes: what a real device may do otherwise, in words.
    """

    operations: int = 0
    host_syncs: int = 0
    host_to_device: int = 0
    device_to_host: int = 0
    casts: int = 0
    flops: int = 0
    bytes_moved: int = 0
    peak_bytes: int = 0
    weight_bytes: int | None = None
    graph_breaks: int | None = None
    recompilations: int | None = None
    steps: int = 0
    per_step: Account | None = None
    uneven_steps: tuple[str, ...] = ()
    stages: Mapping[str, Account] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    work: tuple[Work, ...] = ()
    notes: tuple[str, ...] = ()


COUNTS = (
    "operations",
    "host_syncs",
    "host_to_device",
    "device_to_host",
    "casts",
    "flops",
    "bytes_moved",
    "peak_bytes",
    "weight_bytes",
    "graph_breaks",
    "recompilations",
)
"""Fields of an account that are numbers, in the order in which they are shown."""
