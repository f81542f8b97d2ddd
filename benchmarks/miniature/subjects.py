"""Subjects of scenes. A drawing stands on its origin, faces right, and is measured in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from miniature.pen import darker, lighter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from miniature.pen import Color, Pen

RGB: Mapping[str, Color] = {
    "red": (222, 44, 44),
    "yellow": (255, 232, 70),
    "green": (64, 176, 62),
    "blue": (44, 92, 224),
    "purple": (138, 58, 190),
    "pink": (252, 136, 190),
    "white": (248, 248, 248),
    "black": (44, 44, 50),
    "brown": (142, 88, 48),
    "gray": (150, 154, 164),
    "golden": (226, 152, 20),
    "silver": (196, 204, 216),
    "wooden": (168, 110, 60),
    "glass": (176, 226, 236),
}
_BOUQUET = ("red", "yellow", "white", "pink", "blue", "purple")
_STEM: Color = (50, 140, 60)
_INK: Color = (26, 26, 32)
_PAPER: Color = (252, 252, 252)
_SKIN: Color = (246, 202, 164)


def _legs(pen: Pen, xs: tuple[float, ...], top: float, color: Color, width: float) -> None:
    for x in xs:
        pen.limb([(x, top), (x, -width / 2)], color, width)


def _eye(pen: Pen, x: float, y: float) -> None:
    pen.ellipse(x, y, 1.3, 1.3, _PAPER, outline=False)
    pen.ellipse(x + 0.3, y, 0.8, 0.8, _INK, outline=False)


def _horse(pen: Pen, color: Color) -> tuple[float, float]:
    hair = darker(color, 0.45)
    pen.limb([(-13, -16), (-17, -12), (-17, -6)], hair, 2.4)
    _legs(pen, (-10, -6, 6, 10), -11, color, 3.4)
    pen.ellipse(0, -14, 14, 6.2, color)
    pen.polygon([(7, -16), (12, -27), (17, -25), (14, -12)], color)
    pen.polygon([(6, -17), (11, -28), (12.6, -27), (9, -16)], hair, outline=False)
    pen.ellipse(17.5, -25, 5, 3.1, color)
    pen.polygon([(12, -27), (13, -31), (15, -27)], color)
    _eye(pen, 15.5, -26)
    return -1, -19.5


def _elephant(pen: Pen, color: Color) -> tuple[float, float]:
    _legs(pen, (-10, -5, 5, 10), -9, color, 5)
    pen.ellipse(-1, -14, 15, 9, color)
    pen.limb([(19, -20), (22.5, -13), (21.5, -5), (24.5, -3)], color, 3.4)
    pen.ellipse(15, -20, 7, 7, color)
    pen.ellipse(10, -19.5, 4.6, 6.6, lighter(color, 0.25))
    _eye(pen, 18, -21.5)
    return -3, -22


def _turtle(pen: Pen, color: Color) -> tuple[float, float]:
    skin = lighter(color, 0.4)
    pen.limb([(-11, -4), (-15, -1.6)], skin, 4)
    pen.limb([(9, -4), (12, -1.6)], skin, 4)
    pen.limb([(13, -6), (20, -11)], skin, 4.4)
    pen.ellipse(21, -12.5, 4.6, 4, skin)
    pen.half_ellipse(0, -4, 16, 15, color)
    pen.line([(-9, -15), (-5, -5)], darker(color, 0.6), 1.3)
    pen.line([(0, -18), (1, -5)], darker(color, 0.6), 1.3)
    pen.line([(9, -15), (7, -5)], darker(color, 0.6), 1.3)
    pen.limb([(-15, -4), (15, -4)], lighter(color, 0.2), 2)
    _eye(pen, 22.5, -13.4)
    return -1, -18


def _dinosaur(pen: Pen, color: Color) -> tuple[float, float]:
    pen.polygon([(-9, -15), (-25, -3), (-21, -2), (-6, -7)], color)
    _legs(pen, (-8, -4, 4, 8), -8, color, 4)
    pen.ellipse(-1, -12, 13, 7, color)
    pen.limb([(8, -13), (14, -21), (16, -33)], color, 4.6)
    pen.ellipse(18.5, -34, 5, 3.2, color)
    for x in (-10, -5.5):
        pen.polygon([(x - 2, -17.5), (x, -22.5), (x + 2, -18)], darker(color, 0.65), outline=False)
    _eye(pen, 19, -35)
    return 0, -18


def _astronaut(pen: Pen) -> None:
    suit: Color = (242, 244, 248)
    pen.box(-6, -12, -2, -3, (170, 176, 188))
    pen.limb([(0, -2), (4.5, 1.5), (3.5, 6.5)], suit, 3.2)
    pen.ellipse(0, -6, 4.2, 6, suit)
    pen.box(-1.4, -7.4, 2.6, -4.6, (230, 60, 50), outline=False)
    pen.limb([(1, -8.5), (7, -5)], suit, 2.6)
    pen.ellipse(0.5, -15.5, 5.2, 5.2, suit)
    pen.ellipse(2, -15.3, 3.5, 3.2, (30, 44, 84))
    pen.ellipse(3, -16.4, 1, 0.8, (150, 190, 240), outline=False)


def _knight(pen: Pen) -> None:
    steel: Color = (138, 146, 162)
    pen.limb([(0, -2), (4.5, 1.5), (3.5, 6.5)], steel, 3.2)
    pen.ellipse(0, -6, 4.2, 6, steel)
    pen.limb([(4, -1), (12, -22)], (150, 100, 50), 1.1)
    pen.polygon([(10.6, -21), (13.6, -26.5), (13.6, -20.4)], (226, 230, 238))
    pen.limb([(1, -8.5), (7, -8)], steel, 2.6)
    pen.polygon([(-4, -19.5), (-9, -23), (-6.5, -26), (1, -20)], (226, 40, 50))
    pen.ellipse(0.5, -15.5, 4.8, 5, steel)
    pen.box(1, -17, 5.6, -15, _INK, outline=False)
    pen.ellipse(-2.5, -5, 3.6, 4.2, (226, 40, 50))


def _robot(pen: Pen) -> None:
    tin: Color = (70, 200, 200)
    pen.limb([(0, -2), (4.5, 1.5), (3.5, 6.5)], darker(tin, 0.7), 3)
    pen.box(-4.6, -11.5, 4.6, 0, tin)
    pen.ellipse(0, -6, 1.8, 1.8, (250, 210, 60))
    pen.limb([(3, -8.5), (8, -5)], darker(tin, 0.7), 2.2)
    pen.limb([(0, -20), (0, -24)], (110, 116, 128), 1)
    pen.ellipse(0, -25, 1.7, 1.7, (240, 60, 60))
    pen.box(-5, -20.5, 5.4, -12, tin)
    for x in (-1.4, 2.8):
        pen.ellipse(x, -16.8, 1.5, 1.7, (255, 244, 120))
    pen.line([(-1.5, -13.8), (3, -13.8)], _INK, 0.9)


def _wizard(pen: Pen) -> None:
    robe: Color = (106, 62, 190)
    pen.limb([(0, -2), (4.5, 1.5), (3.5, 6.5)], darker(robe, 0.8), 3.2)
    pen.polygon([(-5.5, 1), (-2.5, -11.5), (2.5, -11.5), (5, 1)], robe)
    pen.limb([(1, -8.5), (7, -6)], robe, 2.6)
    pen.limb([(7.5, 1), (7.5, -16)], (150, 100, 50), 1.1)
    pen.ellipse(7.5, -17.5, 2, 2, (250, 226, 80))
    pen.ellipse(0.5, -14, 3.8, 3.8, _SKIN)
    pen.polygon([(-1.5, -13), (4.5, -13), (2.6, -5)], (240, 240, 246))
    pen.polygon([(-5, -16), (5.6, -16), (-1, -27)], robe)
    pen.ellipse(0.2, -19, 1.2, 1.2, (250, 226, 80), outline=False)


def _car(pen: Pen, color: Color) -> None:
    pen.polygon([(-8, -9), (-5, -16), (5, -16), (9, -9)], color)
    pen.polygon(
        [(-5.6, -9.6), (-3.8, -14.4), (-0.6, -14.4), (-0.6, -9.6)], (190, 226, 248), outline=False
    )
    pen.polygon(
        [(0.8, -9.6), (0.8, -14.4), (4, -14.4), (6.6, -9.6)], (190, 226, 248), outline=False
    )
    pen.box(-14, -10, 14, -3, color)
    pen.ellipse(13, -7, 1.4, 1.4, (255, 240, 150), outline=False)
    for x in (-8, 8):
        pen.ellipse(x, -3, 3.8, 3.8, _INK)
        pen.ellipse(x, -3, 1.6, 1.6, (200, 204, 210), outline=False)


def _house(pen: Pen, color: Color) -> None:
    pen.box(-10, -14, 10, 0, color)
    pen.box(5, -25, 8.4, -17, (150, 70, 60))
    pen.polygon([(-13, -13.5), (0, -25), (13, -13.5)], darker(color, 0.6))
    pen.box(-7.5, -8.5, -2.5, 0, (110, 72, 44))
    pen.box(1.5, -10.5, 7, -5, (255, 240, 170))


def _boat(pen: Pen, color: Color) -> None:
    pen.line([(0, -6), (0, -27)], (112, 78, 48), 1.6)
    pen.polygon([(1.4, -26), (1.4, -9), (12, -9)], _PAPER)
    pen.polygon([(-1.4, -22), (-1.4, -9), (-9, -9)], (238, 238, 232))
    pen.polygon([(-14, -7), (14, -7), (9, 0), (-9, 0)], color)


def _umbrella(pen: Pen, color: Color) -> None:
    pen.limb([(0, -16), (0, -2), (3, -1), (4, -3)], (112, 78, 48), 1.5)
    pen.half_ellipse(0, -14, 14, 13, color)
    pen.polygon(
        [(-4.6, -14), (0, -26.6), (4.6, -14)],
        lighter(color, 0.45) if color != RGB["white"] else (205, 208, 216),
        outline=False,
    )
    pen.line([(0, -27), (0, -29)], (112, 78, 48), 1.3)


def _rocket(pen: Pen, color: Color) -> None:
    pen.polygon([(-3, -4), (0, 1), (3, -4)], (255, 170, 40), outline=False)
    pen.polygon([(-5, -12), (-10, -3), (-4, -5)], darker(color, 0.65))
    pen.polygon([(5, -12), (10, -3), (4, -5)], darker(color, 0.65))
    pen.ellipse(0, -16, 6, 13.5, color)
    pen.ellipse(0, -19, 2.8, 2.8, (170, 216, 246))


def _ball(pen: Pen, color: Color) -> None:
    pen.ellipse(0, -8, 8, 8, color)
    pen.line(
        [(-7, -8), (0, -5.6), (7, -8)], _PAPER if color != RGB["white"] else (190, 194, 204), 1.8
    )
    pen.ellipse(-2.6, -12, 1.9, 1.5, lighter(color, 0.7), outline=False)


def _mushroom(pen: Pen, color: Color) -> None:
    pen.box(-2.8, -9, 2.8, 0, (244, 232, 206))
    pen.half_ellipse(0, -8, 8.6, 9.5, color)
    spot = _PAPER if color != RGB["white"] else (196, 200, 208)
    for x, y in ((-4.4, -10.8), (0.4, -14), (4.6, -10.6)):
        pen.ellipse(x, y, 1.4, 1.3, spot, outline=False)


def _fish(pen: Pen, color: Color) -> None:
    pen.polygon([(-5, -7), (-11, -12), (-11, -2)], darker(color, 0.75))
    pen.ellipse(0, -7, 8, 5.2, color)
    pen.polygon([(-2, -11.6), (1, -15), (3, -11.4)], darker(color, 0.75))
    _eye(pen, 4, -8.4)


def _vase(pen: Pen, color: Color, flowers: tuple[str, ...]) -> None:
    heads = ((-10, -29), (-4.6, -34.5), (1.4, -28.5), (6, -35.5), (11, -29))
    for x, y in heads:
        pen.line([(0, -16), (x, y)], _STEM, 1.3)
    pen.polygon([(-2, -20), (-8, -22.6), (-3.6, -24)], _STEM, outline=False)
    pen.polygon([(2, -20), (8, -22.6), (3.6, -24)], _STEM, outline=False)
    for (x, y), flower in zip(heads, flowers, strict=True):
        petal = RGB[flower]
        for dx, dy in ((-2.2, -0.8), (2.2, -0.8), (0, -2.6), (-1.4, 1.8), (1.4, 1.8)):
            pen.ellipse(x + dx, y + dy, 2, 2, petal)
        pen.ellipse(
            x, y, 1.6, 1.6, (250, 206, 60) if flower != "yellow" else (196, 110, 40), outline=False
        )
    pen.polygon(
        [
            (-5.5, -18.5),
            (-3.2, -15),
            (-8.5, -8),
            (-5, 0),
            (5, 0),
            (8.5, -8),
            (3.2, -15),
            (5.5, -18.5),
        ],
        color,
    )
    pen.line([(-4.8, -10), (-5.4, -7.6), (-3.6, -3)], lighter(color, 0.65), 1.6)
    if color == RGB["wooden"]:
        for y in (-11, -7.5, -4):
            pen.line([(-1, y), (5.5, y)], darker(color, 0.65), 0.9)
    if color == RGB["glass"]:
        pen.polygon([(-6.6, -8), (6.6, -8), (4, -1.4), (-4, -1.4)], (120, 190, 226), outline=False)


MOUNTS: Mapping[str, Callable[[Pen, Color], tuple[float, float]]] = {
    "horse": _horse,
    "elephant": _elephant,
    "turtle": _turtle,
    "dinosaur": _dinosaur,
}
"""Each draws a mount and returns where its rider sits."""

RIDERS: Mapping[str, Callable[[Pen], None]] = {
    "astronaut": _astronaut,
    "knight": _knight,
    "robot": _robot,
    "wizard": _wizard,
}

THINGS: Mapping[str, Callable[[Pen, Color], None]] = {
    "car": _car,
    "house": _house,
    "boat": _boat,
    "umbrella": _umbrella,
    "rocket": _rocket,
    "ball": _ball,
    "mushroom": _mushroom,
    "fish": _fish,
}


def draw_mounted(pen: Pen, mount: str, color: str, rider: str) -> None:
    """Draw a mount and its rider."""
    x, y = MOUNTS[mount](pen, RGB[color])
    RIDERS[rider](pen.at(x, y))


def draw_thing(pen: Pen, thing: str, color: str) -> None:
    """Draw a thing by its name."""
    THINGS[thing](pen, RGB[color])


def draw_vase(pen: Pen, material: str, bouquet: str, order: int) -> None:
    """Draw a vase with five flowers.

    Args:
        pen: pen whose origin is where the vase stands.
        material: a material or a color.
        bouquet: color of the flowers, or ``different``.
        order: rotation of the colors of different flowers.
    """
    flowers = tuple(
        _BOUQUET[(order + index) % len(_BOUQUET)] if bouquet == "different" else bouquet
        for index in range(5)
    )
    _vase(pen, RGB[material], flowers)
