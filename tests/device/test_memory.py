"""Peak memory: known if the platform tells it, else unknown, never invented."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from accelerators import Allocator

from pytest_sdspeed.device.memory import AllocatorMemory, ReservedMemory, ResidentMemory, find_reserved_memory
from pytest_sdspeed.measure.memory import UnknownMemory

STATUS = "Name:\tpytest\nVmPeak:\t  999999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"


@pytest.fixture
def files(tmp_path):
    """Write what /proc would have: a status file, and a clear_refs that takes the reset."""
    status, clear = tmp_path / "status", tmp_path / "clear_refs"
    status.write_text(STATUS)
    clear.touch()
    return status, clear


def test_resident_memory_resets_the_high_water_mark_and_reads_it_over_what_was_in_use(files):
    status, clear = files
    meter = ResidentMemory(status, clear)
    meter.start()
    assert clear.read_text() == "5"
    assert meter.peak_bytes() == (2048 - 1024) * 1024
    status.write_text(STATUS.replace("2048", "4096").replace("1024", "3000"))
    assert meter.peak_bytes() == (4096 - 1024) * 1024


def test_without_a_reset_there_is_no_peak(files):
    assert ResidentMemory(*files).peak_bytes() is None


def test_a_reset_that_is_refused_makes_the_peak_unknown(files, tmp_path):
    status, _ = files
    # Nobody can write to a folder, not even root.
    meter = ResidentMemory(status, tmp_path)
    meter.start()
    assert meter.peak_bytes() is None


def test_a_reset_that_is_refused_later_makes_the_peak_unknown_again(files):
    status, clear = files
    meter = ResidentMemory(status, clear)
    meter.start()
    assert meter.peak_bytes() is not None
    clear.unlink()
    clear.mkdir()
    meter.start()
    assert meter.peak_bytes() is None


@pytest.mark.parametrize(
    "text", ["", "Name:\tpytest\nVmRSS:\t1024 kB\n", "VmHWM:\tmuch kB\n", "VmHWM:\t2048 MB\n", "Name:\tVmHWM: 1 kB\n", "VmHWM:\t-1 kB\n"]
)
def test_a_field_that_is_missing_or_strange_makes_the_peak_unknown(files, text):
    status, clear = files
    status.write_text(text)
    meter = ResidentMemory(status, clear)
    meter.start()
    assert meter.peak_bytes() is None


def test_a_status_that_is_gone_makes_the_peak_unknown(files):
    status, clear = files
    meter = ResidentMemory(status, clear)
    meter.start()
    status.unlink()
    assert meter.peak_bytes() is None


def test_a_process_may_have_any_name(files):
    status, clear = files
    status.write_bytes(b"Name:\tpyt\xc3\xa9st\xff\n" + STATUS.encode())
    meter = ResidentMemory(status, clear)
    meter.start()
    assert meter.peak_bytes() == 1024 * 1024


@pytest.mark.skipif(sys.platform != "linux" or not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_process_tells_something_sensible_or_nothing():
    # A process of its own: in this one other tests' memory may be given back while the peak is taken.
    script = (
        "from pytest_sdspeed.device.memory import ResidentMemory\n"
        "meter = ResidentMemory()\n"
        "meter.start()\n"
        "held = bytearray(2**27)\n"
        "print(meter.peak_bytes(), len(held))\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    peak, held = told.split()
    assert peak == "None" or 2**26 < int(peak) < 2**30
    assert int(held) == 2**27


def test_a_platform_that_does_not_tell_is_unknown():
    meter = UnknownMemory()
    meter.start()
    assert meter.peak_bytes() is None
    assert meter.shortage() == ResidentMemory().shortage() == ""


class FakeCuda(Allocator):
    """``torch.cuda`` with an allocator of its own."""

    def mem_get_info(self):
        return 2**29, 80 * 2**30


def test_cuda_memory_forgets_earlier_peaks_and_what_was_allocated_before():
    cuda = FakeCuda()
    cuda.allocate(300)
    cuda.allocate(-200)
    meter = AllocatorMemory(cuda)
    meter.start()
    cuda.allocate(50)
    cuda.allocate(-50)
    assert meter.peak_bytes() == 50
    assert type(meter.peak_bytes()) is int


def test_a_shortage_says_what_was_allocated_and_what_there_is():
    cuda = FakeCuda()
    cuda.allocate(78 * 2**30)
    cuda.allocate(-70 * 2**30)
    said = AllocatorMemory(cuda).shortage()
    assert said == "; 78.00 GiB were allocated and it asked for more; of the device's 80.00 GiB, 0.50 GiB are free"


class Segments(Allocator):
    """``torch.cuda`` with segments that it keeps until they are given back."""

    def __init__(self, *segments):
        self.segments, self.reserved, self.most = list(segments), sum(size for _, size in segments), 0
        self.kept, self.available = 0, True

    def is_available(self):
        return self.available

    def empty_cache(self):
        self.reserved -= self.kept
        self.kept = 0

    def reset_peak_memory_stats(self):
        self.most = self.reserved

    def memory_reserved(self):
        return self.reserved

    def max_memory_reserved(self):
        return self.most

    def reserve(self, size):
        self.reserved += size
        self.most = max(self.most, self.reserved)
        self.kept += size

    def memory_snapshot(self):
        return [{"address": address, "total_size": size} for address, size in self.segments]


def test_reserved_memory_is_what_is_taken_beyond_what_cannot_be_given_back():
    cuda = Segments((0, 100))
    cuda.reserve(50)
    memory = ReservedMemory(cuda)
    memory.start()
    cuda.reserve(30)
    cuda.empty_cache()
    assert memory.taken_bytes() == 30


@pytest.mark.parametrize(("addresses", "total"), [([0], 100), ([99], 100), ([100], 0), ([150, 160], 20), ([5, 7, 155], 120), ([], 0)])
def test_segments_count_whole_if_anything_is_in_them(addresses, total):
    assert ReservedMemory(Segments((0, 100), (150, 20))).count_segments(addresses) == total


def test_segments_are_unknown_if_torch_does_not_tell():
    assert ReservedMemory(Allocator()).count_segments([0]) is None


def test_a_cpu_and_a_module_without_the_functions_reserve_nothing_that_is_known(monkeypatch):
    cuda = Segments()
    monkeypatch.setattr("pytest_sdspeed.device.memory.find_module", lambda kind: {"cuda": cuda, "xpu": Allocator()}[kind])
    assert find_reserved_memory("cpu") is None
    assert find_reserved_memory("xpu") is None
    assert isinstance(find_reserved_memory("cuda"), ReservedMemory)
    cuda.available = False
    assert find_reserved_memory("cuda") is None
