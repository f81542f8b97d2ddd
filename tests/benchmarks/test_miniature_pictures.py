"""The pictures the miniature is trained on: captions decide them, and what is held out stays out."""

from __future__ import annotations

import random

import numpy as np
import pytest
from miniature.draw import draw
from miniature.pen import Canvas, Pen
from miniature.scenes import (
    ASTRONAUT,
    BOUQUETS,
    COLORS,
    COUNTED,
    MATERIALS,
    MOUNTS,
    PLACED,
    PLACES,
    RIDERS,
    VASE,
    Scene,
    draw_scene,
    held_out_scene,
    training_scene,
    vocabulary,
)

PAGE = {
    ASTRONAUT: Scene(subject="horse", color="brown", place="mars", rider="astronaut"),
    VASE: Scene(subject="vase", color="golden", place="table", bouquet="different"),
}


def pixels(scene, seed=0):
    return np.asarray(draw(scene, seed), dtype=float)


def apart(one, other):
    """Mean absolute difference, of 255."""
    return np.abs(pixels(one) - pixels(other)).mean()


@pytest.fixture(scope="module")
def many():
    rng = random.Random(0)
    return [draw_scene(rng) for _ in range(4000)]


def test_the_prompts_of_the_page_are_captions_and_trained_on():
    assert "a photo of " + PAGE[ASTRONAUT].caption == ASTRONAUT
    assert PAGE[VASE].caption == VASE
    assert not any(scene.held_out for scene in PAGE.values())


@pytest.mark.parametrize(
    ("scene", "caption"),
    [
        (Scene(subject="elephant", color="gray", place="moon", rider="knight"), "a knight riding an elephant on the moon"),
        (Scene(subject="elephant", color="red", place="sea", rider="robot"), "a robot riding a red elephant under the sea"),
        (Scene(subject="vase", color="glass", place="beach", bouquet="blue"), "a glass vase with blue flowers on a beach"),
        (Scene(subject="fish", color="pink", place="snow", count=3), "three pink fish in the snow"),
        (Scene(subject="ball", color="red", place="city", count=2), "two red balls in a city"),
        (Scene(subject="car", color="blue", place="forest", position="left"), "a blue car in a forest on the left"),
    ],
)
def test_captions(scene, caption):
    assert scene.caption == caption


def test_a_caption_decides_the_scene(many):
    scenes = {}
    for scene in many:
        assert scenes.setdefault(scene.caption, scene) == scene


def test_every_word_of_every_caption_is_known(many):
    assert {word for scene in many for word in scene.caption.split()} <= set(vocabulary())


def test_a_tenth_of_the_combinations_is_held_out_whatever_count_and_position(many):
    combinations = {(scene.subject, scene.rider, scene.bouquet, scene.color, scene.place): scene.held_out for scene in many}
    assert 0.07 < np.mean(list(combinations.values())) < 0.13
    assert all(combinations[scene.subject, scene.rider, scene.bouquet, scene.color, scene.place] == scene.held_out for scene in many)


def test_training_and_held_out_captions_share_nothing():
    seen, unseen = random.Random(1), random.Random(1)
    trained = {training_scene(seen).caption for _ in range(3000)}
    held_out = {held_out_scene(unseen).caption for _ in range(300)}
    assert not trained & held_out
    words = {word for caption in trained for word in caption.split()}
    assert {word for caption in held_out for word in caption.split()} <= words


def test_a_picture_is_64_pixels_a_side_and_the_same_for_the_same_seed():
    scene = PAGE[ASTRONAUT]
    assert (draw(scene, 3).mode, draw(scene, 3).size) == ("RGB", (64, 64))
    assert np.array_equal(pixels(scene, 3), pixels(scene, 3))
    assert np.abs(pixels(scene, 3) - pixels(scene, 4)).mean() > 5


PLAIN = Scene(subject="ball", color="red", place="beach")
RIDDEN = PAGE[ASTRONAUT]


@pytest.mark.parametrize(
    "family",
    [
        [Scene(subject="ball", color="red", place=place) for place in PLACES],
        [Scene(subject="ball", color=color, place="beach") for color in COLORS],
        [Scene(subject=thing, color="red", place="beach") for thing in (*COUNTED, *PLACED)],
        [Scene(subject=mount, color="white", place="mars", rider="knight") for mount in MOUNTS],
        [Scene(subject="horse", color="brown", place="mars", rider=rider) for rider in RIDERS],
        [Scene(subject="vase", color=color, place="table", bouquet="red") for color in (*MATERIALS, *COLORS)],
        [Scene(subject="vase", color="golden", place="table", bouquet=bouquet) for bouquet in BOUQUETS],
        [Scene(subject="fish", color="red", place="sea", count=count) for count in (1, 2, 3)],
        [Scene(subject="car", color="red", place="snow", position=position) for position in ("left", "center", "right")],
    ],
    ids=["places", "colors", "things", "mounts", "riders", "vases", "bouquets", "counts", "positions"],
)
def test_whatever_the_caption_says_shows(family):
    # At one seed the background is the same: what differs is what the caption says. A flower or a rider covers few pixels.
    for index, scene in enumerate(family):
        assert all(apart(scene, other) > 0.5 for other in family[:index])


def test_left_is_left():
    def weight(position):
        red = pixels(Scene(subject="car", color="red", place="snow", position=position)) @ [1, -0.5, -0.5]
        columns = np.clip(red, 60, None).sum(axis=0) - 60 * 64
        return (columns * np.arange(64)).sum() / columns.sum()

    assert weight("left") < 25 < weight("center") < 39 < weight("right")


def test_shapes_are_antialiased_and_follow_their_pen():
    canvas = Canvas(64)
    Pen(canvas, 32, 32, 2, mirrored=True).at(5, 0).ellipse(0, 0, 4, 4, (200, 100, 0), outline=False)
    shape = np.asarray(canvas.finished())[:, :, 0]
    rows, columns = np.nonzero(shape)
    assert (columns.mean().round(), rows.mean().round()) == (22, 32)
    assert len(set(shape[shape > 0].tolist())) > 3
