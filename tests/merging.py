"""Optimizations that write into weights, in every way that users do."""

from __future__ import annotations

import torch

from pytest_sdspeed.pipelines.optimization import Optimization

UNET = frozenset({"unet"})
TO_Q = r"unet\.down_blocks\.\d\.attentions\.\d\.transformer_blocks\.0\.attn1\.to_q\.weight"


def to_q(pipeline):
    return [weight for name, weight in pipeline.unet.named_parameters() if name.endswith("to_q.weight")]


def add(weight):
    with torch.no_grad():
        weight.add_(0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))


def add_to_data(weight):
    weight.data.add_(0.5)


def add_by_numpy(weight):
    weight.detach().numpy()[...] += 0.5


def add_in_inference_mode(weight):
    with torch.inference_mode():
        weight += 0.5


def swap_two(weight):
    rows = weight.data.clone()
    weight.data[0], weight.data[1] = rows[1], rows[0]


def optimization(apply=lambda _pipeline, _recipe: None, **fields):
    return Optimization(name="planted", summary="a fault", apply=apply, **fields)


def merging(write, **fields):
    return optimization(lambda pipeline, _recipe: [write(weight) for weight in to_q(pipeline)], **fields)


WRITES = [add, add_to_data, add_by_numpy, add_in_inference_mode, swap_two]
