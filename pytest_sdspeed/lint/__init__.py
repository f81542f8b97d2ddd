"""Published figures, checked against each other: inside a table and across tables.

Nothing is measured: a contradiction is found by arithmetic, by a unit, or by what a device can do.
"""

from __future__ import annotations

from pytest_sdspeed.lint.counts import Counts, dump_counts, find_counts, fingerprint, load_counts
from pytest_sdspeed.lint.rules import RULES, Findings, Rule, find_contradictions, lint_tables

__all__ = [
    "RULES",
    "Counts",
    "Findings",
    "Rule",
    "dump_counts",
    "find_contradictions",
    "find_counts",
    "fingerprint",
    "lint_tables",
    "load_counts",
]
