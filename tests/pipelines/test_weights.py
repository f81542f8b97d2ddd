"""Where weights are and what they take: each once, on one device, and quantized ones by what they are made of."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from diffusers import DDIMScheduler, DiffusionPipeline

from pytest_sdspeed.pipelines.parts import list_modules
from pytest_sdspeed.pipelines.watching import find_denoisers
from pytest_sdspeed.pipelines.weights import find_weights


def count(**components):
    return sum(find_weights(SimpleNamespace(components=components), "cpu").values())


def test_weights_count_once_though_two_parts_share_them():
    shared = torch.nn.Linear(4, 4, bias=False)
    other = torch.nn.Sequential(shared, torch.nn.Linear(4, 2, bias=False))
    assert count(unet=shared, vae=other, scheduler=object(), tokenizer=None) == 4 * (16 + 8)


class OfUsers(DiffusionPipeline):
    """A pipeline as users write it: a part may be left out, and is in no list of optional ones."""

    def __init__(self, scheduler, transformer=None):
        super().__init__()
        self.register_modules(scheduler=scheduler, transformer=transformer)


def test_a_part_with_a_default_counts_and_is_watched_though_diffusers_does_not_list_it_as_a_component():
    pipeline = OfUsers(DDIMScheduler(), torch.nn.Linear(4, 4, bias=False))
    assert "transformer" not in pipeline.components
    assert sum(find_weights(pipeline, "cpu").values()) == 4 * 16
    assert find_denoisers(pipeline) == {"transformer": pipeline.transformer}
    assert list_modules(pipeline) == {"transformer": pipeline.transformer}
    assert find_weights(OfUsers(DDIMScheduler()), "cpu") == {}


def test_buffers_count_as_weights_do():
    assert count(vae=torch.nn.BatchNorm1d(2)) == 4 * 4 * 2 + 8


def test_weights_elsewhere_are_not_on_the_device():
    moved = torch.nn.Linear(4, 4, device="meta")
    assert count(unet=moved) == 0
    assert sum(find_weights(SimpleNamespace(components={"unet": torch.nn.Linear(2, 2)}), "cuda").values()) == 0


class Packed(torch.Tensor):
    """A weight of two bytes for each number, with scales: a tensor that is made of others."""

    @staticmethod
    def __new__(cls, data, scales):
        return torch.Tensor._make_wrapper_subclass(cls, (data.numel(),), dtype=torch.float32)

    def __init__(self, data, scales):
        self.data_, self.scales = data, scales

    def __tensor_flatten__(self):
        return ["data_", "scales"], None

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        # A parameter is made of it, and no more.
        return Packed(args[0].data_, args[0].scales) if "detach" in str(function) else NotImplemented


def test_a_quantized_weight_counts_as_the_tensors_that_it_is_made_of():
    module = torch.nn.Module()
    module.weight = torch.nn.Parameter(Packed(torch.zeros(8, dtype=torch.int16), torch.zeros(2)), requires_grad=False)
    assert count(transformer=module) == 16 + 8


def test_the_scales_beside_a_weight_of_four_bits_count_too():
    module = torch.nn.Linear(2, 2, bias=False)
    module.weight.quant_state = SimpleNamespace(absmax=torch.zeros(4), state2=SimpleNamespace(absmax=torch.zeros(1)))
    assert count(transformer=module) == 16 + 16 + 4
