"""Acknowledgements: what the notes of a file accept, with a reason: known, and no alarm.

A line of a row's notes, ``RULE: reason``, accepts what that rule finds in the row; one of a claim's
notes what it finds in the claim. Among the table's notes, ``RULE SETUP: reason`` accepts it in a
row (or in several: ``RULE SETUP, SETUP: reason``), and ``RULE: reason`` what is about the table as
a whole, and, of a rule about what a column means or the device, all rows. A setup that several
tables of one folder publish is accepted by a note of any of them: a user's file is no such table.

A reason that names figures accepts what shows one of them, and of several findings of a row those
that are of a figure that it names: so a second fault of the same row is found, too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sdspeed.lint.entries import acknowledge
from pytest_sdspeed.lint.printed import Figure
from pytest_sdspeed.model.contradictions import LEAST_WORDS, Contradiction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from pytest_sdspeed.lint.entries import Unchecked
    from pytest_sdspeed.model import Table

UNUSED = "unused-acknowledgement"
OF_TABLES = frozenset({"does-not-fit", "efficiency", "flops-ratio", "units"})
"""Rules about what a column means, or the device: one note of the table accepts all rows."""
_FIGURE = re.compile(
    r"(?<![\w.,-])[x~]?(?P<figure>\d+(?:[.,]+\d+)*)(?!\w*-[A-Za-z])(?![A-Za-z]{4})"
)
"""A number as it is printed, a unit behind it or not; no part of a name, and no "8-bit"."""
_GROUP = "one setup is published"


@dataclass(slots=True)
class Acknowledgement:
    """A line of a file's notes.

    Attributes:
        rule: rule whose findings it accepts.
        table: name of the table.
        path: its file.
        key: where the line stands.
        about: setups whose findings it accepts; those of claims as ``claims[INDEX]``; empty for the
            table.
        reason: why.
        used: how many findings it accepted.
    """

    rule: str
    table: str
    path: str
    key: str
    about: tuple[str, ...]
    reason: str
    used: int = field(default=0, compare=False)

    @property
    def has_reason(self) -> bool:
        """Tell whether its reason says something."""
        return len(self.reason.split()) >= LEAST_WORDS

    @property
    def figures(self) -> tuple[str, ...]:
        """Return the figures that its reason names; none of a note about a whole table.

        What a table's note is about, all of its rows share, whatever their figures.
        """
        return tuple(_list_figures(self.reason)) if self.about else ()

    def covers(self, found: Contradiction) -> bool:
        """Tell whether it accepts a finding of its table, if nothing else is found beside it."""
        if found.rule != self.rule or not self._is_about(found):
            return False
        shown = _list_figures(found.message)
        named = self.figures
        return not named or any(_rounds_to(one, other) for one in shown for other in named)

    def names(self, found: Contradiction) -> bool:
        """Tell whether its reason names the figure that a finding is of."""
        return not set(self.figures).isdisjoint(_list_doubted(found))

    def _is_about(self, found: Contradiction) -> bool:
        # One setup that several tables of a folder publish is accepted by a note of any of them.
        named = {f"{self.table}/{setup}" for setup in self.about}
        beside = Path(found.path).parent == Path(self.path).parent
        if found.rule == "two-figures" and beside and named & set(found.others):
            return True
        if found.table != self.table or found.path != self.path:
            return False
        if self.about:
            return found.setup in self.about or found.key.partition(".")[0] in self.about
        about_table = not found.setup and not found.key.startswith("claims[")
        return about_table or self.rule in OF_TABLES


def _list_figures(text: str) -> list[str]:
    """List the numbers of a text; one with two points is a version or a date."""
    found = (one["figure"] for one in _FIGURE.finditer(text))
    return [one for one in found if one.replace(",", "").count(".") < 2]  # noqa: PLR2004 - points


def _rounds_to(shown: str, named: str) -> bool:
    """Tell whether a figure of a message is one of a reason; it may be rounded there."""
    one, other = (Decimal(text.replace(",", "")) for text in (shown, named))
    return one == other or ("." in named and Figure.of(float(other)).agrees(Figure(one, one, one)))


def _list_doubted(found: Contradiction) -> list[str]:
    """List the figures that a finding is of.

    A finding of a row begins with its figure. One of a claim, or of a setup that is published
    several times, is of all that it shows.
    """
    figures = _list_figures(found.message)
    return figures if not found.setup or found.message.startswith(_GROUP) else figures[:1]


def read_acknowledgements(table: Table, rules: Collection[str]) -> Iterator[Acknowledgement]:
    """List what the notes of a table accept.

    Args:
        table: the table.
        rules: names of the rules.
    """
    names = "|".join(map(re.escape, sorted(rules, key=len, reverse=True)))
    setups = {row.setup for row in table.rows}
    form = re.compile(rf"\s*(?P<rule>{names})(?P<about>[\w, ]*):(?P<reason>.*)", re.DOTALL)

    def read(key: str, text: str, about: tuple[str, ...] = ()) -> Iterator[Acknowledgement]:
        for line in text.splitlines():
            found = form.fullmatch(line)
            named = set(re.findall(r"\w+", found["about"])) if found else set()
            # Other words before a colon are prose.
            if found and (not named if about else named <= setups):
                yield Acknowledgement(
                    rule=found["rule"],
                    table=table.name,
                    path=table.path,
                    key=key,
                    about=about or tuple(sorted(named)),
                    reason=found["reason"].strip(),
                )

    for index, note in enumerate(table.notes):
        yield from read(f"notes[{index}]", note)
    for index, row in enumerate(table.rows):
        yield from read(f"rows[{index}].notes", row.notes, (row.setup,))
    for index, claim in enumerate(table.claims):
        yield from read(f"claims[{index}].notes", claim.notes, (f"claims[{index}]",))


def apply(
    found: Iterable[Contradiction], given: Sequence[Acknowledgement]
) -> Iterator[Contradiction]:
    """Fill in the reasons of findings that are accepted.

    Args:
        found: the findings.
        given: what notes accept; what each was used for is counted.
    """
    everything = tuple(found)
    covering: dict[int, list[Acknowledgement]] = defaultdict(list)
    for line in given:
        for index in _choose(everything, line):
            line.used += 1
            covering[index].append(line)
    for index, one in enumerate(everything):
        reason = next((line.reason for line in covering[index] if line.has_reason), "")
        yield acknowledge(one, reason)


def _choose(found: Sequence[Contradiction], line: Acknowledgement) -> Iterator[int]:
    """Choose what a line accepts: of several findings of a row those that it names, if any."""
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, one in enumerate(found):
        if line.covers(one):
            rows[one.table, one.setup].append(index)
    for indices in rows.values():
        yield from [index for index in indices if line.names(found[index])] or indices


def find_unused(
    given: Iterable[Acknowledgement], unchecked: Collection[Unchecked]
) -> Iterator[Contradiction]:
    """Find lines that accept what is not there: they would hide it later.

    Args:
        given: what notes accept, after ``apply``.
        unchecked: what rules could not look at, which may be there.
    """
    skipped = {(one.rule, one.table) for one in unchecked}
    for line in given:
        if line.used or (line.rule, line.table) in skipped:
            continue
        setup = line.about[0] if len(line.about) == 1 else ""
        yield Contradiction(
            rule=UNUSED,
            table=line.table,
            path=line.path,
            key=line.key,
            setup="" if setup.startswith("claims[") else setup,
            message=f"{line.rule!r} is accepted ({line.reason}), and that rule finds nothing here"
            + (f" of {' or '.join(sorted(set(line.figures)))}" if line.figures else ""),
        )
