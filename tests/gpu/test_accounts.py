"""What the dry run counts is what this GPU does: kernels, waits and memory of toy pipelines."""

from __future__ import annotations

import sys

import pytest
from profiled import profile_toy
from toy_accounts import count_toy

STEPS = 4
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning", "ignore::UserWarning")


@pytest.mark.parametrize("name", ["stable_diffusion", "sdxl", "flux", "chroma", "wan", "cogvideox"])
def test_an_account_is_what_the_gpu_does(name, record_property):
    account, profiled = count_toy(name, STEPS), profile_toy(name, STEPS, "cuda")
    for key, value in {
        "operations": account.operations,
        "kernels": profiled.kernels,
        "peak": account.peak_bytes,
        "allocated": profiled.peak_bytes,
    }.items():
        record_property(key, value)
        sys.stdout.write(f"{name} {key}: {value}\n")
    for (file, line), times in profiled.waits.items():
        sys.stdout.write(f"{name} waits {times} times at {file}:{line}\n")
    # A matrix product or a convolution may take several kernels, and a reduction two.
    assert account.operations <= profiled.kernels * 1.1
    assert profiled.kernels <= account.operations * 2
    # Torch warns of copies that are not told to be asynchronous, too; each line that waits is one of the account's places.
    counted = {(place.file.rpartition("/")[2], place.line) for place in account.places}
    assert {(file.rpartition("/")[2], line) for file, line in profiled.waits} <= counted
    assert sum(profiled.waits.values()) >= account.host_syncs - account.device_to_host
    # The allocator rounds up to 512 bytes, which matters at toy size.
    assert profiled.peak_bytes >= account.peak_bytes * 0.95
