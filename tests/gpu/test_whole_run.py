"""A run of the whole plugin on the GPU, small: what is too large leaves, and the others go on."""

from __future__ import annotations

import json

from pytest_sdspeed.judge.speed import intervals

TABLE = """
schema = 1
name = "small"
title = "The miniature on a GPU"
source = "https://example.org/small"
device = "NVIDIA"
tolerance = 0.99
[recipe]
model = "miniature"
prompt = "a red car"
height = 64
width = 64
steps = 6
scheduler = "ddim"
[[rows]]
setup = "base"
optimizations = []
speedup = 1
[[rows]]
setup = "half"
optimizations = ["fp16", "channels_last"]
speedup = 1
[[rows]]
setup = "graphs"
optimizations = ["cuda_graphs"]
speedup = 1
[[rows]]
setup = "huge"
optimizations = ["too_large"]
speedup = 1
"""
CONFTEST = """
import torch
from pytest_sdspeed import Optimization

def ten_times_what_there_is():
    torch.empty(10 * torch.cuda.mem_get_info()[1], dtype=torch.uint8, device="cuda")

def too_large(pipeline, recipe):
    pipeline.vae.decode = lambda *_, **__: ten_times_what_there_is()

def pytest_sdspeed_register(registry):
    registry.add_optimization(Optimization(name="too_large", summary="", changes=frozenset({"vae"}), apply=too_large))
"""
SOURCE = """
import pytest
import torch
from conftest import ten_times_what_there_is

@pytest.mark.sd_latency(table="small")
def test_row(sd_latency, sd_setup):
    sd_latency(sd_setup)

@pytest.mark.sd_latency(speedup=1.0)
def test_callable(sd_latency):
    numbers = torch.ones(2048, 2048, device="cuda")
    sd_latency(ten_times_what_there_is, baseline=lambda: numbers.mm(numbers) and None)
"""


def test_what_does_not_fit_is_said_and_the_others_are_measured(pytester, monkeypatch):
    # One in a hundred A/A controls alarms by design; here none does.
    monkeypatch.setattr(intervals, "CONTROL_ERROR", 1e-12)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(SOURCE)
    (pytester.path / "small.toml").write_text(TABLE)
    arguments = ("--sd-gpu", "--sd-weights=random", "--sd-tables=small.toml", "--sd-max-blocks=4", "--benchmark-json=out.json")
    result = pytester.runpytest_inprocess(*arguments, "-p", "no:randomly", "-W", "default", "-rs")
    result.assert_outcomes(passed=3, skipped=1, failed=1)
    result.stdout.fnmatch_lines(["*huge ran out of memory: *GiB were allocated and it asked for more*"])
    result.stdout.fnmatch_lines(["*ten_times_what_there_is ran out of memory: *"])
    written = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    records = {benchmark["extra_info"]["sdspeed"]["setup"]: benchmark["extra_info"]["sdspeed"] for benchmark in written}
    assert records.keys() == {"base", "half", "graphs"}
    for record in records.values():
        assert record["peak_memory_bytes"] > 2**20
        assert len(record["canary_s"]) == 4
    assert records["base"]["speedup"] == 1
