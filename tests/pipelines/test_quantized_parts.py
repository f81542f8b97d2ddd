"""Parts of one pipeline that two entries of a stack quantize: each is told of its own."""

from __future__ import annotations

import re

import pytest
from optimized import Arms

from pytest_sdspeed.device.quiet import quiet
from pytest_sdspeed.pipelines.proving import prove_stack

UNET = 'quantize(method="gguf_q8_0", parts=["unet"])'
TEXT = 'quantize(method="gguf_q4_0", parts=["text_encoder"])'


@pytest.mark.parametrize("order", [(UNET, TEXT), (TEXT, UNET)], ids=["UNet first", "text encoder first"])
def test_each_entry_tells_the_bytes_of_its_own_parts(order):
    pytest.importorskip("gguf")
    both = find(*order)
    alone = {label: find(label)[label] for label in order}
    assert both == alone
    assert len(set(both.values())) == 2


def find(*labels):
    """Return entry -> megabytes after and before it, as its proof tells them."""
    arms = Arms("stable_diffusion", *labels)
    with quiet():
        proofs = prove_stack(arms.stack, arms.pipeline, arms.draw)
    told = (re.search(r"([\d.e+-]+) MB in the place of ([\d.e+-]+) MB", one.finding.text) for one in proofs)
    return {label: found.groups() for label, found in zip(labels, told, strict=True)}
