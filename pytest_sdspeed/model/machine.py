"""What is known of a machine, of how a setup uses it, and of its state at one moment."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where things are measured.

    Attributes:
        kind: ``cpu`` or ``cuda``.
        device: the device's own name (``NVIDIA H200``, ``AMD EPYC``).
        versions: package or driver -> version.
        capability: CUDA compute capability (major, minor), or None on a CPU.
        features: instruction-set flags of the CPU as its operating system names them.
        notes: what a reader of its results should know, in words.
    """

    kind: Literal["cpu", "cuda"]
    device: str
    versions: Mapping[str, str]
    capability: tuple[int, int] | None = None
    features: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


UNKNOWN_GPU = Machine(kind="cuda", device="an unknown GPU", versions={})
"""Stands for the GPU of a worker that has not told which it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where one generation's time goes; None is unknown.

    Attributes:
        stages_s: stage -> seconds.
        busy_s: seconds in which the GPU worked on anything.
        flops: of the whole generation; a multiplication and an addition are two.
        notes: why something is unknown, in words.
    """

    stages_s: Mapping[str, float] | None = None
    busy_s: float | None = None
    flops: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading; None is unknown.

    Attributes:
        sm_clock_mhz: clock of the streaming multiprocessors, MHz.
        temperature_c: of the GPU, degrees Celsius.
        power_w: drawn, watts, over whatever time the device averages.
        energy_j: counter of the energy drawn so far, joules.
        reasons: names of what holds the clock below what it could be; idling and chosen clock
            settings are none.
    """

    sm_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    energy_j: float | None = None
    reasons: tuple[str, ...] | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is known."""
        return all(value is None for value in astuple(self))


UNREAD = Reading()


class Telemetry(Protocol):
    """Asks the device, between slots only. Never raises: what cannot be had is None.

    Attributes:
        note: why nothing is known, or "".
    """

    note: str

    def energy_j(self) -> float | None:
        """The energy counter alone, joules."""
        ...

    def read(self) -> Reading:
        """Everything, a few milliseconds at most."""
        ...


class UnknownTelemetry:
    """A device that does not tell.

    Args:
        note: why, where that is worth a line.
    """

    def __init__(self, note: str = "") -> None:
        self.note = note

    def energy_j(self) -> float | None:
        """Unknown."""
        return None

    def read(self) -> Reading:
        """Unknown."""
        return UNREAD
