"""Histories that began because something else was measured: what, in words."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import RECIPE_DEFAULTS, Predecessor, Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_sdspeed.model import AccountHistory, History, HistoryKey

_LONGEST = 60
"""Letters of a value that are shown."""

_FIELDS = tuple(one.name for one in fields(Recipe))
_LABELS = {
    "optimizations": "optimizations",
    "baseline_optimizations": "optimizations of the baseline",
    "revision": "model revision",
}


def add_predecessors(histories: Iterable[History]) -> tuple[History, ...]:
    """Return histories, each with the one that it goes on from, in the order given."""
    given = list(histories)
    rows: dict[tuple[str | None, str, str], list[History]] = {}
    for history in given:
        rows.setdefault(_row_of(history), []).append(history)
    return tuple(
        replace(history, follows=find_predecessor(history, rows[_row_of(history)]))
        for history in given
    )


def find_predecessor(
    history: History | AccountHistory, others: Iterable[History | AccountHistory]
) -> Predecessor | None:
    """Find the history that one goes on from: of the same setup, over before it began.

    Two that are measured side by side, as the recipes of a matrix are, do not follow each other,
    nor do those of two tests: tests of callables do not say what they measure.

    Args:
        history: history whose first runs may need explaining.
        others: other histories; itself may be among them.
    """
    if history.table is None or not history.runs:
        return None
    begins = history.runs[0].date
    before = [
        other
        for other in others
        if other.runs
        and _row_of(other) == _row_of(history)
        and (other.cpu == history.cpu or None in (other.cpu, history.cpu))
        and other.runs[-1].date < begins
    ]
    latest = max(before, key=lambda other: other.runs[-1].date, default=None)
    changed = describe_difference(latest.key, history.key) if latest else ""
    if latest is None or not changed:
        return None
    return Predecessor(changed=changed, runs=len(latest.runs), until=latest.runs[-1].date)


def _row_of(history: History | AccountHistory) -> tuple[str | None, str, str]:
    return history.table, history.setup, history.device


def describe_difference(old: HistoryKey, new: HistoryKey) -> str:
    """Say what is measured otherwise: ``recipe changed: 25 -> 30 steps``; "" if nothing is.

    What one of the keys does not tell is no difference.
    """
    said = [f"baseline changed: {old.baseline} -> {new.baseline}"]
    parts = said if old.baseline != new.baseline else []
    recipes = list(_describe_recipes(old.recipe, new.recipe))
    parts += [f"recipe changed: {', '.join(recipes)}"] if recipes else []
    for name, label in _LABELS.items():
        ours, theirs = getattr(old, name), getattr(new, name)
        if ours != theirs and None not in (ours, theirs):
            parts.append(f"{label} changed: {_show_pair(ours or 'none', theirs or 'none')}")
    return "; ".join(parts)


def _describe_recipes(old: str, new: str) -> Iterator[str]:
    """Yield what differs between two recipes, as ``HistoryKey.recipe`` has them."""
    ours, theirs = _read_recipe(old), _read_recipe(new)
    if old == new or ours is None or theirs is None:
        return
    before, after = (_flatten({**RECIPE_DEFAULTS, **one}) for one in (ours, theirs))
    sizes = [f"{one.get('width')}x{one.get('height')}" for one in (before, after)]
    if sizes[0] != sizes[1]:
        yield f"size {' -> '.join(sizes)}"
    for name in dict.fromkeys((*_FIELDS, *before, *after)):
        was, is_now = (_make_tuple(one.get(name)) for one in (before, after))
        if was == is_now or name in ("width", "height"):
            continue
        yield _describe_fact(name, was, is_now)


def _describe_fact(name: str, was: Any, is_now: Any) -> str:
    pair = _show_pair(was, is_now)
    if name in ("steps", "images"):
        return f"{pair} {'steps' if name == 'steps' else 'images per call'}"
    if name in ("prompt", "more_prompts"):
        return "another prompt" if name == "prompt" else "other further prompts"
    return f"{name.replace('_', ' ') if name in _FIELDS else name} {pair}"


def _flatten(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a recipe; those inside of one, as of ``call``, are named with it."""
    flat: dict[str, Any] = {}
    for name, value in recipe.items():
        inner = value if isinstance(value, dict) else None
        flat |= {name: value} if inner is None else {f"{name} {key}": inner[key] for key in inner}
    return flat


def _read_recipe(text: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _make_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _show_pair(was: Any, is_now: Any) -> str:
    """Return ``old -> new``, each from a place on where they can be told apart."""
    old, new = (" ".join(_write(value).split()) for value in (was, is_now))
    if _cut(old) != _cut(new):
        return f"{_cut(old)} -> {_cut(new)}"
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))
    start = max(0, common - _LONGEST // 2)
    dots = "..." if start else ""
    return f"{dots}{_cut(old[start:])} -> {dots}{_cut(new[start:])}"


def _write(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return "none" if value in (None, ()) else text


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
