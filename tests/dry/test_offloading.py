"""Offloading is counted as the copies that it makes.

All of diffusers' needs accelerate, which is in no environment of this project: the tests are skipped without.
"""

from importlib.util import find_spec

import pytest
import torch
from toy_accounts import count_toy

STEPS = 2
pytestmark = pytest.mark.skipif(not find_spec("accelerate"), reason="accelerate is not installed")


class _Offloaded:
    """Stands for a pipeline whose parts are moved by hooks, which is not moved as a whole."""

    def to(self, _device):
        return self


def find_tensors(pipeline, part):
    module = pipeline.components[part]
    return len([*module.parameters(), *module.buffers()])


def test_a_group_of_blocks_is_copied_up_at_every_call_of_it():
    tensors = []

    def change(pipeline):
        tensors.append(find_tensors(pipeline, "transformer"))
        pipeline.vae.to("cuda")
        pipeline.transformer.enable_group_offload(
            onload_device=torch.device("cuda"), offload_device=torch.device("cpu"), offload_type="leaf_level"
        )
        return _Offloaded()

    kept, offloaded = count_toy("flux", STEPS), count_toy("flux", STEPS, change)
    copies = offloaded.per_step.host_to_device - kept.per_step.host_to_device
    assert copies == tensors[0]
    assert offloaded.weight_bytes < kept.weight_bytes
    assert offloaded.peak_bytes < kept.peak_bytes
    assert offloaded.operations == kept.operations
    assert offloaded.flops == kept.flops
    assert any("group_offloading.py" in place.file for place in offloaded.per_step.places)


def test_a_group_with_a_stream_is_copied_too():
    def change(pipeline):
        pipeline.vae.to("cuda")
        pipeline.transformer.enable_group_offload(
            onload_device=torch.device("cuda"),
            offload_device=torch.device("cpu"),
            offload_type="block_level",
            num_blocks_per_group=1,
            use_stream=True,
        )
        return _Offloaded()

    kept, offloaded = count_toy("flux", STEPS), count_toy("flux", STEPS, change)
    assert offloaded.per_step.host_to_device > kept.per_step.host_to_device
    assert offloaded.operations == kept.operations


def test_whole_models_are_copied_up_once_and_down_again():
    def change(pipeline):
        pipeline.enable_model_cpu_offload(device="cuda")
        return _Offloaded()

    kept, offloaded = count_toy("flux", STEPS), count_toy("flux", STEPS, change)
    assert offloaded.host_to_device - kept.host_to_device > 50
    assert offloaded.device_to_host > 0
    assert offloaded.per_step.host_to_device == kept.per_step.host_to_device
    assert offloaded.weight_bytes < kept.weight_bytes / 10
    assert offloaded.peak_bytes < kept.peak_bytes
    assert offloaded.operations == kept.operations


def test_layers_are_copied_up_at_every_call():
    def change(pipeline):
        pipeline.enable_sequential_cpu_offload(device="cuda")
        return _Offloaded()

    kept, offloaded = count_toy("flux", STEPS), count_toy("flux", STEPS, change)
    assert offloaded.per_step.host_to_device > 50
    assert offloaded.peak_bytes < kept.peak_bytes / 2
    assert offloaded.operations == kept.operations
