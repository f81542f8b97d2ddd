"""What an account is held to, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_sdspeed.model.accounts import COUNTS, Account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.model.account_history import AccountHistory, PlaceChange
    from pytest_sdspeed.model.tables import Recipe
    from pytest_sdspeed.model.vocabulary import Verdict

STEP_COUNTS = tuple(
    name for name in COUNTS if name not in ("weight_bytes", "graph_breaks", "recompilations")
)
"""Counts that a denoising step has, too."""

PER_STEP = "_per_step"
ACCOUNT_BOUNDS = (*COUNTS, *(name + PER_STEP for name in STEP_COUNTS))
"""Names of the upper bounds that an account can be held to: ``NAME`` of a call, ``NAME_per_step``
of one denoising step in steady state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAgainst:
    """What another version asks for, and what differs.

    Attributes:
        spec: what the other version is, as it was given.
        label: what a reader calls it: ``main (3f2a1bc)``.
        account: what it asks for.
        versions: package -> version, of that version.
        more: counts that are higher than there, a text for each.
        fewer: counts that are lower than there, a text for each.
        places: lines of code that ask for more than there.
        gone: lines of code of that version that ask for less by now.
    """

    spec: str
    label: str
    account: Account
    versions: Mapping[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    fewer: tuple[str, ...] = ()
    places: tuple[PlaceChange, ...] = ()
    gone: tuple[PlaceChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountResult:
    """What one gate counted.

    Attributes:
        table, setup: names; ``table`` is None if a callable was counted.
        account: what was counted.
        bounds: name of a bound -> the most that passes; empty if nothing was asked of it.
        verdict: ``pass``, ``fail`` or ``invalid``; None if there are no bounds: it was counted.
        reasons: why the verdict is what it is, in words.
        recipe: what was generated, or None for callables.
        weights: ``embedded``, or ``none`` for models that have shapes alone; None for callables.
        optimizations: names of the stack of the setup, in order; None for callables.
        versions: package -> version.
        counted_as: the GPU that the counting device says it is.
        test: id of the test that asked, or None if that is unknown.
        notes: what else the reader should know, in words.
        documented_on: device of the row's table, or None.
        documented_share: share of the documented latency that this device needs for the account if
            every kernel runs at its published peaks; None if one of them is not known.
        against: the other version that it was compared with, or None.
        history: what stored runs counted of the same, this run the latest; None if they were not
            asked.
    """

    table: str | None
    setup: str
    account: Account
    bounds: Mapping[str, int] = field(default_factory=dict)
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    recipe: Recipe | None = None
    weights: str | None = None
    optimizations: tuple[str, ...] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    counted_as: str = ""
    test: str | None = None
    notes: tuple[str, ...] = ()
    documented_on: str | None = None
    documented_share: float | None = None
    against: AccountAgainst | None = None
    history: AccountHistory | None = None

    @property
    def name(self) -> str:
        """Return what a reader calls it: its setup, or for callables their test too."""
        return self.setup if self.table or not self.test else f"{self.setup} of {self.test}"

    @property
    def outcome(self) -> str:
        """Return the verdict, or ``counted`` if there was nothing to hold it to."""
        return self.verdict or "counted"


def find_count(account: Account, bound: str) -> int | None:
    """Return the count that a bound is on, or None if it is not known.

    Args:
        account: an account of a call.
        bound: one of ``ACCOUNT_BOUNDS``.
    """
    part: Account | None = account
    if bound.endswith(PER_STEP):
        part, bound = account.per_step, bound.removesuffix(PER_STEP)
    count: int | None = None if part is None else getattr(part, bound)
    return count
