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
"""Bits of NVML's clocks event reasons that are limits (nvml.h, ``nvmlClocksEventReason*``).

The other bits are idling and chosen settings.
"""


class NvmlTelemetry:
    """Telemetry of one device.

    Args:
        nvml: the module ``pynvml``, initialized.
        handle: NVML's handle of a GPU or of a MIG slice.
    """

    note = ""

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml, self._handle = nvml, handle

    def read_energy_j(self) -> float | None:
        """Read the energy counter, joules; NVML counts millijoules."""
        return _scale(self._ask("nvmlDeviceGetTotalEnergyConsumption"), 1e-3)

    def read(self) -> Reading:
        """Read everything, the limits on the clock first, since they fade when the device idles."""
        mask = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        return Reading(
            reasons=(
                None if mask is None else tuple(name for bit, name in _LIMITS.items() if mask & bit)
            ),
            sm_clock_mhz=self._ask("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM),
            energy_j=self.read_energy_j(),
            power_w=_scale(self._ask("nvmlDeviceGetPowerUsage"), 1e-3),
            temperature_c=self._ask("nvmlDeviceGetTemperature", self._nvml.NVML_TEMPERATURE_GPU),
        )

    def _ask(self, function: str, *arguments: Any) -> int | None:
        try:
            return int(getattr(self._nvml, function)(self._handle, *arguments))
        except Exception:  # noqa: BLE001 - a slice, driver or package may lack the function
            return None


def _scale(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor


def open_telemetry(uuid: Callable[[], str]) -> Telemetry:
    """Open the telemetry of a CUDA device; if there is none, one that says why.

    Args:
        uuid: returns the UUID of the device as CUDA gives it; CUDA and NVML number devices in
            different orders.
    """
    try:
        nvml = import_module("pynvml")
        nvml.nvmlInit()
        found = NvmlTelemetry(
            nvml, _find_handle(nvml, uuid().removeprefix("GPU-").removeprefix("MIG-"))
        )
    except ImportError:
        return UnknownTelemetry(
            "GPU telemetry is unknown: nvidia-ml-py is not installed: pip install"
            " 'pytest-sdspeed[gpu]'"
        )
    except Exception as error:  # noqa: BLE001 - whatever it raises, there is no telemetry
        return UnknownTelemetry(f"GPU telemetry is unknown: {type(error).__name__}: {error}")
    return (
        UnknownTelemetry("GPU telemetry is unknown: NVML reports nothing about this device")
        if found.read().empty
        else found
    )


def _find_handle(nvml: Any, uuid: str) -> Any:
    """Return NVML's handle of the GPU, or of the MIG slice, with that UUID.

    Raises:
        Exception: NVML knows neither.
    """
    try:
        return nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except Exception:  # noqa: BLE001 - it may be a slice
        return nvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
