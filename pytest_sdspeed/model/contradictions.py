"""What the figures of published tables say against each other."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_WORDS = 4
"""Words of a reason that accepts a contradiction: fewer say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Two figures that cannot both be right, or one that a device cannot reach.

    Attributes:
        rule: name of the rule that found it, such as ``two-figures``.
        table: name of the table.
        path: its file.
        key: place in the file, such as ``rows[3].stated[0].speedup``; "" for the file as a whole.
        setup: the row's setup, or "" if it is about no single row.
        message: what is said, what it contradicts, and by how much.
        others: further places that it is about, ``TABLE/SETUP`` each.
        acknowledged: the reason that the file's notes give for it, or "" if they give none.
    """

    rule: str
    table: str
    path: str
    key: str
    setup: str
    message: str
    others: tuple[str, ...] = ()
    acknowledged: str = ""
