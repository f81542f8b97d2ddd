"""What is returned together: the elements of tuples and lists, as pictures or arrays of one form."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scenes import scene

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures import keep

HWC = scene(0)[0]
GREY = HWC[..., 0]
PIL = Image.fromarray((HWC * 255).astype(np.uint8))
LATENTS = np.random.default_rng(0).normal(size=(1, 4, 8, 8)).astype(np.float32)


# Tuples


@pytest.mark.parametrize("depth", [GREY * 30, Image.fromarray(GREY * 30), Image.fromarray((GREY * 65535).astype(np.uint16))])
@pytest.mark.parametrize("picture", [PIL, HWC, [HWC]])
def test_the_depth_that_follows_a_picture_in_colors_is_not_judged_as_a_picture(picture, depth):
    kept = keep((picture, depth))
    assert kept.equals(keep(picture))
    assert kept.values.max() <= (255 if kept.values.dtype == np.uint8 else 1)


@pytest.mark.parametrize("pair", [(GREY, GREY * 3), (GREY * 3, GREY)], ids=["nearer first", "farther first"])
def test_depth_maps_of_which_one_is_under_a_metre_are_both_judged_in_metres(pair):
    kept = keep(pair)
    assert (kept.count, kept.own_range) == (2, True)
    np.testing.assert_array_equal(kept.values[..., 0], np.stack(pair))
    assert kept.equals(keep(list(pair)))


def test_a_picture_in_colors_that_follows_a_depth_map_is_something_else():
    kept = keep((GREY * 3, HWC))
    assert (kept.count, kept.own_range) == (1, True)


def test_what_cannot_be_read_in_a_tuple_hides_nothing_that_follows_it():
    assert keep((PIL, False, PIL)).count == 2


@pytest.mark.parametrize(("second", "size"), [(LATENTS + 1, (2, 1, 4, 8, 8)), (LATENTS[:, :2], LATENTS.shape), (PIL, LATENTS.shape)])
def test_arrays_of_one_size_in_a_tuple_are_joined_and_others_left_out(second, size):
    kept = keep((LATENTS, second))
    assert (kept.kind, kept.size) == ("array", size)


def test_latents_that_could_be_pictures_follow_latents_as_latents():
    positive = np.abs(LATENTS[:, :1])
    kept = keep((-positive, positive))
    np.testing.assert_array_equal(kept.values, [-positive, positive])


def test_latents_alone_in_a_tuple_may_still_be_read_as_the_other_sides():
    flat = keep((LATENTS.clip(0, 1),))
    assert flat.kind == "pictures"
    assert flat.like(keep(LATENTS)).kind == "array"


@pytest.mark.parametrize("second", [None, [PIL] * 5])
def test_frames_in_a_tuple_are_videos(second):
    kept = keep(SimpleNamespace(frames=([PIL] * 5, second)))
    assert (kept.kind, kept.size) == ("videos", (1 if second is None else 2, 5, 32, 32))


# Lists


def test_arrays_of_differing_sizes_are_refused_with_their_whole_sizes():
    with pytest.raises(PictureError, match=r"array of differing sizes \(2, 12\), \(3, 12\) in one list"):
        keep([np.full((2, 12), 7.0), np.full((3, 12), 7.0)])


BYTE = (GREY * 255).astype(np.uint8)
LEVEL = BYTE.astype(np.float32) / 255


@pytest.mark.parametrize(
    ("mode", "joined"),
    [
        ("L", [LEVEL]),
        ("LA", [LEVEL, LEVEL]),
        ("RGB", [LEVEL, LEVEL * 0, LEVEL / LEVEL]),
        ("RGBA", [LEVEL, LEVEL * 0, LEVEL / LEVEL, LEVEL]),
    ],
)
@pytest.mark.parametrize("beside", ["L", "LA", "RGB", "RGBA", "floats"])
def test_pictures_of_differing_channels_are_joined_with_as_many_as_any_needs(mode, joined, beside):
    bands = {"L": BYTE, "A": BYTE, "R": BYTE, "G": BYTE * 0, "B": BYTE * 0 + 255}
    made = {
        name: Image.merge(name, [Image.fromarray(bands[band]) for band in name]) if len(name) > 1 else Image.fromarray(BYTE)
        for name in ("L", "LA", "RGB", "RGBA")
    }
    kept = keep([made[mode], np.ones((32, 32), np.float32) if beside == "floats" else made[beside]])
    if mode == beside:
        assert kept.values.dtype == np.uint8
        return
    colors = max(3 if name.startswith("RGB") else 1 for name in (mode, beside))
    alpha = any(name.endswith("A") for name in (mode, beside))
    assert (kept.values.shape, kept.values.dtype) == ((2, 32, 32, colors + alpha), np.float32)
    shown = joined[: 3 if mode.startswith("RGB") else 1]
    expected = shown if len(shown) == colors else shown * colors
    if alpha:
        expected = [*expected, joined[-1] if mode.endswith("A") else np.ones_like(LEVEL)]
    np.testing.assert_allclose(kept.values[0], np.stack(expected, axis=-1), atol=1e-6)


def test_joined_greys_with_a_range_of_their_own_keep_their_values():
    levels = np.linspace(0, 51000, 64 * 64).reshape(64, 64)
    together = keep([Image.fromarray(levels.astype(np.uint16)), Image.fromarray(levels.astype(np.int32))])
    np.testing.assert_array_equal(together.values[0, ..., 0], levels.astype(np.int32))
