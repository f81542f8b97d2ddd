"""Misprints: figures that are no numbers, or impossible beside their neighbors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_sdspeed.lint.printed import show
from pytest_sdspeed.lint.similar import find_larger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.lint.entries import Entry, Material
    from pytest_sdspeed.model.contradictions import Contradiction

_NUMBER = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?")
_TOKEN = re.compile(r"[^\s()\[\]/;:=]*\d[^\s()\[\]/;:=]*")
_AROUND = re.compile(r"^[\W_x]+|\W+$")
"""What may stand around a number."""
_UNIT = re.compile(r"(?<=\d)[A-Za-zµ%²]+\Z")
_SLACK = 0.05
"""Share by which a larger picture may come out faster where the host is what it waits for."""


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
    """Hold a row against the same of fewer or smaller pictures: it cannot be faster."""
    for name, unit in (("latency_s", "s"), ("iterations_per_s", "it/s")):
        ours, theirs = larger.figure(name), smaller.figure(name)
        if (
            ours is None
            or theirs is None
            or larger.row.recipe.repeats != smaller.row.recipe.repeats
        ):
            continue
        fast, slow = (ours, theirs) if name == "latency_s" else (theirs, ours)
        # Of times the larger row's is the longer one, of rates it is the lower one.
        if float(fast.high) * (1 + _SLACK) >= float(slow.low):
            continue
        reciprocal = ""
        if name == "iterations_per_s" and float(1 / ours.value) < float(theirs.value):
            reciprocal = f"; as seconds per iteration it would be {show(1 / ours.value)} it/s"
        yield larger.find(
            "misprint",
            name,
            f"{ours} {unit} for {by}, and {smaller.row.setup!r} has {theirs} {unit}: more work is"
            f" not faster{reciprocal}",
            (smaller.name,),
        )
