"""What stands at the edges of the forms of pictures: modes of PIL, numbers of axes, what rounding may leave."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pytest_sdspeed.judge.pictures import keep
from pytest_sdspeed.judge.pictures.output import Output, Span


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


GREY = np.zeros((32, 32), np.float32)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        # Half of a whole number is what rounding leaves.
        (np.where(np.eye(32, dtype=bool), 701, 700).astype(np.uint16), "constant"),
        (700 + (np.indices((32, 32)).sum(0) % 2).astype(np.uint16) * 3, ""),
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
