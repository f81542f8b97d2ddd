"""What is asked of the device: memory, canary, telemetry, graphs and compiled passes, each on the miniature or on no model at all."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from pytest_sdspeed.device.canary import make_canary
from pytest_sdspeed.device.memory import AllocatorMemory
from pytest_sdspeed.device.nvml import open_telemetry
from pytest_sdspeed.judge.pictures.metrics import compare_batches
from pytest_sdspeed.measure.canary import time_canary
from pytest_sdspeed.measure.clock import WallClock
from pytest_sdspeed.model import Case, Recipe
from pytest_sdspeed.pipelines.unet_wrapper import CudaGraphCall, capture_graph, wrap_compiled

MIB = 2**20
RECIPE = Recipe(model="miniature", prompt="a red car", height=64, width=64, steps=6, scheduler="ddim", dtype="float16")


def test_peak_memory_is_what_a_call_needs_beside_what_is_held():
    held = torch.empty(64 * MIB, dtype=torch.uint8, device="cuda")
    meter = AllocatorMemory(torch.cuda)
    meter.start()
    torch.empty(256 * MIB, dtype=torch.uint8, device="cuda")
    assert 256 * MIB <= meter.peak_bytes() < 257 * MIB
    assert held.nbytes == 64 * MIB
    assert "of the device's" in meter.shortage()


def test_every_operation_of_the_canary_takes_milliseconds():
    times = time_canary(make_canary("cuda"), WallClock(torch.cuda.synchronize))
    assert times.errors == {}
    assert times.seconds.keys() == make_canary("cuda").keys()
    assert all(1e-4 < seconds < 1 for seconds in times.seconds.values())


def test_nvml_reads_the_device_that_cuda_uses():
    pytest.importorskip("pynvml")
    telemetry = open_telemetry(lambda: str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid))
    assert telemetry.note == ""
    reading = telemetry.read()
    assert reading.reasons is not None
    assert reading.sm_clock_mhz > 0


def test_a_graph_takes_new_inputs_and_gives_results_to_keep():
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 64, device="cuda")
    graph = CudaGraphCall(lambda tensor: (layer(tensor).relu(),), capture_graph)
    with torch.no_grad():
        inputs = [torch.randn(8, 64, device="cuda") for _ in range(3)]
        kept = [graph(tensor)[0] for tensor in inputs]
        for tensor, result in zip(inputs, kept, strict=True):
            torch.testing.assert_close(result, layer(tensor).relu())
        other = torch.randn(2, 64, device="cuda")
        torch.testing.assert_close(graph(other)[0], layer(other).relu())


@pytest.mark.parametrize("stack", [(), ("feature_cache_2",), ("channels_last", "fused_qkv", "feature_cache_3", "distilled_unet")], ids=str)
def test_graphs_draw_what_the_same_stack_draws_without_them(stack, make):
    recipe = replace(RECIPE, student="miniature-student")
    plain, graphs = make(recipe, *stack), make(recipe, *stack, "cuda_graphs")
    for case in (Case(0), Case(1), Case(0, "a boat"), Case(0)):
        with graphs.slot():
            drawn = graphs.draw(case)
        with plain.slot():
            expected = plain.draw(case)
        assert compare_batches(drawn, expected)["psnr"] > 45
    assert compare_batches(graphs.generate(1), plain.generate(0))["psnr"] < 35


def test_graphs_leave_those_that_share_their_unet_alone(make):
    plain, graphs = make(RECIPE), make(RECIPE, "cuda_graphs")
    before = plain.generate(0)
    graphs.generate(1)
    assert np.array_equal(plain.generate(0), before)
    assert graphs.pipeline.unet.unet is plain.pipeline.unet


def test_graphs_refuse_autocast(make):
    setup = make(RECIPE, "autocast", "cuda_graphs")
    with pytest.raises(Exception, match="cuda_graphs and autocast exclude each other"):
        setup.generate(0)


def test_both_passes_compile_and_give_results_to_keep(make):
    setup = make(RECIPE, "feature_cache_2")
    expected = [setup.generate(seed) for seed in (0, 1)]
    # With graphs of its own, as max-autotune has them, but without minutes of tuning.
    wrap_compiled(setup.pipeline.unet, partial(torch.compile, mode="reduce-overhead", dynamic=False))
    for _ in range(2):
        for seed in (0, 1):
            assert compare_batches(setup.generate(seed), expected[seed])["psnr"] > 45
    setup.release()
    torch.compiler.reset()
