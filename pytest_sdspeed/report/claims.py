"""Claims of tables in words: what each says, what was found, and whether it is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.errors import DOCUMENTATION
from pytest_sdspeed.report.pages import add_page
from pytest_sdspeed.report.text import align_cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_sdspeed.model import ClaimResult

_PAGE = f"{DOCUMENTATION}/explanations/verdicts/#claims"
_OUTCOMES = {
    "fail": "is not true",
    "pass": "is true",
    "inconclusive": "could not be decided",
    "invalid": "could not be judged",
    "known to be false": "is known to be false, and is not true",
    "wrongly denied": "is true, and its notes call it false",
    "true here": "is true on this device, and its notes call it false of another one",
    "denied, inconclusive": "is known to be false, and could not be decided",
}
"""Outcome -> what is said of the sentence."""


def group_claims(results: Iterable[ClaimResult]) -> list[list[ClaimResult]]:
    """Group results by their table, and by where they were judged."""
    groups: dict[tuple[str, str, str | None], list[ClaimResult]] = {}
    for result in results:
        key = result.table, result.device, result.weights
        groups.setdefault(key, []).append(result)
    return list(groups.values())


def select_claim_faults(results: Iterable[ClaimResult]) -> list[ClaimResult]:
    """Select the results whose tests do not pass: one that is known to be false is no fault."""
    faults = ("fail", "invalid", "inconclusive", "wrongly denied")
    return [result for result in results if result.outcome in faults]


def format_heading(results: Sequence[ClaimResult]) -> str:
    """Write the line over a table's claims."""
    first = results[0]
    where = "counted on this machine" if not first.weights else f"judged on {first.device}"
    weights = f" ({first.weights} weights)" if first.weights else ""
    return f"sd claims: {first.table}   {where}{weights}"


def format_claims(results: Sequence[ClaimResult]) -> Iterator[str]:
    """Yield the lines of a table's claims: each sentence, and below it what was compared."""
    yield format_heading(results)
    for result in results:
        yield f'{result.outcome}: {result.name}: "{result.text}"'
        cells = [
            ("  " + one.subject, one.measured, one.expected, one.verdict)
            for one in result.comparisons
        ]
        yield from align_cells(cells) if cells else ()
        yield from (f"  note: {remark}" for remark in list_remarks(result))


def list_remarks(result: ClaimResult) -> list[str]:
    """List what else a reader should know of a result."""
    denied = [f"acknowledged in the table: {result.acknowledged}"] if result.acknowledged else []
    return [*denied, *result.reasons, *result.notes]


def describe_claim(result: ClaimResult) -> str:
    """Describe what became of a claim: the sentence, what was found and what was said, and why."""
    where = f" on {result.device}" if result.weights else ""
    lead = f'{result.table}, {result.name}: "{result.text}" {_OUTCOMES[result.outcome]}{where}'
    found = "; ".join(
        f"{one.subject} {one.measured}, said {one.expected} ({one.verdict})"
        for one in result.comparisons
    )
    blocks = f", {result.blocks} blocks" if result.blocks else ""
    facts = f": {found}{blocks}." if found else "."
    why = [f"Reason: {'; '.join(result.reasons)}."] if result.reasons else []
    denied = [f"Its notes say: {result.acknowledged.rstrip('.')}."] if result.acknowledged else []
    notes = [f"{note}." for note in result.notes]
    return " ".join([lead + facts, *why, *denied, *notes, *_advise(result)])


def _advise(result: ClaimResult) -> Iterable[str]:
    if result.outcome == "wrongly denied":
        yield "Take the line `claim: ...` out of the notes of this claim, or correct the claim."
    if result.outcome == "fail":
        yield (
            "If the source is wrong, say so in the notes of this claim, in a line `claim: ...` of"
            " four words or more: the test is then skipped with that reason as long as the claim"
            " stays false."
        )


def write_claim_message(result: ClaimResult) -> str:
    """Write what a test of a claim says that does not pass."""
    return add_page(describe_claim(result), _PAGE)
