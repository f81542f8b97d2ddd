"""Telemetry of an NVIDIA GPU, by its management library NVML through nvidia-ml-py."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import Reading, UnknownTelemetry

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_sdspeed.model import Telemetry

_LIMITS = {
    0x04: "SW power cap",
    0x08: "HW slowdown",
    0x10: "sync boost",
    0x20: "SW thermal slowdown",
    0x40: "HW thermal slowdown",
    0x80: "HW power brake",
}
"""Bits of NVML's clocks event reasons (nvml.h, ``nvmlClocksEventReason*``) that are limits; the others are idling and chosen settings."""


class NvmlTelemetry:
    """One device.

    Args:
        nvml: the module ``pynvml``, initialized.
        handle: NVML's, of a GPU or of a MIG slice.
    """

    note = ""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def energy_j(self) -> float | None:
        """The energy counter, from millijoules."""
        return _scaled(self._asked("nvmlDeviceGetTotalEnergyConsumption"), 1e-3)

    def read(self) -> Reading:
        """Everything; the limits on the clock first, since they fade when the device idles."""
        mask = self._asked("nvmlDeviceGetCurrentClocksEventReasons")
        return Reading(
            reasons=None if mask is None else tuple(name for bit, name in _LIMITS.items() if mask & bit),
            sm_clock_mhz=self._asked("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM),
            energy_j=self.energy_j(),
            power_w=_scaled(self._asked("nvmlDeviceGetPowerUsage"), 1e-3),
            temperature_c=self._asked("nvmlDeviceGetTemperature", self._nvml.NVML_TEMPERATURE_GPU),
        )

    def _asked(self, function: str, *arguments: Any) -> int | None:
        try:
            return int(getattr(self._nvml, function)(self._handle, *arguments))
        except Exception:  # noqa: BLE001 - a slice, a driver or a package that lacks the function must not cost a campaign
            return None


def _scaled(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor


def opened(uuid: Callable[[], str]) -> Telemetry:
    """Telemetry of a CUDA device, or one that tells nothing and says why.

    Args:
        uuid: tells the device's own, as CUDA gives it, which orders devices otherwise than NVML does.
    """
    try:
        nvml = import_module("pynvml")
        nvml.nvmlInit()
        found = NvmlTelemetry(nvml, _handle(nvml, uuid().removeprefix("GPU-").removeprefix("MIG-")))
    except ImportError:
        return UnknownTelemetry("GPU telemetry is unknown: nvidia-ml-py is not installed: pip install 'pytest-sdspeed[gpu]'")
    except Exception as error:  # noqa: BLE001 - whatever it raises, there is no telemetry
        return UnknownTelemetry(f"GPU telemetry is unknown: {type(error).__name__}: {error}")
    return UnknownTelemetry("GPU telemetry is unknown: NVML tells nothing of this device") if found.read().empty else found


def _handle(nvml: Any, uuid: str) -> Any:
    """NVML's handle of a GPU, or of the MIG slice of that identity.

    Raises:
        Exception: NVML knows neither.
    """
    try:
        return nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except Exception:  # noqa: BLE001 - it may be a slice
        return nvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
