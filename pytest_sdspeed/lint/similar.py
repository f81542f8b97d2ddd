"""Which rows of a table may be held against each other: one recipe, or one that only draws more."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_sdspeed.lint.entries import Entry, Material
    from pytest_sdspeed.model import Recipe


def list_groups(material: Material) -> Iterator[list[Entry]]:
    """List the rows of each table that draw the same, from equal recipes."""
    for entries in material.by_table.values():
        groups: dict[str, list[Entry]] = defaultdict(list)
        for one in entries:
            groups[repr(one.row.recipe)].append(one)
        yield from groups.values()


def find_larger(material: Material) -> Iterator[tuple[Entry, Entry, str]]:
    """Find rows of one table that draw more than another one and are the same otherwise.

    Yields:
        The row that draws more, the other one, and what it draws more, in words.
    """
    for entries in material.by_table.values():
        alike: dict[object, list[Entry]] = defaultdict(list)
        for one in entries:
            row = one.row
            key = (repr(_without_size(row.recipe)), row.optimizations, row.gpus, row.unsupported)
            alike[key].append(one)
        for group in alike.values():
            yield from _compare(group)


def find_most_work(large: Recipe, small: Recipe) -> float:
    """Return how many times as much a recipe computes than one that draws less, at most.

    Work grows with the number of pictures, and with their pixels and frames no faster than
    attention does: by the square.
    """
    sizes = [one.height * one.width * (one.frames or 1) for one in (large, small)]
    return large.images / small.images * (sizes[0] / sizes[1]) ** 2


def _compare(group: Iterable[Entry]) -> Iterator[tuple[Entry, Entry, str]]:
    """Compare every row with all that draw less of something, and more of nothing."""
    ordered = sorted(group, key=lambda one: _measure(one.row.recipe))
    for smaller, larger in combinations(ordered, 2):
        by = _describe_more(larger.row.recipe, smaller.row.recipe)
        if by:
            yield larger, smaller, by


def _measure(recipe: Recipe) -> int:
    return recipe.images * recipe.height * recipe.width * (recipe.frames or 1)


def _describe_more(large: Recipe, small: Recipe) -> str:
    """Return what a recipe draws more than another one, "" if it draws less of anything."""
    sizes = {
        "pictures": (large.images, small.images),
        "pixels": (large.height * large.width, small.height * small.width),
        "frames": (large.frames or 1, small.frames or 1),
    }
    differing = {name: pair for name, pair in sizes.items() if pair[0] != pair[1]}
    if not differing or any(one < other for one, other in differing.values()):
        return ""
    return ", ".join(
        f"{one} {name} in the place of {other}" for name, (one, other) in differing.items()
    )


def _without_size(recipe: Recipe) -> Recipe:
    return replace(recipe, images=1, height=8, width=8, frames=None, prompt="", seed=0)
