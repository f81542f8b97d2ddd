"""What stands at the edges of the forms of pictures: modes of PIL, numbers of axes, what rounding may leave."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scenes import scene

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge import pictures
from pytest_sdspeed.judge.pictures import conversion, forms, keep
from pytest_sdspeed.judge.pictures.output import CONSTANT, Output, Span


@pytest.mark.parametrize(
    ("image", "channels"),
    [
        (Image.new("1", (16, 16)), 1),
        (Image.new("L", (16, 16)), 1),
        (Image.new("LA", (16, 16)), 2),
        (Image.new("LA", (16, 16)).convert("La"), 2),
        (Image.new("P", (16, 16)), 3),
        (Image.new("PA", (16, 16)), 4),
        (Image.new("RGBA", (16, 16)), 4),
        (Image.new("RGBA", (16, 16)).convert("RGBa"), 4),
        (Image.new("CMYK", (16, 16)), 3),
        (Image.new("YCbCr", (16, 16)), 3),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_a_pil_picture_is_kept_in_the_smallest_form_that_holds_it(image, channels):
    assert keep(image).values.shape == (1, 16, 16, channels)


def test_a_palette_with_transparency_keeps_it():
    image = Image.new("P", (16, 16))
    image.info["transparency"] = 0
    assert keep(image).values.shape == (1, 16, 16, 4)
    assert keep(image).values[..., 3].max() == 0


def test_arrays_of_any_number_of_axes_are_looked_at_and_compared():
    row = np.linspace(-3, 3, 6)
    for array in (row, row.reshape(2, 3), row.reshape(1, 1, 1, 2, 3)):
        assert keep(array).defects() == ()
        assert keep(array).equals(keep(array.copy()))
        assert not keep(array).equals(keep(array + 1))
        other = array.copy()
        other.flat[0] += 1
        assert not keep(array).equals(keep(other))


GREY = np.zeros((32, 32), np.float32)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        # Half of a whole number is what rounding leaves.
        (np.where(np.eye(32, dtype=bool), 701, 700).astype(np.uint16), "constant"),
        (700 + (np.indices((32, 32)).sum(0) % 2).astype(np.uint16) * 3, ""),
        (200 + (np.indices((32, 32)).sum(0) % 2).astype(np.uint16), "constant"),
        # Of colors each is told by itself.
        (np.full((32, 32, 3), (60000, 100, 100), np.uint16), "constant"),
        # Of floats nothing is lost that large.
        (GREY + 5 + 0.5 * (np.indices((32, 32)).sum(0) % 2), ""),
        (GREY + 5 + 0.001 * (np.indices((32, 32)).sum(0) % 2), "constant"),
        # An array of one value is a number, of two it can be constant.
        (np.full((1, 2), 7.0), "constant"),
        (np.full((1, 1), 7.0), ""),
        (np.zeros((1, 1)), "zero"),
    ],
)
def test_what_is_constant_is_told_by_what_rounding_may_leave(value, word):
    found = keep(value).defects()
    assert [defect.partition(":")[0] for defect in found] == ([word] if word else [])


def test_a_range_of_its_own_keeps_what_an_infinite_pixel_is():
    depth = GREY + np.linspace(2, 50, 32, dtype=np.float32)
    output = keep(depth)
    assert output.span == Span(2.0, 50.0)
    assert output.view(0).dtype == np.float32
    assert output.view(0, Span(0.0, 100.0)).max() == 0.5
    assert [shown.max() for shown in output.views(Span(0.0, 100.0))] == [0.5]


def test_what_an_array_is_is_said_with_why_it_is_no_picture():
    assert keep(np.zeros((1, 4, 8, 8), np.float32) - 3).describe() == (
        "an array of shape (1, 4, 8, 8) (values in [-3, -3], those of pictures are in [0, 1])"
    )
    assert Output("array", np.zeros((2, 3))).describe() == "an array of shape (2, 3)"


def test_a_view_shows_alpha_over_white_unless_another_background_is_asked_for():
    clear = keep(np.zeros((1, 8, 8, 4), np.uint8))
    assert clear.view(0).min() == clear.view(0).max() == 1.0
    assert clear.view(0, background=0.0).max() == 0.0


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("Output", Output),
        ("as_pictures", conversion.as_pictures),
        ("defects", conversion.find_defects),
        ("find_defects", conversion.find_defects),
        ("keep", forms.keep),
    ],
)
def test_a_public_name_of_the_package_is_imported_when_it_is_asked_for(name, home):
    assert name in pictures.__all__
    assert pictures.__getattr__(name) is home


def test_the_package_has_no_other_names():
    with pytest.raises(AttributeError, match=r"module 'pytest_sdspeed\.judge\.pictures' has no attribute 'keeper'"):
        pictures.__getattr__("keeper")


class Broken:
    """A picture that says nothing of why it cannot be read."""

    def convert(self, _mode):
        raise ValueError


def test_a_picture_that_raises_without_a_message_is_named():
    with pytest.raises(PictureError, match="returned a Broken that cannot be read: no message; valid: "):
        keep(Broken())


def test_a_grey_picture_with_a_transparent_level_keeps_it():
    image = Image.new("L", (16, 16))
    image.info["transparency"] = 0
    assert keep(image).values.shape == (1, 16, 16, 4)


def test_greys_of_any_number_of_bits_are_equal_when_their_values_are():
    levels = np.linspace(0, 51000, 32 * 32).reshape(32, 32)
    one, other = (keep(Image.fromarray(levels.astype(dtype))) for dtype in (np.uint16, np.int32))
    assert one.equals(other)
    assert not one.equals(keep(Image.fromarray(levels.astype(np.int32) + 1)))


def test_arrays_are_equal_when_their_values_are_whatever_their_type():
    levels = np.arange(12, dtype=np.uint8)
    assert keep(levels).equals(keep(levels.astype(np.float32)))
    assert not keep(levels.astype(np.float64) + 1e-12).equals(keep(levels.astype(np.float32)))


def test_the_range_of_depth_maps_is_that_of_what_is_finite():
    depth = np.linspace(2, 50, 32 * 32).reshape(1, 32, 32, 1).astype(np.float32)
    assert keep(np.concatenate([depth * np.nan, depth])).span == Span(2.0, 50.0)
    assert keep(Image.fromarray(depth[0, ..., 0] * np.nan)).span == Span(0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array([np.nan, 1.0, np.nan]), "not finite: 2 of 3 values are NaN or infinite"),
        (np.where(np.eye(32), np.inf, scene(0)[0, ..., 0]), "not finite: 32 of 1024 values are NaN or infinite (picture 0)"),
        (np.where(np.eye(32), np.nan, scene(0)[0, ..., 0] * 9), "not finite: 32 of 1024 values are NaN or infinite (picture 0)"),
    ],
)
def test_it_is_said_how_many_of_how_many_values_are_not_finite(value, said):
    assert keep(value).defects() == (said,)


def test_frames_are_named_by_their_video_and_their_place_in_it():
    videos = scene(0, batch=6).reshape(2, 3, 32, 32, 3)
    videos[1, 2] = 0
    assert keep(videos).defects() == ("black: no value exceeds 0.0000 of 1 (video 1, frame 2)",)


def test_what_varies_by_more_than_a_level_in_few_pixels_alone_is_constant():
    picture = np.full((32, 32, 3), 0.5, np.float32)
    picture[::4, ::8] += 4 * CONSTANT
    assert picture.std() < CONSTANT < picture[::4, ::4].std() < 4 * CONSTANT
    (said,) = keep(picture).defects()
    assert said.startswith("constant: ")


def test_an_alpha_that_varies_by_less_than_a_level_draws_nothing():
    black = np.zeros((32, 32, 4), np.float32)
    black[..., 3] = 1
    black[::2, :, 3] -= 1.6 * CONSTANT
    assert keep(black).defects()[0].startswith("black")
