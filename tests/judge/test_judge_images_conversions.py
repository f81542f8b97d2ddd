"""Whatever a pipeline returns becomes pictures, and what is wrong with one on its own is named."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scenes import planted, scene

from pytest_sdspeed.errors import PictureError
from pytest_sdspeed.judge.pictures import conversion
from pytest_sdspeed.model import Case


class FakePil:
    """What a PIL image shows of itself here: ``convert``, and an array once converted."""

    def __init__(self, array):
        self.array = array

    def convert(self, mode):
        assert mode == "RGB"
        return self.array


BYTES = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
FLOATS = BYTES.astype(np.float64) / 255


@pytest.mark.parametrize(
    "value",
    [
        BYTES,
        FLOATS,
        FLOATS.astype(np.float32),
        list(BYTES),
        tuple(FLOATS),
        [BYTES[:1], BYTES[1:]],
        [FakePil(picture) for picture in BYTES],
        SimpleNamespace(images=[FakePil(picture) for picture in BYTES]),
        SimpleNamespace(images=FLOATS),
        [FakePil(BYTES[0]), FLOATS[1]],
    ],
)
def test_every_kind_becomes_the_same_pictures(value):
    found = conversion.as_pictures(value)
    assert found.dtype == np.float32
    assert found.shape == (2, 4, 5, 3)
    np.testing.assert_allclose(found, FLOATS, atol=1e-7)


@pytest.mark.parametrize("value", [BYTES[0], FLOATS[0], FakePil(BYTES[0]), [FakePil(BYTES[0])]])
def test_one_picture_is_a_batch_of_one(value):
    assert conversion.as_pictures(value).shape == (1, 4, 5, 3)


def test_a_real_pil_image_in_another_mode():
    pil = pytest.importorskip("PIL.Image")
    found = conversion.as_pictures([pil.new("L", (5, 4), 255), pil.new("RGBA", (5, 4), (255, 255, 255, 0))])
    assert found.shape == (2, 4, 5, 3)
    assert found.min() == 1


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "no picture"),
        (3.0, "type float"),
        ("a.png", "type str"),
        ([1, 2], "type int"),
        ([], "empty list"),
        ((), "empty tuple"),
        (SimpleNamespace(images=None), "no picture"),
        (np.zeros((0, 4, 4, 3)), "empty array"),
        (np.zeros((4, 4)), r"shape \(4, 4\)"),
        (np.zeros((3, 4, 5)), r"shape \(3, 4, 5\)"),
        (np.zeros((1, 1, 4, 4, 3)), r"shape \(1, 1, 4, 4, 3\)"),
        (np.zeros((4, 4, 4)), r"shape \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), dtype=np.int64), "int64"),
        (np.zeros((4, 4, 3), dtype=bool), "bool"),
        (np.full((4, 4, 3), 255.0), r"\[255, 255\]"),
        (np.full((4, 4, 3), -1.0), r"\[-1, -1\]"),
        (np.full((4, 4, 3), 1.01), r"1\.01"),
        (np.full((4, 4, 3), 1e300), r"1e\+300"),
        ([np.zeros((4, 4, 3)), np.zeros((4, 5, 3))], r"differing sizes \(4, 4, 3\), \(4, 5, 3\)"),
    ],
)
def test_what_is_no_picture_is_named(value, says):
    with pytest.raises(PictureError, match=says):
        conversion.as_pictures(value)


def test_rounding_beyond_the_range_is_clipped():
    found = conversion.as_pictures(np.array([1.0005, -0.0005, 0.5]).reshape(1, 1, 3))
    assert found.ravel().tolist() == [1.0, 0.0, 0.5]


def test_what_is_not_finite_passes_unchanged():
    found = conversion.as_pictures(np.array([np.nan, np.inf, -np.inf]).reshape(1, 1, 3))
    np.testing.assert_array_equal(found.ravel(), [np.nan, np.inf, -np.inf])


def test_the_caller_keeps_its_array():
    mine = scene(0)
    conversion.as_pictures(mine)[:] = 0
    assert mine.any()


def test_healthy_pictures_have_none():
    assert conversion.find_defects(scene(0, batch=3)) == ()


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("nan", "not finite: 12 of 3072 values"),
        ("inf", "not finite: 1 of 3072 values"),
        ("black", "black:"),
        ("one level above black", "black:"),
        ("grey", "constant:"),
        ("red", "constant:"),
        ("white", "constant:"),
        ("rounded", "constant:"),
    ],
)
def test_a_planted_defect_is_named_with_its_place(kind, word):
    (found,) = conversion.find_defects(np.concatenate([scene(5), planted(kind)]))
    assert found.startswith(word)
    assert found.endswith("(picture 1)")


def test_dim_and_flat_but_real_pictures_are_no_defect():
    assert conversion.find_defects(scene(0) * 0.02) == ()
    assert conversion.find_defects(0.5 + 0.02 * scene(0)) == ()


def test_what_cannot_be_read_and_what_is_broken_leaves_the_cases_that_follow():
    reasons = []
    values = {Case(0): "a.png", Case(1): planted("black"), Case(2): scene(0), Case(3): np.zeros((1, 4, 8, 8), int)}
    assert [*conversion.select_sound(values, "baseline", reasons)] == [Case(2)]
    assert reasons[0].startswith("seed 0: the baseline returned an object of type str")
    assert reasons[1].startswith("seed 1: the baseline's picture is black: ")
    assert reasons[2] == "seed 3: the baseline's array is zero: all values are 0"
