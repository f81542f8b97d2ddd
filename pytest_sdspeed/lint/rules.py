"""All rules, and what they find in tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.lint import acknowledgements, arithmetic, devices
from pytest_sdspeed.lint.across import find_two_figures
from pytest_sdspeed.lint.claims import find_denied_claims
from pytest_sdspeed.lint.counts import load_counts
from pytest_sdspeed.lint.entries import Material, Unchecked
from pytest_sdspeed.lint.memory import find_memory_mistakes
from pytest_sdspeed.lint.misprints import find_misprints
from pytest_sdspeed.lint.units import find_unit_mistakes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from pytest_sdspeed.lint.counts import Counts
    from pytest_sdspeed.model import Table
    from pytest_sdspeed.model.contradictions import Contradiction


class Rule(NamedTuple):
    """A rule: what finds it, and what it says, in one sentence."""

    find: Callable[[Material], Iterable[Contradiction]]
    sentence: str


RULES: Mapping[str, Rule] = {
    "speedup": Rule(
        arithmetic.find_speedups,
        "A stated speed-up is not the ratio of the latencies, however they were rounded.",
    ),
    "saved-percent": Rule(
        arithmetic.find_saved_percents,
        "A percent of time saved is not what the latencies say, or is sold as a speed-up: 38% less"
        " time is x1.61, not x1.38.",
    ),
    "units": Rule(
        find_unit_mistakes,
        "A figure is of another unit than it is called: seconds under iterations per second,"
        " a step for a run, milliseconds for seconds.",
    ),
    "two-figures": Rule(
        find_two_figures,
        "One setup on one device is published twice with different figures, in one table or two.",
    ),
    "flops-ratio": Rule(
        arithmetic.find_flops_ratios,
        "A speed-up is the ratio of floating-point operations, and not of times.",
    ),
    "efficiency": Rule(
        arithmetic.find_efficiencies,
        "A speed-up is the ratio of times divided by the number of GPUs.",
    ),
    "memory": Rule(
        find_memory_mistakes,
        "Figures of memory do not add up: what saves memory needs more, more pictures need less, or"
        " more is held after loading than at the peak.",
    ),
    "limit": Rule(
        devices.find_impossible_latencies,
        "A latency is under the certain limit of the device: its arithmetic alone takes longer.",
    ),
    "does-not-fit": Rule(
        devices.find_too_large,
        "A row needs more memory than the largest device of its name has.",
    ),
    "claim": Rule(
        find_denied_claims,
        "A claim is denied by the documented figures of the rows that it compares.",
    ),
    "misprint": Rule(
        find_misprints,
        "A figure is no number, or is impossible beside its neighbors: more pictures are not drawn"
        " faster, nor in the same time to the last digit, nor far slower than there are more.",
    ),
}
"""Name of a rule -> the rule."""

UNUSED_SENTENCE = (
    "A note accepts what its rule does not find: it would hide the next one. Not raised if the rule"
    " could not look."
)
"""What ``unused-acknowledgement`` says, which looks at what the others found."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What came of a lint.

    Attributes:
        contradictions: all that was found, with the reasons that notes give.
        unchecked: what could not be looked at, and why.
        rows: how many rows were looked at.
        tables: how many tables.
    """

    contradictions: tuple[Contradiction, ...]
    unchecked: tuple[Unchecked, ...]
    rows: int
    tables: int

    @property
    def open(self) -> tuple[Contradiction, ...]:
        """Return what no note accepts with a reason."""
        return tuple(one for one in self.contradictions if not one.acknowledged)


def lint_tables(
    tables: Iterable[Table],
    counts: Mapping[str, Counts] | None = None,
    about: Collection[str] | None = None,
) -> Findings:
    """Check the figures of tables against each other.

    Args:
        tables: the tables.
        counts: fingerprint of a row -> what it asks of a device; None for those that are stored.
        about: names of the tables that findings may be about, the others being compared with them;
            None for all.

    Returns:
        What was found, in the order of tables and rows, and what could not be looked at.
    """
    given = tuple(tables)
    named = frozenset(table.name for table in given) if about is None else frozenset(about)
    material = Material(given, load_counts() if counts is None else counts, named)
    found = [one for rule in RULES.values() for one in rule.find(material)]
    looked_at = [table for table in given if table.name in named]
    lines = [
        line for table in given for line in acknowledgements.read_acknowledgements(table, RULES)
    ]
    accepted = list(acknowledgements.apply(_merge(found), lines))
    accepted += acknowledgements.find_unused(
        (line for line in lines if line.table in named), material.unchecked
    )
    order = {table.name: place for place, table in enumerate(looked_at)}
    accepted.sort(key=lambda one: order[one.table])
    return Findings(
        tuple(accepted), tuple(material.unchecked), len(material.entries), len(looked_at)
    )


def find_contradictions(
    tables: Iterable[Table],
    counts: Mapping[str, Counts] | None = None,
    about: Collection[str] | None = None,
) -> tuple[Contradiction, ...]:
    """Return what the figures of tables say against each other, acknowledged or not.

    Args:
        tables: see ``lint_tables``.
        counts: see ``lint_tables``.
        about: see ``lint_tables``.
    """
    return lint_tables(tables, counts, about).contradictions


def _merge(found: Iterable[Contradiction]) -> Iterable[Contradiction]:
    """Make one of findings of one rule at one place: what else it is about is added."""
    merged: dict[tuple[str, str, str, str], Contradiction] = {}
    for one in found:
        place = (one.rule, one.table, one.path, one.key)
        first = merged.setdefault(place, one)
        if first is not one:
            others = tuple(dict.fromkeys((*first.others, *one.others)))
            merged[place] = replace(first, others=others)
    return merged.values()
