"""FLOPs are those of torch's counter, operations those of its profiler on the CPU, memory that of its allocator."""

import sys
from collections import Counter

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from toy_pipelines import PIPELINES

sys.path.insert(0, __file__.rpartition("/")[0])
from count_toy import count_toy  # noqa: E402

from pytest_sdspeed.dry import operations  # noqa: E402

# Schedulers hand tensors to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning", "ignore::UserWarning:torch.profiler")
ARCHITECTURES = ("stable_diffusion", "sdxl", "stable_diffusion_3", "flux", "cogvideox", "wan", "ltx")
STEPS = 2


def run_on_cpu(name, around):
    """Call a toy pipeline on the CPU inside of a context, which is returned."""
    torch.manual_seed(0)
    pipeline, call = PIPELINES[name]()
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    with torch.no_grad(), around:
        pipeline(generator=torch.Generator("cpu").manual_seed(0), num_inference_steps=STEPS, **call)
    return around


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_flops_of_a_pipeline_equal_those_of_torchs_counter(name):
    assert count_toy(name, STEPS).flops == run_on_cpu(name, FlopCounterMode(display=False)).get_total_flops() > 0


def test_flops_of_a_decoder_equal_those_of_torchs_counter():
    pipeline, _call = PIPELINES["flux"]()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        pipeline.vae.eval().decode(torch.zeros(1, 4, 8, 8))
    assert count_toy("flux", STEPS).stages["decoding"].flops == counter.get_total_flops() > 0


# What the CPU does otherwise: operation -> how it is written down.
OF_THE_CPU = {"_scaled_dot_product_flash_attention_for_cpu": "scaled_dot_product_attention"}
WHOLE = {"scaled_dot_product_attention", "rms_norm"}
"""Composite for torch, one kernel on a GPU."""
ONE_KERNEL = {"rms_norm": "_fused_rms_norm"}


def count_kernels(events):
    """Count the operations among what the profiler saw that a device would compute, down to the first of each branch."""
    found = Counter()
    for event in events:
        name = event.name.removeprefix("aten::")
        kind = classify(name) if event.name.startswith("aten::") else "composite"
        if kind == "kernel":
            found[ONE_KERNEL.get(name, name)] += 1
        elif kind == "composite":
            found += count_kernels(event.cpu_children)
    return found


def classify(name):
    if name in WHOLE:
        return "kernel"
    packet = getattr(torch.ops.aten, name, None)
    if packet is None:
        return "composite"
    facts = [operations.describe(getattr(packet, overload)) for overload in packet.overloads()]
    if any(one.is_composite for one in facts):
        return "composite"
    if any(one.starts_kernel for one in facts):
        return "kernel"
    return "none"


@pytest.mark.parametrize("name", ["flux", "stable_diffusion_3", "wan", "ltx", "stable_diffusion"])
def test_operations_equal_those_of_torchs_profiler(name):
    profile = run_on_cpu(name, torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]))
    profiled = count_kernels([event for event in profile.events() if event.cpu_parent is None])
    counted = Counter()
    for one in count_toy(name, STEPS).work:
        counted[one.operation] += one.count
    differences = {key: (counted[key], profiled[key]) for key in counted | profiled if counted[key] != profiled[key]}
    assert {key: value for key, value in differences.items() if key not in EXPLAINED} == {}


EXPLAINED = {
    "_local_scalar_dense": "a wait of the host, no kernel",
}
