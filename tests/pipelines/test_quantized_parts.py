"""Parts of one pipeline that two entries of a stack quantize: each is told of its own."""

from __future__ import annotations

import re

import pytest
import torch

from pytest_sdspeed.setups.registry import Registry

UNET = 'quantize(method="gguf_q8_0", parts=["unet"])'
TEXT = 'quantize(method="gguf_q4_0", parts=["text_encoder"])'
TOLD = {UNET: ("0.00435", "0.0164"), TEXT: ("0.00922", "0.0655")}


class Part(torch.nn.Module):
    dtype = torch.float32

    def __init__(self, width):
        super().__init__()
        self.linear = torch.nn.Linear(width, width, bias=False)


class Pipeline:
    def __init__(self):
        self.unet, self.text_encoder = Part(64), Part(128)
        self.components = {"unet": self.unet, "text_encoder": self.text_encoder}


@pytest.mark.parametrize("order", [(UNET, TEXT), (TEXT, UNET)], ids=["UNet first", "text encoder first"])
def test_each_entry_tells_the_bytes_of_its_own_parts(order):
    pytest.importorskip("gguf")
    pipeline, stack = Pipeline(), Registry().stack(order, "a test", None)
    for one in stack:
        one.apply(pipeline, None, **one.options)
    assert {label: read(one, pipeline) for label, one in zip(order, stack, strict=True)} == TOLD


def read(one, pipeline):
    """Return the megabytes after and before an entry, as its proof tells them."""
    with one.prove(pipeline, **one.options) as answer:
        pass
    return re.search(r"([\d.]+) MB in the place of ([\d.]+) MB", answer().text).groups()
