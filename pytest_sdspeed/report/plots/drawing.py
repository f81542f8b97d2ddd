"""Figures as SVG that lives inside a page: with the page's inks, real text, and ids of its own."""

from __future__ import annotations

import io
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from matplotlib import style
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from matplotlib.artist import Artist

    Ends: TypeAlias = tuple[tuple[float, float], tuple[float, float]]

WIDTH = 380
"""Pixels that every figure is drawn for: a phone shows it at about this size, so that its text
needs no magnifying."""

FOOT = 34
"""Pixels under the axis, for ticks and what they are."""

LABEL_SIZE = 12
SMALL_SIZE = 10.5
_LETTERS = 48
"""What fits into a line of labels."""

MARKERS = "osD^vPX*"
"""One per arm, so that color is never the only difference."""

_INKS = (
    "paper ink muted hairline wash accent pass fail inconclusive invalid",
    " ".join(f"arm-{number}" for number in range(len(MARKERS))),
    " ".join(f"stage-{number}" for number in range(8)),
)
INKS = {name: f"#0a0b{number:02x}" for number, name in enumerate(" ".join(_INKS).split())}
"""Names of the page's CSS variables, each with a color that stands for it until the figure is in
the page."""

_NAMES = {color: name for name, color in INKS.items()}
_STANDS_FOR = re.compile("|".join(_NAMES))
_STYLE = {
    "figure.dpi": 72,
    "font.family": "sans-serif",
    # Its metrics decide the layout; which font the reader has is left to the page.
    "font.sans-serif": ["DejaVu Sans"],
    "svg.fonttype": "none",
    "svg.hashsalt": "pytest-sdspeed",
    "text.parse_math": False,
}
_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")


class Chart:
    """One figure: x is in the units of its axis, y in pixels from the top.

    Without matplotlib's axes, which would take most of the time that a figure takes.

    Args:
        height: height of what is drawn over the axis, pixels.
        low, high: what the axis reaches from and to.
        axis: what it shows, in words.
        unit: how a tick's value is written, as a format.
        ticks: where they stand and what they say; round values in ``unit`` if None.
    """

    def __init__(
        self,
        height: float,
        low: float,
        high: float,
        axis: str,
        unit: str = "{:g}",
        *,
        ticks: Sequence[tuple[float, str]] | None = None,
    ) -> None:
        self.low, self.high = low, high
        total = height + FOOT
        self._figure = Figure(figsize=(WIDTH / 72, total / 72))
        self._figure.patch.set_visible(False)
        self._pixels = Affine2D().scale(1, -1).translate(0, total)
        self.draw_lines([((low, height), (high, height))], "hairline")
        for tick, words in (
            [(value, unit.format(value)) for value in choose_ticks(low, high, 5)]
            if ticks is None
            else ticks
        ):
            self.write_note(tick, height + 13, words)
        self.write_note((low + high) / 2, height + 27, axis)

    def draw_lines(
        self,
        ends: Sequence[Ends],
        ink: str | Sequence[str],
        width: float = 1,
        *,
        dotted: bool = False,
        order: int = 0,
    ) -> None:
        """Draw straight lines.

        Args:
            ends: both ends of each line.
            ink: ink of all lines, or of each.
            width: pixels.
            dotted: whether they are.
            order: what has more lies on top.
        """
        segments = [[(self._x(x), y) for x, y in line] for line in ends]
        colors = [INKS[one] for one in ([ink] if isinstance(ink, str) else ink)]
        style = "dotted" if dotted else "solid"
        self._add(
            LineCollection(
                segments, colors=colors, linewidths=width, linestyles=style, zorder=order
            )
        )

    def draw_strokes(self, ends: Sequence[Ends], ink: str, width: float, *, order: int = 0) -> None:
        """Draw many straight lines of one ink as a single shape; else as ``draw_lines``.

        It takes a fraction of the time and of the page.
        """
        points = [(self._x(x), y) for line in ends for x, y in line]
        path = Path(points, [Path.MOVETO, Path.LINETO] * len(ends))
        # It would join what lies side by side.
        path.should_simplify = False
        self._add(PathPatch(path, fill=False, edgecolor=INKS[ink], linewidth=width, zorder=order))

    def draw_marks(
        self,
        places: Sequence[tuple[float, float]],
        marker: str,
        ink: str,
        size: float,
        *,
        hollow: bool = False,
    ) -> None:
        """Draw equal marks, on top of every line.

        Args:
            places: x and y of each mark.
            marker: matplotlib's name for its shape.
            ink: ink of all marks.
            size: pixels.
            hollow: whether they are outlines.
        """
        xs, ys = [self._x(x) for x, _ in places], [y for _, y in places]
        edge, fill = (1.3, "none") if hollow else (0, "full")
        facts: dict[str, Any] = {
            "marker": marker,
            "markersize": size,
            "markeredgewidth": edge,
            "fillstyle": fill,
        }
        self._add(Line2D(xs, ys, color=INKS[ink], linestyle="none", zorder=9, **facts))

    def write_label(self, y: float, left: str, right: str = "", ink: str = "ink") -> None:
        """Write over a row: its name at the left, if there is room, its figures at the right."""
        room = _LETTERS - len(right)
        left = left if len(left) <= room else f"{left[: room - 1]}\N{HORIZONTAL ELLIPSIS}"
        self._write(0, y, left, "left", ink="ink", size=LABEL_SIZE, weight="bold")
        if right:
            self._write(WIDTH, y, right, "right", ink=ink, size=LABEL_SIZE)

    def write_note(
        self, x: float, y: float, words: str, *, align: str = "center", ink: str = "muted"
    ) -> None:
        """Write small words."""
        self._write(self._x(x), y, words, align, ink=ink, size=SMALL_SIZE)

    def _x(self, value: float) -> float:
        return WIDTH * (value - self.low) / (self.high - self.low)

    def _write(
        self, x: float, y: float, words: str, align: str, *, ink: str, size: float, **facts: Any
    ) -> None:
        self._add(
            Text(
                x,
                y,
                replace_unprintable(words),
                ha=align,
                va="center",
                color=INKS[ink],
                fontsize=size,
                **facts,
            )
        )

    def _add(self, artist: Artist) -> None:
        artist.set_transform(self._pixels)
        self._figure.add_artist(artist)

    def to_svg(self, name: str, title: str, description: str) -> str:
        """Return the figure as an element to be put into a page.

        Args:
            name: sets its ids apart from those of the page's other figures.
            title: what a screen reader calls it.
            description: what it shows, in words.
        """
        written = io.StringIO()
        FigureCanvasSVG(self._figure).print_svg(written, metadata=_METADATA)  # type: ignore[no-untyped-call]
        # Written by matplotlib just now, which declares no entities.
        root = ET.fromstring(written.getvalue())  # noqa: S314
        _adopt(root, name)
        _describe(root, name, title, description)
        return ET.tostring(root, encoding="unicode")


def choose_ticks(low: float, high: float, most: int) -> list[float]:
    """Choose values for ticks within bounds, evenly spaced, in at most so many steps."""
    return [
        float(value)
        for value in MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        if low <= value <= high
    ]


@contextmanager
def use_house_style() -> Iterator[None]:
    """Draw with this module's settings, whatever the user's are; theirs hold again afterwards."""
    with warnings.catch_warnings(), style.context(["default", _STYLE]):
        # The reader's fonts write the names, not matplotlib's.
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def replace_unprintable(words: str) -> str:
    """Replace what XML cannot hold."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words
    )


def _adopt(root: ET.Element, name: str) -> None:
    """Take out what belongs to a file of its own.

    Namespaces, sizes, style sheets, clips, ids that nothing refers to, needless digits.
    """
    for child in root.findall("{*}defs"):
        root.remove(child)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        for key in list(element.attrib):
            _adopt_attribute(element, key, name)
        if not (element.text or "").strip():
            element.text = None
        element.tail = None
    referred = {value[1:] for element in root.iter() if (value := element.get("href"))}
    for element in root.iter():
        if element.get("id") not in referred:
            element.attrib.pop("id", None)
        _share_style(element)


def _adopt_attribute(element: ET.Element, key: str, name: str) -> None:
    plain, value = key.rpartition("}")[2], element.attrib.pop(key)
    if plain == "id":
        value = f"{name}-{value}"
    elif plain == "href":
        value = f"#{name}-{value[1:]}"
    elif plain == "clip-path" or value.startswith("rotate(-0 "):
        return
    elif plain == "style":
        value = _STANDS_FOR.sub(lambda found: f"var(--{_NAMES[found[0]]})", value)
    element.set(
        plain, _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.2f}", " ".join(value.split()))
    )


def _share_style(element: ET.Element) -> None:
    """Say the style of equal markers once, on what holds them."""
    styles = {child.get("style") for child in element}
    if (
        len(element) > 1
        and len(styles) == 1
        and {child.tag for child in element} == {"use"}
        and None not in styles
    ):
        element.set("style", str(styles.pop()))
        for child in element:
            del child.attrib["style"]


def _describe(root: ET.Element, name: str, title: str, description: str) -> None:
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title")
    root.set("aria-describedby", f"{name}-words")
    words = ET.Element("desc", {"id": f"{name}-words"})
    words.text = replace_unprintable(description)
    heading = ET.Element("title", {"id": f"{name}-title"})
    heading.text = replace_unprintable(title)
    root[:0] = [heading, words]
