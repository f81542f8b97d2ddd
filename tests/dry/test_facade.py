"""Code that asks torch about its GPU is told of the one that counts."""

import pytest
import torch

from pytest_sdspeed.dry.facade import CAPABILITY, NAME


def test_it_says_that_it_is_a_gpu(counted):
    x = torch.zeros(2, device="cuda")
    assert x.is_cuda
    assert x.device == torch.device("cuda", 0)
    assert x.device.type == "cuda"
    assert x.get_device() == 0
    assert torch.cuda.is_available()
    assert torch.cuda.device_count() == 1
    assert torch.cuda.current_device() == 0
    assert torch.cuda.get_device_name() == NAME
    assert torch.cuda.get_device_name(0) == NAME
    assert torch.cuda.get_device_capability(x.device) == CAPABILITY
    assert torch.cuda.is_bf16_supported()
    properties = torch.cuda.get_device_properties(0)
    assert (properties.name, properties.major, properties.minor) == (NAME, *CAPABILITY)
    free, total = torch.cuda.mem_get_info()
    assert total - free == 8
    assert total == properties.total_memory


def test_streams_and_events_run_in_order(counted):
    x = torch.zeros(2, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        x.add_(1)
        event = side.record_event()
    torch.cuda.current_stream().wait_event(event)
    torch.cuda.default_stream().wait_stream(side)
    assert event.query()
    x.record_stream(side)
    with torch.cuda.device(0):
        x.add_(1)
    assert x.tolist() == [2, 2]


def test_time_is_refused(counted):
    with pytest.raises(RuntimeError, match="no time"):
        torch.cuda.Event(enable_timing=True).elapsed_time(torch.cuda.Event())


def test_the_random_state_is_that_of_its_numbers(counted):
    state = torch.cuda.get_rng_state()
    first = torch.randn(3, device="cuda").tolist()
    torch.cuda.set_rng_state(state)
    assert torch.randn(3, device="cuda").tolist() == first
    torch.manual_seed(3)
    first = torch.randn(3, device="cuda").tolist()
    torch.manual_seed(3)
    assert torch.randn(3, device="cuda").tolist() == first
    with torch.random.fork_rng(["cuda"]):
        torch.randn(3, device="cuda")


def test_diffusers_takes_its_path_for_a_gpu(counted):
    from diffusers.utils.torch_utils import randn_tensor

    made = randn_tensor((2, 3), generator=torch.Generator("cuda").manual_seed(0), device=torch.device("cuda"))
    assert made.is_cuda
    assert [event.name for event in counted.events] == ["randn"]


@pytest.mark.skipif(not hasattr(torch, "accelerator"), reason="this torch has no torch.accelerator")
def test_the_accelerator_is_the_gpu(counted):
    assert torch.accelerator.is_available()
    assert torch.accelerator.current_accelerator().type == "cuda"
    torch.accelerator.synchronize()
    assert [event.kind for event in counted.events] == ["host_sync"]


def test_switches_of_the_backends_can_be_set(counted):
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = not before
    torch.backends.cuda.matmul.allow_tf32 = before
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        x = torch.ones(1, 1, 2, 4, device="cuda")
        torch.nn.functional.scaled_dot_product_attention(x, x, x)
    assert counted.events[-1].name == "scaled_dot_product_attention"
