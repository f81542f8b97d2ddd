"""What a generation asks of a device, counted and not timed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

PlaceKind = Literal[
    "host_sync", "host_to_device", "device_to_host", "cast", "graph_break", "recompilation"
]
"""What is counted by the line of code that asked for it, in the order in which it is told."""

Cause = Literal["steps", "second_call", "prompt", "batch", "resolution"]
"""In what torch compiled again: over the steps of the first call, in a second one that is equal, or
in one that differs from it by its prompt, its number of pictures or their size."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of code that made the host wait for the device, copied between the two, or cast.

    Or one at which ``torch.compile`` breaks a graph, or for which it compiles again.

    Attributes:
        kind: what it did.
        file: path of the file, from the folder that its package or project is in.
        line: number of the line, from 1.
        code: the line, without its indentation; "" if the source is not at hand.
        count: how often.
        reason: why, as torch says it, the first time; "" if the line says it. Places that differ
            by it alone are equal.
    """

    kind: PlaceKind
    file: str
    line: int
    code: str
    count: int
    reason: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return ``diffusers/schedulers/scheduling_ddim.py:281  timestep.item()``."""
        code = f"  {self.code}" if self.code else ""
        return f"{self.file}:{self.line}{code}" + (f"  ({self.reason})" if self.reason else "")


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
class Compilation:
    """What ``torch.compile`` would compile for a call, counted without compiling it.

    Attributes:
        graphs: graphs of the first call.
        breaks: lines at which a graph broke in the first call; a count is how often torch met that
            while it traced, which is once for each frame that it tried.
        recompiled: in what frames were compiled again -> their lines, with the guard that failed. A
            call that is not the first counts every frame that it compiles. What was not tried is
            not in it.
        notes: what a GPU may do otherwise, in words.
    """

    graphs: int = 0
    breaks: tuple[Place, ...] = ()
    recompiled: Mapping[Cause, tuple[Place, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def count(self, *causes: Cause) -> int:
        """Return how many frames were compiled again in all these."""
        return sum(place.count for cause in causes for place in self.recompiled.get(cause, ()))


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
        parameters: numbers in the weights, or None if no weights are known.
        graph_breaks: graph breaks of the first call; None if nothing is compiled, or if that was
            not counted.
        recompilations: frames that are compiled again over the steps of the first call, and frames
            that are compiled in a second, equal one; None as above.
        compilation: what is compiled, with what other prompts, batches and resolutions cost; None
            as above.
        steps: denoising steps.
        per_step: account of one denoising step in steady state, field by field that of the step
            with most; None if there are less than two steps.
        uneven_steps: fields in which the steps in steady state differ from each other.
        stages: stage -> its account, in order.
        places: every line that made the host wait or copied, that broke a graph, or for which
            frames were compiled again.
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
    parameters: int | None = None
    graph_breaks: int | None = None
    recompilations: int | None = None
    compilation: Compilation | None = None
    steps: int = 0
    per_step: Account | None = None
    uneven_steps: tuple[str, ...] = ()
    stages: Mapping[str, Account] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    work: tuple[Work, ...] = ()
    notes: tuple[str, ...] = ()


def add_compilation(account: Account, compilation: Compilation) -> Account:
    """Return an account with what is compiled.

    Args:
        account: the account of a call.
        compilation: what is compiled for it.
    """
    again: dict[Place, Place] = {}
    for cause in ("steps", "second_call"):
        for place in compilation.recompiled.get(cause, ()):
            key = replace(place, count=0)
            count = place.count + (again[key].count if key in again else 0)
            again[key] = replace(again.get(key, place), count=count)
    return replace(
        account,
        graph_breaks=sum(place.count for place in compilation.breaks),
        recompilations=compilation.count("steps", "second_call"),
        compilation=compilation,
        places=(*account.places, *compilation.breaks, *again.values()),
        notes=(*account.notes, *compilation.notes),
    )


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
