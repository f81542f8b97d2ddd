"""Draw who imports whom among the rooms of the package: ``python docs/rooms.py`` writes rooms.svg.

A room is a module or package right below ``pytest_sdspeed``. Rooms are stacked in the layers of the
import-linter contract in pyproject.toml; those that it does not name are stacked on top. Lines go
down from a room to what it imports, and lines to one room join. An import that goes up, or stays
in its layer, is dashed and red. The same package and contract always give the same file.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import grimp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PACKAGE = "pytest_sdspeed"
ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "rooms.svg"

BOX_HEIGHT, ROW_HEIGHT, MARGIN = 34, 112, 24
CHARACTER, PADDING, GAP, TRUNK_WIDTH = 8.4, 26, 22, 12
"""Lengths, in pixels; the font has characters of one width."""

SWEEPS = 24
"""Rounds in which the order of a row follows its neighbors, and then the places in it."""

COLORS = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#17737c", "#b0580f", "#5a6b1e", "#6b6b6b")
AGAINST = "#d62728"


@dataclass(frozen=True, slots=True, order=True)
class Node:
    """What takes place in a row.

    Attributes:
        row: 0 is the top.
        room: its box, or the room that a line passing this row leads to.
        is_line: whether it is such a line.
    """

    row: int
    room: str
    is_line: bool = False

    @property
    def width(self) -> float:
        """Pixels."""
        return TRUNK_WIDTH if self.is_line else CHARACTER * len(self.room) + PADDING

    def height(self, top: float) -> float:
        """Return the y of its upper or lower edge, pixels.

        Args:
            top: 1 for the upper edge, 0 for the lower one.
        """
        return MARGIN + self.row * ROW_HEIGHT + BOX_HEIGHT * (1 - top)


def read_layers(pyproject: Path, package: str = PACKAGE) -> list[list[str]]:
    """Read the layers of rooms from the first such contract of import-linter, top to bottom.

    Args:
        pyproject: path of pyproject.toml.
        package: name of the package that is divided into rooms.

    Returns:
        The rooms of each layer by name; nothing if there is no such contract.
    """
    with pyproject.open("rb") as file:
        settings = tomllib.load(file).get("tool", {}).get("importlinter", {})
    for contract in settings.get("contracts", ()):
        if contract.get("type") != "layers":
            continue
        contained = package in contract.get("containers", ())
        names = [re.findall(r"[\w.]+", layer) for layer in contract["layers"]]
        if contained or all(
            re.fullmatch(rf"{package}\.\w+", name) for layer in names for name in layer
        ):
            return [[name.removeprefix(f"{package}.") for name in layer] for layer in names]
    return []


def read_imports(package: str = PACKAGE) -> dict[str, set[str]]:
    """Return each room of an importable package with the rooms that it imports."""
    graph = grimp.build_graph(package, cache_dir=None)
    found: dict[str, set[str]] = {
        room.removeprefix(f"{package}."): set() for room in graph.find_children(package)
    }
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            if package not in {module, imported}:
                here, there = (name.split(".")[1] for name in (module, imported))
                found[here] |= {there} - {here}
    return found


def stack_rooms(rooms: Iterable[str], layers: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the rooms of each row, top to bottom: those in no layer first."""
    there = set(rooms)
    rest = sorted(there - {room for layer in layers for room in layer})
    rows = [rest, *([room for room in layer if room in there] for layer in layers)]
    return [row for row in rows if row]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is drawn.

    Attributes:
        rows: the nodes of each row, top to bottom, in order.
        edges: pairs of a room, or a line that leads to the same room, and what is one row below.
        against: imports that go up or stay in their row.
    """

    rows: list[list[Node]]
    edges: list[tuple[Node, Node]]
    against: list[tuple[Node, Node]]


def plan_rows(rows: Sequence[Sequence[str]], imports: Mapping[str, Iterable[str]]) -> Plan:
    """Lead each import down through the rows between its two rooms; lines to one room join."""
    boxes = {room: Node(row, room) for row, rooms in enumerate(rows) for room in rooms}
    edges: set[tuple[Node, Node]] = set()
    against = []
    for room, imported in sorted((room, one) for room, there in imports.items() for one in there):
        source, target = boxes[room], boxes[imported]
        if target.row <= source.row:
            against.append((source, target))
            continue
        passed = [Node(row, imported, is_line=True) for row in range(source.row + 1, target.row)]
        edges |= set(pairwise([source, *passed, target]))
    nodes = {*boxes.values(), *(node for edge in edges for node in edge)}
    ordered = [sorted(node for node in nodes if node.row == row) for row in range(len(rows))]
    return Plan(_untangled(ordered, sorted(edges)), sorted(edges), against)


def _neighbors(edges: Iterable[tuple[Node, Node]]) -> dict[Node, list[Node]]:
    """Return what each node is connected with."""
    found: dict[Node, list[Node]] = {}
    for upper, lower in edges:
        found.setdefault(upper, []).append(lower)
        found.setdefault(lower, []).append(upper)
    return found


def _untangled(rows: list[list[Node]], edges: Sequence[tuple[Node, Node]]) -> list[list[Node]]:
    """Order each row by the mean place of what its nodes are connected with, back and forth.

    This is the barycenter heuristic of Sugiyama, Tagawa and Toda (1981).
    """
    connected = _neighbors(edges)
    rows = [list(row) for row in rows]
    for _ in range(SWEEPS):
        for row in (*rows, *reversed(rows)):
            place = {
                node: (index + 1) / (len(one) + 1) for one in rows for index, node in enumerate(one)
            }
            means = {
                node: _mean([place[other] for other in connected.get(node, [node])]) for node in row
            }
            row.sort(key=lambda node, means=means: (round(means[node], 6), node))  # type: ignore[misc]
    return rows


def place_nodes(plan: Plan) -> dict[Node, int]:
    """Return the x of the middle of each node, pixels, as near to its neighbors as possible."""
    connected = _neighbors(plan.edges)
    middles: dict[Node, float] = {}
    for row in plan.rows:
        middles |= _spread(row, [0.0] * len(row))
    for _ in range(SWEEPS):
        for row in (*plan.rows, *reversed(plan.rows)):
            wanted = [
                _mean([middles[other] for other in connected.get(node, [node])]) for node in row
            ]
            middles |= _spread(row, wanted)
    left = min(middles[node] - node.width / 2 for node in middles) - MARGIN
    return {node: round(middle - left) for node, middle in middles.items()}


def _spread(row: Sequence[Node], wanted: Sequence[float]) -> dict[Node, float]:
    """Return the places nearest to the wanted ones, by least squares, at which no two nodes touch.

    Less the widths to their left the places must not fall, which pooling adjacent violators solves.
    """
    offsets = [0.0]
    for left, right in pairwise(row):
        gap = TRUNK_WIDTH if left.is_line and right.is_line else GAP
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + gap)
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=True):
        level, count = want - offset, 1
        while pools and pools[-1][0] >= level:
            other, others = pools.pop()
            level, count = (level * count + other * others) / (count + others), count + others
        pools.append((level, count))
    levels = [level for level, count in pools for _ in range(count)]
    return {node: level + offset for node, level, offset in zip(row, levels, offsets, strict=True)}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def draw(imports: Mapping[str, Iterable[str]], layers: Sequence[Sequence[str]]) -> str:
    """Return the picture as SVG.

    Args:
        imports: each room with those that it imports.
        layers: rooms, top to bottom; others are stacked on top.
    """
    plan = plan_rows(stack_rooms(imports, layers), imports)
    middles = place_nodes(plan)
    width = round(max(middles[node] + node.width / 2 for node in middles)) + MARGIN
    height = (len(plan.rows) - 1) * ROW_HEIGHT + BOX_HEIGHT + 2 * MARGIN
    # In the order of the rows, so that neighbors differ.
    boxes = [node for row in plan.rows for node in row if not node.is_line]
    color = {node.room: COLORS[index % len(COLORS)] for index, node in enumerate(boxes)}
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}" role="img">'
        ),
        "<title>The rooms of pytest_sdspeed and their imports</title>",
        f"<desc>Made by docs/rooms.py. {escape(_in_words(imports))}</desc>",
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_marker("against", AGAINST),
        *(line for room in sorted(color) for line in _marker(room, color[room])),
        '<g fill="none" stroke-width="1.4">',
        *(_edge(edge, plan, middles, color) for edge in plan.edges),
        *(
            f'<path d="M {middles[node]} {node.height(1):g} V {node.height(0):g}"'
            f' stroke="{color[node.room]}"/>'
            for row in plan.rows
            for node in row
            if node.is_line
        ),
        "</g>",
        (
            '<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14"'
            ' text-anchor="middle">'
        ),
        *(_box(node, middles[node], color[node.room]) for node in boxes),
        "</g>",
        f'<g fill="none" stroke="{AGAINST}" stroke-width="1.4" stroke-dasharray="5 3">',
        *(_against(source, target, middles) for source, target in plan.against),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _in_words(imports: Mapping[str, Iterable[str]]) -> str:
    """Return each room and what it imports, for those who do not see the picture."""
    return " ".join(
        f"{room}: {', '.join(sorted(there)) or 'nothing'}."
        for room, there in sorted(imports.items())
    )


def _marker(name: str, color: str) -> list[str]:
    """Return the head of the arrows to a room."""
    return [
        (
            f'<marker id="to-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"'
            ' markerHeight="7" orient="auto">'
        ),
        f'<path d="M 0 0 L 8 4 L 0 8 z" fill="{color}"/></marker>',
    ]


def _edge(
    edge: tuple[Node, Node], plan: Plan, middles: Mapping[Node, int], color: Mapping[str, str]
) -> str:
    """Return a line down to the next row, with a head if a room is there."""
    upper, lower = edge
    start, end = middles[upper], middles[lower]
    if not upper.is_line:
        ends = sorted((middles[there], there) for here, there in plan.edges if here == upper)
        start += round(
            (ends.index((end, lower)) + 1 - (len(ends) + 1) / 2)
            * (upper.width - 16)
            / (len(ends) + 1)
        )
    top, bottom = upper.height(0), lower.height(1)
    middle = (top + bottom) / 2
    head = "" if lower.is_line else f' marker-end="url(#to-{lower.room})"'
    path = f"M {start} {top:g} C {start} {middle:g} {end} {middle:g} {end} {bottom:g}"
    return f'<path d="{path}" stroke="{color[lower.room]}"{head}/>'


def _against(source: Node, target: Node, middles: Mapping[Node, int]) -> str:
    """Return a line from the top of a room to one above it or beside it."""
    start, end, top = middles[source], middles[target], source.height(1)
    landing = target.height(1) if source.row == target.row else target.height(0)
    bend = min(top, landing) - ROW_HEIGHT / 5 if source.row == target.row else (top + landing) / 2
    path = f"M {start} {top:g} C {start} {bend:g} {end} {bend:g} {end} {landing:g}"
    return f'<path d="{path}" marker-end="url(#to-against)"/>'


def _box(node: Node, middle: int, color: str) -> str:
    """Return a room."""
    left, width = round(middle - node.width / 2), round(node.width)
    return (
        f'<rect x="{left}" y="{node.height(1):g}" width="{width}" height="{BOX_HEIGHT}" rx="6"'
        f' fill="white" stroke="{color}" stroke-width="2"/><text x="{middle}"'
        f' y="{node.height(1) + 22:g}">{escape(node.room)}</text>'
    )


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "output", nargs="?", type=Path, default=TARGET, help="default: docs/rooms.svg"
    )
    options = parser.parse_args()
    options.output.write_text(
        draw(read_imports(), read_layers(ROOT / "pyproject.toml")), encoding="utf-8"
    )
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
