"""What a caller gets of many pictures, and what is sent to another process, is what was returned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scenes import scene

from pytest_sdspeed.judge.pictures import frames, keep, transfer

HWC = scene(0)[0]
PIL = Image.fromarray((HWC * 255).astype(np.uint8))
CHW = torch.from_numpy(HWC).permute(2, 0, 1)
LATENTS = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
VIDEO = scene(0, batch=5)


def test_many_pictures_behave_as_an_array_and_are_converted_when_asked_for(monkeypatch):
    monkeypatch.setattr(frames, "LARGEST_BYTES", VIDEO.nbytes - 1)
    shown = frames.show_images(list(VIDEO))
    assert isinstance(shown, frames.Frames)
    assert (shown.shape, shown.dtype, shown.ndim, len(shown), shown.nbytes) == (VIDEO.shape, np.float32, 4, 5, VIDEO.nbytes)
    np.testing.assert_array_equal(shown, VIDEO)
    np.testing.assert_array_equal(shown[-1], VIDEO[-1])
    np.testing.assert_array_equal(shown[1:3, 4], VIDEO[1:3, 4])
    np.testing.assert_array_equal(1 - shown, 1 - VIDEO)
    np.testing.assert_array_equal(np.stack(list(shown)), VIDEO)
    assert shown.mean() == VIDEO.mean()
    assert np.abs(shown).max() == VIDEO.max()
    with pytest.raises(IndexError):
        shown[5]
    assert isinstance(frames.show_images(HWC), np.ndarray)
    assert frames.show_images(LATENTS) is frames.show_images(None) is frames.show_images("out.png") is None


@pytest.mark.parametrize(
    "value", [LATENTS, PIL, [list(VIDEO)], Image.fromarray(HWC[..., 0] * 80), CHW], ids=["array", "PIL", "video", "metres", "tensor"]
)
def test_what_is_sent_to_another_process_arrives_as_it_was(value):
    sent = transfer.pack(value)
    assert {type(fact) for fact in sent.values()} <= {bytes, str, tuple, bool, type(None)}
    arrived, kept = transfer.unpack(sent), keep(value)
    assert arrived.equals(kept)
    assert (arrived.kind, arrived.own_range, arrived.why, arrived.axes, arrived.span) == (
        kept.kind,
        kept.own_range,
        kept.why,
        kept.axes,
        kept.span,
    )
    assert transfer.unpack(transfer.pack(None)) is None
