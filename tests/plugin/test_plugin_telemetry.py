"""What a GPU says of itself, from a whole run's campaign to its record, notes and verdicts; the GPU is a fake."""

from __future__ import annotations

import builtins
import json

import pytest

from pytest_sdspeed.model import Reading, UnknownTelemetry
from pytest_sdspeed.run.session import Session

GATED = """
@pytest.mark.sd_latency(speedup=1.0)
def test_engine(sd_latency):
    sd_latency(engine(0.5, picture()), baseline=engine(1.0, picture()))
"""


def stored(pytester):
    """The records of the file that the run wrote."""
    written = json.loads((pytester.path / "out.json").read_text())
    return [benchmark["extra_info"]["sdspeed"] for benchmark in written["benchmarks"]]


class Gpu:
    """Reads 100 W by its counter, and says that it throttles in the readings that it is told of."""

    note = ""

    def __init__(self, hot=()):
        self.hot, self.readings = hot, 0

    def read_energy_j(self):
        return 100.0 * builtins.sd_fake_time.seconds

    def read(self):
        self.readings += 1
        hot = ("HW thermal slowdown",) if self.readings in self.hot else ("SW power cap",)
        return Reading(sm_clock_mhz=1980, temperature_c=60, power_w=100.0, energy_j=self.read_energy_j(), reasons=hot)


@pytest.fixture
def run(gated, monkeypatch):
    def run(telemetry, source=GATED):
        monkeypatch.setattr(Session, "telemetry", telemetry)
        return gated(source, "--benchmark-json=out.json", "-W", "default")

    return run


def test_what_the_gpu_says_is_recorded(run, pytester):
    run(Gpu()).assert_outcomes(passed=1)
    (record,) = stored(pytester)
    telemetry = record["telemetry"]
    assert telemetry.pop("energy_per_picture_j") == pytest.approx(50, rel=0.05)
    assert telemetry == {
        "sm_clock_mhz": [1980.0] * 3,
        "temperature_c": [60.0] * 3,
        "power_w": [100.0] * 3,
        "throttle_reasons": ["SW power cap"],
        "discarded_blocks": 0,
        # Slots of half a second are too short for the counter.
        "energy_from": "power",
    }


def test_a_block_that_was_measured_again_is_a_note(run, pytester):
    # Four readings are the warm-up's.
    result = run(Gpu(hot=(7,)))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["note: candidate: blocks that were discarded and measured again, since the GPU throttled in them: 1"])
    (record,) = stored(pytester)
    assert record["telemetry"]["discarded_blocks"] == 1


def test_throttling_that_does_not_end_is_invalid(run, pytester):
    result = run(Gpu(hot=range(4 + 2 * 6 + 1, 10**6)))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["invalid: *the GPU throttled in 7 blocks, more than a third of the 20 planned (HW thermal slowdown; SM clock 1980*"]
    )
    (record,) = stored(pytester)
    assert (record["verdict"], record["blocks"]) == ("invalid", 2)


def test_throttling_from_the_start_leaves_nothing_to_record(run, pytester):
    result = run(Gpu(hot=range(10**6)))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["invalid: the GPU throttled in 7 blocks, *and fewer than 2 are left"])


def test_a_gpu_that_says_nothing_is_one_note(run, pytester):
    result = run(UnknownTelemetry("GPU telemetry is unknown: no NVML"))
    result.assert_outcomes(passed=1)
    assert result.outlines.count("note: candidate: GPU telemetry is unknown: no NVML") == 1
    assert stored(pytester)[0]["telemetry"] is None


# Memory that runs out late

LATE = """
@pytest.mark.sd_latency(speedup=1.0)
def test_engine(sd_latency):
    calls = []
    work = engine({seconds})
    def growing():
        calls.append(0)
        if len(calls) > {calls}:
            raise MemoryError("tried 3 GiB")
        return work()
    sd_latency(growing, baseline=engine(1.0))
"""


def test_a_row_that_no_longer_fits_before_it_is_decided_says_nothing_of_its_speed(run, pytester):
    result = run(UnknownTelemetry(), LATE.format(seconds=1.0, calls=7))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["growing ran out of memory: tried 3 GiB (*"])
    assert not any(line.startswith(("inconclusive", "growing on")) for line in result.outlines)
