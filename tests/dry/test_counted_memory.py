"""Memory is that of torch's own allocator on the CPU, as its profiler tells of it."""

import pytest
import torch
from toy_pipelines import PIPELINES

from pytest_sdspeed.dry.run import count


def make_unet():
    return PIPELINES["stable_diffusion"]()[0].unet.eval()


def make_transformer():
    return PIPELINES["stable_diffusion_3"]()[0].transformer.eval()


def call_unet(module, device):
    given = torch.randn(2, 4, 64, 64).to(device), torch.tensor(5).to(device), torch.randn(2, 5, 8).to(device)
    return lambda: module(*given)


def call_transformer(module, device):
    given = torch.randn(2, 4, 16, 16).to(device), torch.randn(2, 64, 12).to(device), torch.randn(2, 6).to(device), torch.ones(2).to(device)
    return lambda: module(*given)


def find_peak_on_cpu(work):
    """Return the most bytes that some work held at once, by the allocations and releases that torch's profiler saw."""
    work()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


@pytest.mark.parametrize(("make", "call"), [(make_unet, call_unet), (make_transformer, call_transformer)])
def test_the_peak_of_a_denoiser_is_within_five_percent_of_the_cpus(make, call):
    module = make()
    with torch.no_grad():
        expected = find_peak_on_cpu(call(module, "cpu"))
        with count() as ledger:
            work = call(module.to("cuda"), "cuda")
            ledger.restart()
            held = ledger.held
            work()
            found = ledger.most_held - held
    assert found == pytest.approx(expected, rel=0.05)
