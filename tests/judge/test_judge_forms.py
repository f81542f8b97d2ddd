"""Everything that diffusers hands out is kept by value, in the form that it stands for."""

from __future__ import annotations

import gc
import io
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scenes import scene

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures import as_pictures, defects, find_defects, keep
from pytest_sdspeed.judge.pictures.output import Span

HWC = scene(0)[0]
BYTES = (HWC * 255).astype(np.uint8)
PIL = Image.fromarray(BYTES)
CHW = torch.from_numpy(HWC).permute(2, 0, 1)
LATENTS = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
VIDEO = scene(0, batch=5)
SHORT = scene(0, batch=2)


class ModelOutput(NamedTuple):
    sample: object


def images(value, **more):
    return OrderedDict(images=value, **more)


PICTURES = {
    "a pipeline's PIL": (SimpleNamespace(images=[PIL], nsfw_content_detected=None), 1, np.uint8),
    "a tuple without a checker": (([PIL], None), 1, np.uint8),
    "a tuple with a checker": (([PIL], [False]), 1, np.uint8),
    "pictures and the depth of each": (([PIL], [Image.fromarray((HWC[..., 0] * 65535).astype(np.uint16))]), 1, np.uint8),
    "a picture and its latents": ((PIL, LATENTS), 1, np.uint8),
    "maps of which one is under a metre": ([HWC[..., 0], HWC[..., 0] * 3], 2, np.float32),
    "a tuple of one": (([PIL],), 1, np.uint8),
    "a tuple of one picture": ((PIL,), 1, np.uint8),
    "a picture and whether it is safe": ((PIL, False), 1, np.uint8),
    "two pictures in a tuple": ((PIL, PIL), 2, np.uint8),
    "two batches in a tuple": ((SHORT, SHORT), 4, np.float32),
    "output_type pt": (SimpleNamespace(images=CHW[None]), 1, np.float32),
    "output_type np": (SimpleNamespace(images=HWC[None]), 1, np.float32),
    "a dict": ({"images": [PIL]}, 1, np.uint8),
    "an ordered dict, as diffusers' outputs are": (images([PIL], nsfw_content_detected=[False]), 1, np.uint8),
    "layers of an image": (SimpleNamespace(images=[[PIL, PIL], [PIL, PIL]]), 4, np.uint8),
    "a decoder's sample": (ModelOutput(CHW[None]), 1, np.float32),
    "bfloat16": (CHW[None].bfloat16(), 1, np.float32),
    "float16": (CHW[None].half(), 1, np.float16),
    "float64": (HWC.astype(np.float64), 1, np.float32),
    "requires_grad": (CHW[None].clone().requires_grad_(), 1, np.float32),
    "channels last, by torch": (torch.from_numpy(HWC)[None], 1, np.float32),
    "channels first, by numpy": (HWC.transpose(2, 0, 1)[None], 1, np.float32),
    "one picture, channels first": (CHW, 1, np.float32),
    "uint8 of torch": (torch.from_numpy(BYTES).permute(2, 0, 1), 1, np.uint8),
    "grey": (HWC[..., 0], 1, np.float32),
    "a batch of greys": (SHORT[..., :1], 2, np.float32),
    "an array of objects": (np.array([None, PIL], dtype=object)[1:], 1, np.uint8),
    "frames of one video": (list(VIDEO), 5, np.float32),
    "RGBA": (np.dstack([HWC, HWC[..., :1]]), 1, np.float32),
    "16 bits": (Image.fromarray((HWC[..., 0] * 65535).astype(np.uint16)), 1, np.uint16),
    "big-endian 16 bits": (np.asarray(HWC[..., 0] * 65535, dtype=">u2"), 1, np.uint16),
    "32 bits": (PIL.convert("I"), 1, np.int32),
    "metres": (Image.fromarray(HWC[..., 0] * 80), 1, np.float32),
    "metres of a batch": (SHORT[..., :1] * 80, 2, np.float32),
    **{f"PIL's {mode}": (PIL.convert(mode), 1, np.uint8) for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "HSV")},
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_of_every_form_are_taken(name):
    value, count, dtype = PICTURES[name]
    kept = keep(value)
    assert (kept.kind, kept.count, kept.values.dtype, kept.size[-2:]) == ("pictures", count, dtype, (32, 32))
    assert kept.defects() == ()
    assert kept.equals(keep(value))
    assert kept.view(0).shape == (32, 32, 3)


VIDEOS = {
    "lists of PIL": ([[PIL] * 5], (1, 5)),
    "frames of PIL": (SimpleNamespace(frames=[[PIL] * 5, [PIL] * 5]), (2, 5)),
    "frames in one list": (SimpleNamespace(frames=[PIL] * 5), (1, 5)),
    "output_type np": (SimpleNamespace(frames=VIDEO[None]), (1, 5)),
    "output_type pt": (SimpleNamespace(frames=torch.from_numpy(VIDEO).permute(0, 3, 1, 2)[None]), (1, 5)),
    "channels before frames": (torch.from_numpy(VIDEO).permute(3, 0, 1, 2)[None], (1, 5)),
    "arrays of frames in a list": (SimpleNamespace(frames=[VIDEO, VIDEO]), (2, 5)),
    "five axes": (VIDEO[None], (1, 5)),
    "a tuple with audio": ((VIDEO[None], torch.randn(1, 2, 4800)), (1, 5)),
    "three frames of three channels": (torch.from_numpy(VIDEO[:3]).permute(0, 3, 1, 2)[None], (1, 3)),
}


@pytest.mark.parametrize("name", VIDEOS)
def test_videos_of_every_form_are_taken(name):
    value, lengths = VIDEOS[name]
    kept = keep(value)
    assert (kept.kind, kept.values.shape) == ("videos", (*lengths, 32, 32, 3))
    if lengths == (1, 5) and kept.values.dtype == np.float32:
        np.testing.assert_array_equal(kept.values[0], VIDEO)


ARRAYS = {
    "latents": LATENTS,
    "an output of latents": SimpleNamespace(images=LATENTS),
    "a transformer's tuple": (torch.randn(1, 16, 64),),
    "latents of a video": torch.randn(1, 16, 5, 8, 8),
    "pictures that were not scaled": HWC * 255,
    "pictures in [-1, 1]": CHW[None] * 2 - 1,
    "an embedding": torch.randn(77, 768),
    "whole numbers": np.arange(12),
    "a mask": HWC > 0.5,
    "latents of which one could be a picture": [LATENTS[0].numpy(), LATENTS[0].clamp(0, 1).numpy()],
    "a flat array": HWC.ravel(),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_what_is_no_picture_is_an_array_in_its_own_shape_and_says_why(name):
    kept = keep(ARRAYS[name])
    bare = ARRAYS[name]
    bare = bare[0] if isinstance(bare, tuple) else getattr(bare, "images", bare)
    assert (kept.kind, kept.size) == ("array", np.shape(bare))
    assert kept.why
    with pytest.raises(PictureError, match="no picture"):
        as_pictures(kept)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("out.png", r"'out.png': return the picture itself, not its path"),
        (Path("out.png"), "not its path"),
        (b"\x89PNG", r"PIL.Image.open\(io.BytesIO"),
        (np.zeros((3, 3, 3)), r"both the first and the last axis"),
        (torch.zeros(2, 3, 64, 3), r"both the first and the last axis"),
        ({"audio": 1}, "a dict with 'audio'; valid: one of images, frames"),
        ({}, "a dict with no key"),
        (SimpleNamespace(images=None), "no picture"),
        ((None, None), "no picture"),
        ([PIL, LATENTS], "array and pictures beside others"),
        ((PIL, PIL.resize((16, 16))), r"differing sizes \(16, 16, 3\), \(32, 32, 3\)"),
        (([PIL], [[PIL, PIL]]), "pictures and videos beside others"),
        ([[PIL], [PIL, PIL]], "differing numbers of frames: 1, 2"),
        ([PIL, PIL.resize((16, 16))], r"differing sizes \(16, 16, 3\), \(32, 32, 3\)"),
        (np.float32(0.3), "a number of type float32"),
        (torch.tensor(0.3), "a number of type float32"),
        (np.zeros((4, 4), dtype=complex), "complex128"),
        (torch.zeros(1, 3, 8, 8, device="meta"), "cannot be read"),
        (torch.zeros(1, 3, 0, 8), "empty array"),
        ((picture for picture in [PIL]), "type generator"),
    ],
)
def test_what_nobody_can_judge_is_refused_with_what_to_return_instead(value, says):
    with pytest.raises(PictureError, match=says):
        keep(value)


def test_an_animation_is_refused_rather_than_judged_by_its_first_frame():
    written = io.BytesIO()
    PIL.save(written, "GIF", save_all=True, append_images=[PIL.rotate(90)])
    with pytest.raises(PictureError, match="an animation of 2 frames"):
        keep(Image.open(written))


def test_a_picture_whose_file_is_closed_is_refused():
    written = io.BytesIO()
    PIL.save(written, "PNG")
    opened = Image.open(written)
    written.close()
    with pytest.raises(PictureError, match="a PngImageFile that cannot be read"):
        keep(opened)


@settings(deadline=None)
@given(
    shape=st.lists(st.sampled_from([1, 2, 3, 4, 8, 9, 16]), min_size=1, max_size=5).map(tuple),
    dtype=st.sampled_from(["uint8", "uint16", "int64", "bool", "float16", "float32", "float64"]),
    scale=st.sampled_from([1.0, 200.0, -3.0]),
    name=st.sampled_from(["", "images", "frames"]),
    tensor=st.booleans(),
)
def test_every_array_is_kept_as_it_was_or_refused(shape, dtype, scale, name, tensor):
    array = (np.random.default_rng(0).random(shape) * scale).astype(dtype)
    made = torch.from_numpy(array) if tensor else array
    value = {name: made} if name else made
    if 3 <= len(shape) <= 4 and shape[-1] == shape[-3] == 3:
        with pytest.raises(PictureError, match="both the first and the last axis"):
            keep(value)
        return
    kept = keep(value)
    assert not np.shares_memory(kept.values, array)
    assert kept.equals(keep(value))
    kept.defects()
    if kept.axes is not None or kept.kind == "array":
        np.testing.assert_allclose(kept.as_array().values, array, rtol=1e-6)


def test_nothing_is_kept_of_nothing_and_what_was_kept_stays():
    kept = keep(PIL)
    assert keep(None) is None
    assert keep(kept) is kept


# By value


@pytest.mark.parametrize(
    "value",
    [
        HWC.copy(),
        BYTES.copy(),
        [HWC.copy()],
        CHW.clone(),
        CHW.clone().half(),
        torch.from_numpy(HWC.copy())[None],
        LATENTS.clone(),
        torch.from_numpy((HWC[..., 0] * 65535).astype(np.uint16)),
        LATENTS.numpy().copy(),
    ],
    ids=lambda value: f"{type(value).__name__} {getattr(value, 'dtype', '')}",
)
def test_what_is_written_into_a_buffer_later_leaves_what_was_kept(value):
    kept = keep(value)
    before = kept.values.copy()
    one = value[0] if isinstance(value, list) else value
    one[:] = 0
    np.testing.assert_array_equal(kept.values, before)
    assert before.any()


def test_a_pil_picture_that_is_drawn_into_later_leaves_what_was_kept():
    picture = PIL.copy()
    kept = keep(picture)
    picture.paste(0, (0, 0, 32, 32))
    assert kept.equals(keep(PIL))


def test_a_video_is_never_held_twice():
    frames = [Image.fromarray(np.random.default_rng(index).integers(0, 255, (120, 208, 3), np.uint8)) for index in range(49)]
    gc.collect()
    tracemalloc.start()
    try:
        kept = keep(SimpleNamespace(frames=[frames]))
        assert tracemalloc.get_traced_memory()[1] < 1.2 * kept.nbytes
        tracemalloc.reset_peak()
        assert kept.defects() == ()
        assert kept.equals(kept)
        assert tracemalloc.get_traced_memory()[1] < kept.nbytes + 12 * frames[0].width * frames[0].height * 3 * 8
    finally:
        tracemalloc.stop()


# What is equal


def test_pictures_that_differ_in_alpha_alone_are_not_equal():
    solid, clear = PIL.convert("RGBA"), PIL.convert("RGBA")
    clear.putalpha(0)
    assert not keep(solid).equals(keep(clear))
    assert not np.array_equal(as_pictures(solid), as_pictures(clear))


@pytest.mark.parametrize(("one", "other"), [(BYTES, BYTES.astype(np.float32) / np.float32(255)), (PIL, BYTES), (HWC, CHW)])
def test_what_stands_for_the_same_pictures_is_equal_whatever_its_type(one, other):
    assert keep(one).equals(keep(other))


@pytest.mark.parametrize(
    "other",
    [HWC[:16], np.stack([HWC, HWC]), HWC * 0.999, list(VIDEO), [list(VIDEO)], LATENTS, HWC[..., 0], np.where(HWC > 0.5, np.nan, HWC)],
)
def test_one_value_frame_or_axis_more_or_less_is_not_equal(other):
    assert not keep(HWC).equals(keep(other))
    assert keep(other).equals(keep(other))


def test_latents_that_could_be_pictures_are_read_as_the_other_sides_are():
    flat, theirs = keep(LATENTS.clamp(0, 1)), keep(LATENTS)
    assert flat.kind == "pictures"
    assert (flat.like(theirs).kind, flat.like(theirs).size) == ("array", (1, 4, 8, 8))
    np.testing.assert_array_equal(flat.like(theirs).values, LATENTS.clamp(0, 1).numpy())


def test_a_depth_map_under_a_metre_is_read_in_metres_like_the_other_side():
    near, far = keep(HWC[..., 0]), keep(HWC[..., 0] * 3)
    assert far.own_range
    assert near.like(far).own_range
    np.testing.assert_allclose(
        near.like(far).view(0, far.span)[..., 0] * (far.span.high - far.span.low) + far.span.low, HWC[..., 0], atol=1e-6
    )


# Defects


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (np.zeros((1, 4, 8, 8)) + np.nan, "not finite"),
        (LATENTS * torch.tensor([[[[1.0]], [[1.0]], [[float("inf")]], [[1.0]]]]), "not finite"),
        (np.zeros(12), "zero"),
        (np.full((2, 5), 7.0), "constant"),
        (Image.fromarray(np.zeros((32, 32), np.float32)), "black"),
        (Image.fromarray(np.full((32, 32), 3.5, np.float32)), "constant"),
        (Image.fromarray(np.full((32, 32), 700, np.uint16) + np.eye(32, dtype=np.uint16)), "constant"),
        (Image.new("RGBA", (32, 32), (255, 0, 0, 0)), "black"),
        (Image.new("LA", (32, 32), (100, 128)), "constant"),
        (torch.full((1, 3, 16, 16), float("nan")), "not finite"),
        (SimpleNamespace(frames=[[PIL, Image.new("RGB", (32, 32))]]), "black"),
    ],
)
def test_a_defect_of_every_kind_is_named(value, word):
    (found,) = keep(value).defects()
    assert found.startswith(word)


@pytest.mark.parametrize("shade", [0, 255])
def test_a_shape_that_only_its_alpha_draws_is_no_defect(shade):
    drawn = Image.new("LA", (32, 32), (shade, 0))
    drawn.paste((shade, 255), (8, 8, 24, 24))
    assert keep(drawn).defects() == ()


def test_of_many_frames_with_one_defect_the_first_are_named_and_the_rest_counted():
    video = np.concatenate([VIDEO[:2], np.zeros((40, 32, 32, 3), np.float32)])[None]
    assert keep(video).defects() == (
        "black: no value exceeds 0.0000 of 1 (video 0, frame 2)",
        "black: no value exceeds 0.0000 of 1 (video 0, frame 3)",
        "black: no value exceeds 0.0000 of 1 (video 0, frame 4)",
        "black: 37 more of 42",
    )
    assert len(keep(video[:, :5]).defects()) == 3


def test_the_names_of_before_are_found_in_the_package():
    assert defects is find_defects
    assert find_defects(np.zeros((1, 8, 8, 3), np.float32))[0].startswith("black")


# Ranges


def test_sixteen_bits_keep_all_of_their_levels():
    ramp = np.linspace(1000, 3000, 32 * 32).reshape(32, 32).astype(np.uint16)
    shown = as_pictures(Image.fromarray(ramp))
    assert (shown.min(), shown.max()) == (0, 1)
    assert len(np.unique(shown)) == len(np.unique(ramp))


def test_one_range_serves_both_sides():
    near, far = keep(Image.fromarray(HWC[..., 0] * 40)), keep(Image.fromarray(HWC[..., 0] * 80))
    low, high = far.span
    assert (low, high) == (float(far.values.min()), float(far.values.max()))
    assert near.view(0, far.span).max() < 0.55 < far.view(0).max()
    assert near.view(0, Span(0, 80))[..., 0] == pytest.approx(HWC[..., 0] / 2)


def test_greys_of_sixteen_and_of_more_bits_are_joined_on_one_scale():
    levels = np.linspace(0, 51000, 64 * 64).reshape(64, 64)
    together = keep([Image.fromarray(levels.astype(np.uint16)), Image.fromarray(levels.astype(np.int32))])
    assert together.own_range
    first, second = together.values
    assert np.array_equal(first, second)
