"""The report's pictures: which stand together, what is said of them, and the bytes they may take."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from fakes import baseline_result, exhibit, png, result
from PIL import Image

from pytest_sdspeed.report.page.gallery import PIXELATED, Gallery
from pytest_sdspeed.report.page.thumbnails import make_thumbnails

# Pictures within a budget


def decoded(thumbnail):
    return Image.open(io.BytesIO(base64.b64decode(thumbnail.uri.partition(",")[2])))


def test_small_pictures_stay_as_they_are():
    small = png(1)
    (thumbnail,) = make_thumbnails([small, small]).values()
    assert thumbnail.lossless
    assert np.array_equal(np.asarray(decoded(thumbnail)), np.asarray(Image.open(io.BytesIO(small))))


def test_a_budget_is_kept_and_what_small_pictures_leave_goes_to_the_large():
    large, small = [png(seed, 128) for seed in range(6)], png(9)
    made = make_thumbnails([*large, small], 60_000)
    assert sum(len(thumbnail.uri) for thumbnail in made.values()) < 60_500
    assert made[small].lossless
    sizes = [made[picture].size for picture in large]
    assert all(decoded(made[picture]).size == size for picture, size in zip(large, sizes, strict=True))
    assert all(40 < width < 128 for width, _ in sizes)
    assert all(made[picture].original == (128, 128) for picture in large)
    assert sum(len(thumbnail.uri) for thumbnail in made.values()) > 30_000


def test_a_picture_that_compresses_worse_than_it_promised_keeps_its_share():
    # Every other pixel is white: reduced by two it is a gray that takes no room.
    pixels = np.kron(np.ones((64, 64)), [[0, 255], [255, 0]]).astype(np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(written, "PNG", compress_level=0)
    (thumbnail,) = make_thumbnails([written.getvalue()], 3600).values()
    assert len(thumbnail.uri) <= 3630


def test_a_hopeless_budget_still_leaves_something_to_see():
    (thumbnail,) = make_thumbnails([png(1, 64)], 10).values()
    assert max(decoded(thumbnail).size) <= 16


def test_a_shape_is_kept():
    written = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 192, 3), dtype=np.uint8)).save(written, "PNG")
    (thumbnail,) = make_thumbnails([written.getvalue()], 4000).values()
    assert thumbnail.size[0] == pytest.approx(3 * thumbnail.size[1], abs=3)


# Which pictures stand together


def gallery(*results):
    return Gallery(make_thumbnails(picture for one in results for shown in one.exhibits for picture in shown.pictures.values())).make_cases(
        results
    )


def test_a_case_shows_its_baseline_once_then_what_each_setup_made_of_it():
    rows = [
        result(name, exhibits=[exhibit(seed, candidate=png(100 * place + seed)) for seed in (0, 1)]) for place, name in enumerate("ab", 1)
    ]
    cases = gallery(*rows)
    assert [case.title for case in cases] == ["seed 0", "seed 1"]
    assert [entry.title for entry in cases[0].entries] == ["a", "b"]
    assert [picture.label for picture in cases[0].entries[0].pictures] == ["candidate", "error map"]
    assert cases[0].entries[0].lines == ["PSNR 58.2 dB"]
    assert cases[0].prompt == "a cat"


def test_prompts_and_places_in_a_batch_are_cases_of_their_own():
    cases = gallery(result(exhibits=[exhibit(index=2), exhibit(prompt="a dog"), exhibit()]))
    assert [(case.title, case.prompt) for case in cases] == [
        ("seed 0", "a cat"),
        ("seed 0, picture 3 of the batch", "a cat"),
        ("seed 0", "a dog"),
    ]


def test_the_baseline_is_no_candidate_of_its_own():
    (case,) = gallery(baseline_result(exhibits=[exhibit()]))
    assert case.baseline
    assert case.entries == []


def test_a_reference_is_shown_where_there_is_one():
    (case,) = gallery(result(exhibits=[exhibit(reference=png(7))]))
    assert [picture.label for picture in case.entries[0].pictures] == ["candidate", "error map", "reference"]


def test_a_setup_that_met_another_baseline_shows_it():
    (case,) = gallery(result("a", exhibits=[exhibit()]), result("b", exhibits=[exhibit(baseline=png(77))]))
    assert next(picture.label for picture in case.entries[1].pictures) == "its baseline"


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("pass", "a, b: fails the gate, as it must"),
        ("powerless", "a, b: passes the gate, though it must fail: the gate is powerless"),
        ("fail", "a, b: must fail the gate; not checked, since the setup's own pictures fail"),
        (None, "a, b: must fail a gate; none judged these pictures"),
    ],
)
def test_a_control_is_shown_once_and_says_whether_it_fails_as_it_must(verdict, said):
    rows = [result(name, image_verdict=verdict, exhibits=[exhibit(control=True)]) for name in "ab"]
    (case,) = gallery(*rows)
    (entry,) = case.entries
    assert entry.control
    assert entry.lines == ["PSNR 58.2 dB", said]


def test_metrics_have_names_and_units():
    measured = {"psnr": 58.24, "ssim": 0.99812, "mae": 0.00123, "flip": 0.0123, "clip_drop": -0.001, "odd_one": 1.23456}
    (case,) = gallery(result(exhibits=[exhibit(metrics=measured)]))
    said = "PSNR 58.2 dB, SSIM 0.998, mean difference 0.0012, FLIP 0.012, CLIP score drop -0.001, odd one 1.235"
    assert case.entries[0].lines == [said]


def test_only_small_pictures_show_their_pixels():
    (case,) = gallery(result(exhibits=[exhibit(baseline=png(1, PIXELATED), candidate=png(2, PIXELATED + 1))]))
    assert case.baseline.pixelated
    assert not case.entries[0].pictures[0].pixelated


def test_what_became_of_a_picture_is_said():
    (case,) = gallery(result(exhibits=[exhibit()]))
    assert case.baseline.about == "8 x 8 pixels, lossless"
    shrunk = Gallery(make_thumbnails(exhibit(baseline=png(1, 128)).pictures.values(), 8000))
    (case,) = shrunk.make_cases([result(exhibits=[exhibit(baseline=png(1, 128))])])
    assert re.fullmatch(r"\d+ x \d+ pixels, compressed, of 128 x 128", case.baseline.about)
