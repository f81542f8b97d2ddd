"""Claims of tables on their way through a run: what is compared, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model.results import Interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.model.tables import Claim
    from pytest_sdspeed.model.vocabulary import Verdict

TIMED_CLAIMS = ("faster", "slower")
"""Kinds of claims that compare times."""
MEASURED_CLAIMS = (*TIMED_CLAIMS, "less_memory", "comparable")
"""Kinds of claims that a campaign has to measure, or draw pictures for."""


def is_share_true(share: float, by: float | None) -> bool:
    """Tell whether a share makes a sentence true: at most what it names, or less than all.

    Args:
        share: the first row's over the other's.
        by: greatest share that the sentence names, or None if it only says less.
    """
    return share < 1 if by is None else share <= by


def name_claims(claims: Sequence[Claim]) -> dict[str, Claim]:
    """Name the claims of a table, as tests do: ``faster-combined``, ``faster-small-1.75``.

    The kind, the row (or setting) that the sentence is about, the part and the figure that it
    names, if any; a number behind if several have all in common.

    Args:
        claims: claims in the order of the file.
    """
    named: dict[str, Claim] = {}
    for claim in claims:
        figure = None if claim.by is None else f"{claim.by:g}"
        settings = (name.rpartition(".")[2] for name in claim.defaults)
        about = next(iter((*claim.rows, *settings)), None)
        lead = name = "-".join(filter(None, (claim.kind, about, claim.part, figure)))
        number = 1
        while name in named:
            number += 1
            name = f"{lead}-{number}"
        named[name] = claim
    return named


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two rows of a campaign of which a claim says that one takes more time.

    Attributes:
        slower: name of the arm that takes more time.
        faster: name of the arm that takes less.
        least: least ratio of their latencies, slower over faster, that makes the claim true.
    """

    slower: str
    faster: str
    least: float

    @property
    def arms(self) -> tuple[str, str]:
        """Return the names of both arms."""
        return self.slower, self.faster


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What became of one comparison of a claim.

    Attributes:
        subject: what is compared, in words: ``combined against fp16``, or the name of a setting.
        measured: what was found, in words: ``x1.02 [1.01, 1.03]``.
        expected: what makes it true, in words: ``more than x1.00``.
        verdict: whether it is.
        ratio: ratio of the two latencies with its interval, above 1 if the claim is true of them;
            None if no time was compared.
        share: share that the first row has of the other's memory or parameters, or None.
    """

    subject: str
    measured: str
    expected: str
    verdict: Verdict
    ratio: Interval | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """What became of a claim.

    Attributes:
        table: name of its table.
        name: name of the claim, see ``name_claims``.
        text: the sentence.
        kind: what it compares.
        verdict: ``pass`` if it is true, ``fail`` if it is not; ``inconclusive``, ``invalid``.
        comparisons: what was compared, one by one.
        reasons: why the verdict is what it is, beyond the comparisons.
        notes: what else a reader should know.
        acknowledged: why the table's notes call it false, or "".
        binding: whether the acknowledgement is about what was judged here: counts and settings are
            the same on every machine, times and memory are those of the table's device.
        device: where it was judged.
        weights: where the weights came from, in a word, or None if none were drawn with.
        blocks: blocks that the times come from, 0 if there are none.
        test: id of the test.
    """

    table: str
    name: str
    text: str
    kind: str
    verdict: Verdict
    comparisons: tuple[Comparison, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    acknowledged: str = ""
    binding: bool = True
    device: str = ""
    weights: str | None = None
    blocks: int = 0
    test: str = ""

    @property
    def outcome(self) -> str:
        """Say in a word or two what is shown: the verdict, or that the claim is known to be false.

        What an acknowledgement calls false, and what holds all the same, is ``wrongly denied`` if
        the acknowledgement is about what was judged, else ``true here``.
        """
        if not self.acknowledged or self.verdict == "invalid":
            return self.verdict
        if self.verdict == "pass":
            return "wrongly denied" if self.binding else "true here"
        return "known to be false" if self.verdict == "fail" else "denied, inconclusive"


def claim_to_json(result: ClaimResult) -> dict[str, Any]:
    """Turn a result into builtins; ``claim_from_json`` turns it back."""
    facts = asdict(result)
    return {**facts, **{name: list(facts[name]) for name in ("comparisons", "reasons", "notes")}}


def claim_from_json(sent: Mapping[str, Any]) -> ClaimResult:
    """Return the result that ``claim_to_json`` was given."""
    compared = tuple(
        Comparison(**{**one, "ratio": Interval(**one["ratio"]) if one["ratio"] else None})
        for one in sent["comparisons"]
    )
    texts = {name: tuple(sent[name]) for name in ("reasons", "notes")}
    return ClaimResult(**{**sent, **texts, "comparisons": compared})
