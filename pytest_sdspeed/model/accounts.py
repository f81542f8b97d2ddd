"""What a generation asks of a device, counted and not timed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.model.account_history import AccountHistory
    from pytest_sdspeed.model.tables import Recipe
    from pytest_sdspeed.model.vocabulary import Verdict

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

STEP_COUNTS = tuple(
    name for name in COUNTS if name not in ("weight_bytes", "graph_breaks", "recompilations")
)
"""Those of them that a denoising step has, too."""

PER_STEP = "_per_step"
ACCOUNT_BOUNDS = (*COUNTS, *(name + PER_STEP for name in STEP_COUNTS))
"""Names of the upper bounds that an account can be held to: ``NAME`` of a call, ``NAME_per_step``
of one denoising step in steady state."""


@dataclass(frozen=True, slots=True)
class PlaceChange:
    """A line of code that asks for more, or for less, than the other version did.

    Attributes:
        place: where it is, with how often it asks.
        more: how much more, or less, often that is; above 0.
        per_step: whether that is in a denoising step.
    """

    place: Place
    more: int
    per_step: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAgainst:
    """What another version asks for, and what differs.

    Attributes:
        spec: what the other version is, as it was given.
        label: what a reader calls it: ``main (3f2a1bc)``.
        account: what it asks for.
        versions: package -> version, of that version.
        more: counts that are higher than there, a text for each.
        fewer: counts that are lower than there, a text for each.
        places: lines of code that ask for more than there.
        gone: lines of code of that version that ask for less by now.
    """

    spec: str
    label: str
    account: Account
    versions: Mapping[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    fewer: tuple[str, ...] = ()
    places: tuple[PlaceChange, ...] = ()
    gone: tuple[PlaceChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountResult:
    """What one gate counted.

    Attributes:
        table, setup: names; ``table`` is None if a callable was counted.
        account: what was counted.
        bounds: name of a bound -> the most that passes; empty if nothing was asked of it.
        verdict: ``pass``, ``fail`` or ``invalid``; None if there are no bounds: it was counted.
        reasons: why the verdict is what it is, in words.
        recipe: what was generated, or None for callables.
        weights: ``embedded``, or ``none`` for models that have shapes alone; None for callables.
        optimizations: names of the stack of the setup, in order; None for callables.
        versions: package -> version.
        counted_as: the GPU that the counting device says it is.
        test: id of the test that asked, or None if that is unknown.
        notes: what else the reader should know, in words.
        against: the other version that it was compared with, or None.
        history: what stored runs counted of the same, this run the latest; None if they were not
            asked.
    """

    table: str | None
    setup: str
    account: Account
    bounds: Mapping[str, int] = field(default_factory=dict)
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    recipe: Recipe | None = None
    weights: str | None = None
    optimizations: tuple[str, ...] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    counted_as: str = ""
    test: str | None = None
    notes: tuple[str, ...] = ()
    against: AccountAgainst | None = None
    history: AccountHistory | None = None

    @property
    def name(self) -> str:
        """Return what a reader calls it: its setup, or for callables their test too."""
        return self.setup if self.table or not self.test else f"{self.setup} of {self.test}"

    @property
    def outcome(self) -> str:
        """Return the verdict, or ``counted`` if there was nothing to hold it to."""
        return self.verdict or "counted"


def find_count(account: Account, bound: str) -> int | None:
    """Return the count that a bound is on, or None if it is not known.

    Args:
        account: an account of a call.
        bound: one of ``ACCOUNT_BOUNDS``.
    """
    part: Account | None = account
    if bound.endswith(PER_STEP):
        part, bound = account.per_step, bound.removesuffix(PER_STEP)
    count: int | None = None if part is None else getattr(part, bound)
    return count
