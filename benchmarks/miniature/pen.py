"""Antialiased shapes with outlines, in coordinates that can be moved, scaled and mirrored."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

if TYPE_CHECKING:
    from collections.abc import Sequence

    Color = tuple[int, int, int]
    Point = tuple[float, float]

SUPERSAMPLING = 4
OUTLINE = 0.9
"""Width of an outline in pixels."""


def darker(color: Color, share: float = 0.5) -> Color:
    """Darken a color to a share of its light."""
    red, green, blue = (round(part * share) for part in color)
    return red, green, blue


def lighter(color: Color, share: float = 0.5) -> Color:
    """Lighten a color by a share of the way to white."""
    red, green, blue = (round(part + (255 - part) * share) for part in color)
    return red, green, blue


class Canvas:
    """A square picture that is drawn large and scaled down.

    Args:
        side: side of the finished picture, in pixels.
    """

    def __init__(self, side: int) -> None:
        self._side = side
        self.image = Image.new("RGB", (side * SUPERSAMPLING,) * 2)
        self.draw = ImageDraw.Draw(self.image)

    def gradient(self, top: Color, bottom: Color, until: float) -> None:
        """Fill from the top edge to the height ``until``, in pixels."""
        strip = Image.new("RGB", (1, 2))
        strip.putdata([top, bottom])
        size = (self.image.width, round(until * SUPERSAMPLING))
        self.image.paste(strip.resize(size, Image.Resampling.BILINEAR), (0, 0))

    def finished(self) -> Image.Image:
        """Return the picture at its own size."""
        return self.image.resize((self._side, self._side), Image.Resampling.BOX)


@dataclass(frozen=True, slots=True)
class Pen:
    """A pen that draws in units of ``scale`` pixels around a point of the canvas.

    Attributes:
        canvas: canvas on which it draws.
        x, y: the origin, in pixels of the finished picture.
        scale: pixels per unit.
        mirrored: whether left and right are swapped.
    """

    canvas: Canvas
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    mirrored: bool = False

    def at(self, x: float, y: float, scale: float = 1.0) -> Pen:
        """Return a pen whose origin is this one's point ``(x, y)``."""
        return replace(
            self, x=self.x + self._across(x), y=self.y + y * self.scale, scale=self.scale * scale
        )

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, fill: Color, *, outline: bool = True
    ) -> None:
        """Draw an ellipse around ``(x, y)``."""
        box = [*self._point((x - rx, y - ry)), *self._point((x + rx, y + ry))]
        box = [min(box[0], box[2]), box[1], max(box[0], box[2]), box[3]]
        self.canvas.draw.ellipse(
            box, fill, darker(fill) if outline else None, self._width(OUTLINE) if outline else 0
        )

    def polygon(self, points: Sequence[Point], fill: Color, *, outline: bool = True) -> None:
        """Draw a filled polygon."""
        at = [self._point(point) for point in points]
        self.canvas.draw.polygon(at, fill)
        if outline:
            self.canvas.draw.line(
                [*at, at[0], at[1]], darker(fill), self._width(OUTLINE), joint="curve"
            )

    def box(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
        fill: Color,
        *,
        outline: bool = True,
    ) -> None:
        """Draw a rectangle."""
        self.polygon(
            [(left, top), (right, top), (right, bottom), (left, bottom)], fill, outline=outline
        )

    def line(self, points: Sequence[Point], fill: Color, width: float) -> None:
        """Draw a line with round joints; its width is in units."""
        self.canvas.draw.line(
            [self._point(point) for point in points],
            fill,
            self._width(width * self.scale),
            joint="curve",
        )

    def limb(self, points: Sequence[Point], fill: Color, width: float) -> None:
        """Draw a line with an outline and round ends."""
        for color, wide in ((darker(fill), width + 2 * OUTLINE / self.scale * 0.8), (fill, width)):
            self.line(points, color, wide)
            for x, y in (points[0], points[-1]):
                self.ellipse(x, y, wide / 2, wide / 2, color, outline=False)

    def half_ellipse(self, x: float, y: float, rx: float, ry: float, fill: Color) -> None:
        """Draw the upper half of an ellipse that stands on ``y``."""
        box = [*self._point((x - rx, y - ry)), *self._point((x + rx, y + ry))]
        box = [min(box[0], box[2]), box[1], max(box[0], box[2]), box[3]]
        self.canvas.draw.chord(box, 180, 360, fill, darker(fill), self._width(OUTLINE))

    def _across(self, x: float) -> float:
        return (-x if self.mirrored else x) * self.scale

    def _point(self, point: Point) -> Point:
        x, y = point
        return (self.x + self._across(x)) * SUPERSAMPLING, (self.y + y * self.scale) * SUPERSAMPLING

    @staticmethod
    def _width(pixels: float) -> int:
        return max(1, round(pixels * SUPERSAMPLING))
