"""What is known about a machine, about how a setup uses it, and about its state at one moment."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Protocol

from pytest_sdspeed.model.vocabulary import MIG

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine on which something is measured.

    Attributes:
        kind: ``cpu``, or the type of a torch device: ``cuda`` (ROCm's too), ``xpu``, ``mps``, ...
        device: the device's own name (``NVIDIA H200``, ``AMD EPYC``).
        versions: package or driver -> version.
        capability: CUDA compute capability (major, minor); None if this is no NVIDIA GPU.
        features: instruction-set flags of the CPU as its operating system names them; of an
            accelerator without a compute capability ``bf16``, if it computes in bfloat16; of the
            one that only counts ``COUNTS_ONLY``.
        notes: what readers of the results should know, in words.
    """

    kind: str
    device: str
    versions: Mapping[str, str]
    capability: tuple[int, int] | None = None
    features: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


COUNTS_ONLY = "counts_only"
"""Feature of the GPU of a dry run: nothing is compiled for it."""

UNKNOWN_GPU = Machine(kind="cuda", device="an unknown GPU", versions={})
"""The GPU of a worker that has not told which one it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Where one generation's time goes; None is unknown.

    Attributes:
        stages_s: stage -> seconds.
        busy_s: seconds in which the GPU was busy.
        flops: FLOPs of the whole generation; a multiplication and an addition are two.
        notes: why something is unknown, in words.
        steps: times that the scheduler stepped, if it was counted.
        reserved_bytes: most memory that torch took from the device in a generation, beyond what it
            had taken before; it had given back what nothing used.
    """

    stages_s: Mapping[str, float] | None = None
    busy_s: float | None = None
    flops: int | None = None
    notes: tuple[str, ...] = ()
    steps: int | None = None
    reserved_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a device's telemetry; None is unknown.

    Attributes:
        sm_clock_mhz: clock of the streaming multiprocessors, MHz.
        temperature_c: temperature of the GPU, degrees Celsius.
        power_w: power drawn, watts, averaged over whatever time the device chooses.
        energy_j: counter of the energy drawn so far, joules.
        reasons: names of what limits the clock; idling and chosen clock settings do not count.
    """

    sm_clock_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    energy_j: float | None = None
    reasons: tuple[str, ...] | None = None

    @property
    def empty(self) -> bool:
        """Tell whether nothing is known."""
        return all(value is None for value in astuple(self))


UNREAD = Reading()


class Telemetry(Protocol):
    """What reads a device between slots. It never raises: what is unavailable is None.

    Attributes:
        note: why nothing is known, or "".
    """

    note: str

    def read_energy_j(self) -> float | None:
        """Read the energy counter alone, joules."""
        ...

    def read(self) -> Reading:
        """Read everything, in a few milliseconds at most."""
        ...


class UnknownTelemetry:
    """Telemetry of a device that tells nothing.

    Args:
        note: why it tells nothing, if that is worth a line.
    """

    def __init__(self, note: str = "") -> None:
        self.note = note

    def read_energy_j(self) -> float | None:
        """Return None: it is unknown."""
        return None

    def read(self) -> Reading:
        """Return a reading in which everything is unknown."""
        return UNREAD


def is_another_device(device: str, documented_on: str | None) -> bool:
    """Tell whether a device is another one than that of a table, None if there is no table.

    ``NVIDIA A100`` is any A100, but no MIG slice of one, and ``cpu`` any CPU.
    """
    if documented_on is None or documented_on == "cpu":
        return False
    if (MIG in device) != (MIG in documented_on):
        return True
    return not device.startswith(documented_on) or device[len(documented_on) :][:1].isalnum()
