"""What NVML tells, on a fake of its module, and what becomes of it; what it does not tell is unknown and costs nothing else."""

from __future__ import annotations

import sys
import timeit
from dataclasses import replace
from importlib.util import find_spec

import pytest

from pytest_sdspeed.device.nvml import NvmlTelemetry, open_telemetry
from pytest_sdspeed.measure.campaign_data import CampaignData, Slot
from pytest_sdspeed.measure.telemetry import spent_j, summarize_telemetry
from pytest_sdspeed.model import CONTROL, UNREAD, Reading, UnknownTelemetry

UUID = "ffc79498-8ff3-c2dc-3b0d-fafd804516ae"


class FakeNvml:
    """``pynvml`` with one device. What is missing in ``said`` is not supported."""

    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0

    def __init__(self, name=f"GPU-{UUID}", **said):
        self.name, self.started, self.asked = name, False, []
        self.said = {"reasons": 0, "clock": 1980, "energy": 5_000_500, "power": 650_250, "temperature": 55, **said}

    def nvmlInit(self):  # noqa: N802 - NVML's name
        self.started = True

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802 - NVML's name
        assert self.started
        self.asked.append(uuid)
        if uuid != self.name:
            raise RuntimeError("Not Found")
        return "handle"

    def _tell(self, what, handle):
        assert handle == "handle"
        if self.said[what] is None:
            raise RuntimeError("Not Supported")
        return self.said[what]

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):  # noqa: N802 - NVML's name
        return self._tell("reasons", handle)

    def nvmlDeviceGetClockInfo(self, handle, kind):  # noqa: N802 - NVML's name
        assert kind == self.NVML_CLOCK_SM
        return self._tell("clock", handle)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):  # noqa: N802 - NVML's name
        return self._tell("energy", handle)

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802 - NVML's name
        return self._tell("power", handle)

    def nvmlDeviceGetTemperature(self, handle, sensor):  # noqa: N802 - NVML's name
        assert sensor == self.NVML_TEMPERATURE_GPU
        return self._tell("temperature", handle)


@pytest.fixture
def nvml(monkeypatch):
    def install(*name, **said):
        module = FakeNvml(*name, **said)
        monkeypatch.setitem(sys.modules, "pynvml", module)
        return module

    return install


# NVML


def test_a_reading_is_in_megahertz_degrees_watts_and_joules(nvml):
    nvml()
    found = open_telemetry(lambda: UUID)
    assert found.read() == Reading(sm_clock_mhz=1980, temperature_c=55, power_w=650.25, energy_j=5000.5, reasons=())
    assert (found.read_energy_j(), found.note) == (5000.5, "")


@pytest.mark.parametrize("given", [UUID, f"GPU-{UUID}"])
def test_the_device_is_found_by_its_own_name(nvml, given):
    module = nvml()
    open_telemetry(lambda: given)
    assert module.asked == [f"GPU-{UUID}"]


def test_a_slice_is_found_by_its_name_and_tells_what_it_can(nvml):
    module = nvml(f"MIG-{UUID}", clock=None, power=None, energy=None, reasons=None)
    assert open_telemetry(lambda: UUID).read() == Reading(temperature_c=55)
    assert module.asked == [f"GPU-{UUID}", f"MIG-{UUID}"]


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        (0x1, ()),
        (0x2 | 0x100, ()),
        (0x4 | 0x1, ("SW power cap",)),
        (0x8 | 0x40, ("HW slowdown", "HW thermal slowdown")),
        (0x10 | 0x20 | 0x80, ("sync boost", "SW thermal slowdown", "HW power brake")),
        (0x400, ()),
    ],
)
def test_idling_and_chosen_clocks_are_no_limits(nvml, mask, names):
    nvml(reasons=mask)
    assert open_telemetry(lambda: UUID).read().reasons == names


@pytest.mark.skipif(not find_spec("pynvml"), reason="needs nvidia-ml-py")
def test_the_names_and_bits_are_those_of_the_real_module():
    pynvml = pytest.importorskip("pynvml")
    limits = ("SwPowerCap", "HwSlowdown", "SyncBoost", "SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown")
    assert [getattr(pynvml, f"nvmlClocksEventReason{name}") for name in limits] == [0x4, 0x8, 0x10, 0x20, 0x40, 0x80]
    functions = [name for name in vars(FakeNvml) if name.startswith("nvml")]
    assert len(functions) == 7
    assert all(callable(getattr(pynvml, name)) for name in functions)
    assert (pynvml.NVML_CLOCK_SM, pynvml.NVML_TEMPERATURE_GPU) == (FakeNvml.NVML_CLOCK_SM, FakeNvml.NVML_TEMPERATURE_GPU)


def test_without_the_package_there_is_one_note(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    found = open_telemetry(lambda: UUID)
    assert (found.read(), found.read_energy_j()) == (UNREAD, None)
    assert found.note == "GPU telemetry is unknown: nvidia-ml-py is not installed: pip install 'pytest-sdspeed[gpu]'"


def unknown_uuid():
    raise AttributeError("no uuid")


@pytest.mark.parametrize(
    ("said", "uuid", "note"),
    [
        ({}, lambda: "another", "RuntimeError: Not Found"),
        ({}, unknown_uuid, "AttributeError: no uuid"),
        (
            dict.fromkeys(("reasons", "clock", "energy", "power", "temperature")),
            lambda: UUID,
            "NVML reports nothing about this device",
        ),
    ],
)
def test_a_device_that_nvml_does_not_know_is_unknown_with_one_note(nvml, said, uuid, note):
    nvml(**said)
    found = open_telemetry(uuid)
    assert found.note == f"GPU telemetry is unknown: {note}"
    assert found.read() is UNREAD


def test_a_package_that_lacks_a_function_costs_that_figure_alone(nvml, monkeypatch):
    nvml()
    monkeypatch.delattr(FakeNvml, "nvmlDeviceGetCurrentClocksEventReasons")
    found = open_telemetry(lambda: UUID).read()
    assert (found.reasons, found.sm_clock_mhz) == (None, 1980)


def test_the_python_side_of_a_reading_costs_next_to_nothing():
    telemetry = NvmlTelemetry(FakeNvml(), "handle")
    # About 5 us here; what matters is that nothing sleeps, polls, or starts a process.
    assert min(timeit.repeat(telemetry.read, number=100, repeat=5)) / 100 < 1e-3


# The summary


def slot(arm="row", duration_s=2.0, *, energy_j=None, block=1, **said):
    return Slot(arm, block, 0.0, duration_s, Reading(**said), energy_j)


def record(*slots, discarded=(), **facts):
    known = {
        "baseline": "base", "samples_s": {}, "pictures": {}, "decisions": {}, "errors": {}, "peak_bytes": {}, "control": None,
        "looks": (), "block_s": 0.0, "timed_s": 0.0,
    }  # fmt: skip
    return CampaignData(**{**known, **facts}, slots=slots, discarded=discarded)


def test_a_device_that_says_nothing_has_no_telemetry():
    assert summarize_telemetry(record(slot(), slot("base")), "row", 1) == {}
    assert summarize_telemetry(record(), "row", 1) == {}
    assert UnknownTelemetry().note == ""


def test_ranges_are_those_of_the_arms_own_slots():
    found = summarize_telemetry(
        record(
            slot(sm_clock_mhz=1900, temperature_c=50, power_w=600.0, reasons=("SW power cap",)),
            slot(sm_clock_mhz=1980, temperature_c=54, power_w=500.0, reasons=()),
            slot(sm_clock_mhz=1800, temperature_c=51, power_w=700.0, reasons=()),
            slot("base", sm_clock_mhz=1, temperature_c=1, power_w=1.0, reasons=("sync boost",)),
            slot(CONTROL, sm_clock_mhz=2, temperature_c=2, power_w=2.0, reasons=("sync boost",)),
        ),
        "row",
        4,
    )
    assert found == {
        "sm_clock_mhz": [1800.0, 1900.0, 1980.0],
        "temperature_c": [50.0, 51.0, 54.0],
        "power_w": [500.0, 600.0, 700.0],
        "throttle_reasons": ["SW power cap"],
        "discarded_blocks": 0,
        "energy_per_picture_j": 300.0,
        "energy_from": "power",
    }


def test_the_baseline_has_the_slots_of_its_control_too():
    found = summarize_telemetry(record(slot("base", temperature_c=50), slot(CONTROL, temperature_c=60), slot(temperature_c=90)), "base", 1)
    assert found["temperature_c"] == [50.0, 55.0, 60.0]


def test_discarded_blocks_are_counted_and_say_why_and_no_more():
    hot = slot(sm_clock_mhz=345, reasons=("HW thermal slowdown",), energy_j=9e9)
    found = summarize_telemetry(record(slot(sm_clock_mhz=1980, reasons=(), energy_j=800.0), discarded=((hot,), (hot,))), "row", 1)
    assert (found["discarded_blocks"], found["throttle_reasons"]) == (2, ["HW thermal slowdown"])
    assert found["sm_clock_mhz"] == [1980.0] * 3
    assert found["energy_per_picture_j"] == 800.0


@pytest.mark.parametrize(
    ("slots", "pictures", "energy", "origin"),
    [
        ([slot(energy_j=800.0), slot(energy_j=1200.0)], 4, 250.0, "counter"),
        ([slot(energy_j=800.0, power_w=1.0)], 1, 800.0, "counter"),
        ([slot(energy_j=800.0)], None, None, "counter"),
        # Too short for a counter that moves every 100 ms.
        ([slot(duration_s=0.5, energy_j=800.0, power_w=600.0)], 1, 300.0, "power"),
        ([slot(duration_s=0.5, energy_j=800.0, temperature_c=1)], 1, None, None),
        ([slot(energy_j=0.25), slot(energy_j=0.5)], 1, 0.375, "counter"),
        # A counter that stands still, or is missing.
        ([slot(energy_j=0.0, power_w=600.0)], 1, 1200.0, "power"),
        ([slot(energy_j=800.0, power_w=600.0), slot(power_w=400.0)], 1, 1000.0, "power"),
        ([slot(temperature_c=1)], 1, None, None),
    ],
)
def test_energy_comes_from_the_counter_or_else_from_power_and_time(slots, pictures, energy, origin):
    slots = [replace(one, reading=replace(one.reading, reasons=())) for one in slots]
    found = summarize_telemetry(record(*slots), "row", pictures)
    assert (found["energy_per_picture_j"], found["energy_from"]) == (energy, origin)


def test_what_is_unknown_stays_unknown():
    found = summarize_telemetry(record(slot(temperature_c=50)), "row", 1)
    assert {name for name, value in found.items() if value is None} == found.keys() - {"temperature_c"}


@pytest.mark.parametrize(("before", "after", "spent"), [(1.0, 3.5, 2.5), (None, 3.5, None), (1.0, None, None)])
def test_energy_is_the_difference_of_two_readings(before, after, spent):
    assert spent_j(before, after) == spent


def test_calls_put_together_from_stages_have_no_power_and_no_energy_of_their_own():
    # The device's power is a mean over a second, in which arms take turns at single steps.
    said = {"power_w": 500.0, "temperature_c": 60.0, "sm_clock_mhz": 1900.0}
    whole = slot(energy_j=1000.0, **said)
    staged = replace(slot(**said), inside_s=0.4)
    known = summarize_telemetry(record(whole, whole), "row", 2)
    assert (known["energy_per_picture_j"], known["energy_from"], known["power_w"]) == (500.0, "counter", [500.0] * 3)
    unknown = summarize_telemetry(record(staged, staged), "row", 2, videos=1)
    assert {name: unknown[name] for name in ("energy_per_picture_j", "energy_per_video_j", "energy_from", "power_w")} == {
        "energy_per_picture_j": None,
        "energy_per_video_j": None,
        "energy_from": None,
        "power_w": None,
    }
    assert unknown["temperature_c"] == [60.0] * 3


def test_overhead_is_beside_what_was_measured_of_calls_that_were_put_together():
    slots = [replace(slot(duration_s=10.0), inside_s=2.0), replace(slot(duration_s=10.0), inside_s=2.0)]
    assert record(*slots, timed_s=5.0).overhead == pytest.approx(0.25)
