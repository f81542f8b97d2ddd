"""Videos on the page: their frames and rows of frames, in words and in a browser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes import RECIPE, baseline_result, result

from pytest_sdspeed.judge.pictures.exhibits import Drawn
from pytest_sdspeed.judge.pictures.gate import ImageJudgement
from pytest_sdspeed.model import Case
from pytest_sdspeed.report.page.gallery import Gallery
from pytest_sdspeed.report.page.html import render_page
from pytest_sdspeed.report.page.thumbnails import BUDGET, make_thumbnails
from pytest_sdspeed.store import pictures as stored_pictures

LENGTH = 12
RECIPE_OF_VIDEOS = replace(RECIPE, frames=LENGTH)


def video(seed, length=LENGTH, size=(24, 40)):
    coarse = np.random.default_rng(seed).random((1, length, *(side // 8 for side in size), 3))
    return np.kron(coarse, np.ones((1, 1, 8, 8, 1))).astype(np.float32)


def exhibits(seed=0, worst=7, **facts):
    main, other = Case(0), Case(1)
    drawn = Drawn(
        candidate={other: video(seed + 11, **facts), main: video(seed + 10, **facts)},
        baseline={other: video(1, **facts), main: video(0, **facts)},
        reference=None,
        prompt="a cat",
    )
    return drawn.exhibits(ImageJudgement("pass", {}, (), worst={main: worst, other: 0}, control=(main, other)))


def rows(**facts):
    return [
        baseline_result(recipe=RECIPE_OF_VIDEOS),
        result("fp16", recipe=RECIPE_OF_VIDEOS, exhibits=exhibits(**facts)),
        result("compiled", recipe=RECIPE_OF_VIDEOS, exhibits=exhibits(20, worst=3, **facts)),
    ]


def gallery(*results):
    shown = (picture for one in results for exhibit in one.exhibits for picture in exhibit.pictures.values())
    return Gallery(make_thumbnails(shown)).make_cases(results)


def test_setups_whose_worst_frames_differ_stand_in_one_case():
    main, other = gallery(*rows())
    assert (main.title, other.title) == ("seed 0, frames 0 to 11", "seed 1, frames 0 to 11")
    assert main.baseline.label == "baseline, frame 7"
    assert [picture.label for picture in main.baseline_frames][:3] == ["first frame", "middle frame", "last frame"]
    fp16, compiled, control, *_ = main.entries
    assert [picture.label for picture in fp16.pictures] == [
        "candidate, frame 7",
        "error map, frame 7",
        "first frame",
        "middle frame",
        "last frame",
        "frames 0, 1, 3, 4, 6, 7, 8, 10, 11, 7 marked",
    ]
    assert [picture.label for picture in compiled.pictures][:2] == ["its baseline, frame 3", "candidate, frame 3"]
    assert control.control
    assert "marked" not in control.pictures[-1].label
    assert [picture.strip for picture in fp16.pictures] == [False] * 5 + [True]


def test_every_picture_says_in_words_what_it_shows():
    main, _ = gallery(*rows())
    every = [main.baseline, *main.baseline_frames, *(picture for entry in main.entries for picture in entry.pictures)]
    said = [picture.alt for picture in every]
    assert "fp16: frames 0, 1, 3, 4, 6, 7, 8, 10, 11 in a row, 7 marked, seed 0, frames 0 to 11" in said
    assert "fp16: last frame, 11, seed 0, frames 0 to 11" in said
    assert len(set(said)) == len(said)


def test_a_second_video_of_a_batch_is_a_case_of_its_own():
    (exhibit, *_) = exhibits()
    (case,) = gallery(result(exhibits=[replace(exhibit, index=LENGTH + 2)]))
    assert case.title == "seed 0, video 2 of the batch, frames 0 to 11"
    assert case.baseline.label == "baseline, frame 2"


def test_the_recipe_says_videos_and_frames():
    page = render_page(rows())
    assert "<dt>videos per call</dt><dd>1 of 12 frames</dd>" in page
    assert "pictures per call" not in page


@pytest.mark.slow
def test_a_page_of_long_videos_keeps_its_budget():
    page = render_page([*rows(length=81, size=(240, 416)), result("s", exhibits=exhibits(30, length=81, size=(240, 416)))])
    assert 500_000 < len(page) < BUDGET + 400_000


def test_a_stored_video_comes_back_with_its_frames_and_one_of_before_without(tmp_path):
    before = exhibits()[0]
    stored_pictures.save(tmp_path, [before])
    stored = stored_pictures.describe(before)
    after = stored_pictures.restore(stored, tmp_path)
    assert (after.frames, after.strip, after.place) == (LENGTH, before.strip, (0, 7))
    assert dict(after.pictures) == {role: png for role, png in before.pictures.items() if role != "error_map"}
    for name in ("frames", "strip"):
        del stored[name]
    assert stored_pictures.restore(stored, tmp_path).place == (7, None)


# In a browser


@pytest.mark.slow
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_a_page_of_videos_opens_without_barriers_and_its_strips_enlarge(tmp_path, size):
    browser = pytest.importorskip("browser", reason="playwright and axe-playwright-python are not installed: pip install --group test")
    if browser.CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    path = tmp_path / "report.html"
    stages_s = {
        "text_encoder": 0.1,
        "image_encoding": 0.2,
        "prior": 0.3,
        "denoising": 1.5,
        "upsampling": 0.4,
        "refining": 0.2,
        "decoding": 0.5,
        "own": 0.1,
    }
    path.write_text(render_page([replace(one, stages_s=stages_s) for one in rows()]), encoding="utf-8")
    with browser.chromium() as tab:
        for scheme in browser.SCHEMES:
            with browser.visit(tab, path, size, scheme) as visited:
                assert browser.broken_pictures(visited) == []
                assert browser.overflow(visited) <= 0
                assert browser.barriers(visited) == []
                assert visited.errors == []
                buttons = visited.page.locator("button.picture")
                strips = [at for at in range(buttons.count()) if "strip" in buttons.nth(at).get_attribute("class")]
                assert len(strips) == 7
                assert browser.keyboard_faults(visited, strips[1]) == []
                colors = "items => items.map(one => getComputedStyle(one).backgroundColor)"
                assert len(set(visited.page.eval_on_selector_all(".legend .stage", colors))) == len(stages_s)
