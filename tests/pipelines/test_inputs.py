"""Pictures, masks and videos that calls get: seeded, smooth, and asked for by nobody else."""

from __future__ import annotations

import inspect
import itertools

import diffusers
import numpy as np
import pytest

from pytest_sdspeed.pipelines.inputs import FRAMES, find_needed, is_made, make_input

SIZE = {"height": 48, "width": 64, "seed": 0}


def test_pictures_are_seeded_and_smooth_and_no_flat_grey():
    first, again = (make_input("image", **SIZE, frames=None) for _ in range(2))
    assert (first.size, first.mode) == ((64, 48), "RGB")
    values = np.asarray(first, float)
    assert np.array_equal(values, np.asarray(again))
    assert values.std() > 20
    assert np.abs(np.diff(values, axis=0)).mean() < values.std() / 3, "neighbors are alike: it is no noise"
    assert not np.array_equal(values, np.asarray(make_input("image", **{**SIZE, "seed": 1}, frames=None)))
    assert not np.array_equal(values, np.asarray(make_input("control_image", **SIZE, frames=None)))


def test_masks_have_both_parts_and_nothing_between():
    mask = np.asarray(make_input("mask_image", **SIZE, frames=None))
    assert mask.shape == (48, 64)
    assert set(np.unique(mask)) == {0, 255}
    assert 0.2 < (mask == 255).mean() < 0.3


@pytest.mark.parametrize(("frames", "expected"), [(None, FRAMES), (5, 5)])
def test_videos_move(frames, expected):
    video = make_input("video", **SIZE, frames=frames)
    assert len(video) == expected
    steps = [np.abs(np.asarray(one, float) - np.asarray(other, float)).mean() for one, other in itertools.pairwise(video)]
    assert all(0.5 < step < 60 for step in steps)
    masks = make_input("mask_video", **SIZE, frames=frames)
    assert len(masks) == expected
    assert {one.mode for one in masks} == {"L"}
    assert len(make_input("mask", **SIZE, frames=frames, beside=("video", "mask"))) == expected
    assert make_input("mask", **SIZE, frames=frames, beside=("image", "mask")).mode == "L"


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("image", True),
        ("mask_image", True),
        ("control_image", True),
        ("ip_adapter_image", True),
        ("conditioning_frames", True),
        ("reference_images", True),
        ("last_image", True),
        ("image_embeds", False),
        ("ip_adapter_image_embeds", False),
        ("num_images_per_prompt", False),
        ("prompt_attention_mask", False),
        ("image_guidance_scale", False),
        ("num_frames", False),
        ("video_length", False),
        ("masked_image_latents", False),
        ("padding_mask_crop", False),
        ("prompt", False),
    ],
)
def test_what_can_get_a_picture(name, made):
    assert is_made(name) is made


@pytest.mark.parametrize(
    ("kind", "needed"),
    [
        ("StableDiffusionPipeline", ()),
        ("FluxPipeline", ()),
        ("Flux2Pipeline", ()),
        ("WanPipeline", ()),
        ("StableDiffusionImg2ImgPipeline", ("image",)),
        ("StableDiffusionXLInpaintPipeline", ("image", "mask_image")),
        ("StableDiffusionXLControlNetPipeline", ("image",)),
        ("FluxControlNetPipeline", ("control_image",)),
        ("FluxKontextPipeline", ("image",)),
        ("WanImageToVideoPipeline", ("image",)),
        ("LTXImageToVideoPipeline", ("image",)),
        ("WanVideoToVideoPipeline", ("video",)),
        ("StableVideoDiffusionPipeline", ("image",)),
    ],
)
def test_what_a_call_cannot_do_without_is_made(kind, needed):
    found = getattr(diffusers, kind, None)
    if found is None:
        pytest.skip("this version does not have it")
    parameters = {name: one for name, one in inspect.signature(found.__call__).parameters.items() if name != "self"}
    required = [name for name, one in parameters.items() if one.default is inspect.Parameter.empty]
    assert find_needed(kind, parameters, required) == needed
