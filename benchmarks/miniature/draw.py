"""Pictures of scenes: the data that the miniature is trained on."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from miniature.pen import Canvas, Pen
from miniature.places import SIDE, draw_place
from miniature.scenes import PLACED
from miniature.subjects import draw_mounted, draw_thing, draw_vase

if TYPE_CHECKING:
    from PIL import Image

    from miniature.scenes import Scene

_LEFT_TO_RIGHT = {"left": 17.0, "center": 32.0, "right": 47.0}
_SPREAD = {1: (32.0,), 2: (20.0, 44.0), 3: (12.0, 32.0, 52.0)}


def draw(scene: Scene, seed: int) -> Image.Image:
    """Draw an RGB picture of 64x64 pixels, antialiased.

    Args:
        scene: what the picture shows.
        seed: seed of what the scene leaves open: where exactly things stand, how large they are,
            which way they face, and the background.
    """
    rng = random.Random(seed)  # noqa: S311 - a picture, not a secret
    canvas = Canvas(SIDE)
    draw_place(canvas, scene.place, rng)
    feet, size = rng.uniform(54, 59), rng.uniform(0.92, 1.06)
    mirrored = rng.random() < 0.5
    if scene.rider:
        pen = Pen(canvas, rng.uniform(29, 35), feet, size, mirrored)
        draw_mounted(pen, scene.subject, scene.color, scene.rider)
    elif scene.bouquet:
        pen = Pen(canvas, rng.uniform(27, 37), feet + 2, size * 1.25)
        draw_vase(pen, scene.color, scene.bouquet, rng.randrange(6))
    elif scene.subject in PLACED:
        pen = Pen(
            canvas, _LEFT_TO_RIGHT[scene.position] + rng.uniform(-2, 2), feet, size * 1.12, mirrored
        )
        draw_thing(pen, scene.subject, scene.color)
    else:
        _draw_counted(Pen(canvas, mirrored=mirrored), scene, rng, feet)
    return canvas.finished()


def _draw_counted(pen: Pen, scene: Scene, rng: random.Random, feet: float) -> None:
    size = {1: 1.6, 2: 1.2, 3: 1.0}[scene.count] * rng.uniform(0.94, 1.04)
    for x in _SPREAD[scene.count]:
        side = -x if pen.mirrored else x
        draw_thing(
            pen.at(side + rng.uniform(-2, 2), feet + rng.uniform(-3, 2), size),
            scene.subject,
            scene.color,
        )
