"""Misprints: figures that are no numbers, or impossible beside their neighbors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_sdspeed.lint.printed import is_copied, show
from pytest_sdspeed.lint.similar import find_larger, find_most_work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.lint.entries import Entry, Material
    from pytest_sdspeed.lint.printed import Figure
    from pytest_sdspeed.model.contradictions import Contradiction

_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?")
_TOKEN = re.compile(r"[^\s()\[\]/;:=]*\d[^\s()\[\]/;:=]*")
_AROUND = re.compile(r"^[\W_x]+|\W+$")
"""What may stand around a number."""
_UNIT = re.compile(r"(?<=\d)[A-Za-zµ%²]+\Z")
_SLACK = 0.05
"""Share by which a larger picture may come out faster where the host is what it waits for."""
_SUPERLINEAR = 2
"""Times of its work that a larger row may take at most: published ones take up to x1.11 of it."""
_COPIED = "the same to the last digit: one is likely the other's"


def find_misprints(material: Material) -> Iterator[Contradiction]:
    """Find figures that are no numbers, or impossible beside their neighbors."""
    for entry in material.entries:
        yield from _judge_texts(entry)
        yield from _judge_timings(entry)
    for larger, smaller, by in find_larger(material):
        yield from _judge_larger(larger, smaller, by)


def is_number(text: str) -> bool:
    """Tell whether what is printed is a number, with what may stand around one; or has no digit."""
    return all(map(_is_token_a_number, _TOKEN.findall(text)))


def _is_token_a_number(token: str) -> bool:
    """Tell whether a word with digits is a number, a number with a unit, or a name."""
    bare = _AROUND.sub("", token)
    if bare[:1].isalpha():  # a name, such as A100 or fp16
        return True
    bare = _UNIT.sub("", bare)
    parts = re.split(r"[x\u00d7\u2013-]", bare)
    return all(_NUMBER.fullmatch(part) for part in parts if part)


def _judge_texts(entry: Entry) -> Iterator[Contradiction]:
    for index, stated in enumerate(entry.row.stated):
        if stated.text and not is_number(stated.text):
            yield entry.find(
                "misprint",
                f"stated[{index}].text",
                f"{stated.text!r} ({stated.where}) is no number",
            )


def _judge_timings(entry: Entry) -> Iterator[Contradiction]:
    """Hold a latency against the single timings that it comes from."""
    seconds, timings = entry.call_s, entry.row.timings_s
    if seconds is None or not timings:
        return
    if float(seconds.high) < min(timings) or float(seconds.low) > max(timings):
        yield entry.find(
            "misprint",
            "latency_s",
            f"{seconds} s, and its {len(timings)} single timings are {min(timings):g} to"
            f" {max(timings):g} s",
        )


def _judge_larger(larger: Entry, smaller: Entry, by: str) -> Iterator[Contradiction]:
    """Hold a row against the same of fewer or smaller pictures: no faster, and not far slower."""
    for name, unit in (("latency_s", "s"), ("iterations_per_s", "it/s")):
        ours, theirs = larger.figure(name), smaller.figure(name)
        if (
            ours is None
            or theirs is None
            or larger.row.recipe.repeats != smaller.row.recipe.repeats
        ):
            continue
        # Of times the larger row's is the longer one, of rates it is the lower one.
        fast, slow = (ours, theirs) if name == "latency_s" else (theirs, ours)
        why = _explain_larger(fast, slow, find_most_work(larger.row.recipe, smaller.row.recipe))
        if not why:
            continue
        reciprocal = ""
        if name == "iterations_per_s" and why != _COPIED and _mends(ours, theirs):
            reciprocal = f"; as seconds per iteration it would be {show(1 / ours.value)} it/s"
        yield larger.find(
            "misprint",
            name,
            f"{ours} {unit} for {by}, and {smaller.row.setup!r} has {theirs} {unit}: {why}"
            f"{reciprocal}",
            (smaller.name,),
        )


def _explain_larger(ours: Figure, theirs: Figure, most: float) -> str:
    """Say what is impossible about two times, the first of more work; "" if nothing is."""
    if float(ours.high) * (1 + _SLACK) < float(theirs.low):
        return "more work is not faster"
    if is_copied(ours, theirs):
        return _COPIED
    slower = (ours / theirs).low
    if float(slower) > _SUPERLINEAR * most:
        return f"x{show((ours / theirs).value)} the time for at most x{most:.3g} the work"
    return ""


def _mends(rate: Figure, other: Figure) -> bool:
    """Tell whether a rate of more work would be possible as seconds per iteration."""
    return float(1 / rate.value) < float(other.value)
