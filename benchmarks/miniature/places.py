"""Places of scenes: ground, sky, and what else is there, different in every picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniature.pen import Pen, darker, lighter

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from miniature.pen import Canvas, Color

SIDE = 64
"""Height and width of pictures, in pixels."""

GROUND = 44.0
"""Average height at which the ground begins, in pixels from the top."""


def _ground(canvas: Canvas, rng: random.Random, sky: tuple[Color, Color], ground: Color) -> float:
    """Draw sky and ground, and return the height of the horizon."""
    horizon = GROUND + rng.uniform(-4, 3)
    canvas.gradient(*sky, until=horizon + 1)
    Pen(canvas).box(-1, horizon, SIDE + 1, SIDE + 1, ground, outline=False)
    return horizon


def _hills(
    pen: Pen, rng: random.Random, horizon: float, color: Color, height: tuple[float, float]
) -> None:
    for x in (rng.uniform(2, 20), rng.uniform(24, 40), rng.uniform(44, 62)):
        pen.half_ellipse(x, horizon + 0.5, rng.uniform(9, 16), rng.uniform(*height), color)


def _mars(canvas: Canvas, rng: random.Random) -> None:
    horizon = _ground(canvas, rng, ((236, 170, 120), (248, 214, 170)), (196, 84, 44))
    pen = Pen(canvas)
    _hills(pen, rng, horizon, (170, 72, 42), (4, 10))
    pen.box(-1, horizon, SIDE + 1, SIDE + 1, (196, 84, 44), outline=False)
    for _ in range(3):
        pen.ellipse(
            rng.uniform(4, 60),
            rng.uniform(horizon + 5, 62),
            rng.uniform(3, 6),
            rng.uniform(1, 2),
            (160, 62, 34),
        )


def _moon(canvas: Canvas, rng: random.Random) -> None:
    horizon = _ground(canvas, rng, ((8, 8, 26), (22, 22, 48)), (172, 174, 182))
    pen = Pen(canvas)
    for _ in range(8):
        pen.ellipse(
            rng.uniform(1, 63),
            rng.uniform(1, horizon - 3),
            0.7,
            0.7,
            (255, 255, 240),
            outline=False,
        )
    x, y = rng.uniform(6, 58), rng.uniform(6, 12)
    pen.ellipse(x, y, 5, 5, (60, 120, 220))
    pen.ellipse(x - 1, y - 1, 2.4, 1.8, (90, 190, 100), outline=False)
    for _ in range(4):
        pen.ellipse(
            rng.uniform(4, 60),
            rng.uniform(horizon + 4, 62),
            rng.uniform(3, 6),
            rng.uniform(1, 2),
            (140, 142, 150),
        )


def _beach(canvas: Canvas, rng: random.Random) -> None:
    horizon = _ground(canvas, rng, ((110, 195, 250), (200, 235, 255)), (242, 218, 150))
    pen = Pen(canvas)
    pen.box(-1, horizon - 9, SIDE + 1, horizon + 1, (40, 130, 205), outline=False)
    pen.box(-1, horizon, SIDE + 1, horizon + 1.6, (235, 248, 255), outline=False)
    pen.ellipse(rng.uniform(6, 58), rng.uniform(7, 13), 5, 5, (255, 226, 70))
    for _ in range(2):
        x, y = rng.uniform(5, 59), rng.uniform(horizon + 8, 61)
        pen.polygon([(x - 2, y + 1), (x, y - 2), (x + 2, y + 1)], (250, 160, 120))


def _forest(canvas: Canvas, rng: random.Random) -> None:
    horizon = _ground(canvas, rng, ((176, 222, 226), (214, 240, 214)), (104, 172, 70))
    pen = Pen(canvas)
    for left in range(4, 64, 11):
        middle, top = left + rng.uniform(-3, 3), rng.uniform(8, 20)
        pen.box(middle - 1.6, top + 8, middle + 1.6, horizon + 2, (112, 78, 48), outline=False)
        pen.ellipse(
            middle, top + 6, rng.uniform(6, 8), rng.uniform(8, 11), (40, rng.randint(104, 130), 56)
        )
    for _ in range(4):
        x, y = rng.uniform(3, 61), rng.uniform(horizon + 6, 62)
        pen.polygon([(x - 2, y), (x, y - 4), (x + 2, y)], (70, 134, 48), outline=False)


def _snow(canvas: Canvas, rng: random.Random) -> None:
    horizon = _ground(canvas, rng, ((150, 178, 206), (206, 222, 236)), (240, 244, 250))
    pen = Pen(canvas)
    for x in (rng.uniform(3, 18), rng.uniform(22, 42), rng.uniform(46, 61)):
        height = rng.uniform(16, 26)
        for step in range(3):
            top, wide = horizon - height * (1 - step * 0.27), 3.5 + 1.8 * step
            low = top + height * 0.42
            pen.polygon([(x - wide, low), (x, top), (x + wide, low)], (46, 106, 96))
            pen.polygon(
                [
                    (x - wide * 0.4, top + height * 0.16),
                    (x, top),
                    (x + wide * 0.4, top + height * 0.16),
                ],
                (250, 252, 255),
                outline=False,
            )
    pen.box(-1, horizon, SIDE + 1, SIDE + 1, (240, 244, 250), outline=False)
    for _ in range(10):
        pen.ellipse(
            rng.uniform(1, 63), rng.uniform(1, 40), 0.9, 0.9, (255, 255, 255), outline=False
        )


def _city(canvas: Canvas, rng: random.Random) -> None:
    horizon = _ground(canvas, rng, ((62, 44, 104), (236, 130, 130)), (92, 94, 104))
    pen = Pen(canvas)
    left = -rng.uniform(0, 5)
    while left < SIDE:
        wide, top = rng.uniform(8, 13), rng.uniform(8, 27)
        pen.box(left, top, left + wide, horizon, (46, 48, 76))
        for y in range(int(top) + 3, int(horizon) - 3, 5):
            for x in (left + wide * 0.3, left + wide * 0.7):
                if rng.random() < 0.7:
                    pen.box(x - 1.1, y, x + 1.1, y + 2.2, (255, 216, 110), outline=False)
        left += wide + 0.5
    for x in range(4, 70, 16):
        pen.box(x, 59, x + 8, 60.4, (235, 235, 225), outline=False)


def _table(canvas: Canvas, rng: random.Random) -> None:
    wall = rng.choice(((228, 206, 182), (222, 210, 196), (236, 214, 176)))
    horizon = _ground(canvas, rng, (lighter(wall, 0.3), wall), (150, 98, 58))
    pen = Pen(canvas)
    x = rng.uniform(10, 54)
    pen.box(x - 8, 5, x + 8, 22, (176, 220, 246))
    pen.line([(x, 5), (x, 22)], darker(wall, 0.7), 1.2)
    pen.line([(x - 8, 13.5), (x + 8, 13.5)], darker(wall, 0.7), 1.2)
    pen.box(-1, horizon, SIDE + 1, horizon + 2.4, (182, 126, 78), outline=False)
    for y in (horizon + 8, horizon + 15):
        pen.line([(-1, y), (SIDE + 1, y)], (126, 80, 46), 0.8)


def _sea(canvas: Canvas, rng: random.Random) -> None:
    horizon = _ground(canvas, rng, ((70, 190, 214), (16, 96, 160)), (196, 186, 132)) + 6
    pen = Pen(canvas)
    pen.box(-1, horizon - 7, SIDE + 1, horizon, (16, 96, 160), outline=False)
    for x in (rng.uniform(3, 16), rng.uniform(20, 44), rng.uniform(48, 61)):
        height = rng.uniform(12, 24)
        sway = [(x + (2 if step % 2 else -2), horizon + 2 - height * step / 4) for step in range(5)]
        pen.limb(sway, (44, 150, 84), 2)
    for _ in range(6):
        size = rng.uniform(0.9, 1.8)
        pen.ellipse(rng.uniform(2, 62), rng.uniform(2, 40), size, size, (190, 238, 248))


_DRAWN: Mapping[str, Callable[[Canvas, random.Random], None]] = {
    "mars": _mars,
    "moon": _moon,
    "beach": _beach,
    "forest": _forest,
    "snow": _snow,
    "city": _city,
    "table": _table,
    "sea": _sea,
}


def draw_place(canvas: Canvas, place: str, rng: random.Random) -> None:
    """Cover the canvas with a place.

    Args:
        canvas: canvas of ``SIDE`` pixels.
        place: key of ``miniature.scenes.PLACES``.
        rng: source of everything that the place leaves open.
    """
    _DRAWN[place](canvas, rng)
