"""Videos to look at: which frames of them, how large, and with which one marked."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scenes import disturbed, scene

from pytest_sdspeed.judge.pictures.exhibits import LARGEST, Drawn
from pytest_sdspeed.judge.pictures.forms import keep
from pytest_sdspeed.judge.pictures.gate import ImageJudgement, judge_images
from pytest_sdspeed.judge.pictures.strips import FRAME_SIDE, MOST, STRIP_SIDE, choose_frames
from pytest_sdspeed.model import Case, ImageGate

LENGTH, CASE = 12, Case(0)
ROLES = ("first", "middle", "last", "strip")


def video(seed, length=LENGTH, *, count=1):
    """Videos as a setup draws them, float32 (count, length, side, side, 3)."""
    return np.stack([scene(seed + at, batch=length) for at in range(count)])


def judge(candidate, baseline, gate=None):
    return judge_images({CASE: candidate}, {CASE: baseline}, gate or ImageGate(psnr=20.0), "same_weights")


def show(candidate, baseline, gate=None):
    drawn = Drawn(candidate={CASE: keep(candidate)}, baseline={CASE: keep(baseline)}, reference=None, prompt="a cat")
    (exhibit,) = drawn.exhibits(judge(keep(candidate), keep(baseline), gate))
    return exhibit


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def levels(picture):
    return np.round(picture * 255).astype(np.uint8)


@given(st.integers(1, 300), st.integers(0, 299))
def test_a_strip_has_few_frames_in_order_with_the_first_the_last_and_the_worst(length, worst):
    worst %= length
    chosen = choose_frames(length, worst)
    assert list(chosen) == sorted(set(chosen))
    assert {0, worst, length - 1} <= set(chosen) <= set(range(length))
    assert len(chosen) == min(length, MOST)


def test_a_video_is_shown_as_three_frames_and_a_row_with_the_worst_one_marked():
    baseline = video(0)
    candidate = disturbed(baseline, 0.01)
    candidate[0, 7] = disturbed(candidate[0, 7], 0.2)
    exhibit = show(candidate, baseline, ImageGate(psnr=10.0))
    assert (exhibit.index, exhibit.frames, exhibit.place) == (7, LENGTH, (0, 7))
    assert 7 in exhibit.strip
    assert set(exhibit.pictures) == {
        "baseline",
        "candidate",
        "error_map",
        *(f"{side}_{role}" for side in ("baseline", "candidate") for role in ROLES),
    }
    for role, at in (("first", 0), ("middle", 5), ("last", 11)):
        assert np.array_equal(pixels(exhibit.pictures[f"candidate_{role}"]), levels(candidate[0, at]))
    strip = pixels(exhibit.pictures["candidate_strip"])
    step = 32 + 6
    assert strip.shape == (32 + 12, 6 + step * len(exhibit.strip), 3)
    for place, at in enumerate(exhibit.strip):
        left = 6 + step * place
        assert np.array_equal(strip[6:38, left : left + 32], levels(candidate[0, at]))
        # A white band above the frame, and a black one above it.
        marked = (strip[4, left : left + 32] == 255).all() and (strip[0, left : left + 32] == 0).all()
        assert marked == (at == 7)


def test_the_worst_frame_of_a_second_video_is_shown_from_that_video():
    baseline = video(0, count=2)
    candidate = disturbed(baseline, 0.01)
    candidate[1, 3] = disturbed(candidate[1, 3], 0.2)
    exhibit = show(candidate, baseline, ImageGate(psnr=10.0))
    assert exhibit.place == (1, 3)
    assert np.array_equal(pixels(exhibit.pictures["candidate_first"]), levels(candidate[1, 0]))


def test_a_black_last_frame_fails_by_its_number_and_is_the_one_that_is_shown():
    baseline = video(0)
    candidate = disturbed(baseline, 0.01)
    candidate[0, -1] = 0
    found = judge(keep(candidate), keep(baseline))
    assert found.verdict == "fail"
    assert any("black" in reason and f"video 0, frame {LENGTH - 1}" in reason for reason in found.reasons)
    exhibit = show(candidate, baseline)
    assert exhibit.index == LENGTH - 1
    assert not pixels(exhibit.pictures["candidate"]).any()


def test_a_frozen_video_fails_by_the_first_frame_that_stands_still():
    baseline = video(0)
    candidate = np.repeat(baseline[:, :1], LENGTH, axis=1)
    found = judge(keep(candidate), keep(baseline), ImageGate(psnr=0.1))
    assert found.verdict == "fail"
    assert any(
        reason.startswith("seed 0: frames stand still: 11 of 11") and reason.endswith("video 0, frame 1") for reason in found.reasons
    )
    assert found.metrics["temporal"] > 0.9


def test_pictures_are_shown_as_before():
    exhibit = show(scene(0, batch=3), scene(1, batch=3))
    assert (exhibit.frames, exhibit.strip, exhibit.place) == (None, (), (exhibit.index, None))
    assert set(exhibit.pictures) == {"baseline", "candidate", "error_map"}


def test_a_video_of_one_frame_is_shown_as_a_picture():
    assert show(video(0, 1), video(1, 1)).frames is None


@pytest.mark.parametrize("length", [LENGTH, 5])
def test_a_side_with_other_frames_is_shown_all_the_same(length):
    exhibit = show(video(0, length), video(0, 8))
    assert exhibit.frames == length
    assert {"baseline_strip", "candidate_strip"} <= set(exhibit.pictures)


def test_frames_of_a_large_video_are_small():
    large = np.zeros((1, MOST + 1, 540, 960, 3), dtype=np.uint8)
    large[:, :, ::2] = 255
    (exhibit,) = Drawn(candidate={CASE: SimpleNamespace(frames=large)}, baseline={}, reference=None, prompt="").exhibits(
        ImageJudgement("pass", {}, ())
    )
    sizes = {role: pixels(png).shape[1] for role, png in exhibit.pictures.items()}
    assert {sizes[f"candidate_{role}"] for role in ("first", "middle", "last")} == {FRAME_SIDE}
    assert sizes["candidate"] == LARGEST
    assert sizes["candidate_strip"] == MOST * (STRIP_SIDE + 6) + 6
