"""What a caller gets of many pictures, and what is sent to another process, is what was returned."""

from __future__ import annotations

import tracemalloc

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


def test_pictures_that_are_as_large_as_is_allowed_are_an_array(monkeypatch):
    monkeypatch.setattr(frames, "LARGEST_BYTES", VIDEO.nbytes)
    shown = frames.show_images(list(VIDEO))
    assert isinstance(shown, np.ndarray)
    np.testing.assert_array_equal(shown, VIDEO)


def test_what_is_asked_of_many_pictures_is_asked_of_the_array_with_its_options():
    shown = frames.Frames(keep(VIDEO))
    assert np.add(shown, 1, dtype=np.float64).dtype == np.float64
    np.testing.assert_array_equal(np.maximum.reduce(shown, axis=0), VIDEO.max(axis=0))
    with pytest.raises(ValueError, match="these pictures are converted, which makes a copy"):
        shown.__array__(copy=False)
    with pytest.raises(AttributeError, match="_hidden"):
        _ = shown._hidden


def test_many_pictures_are_converted_into_one_array():
    shown = frames.Frames(keep(np.random.default_rng(0).integers(0, 255, (64, 32, 32, 3), np.uint8)))
    tracemalloc.start()
    try:
        np.asarray(shown)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * shown.nbytes


def test_one_of_many_pictures_hides_no_infinity():
    broken = VIDEO.copy()
    broken[2, 3, 4, 0] = np.inf
    shown = frames.Frames(keep(broken))
    np.testing.assert_array_equal(shown[2], broken[2])
    np.testing.assert_array_equal(shown, broken)


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
