"""Claims: sentences that the documented figures of their own table deny."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from pytest_sdspeed.lint.counts import find_counts
from pytest_sdspeed.lint.entries import Entry, Saying, Unchecked, compare_times
from pytest_sdspeed.lint.printed import Figure, show
from pytest_sdspeed.model.claims import is_share_true
from pytest_sdspeed.model.contradictions import Contradiction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_sdspeed.lint.entries import Material
    from pytest_sdspeed.model import Claim, Table


_OF_WHOLE = Decimal("0.05")


def find_denied_claims(material: Material) -> Iterator[Contradiction]:
    """Find claims that documented figures deny."""
    for table in material.tables:
        if table.name not in material.about:
            continue
        entries = {row.setup: Entry(table, index, row) for index, row in enumerate(table.rows)}
        for index, claim in enumerate(table.claims):
            for other in claim.rows[1:]:
                why = _judge(material, claim, entries[claim.rows[0]], entries[other])
                if why:
                    yield _make(table, index, claim, other, why)


def _make(table: Table, index: int, claim: Claim, other: str, why: str) -> Contradiction:
    return Contradiction(
        rule="claim",
        table=table.name,
        path=table.path,
        key=f"claims[{index}].{claim.kind}",
        setup="",
        message=f"{claim.text!r}: {why}",
        others=(f"{table.name}/{claim.rows[0]}", f"{table.name}/{other}"),
    )


def _judge(material: Material, claim: Claim, one: Entry, other: Entry) -> str:
    """Return what denies a claim of two rows, "" if nothing does."""
    if claim.kind in {"faster", "slower"}:
        return _judge_speed(material, claim, one, other)
    if claim.kind == "less_memory":
        ours, theirs = one.figure("memory_gb"), other.figure("memory_gb")
        if ours and theirs:
            return _judge_share(claim, ours / theirs, f"{ours} GB against {theirs} GB")
        _pass_over(material, one, other, "no peaks of memory are documented for both")
    if claim.kind == "parameters":
        return _judge_parameters(material, claim, one, other)
    return ""


def _judge_speed(material: Material, claim: Claim, one: Entry, other: Entry) -> str:
    fast, slow = (one, other) if claim.kind == "faster" else (other, one)
    ratio = _compare_speeds(fast, slow)
    if ratio is None:
        _pass_over(material, one, other, "no times are documented for both")
        return ""
    figure, words = ratio
    if float(figure.high) > _round_down(claim):
        return ""
    wanted = f"at least x{claim.by:g}" if claim.by else "faster"
    return (
        f"{fast.row.setup!r} would be {wanted} against {slow.row.setup!r}, and {words} is"
        f" x{show(figure.value)}"
    )


def _round_down(claim: Claim) -> float:
    """Return the least ratio that rounds to what a sentence says; a whole number has one place."""
    if claim.by is None:
        return 1.0
    figure = Figure.of(claim.by, claim.written.get("by", ""))
    return float(max(figure.low, figure.value - _OF_WHOLE))


def _compare_speeds(fast: Entry, slow: Entry) -> Saying | None:
    timed = compare_times(fast, slow)
    if timed:
        return timed
    ours, theirs = map(_read_speedup, (fast, slow))
    if ours and theirs and fast.row.baseline == slow.row.baseline:
        return Saying(ours / theirs, f"x{ours} / x{theirs}")
    return None


def _read_speedup(entry: Entry) -> Figure | None:
    """Return the documented speed-up; that of a baseline is exactly 1."""
    one = Decimal(1)
    return Figure(one, one, one) if entry.row.is_baseline else entry.figure("speedup")


def _judge_share(claim: Claim, share: Figure, words: str) -> str:
    if is_share_true(float(share.low), claim.by):
        return ""
    wanted = f"at most {100 * claim.by:g}%" if claim.by else "less"
    return f"it would be {wanted}, and {words} is {show(100 * share.value)}%"


def _judge_parameters(material: Material, claim: Claim, one: Entry, other: Entry) -> str:
    counts = [find_counts(material.counts, entry.row) for entry in (one, other)]
    numbers = [
        None if found is None else found.parts.get(claim.part) if claim.part else found.parameters
        for found in counts
    ]
    ours, theirs = numbers
    if ours is None or theirs is None:
        _pass_over(material, one, other, "the parameters of both were not counted")
        return ""
    share = ours / theirs
    if is_share_true(share, claim.by):
        return ""
    wanted = f"at most {100 * claim.by:g}%" if claim.by else "fewer"
    return f"it would be {wanted}, and {ours:,} of {theirs:,} parameters is {100 * share:.1f}%"


def _pass_over(material: Material, one: Entry, other: Entry, reason: str) -> None:
    about = f"{one.row.setup} and {other.row.setup}"
    material.unchecked.append(Unchecked("claim", one.table.name, about, reason))
