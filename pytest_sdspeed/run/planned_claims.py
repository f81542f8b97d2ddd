"""Claims that a run is to judge: their rows, looked up, and the ratios that decide them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import UnknownNameError
from pytest_sdspeed.judge.claims import find_acknowledgement, find_least_ratio
from pytest_sdspeed.model import MEASURED_CLAIMS, TIMED_CLAIMS, Contrast, name_claims

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.model import Claim, Table
    from pytest_sdspeed.setups.catalog import Catalog, ResolvedSetup


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedClaim:
    """A claim, with what its rows mean in this run.

    Attributes:
        table: name of its table.
        device: device of its table.
        name: name of the claim, see ``name_claims``.
        claim: the claim.
        rows: its rows in order; empty for settings of torch.
    """

    table: str
    device: str
    name: str
    claim: Claim
    rows: tuple[ResolvedSetup, ...]

    @property
    def is_measured(self) -> bool:
        """Tell whether a campaign has to measure it, or draw pictures for it."""
        return self.claim.kind in MEASURED_CLAIMS

    @property
    def is_timed(self) -> bool:
        """Tell whether it compares times."""
        return self.claim.kind in TIMED_CLAIMS

    @property
    def is_of_one_campaign(self) -> bool:
        """Tell whether its rows are measured together, as those of one table are."""
        return len({row.campaign for row in self.rows}) == 1

    def list_contrasts(self, tolerance: float | None) -> tuple[Contrast, ...]:
        """List the ratios that decide it: of the first row and each of the others.

        A figure that the notes call wrong has no tolerance: what is denied is what it says.

        Args:
            tolerance: that of ``--sd-tolerance``, or None for that of the first row.
        """
        if not self.is_timed:
            return ()
        first, *others = self.rows
        own = first.row.tolerance if first.row else 0.0
        held_to = own if tolerance is None else tolerance
        denied = bool(find_acknowledgement(self.claim.notes))
        least = find_least_ratio(self.claim.by, 0.0 if denied else held_to)
        pairs = ((other.setup, first.setup) for other in others)
        if self.claim.kind == "slower":
            pairs = ((first.setup, other.setup) for other in others)
        return tuple(Contrast(slower, faster, least) for slower, faster in pairs)


def find_claims(catalog: Catalog, name: str | None, where: str) -> Table | None:
    """Find the table whose claims a test judges: the best one of a name that has any.

    A recorded table has none: those of the documented one are judged by its rows.

    Args:
        catalog: looks tables up.
        name: name of the table, or None for that of tests that name none.
        where: what asks for it, for messages.

    Raises:
        UnknownNameError: no table has that name.
    """
    tables = catalog.find_tables(name or catalog.choose_table("baseline"), where)
    return next((table for table in tables if table.claims), None)


def list_claim_names(table: Table | None) -> Sequence[str]:
    """List the names of a table's claims, in its order."""
    return tuple(name_claims(table.claims)) if table else ()


def plan_claim(catalog: Catalog, name: str | None, claim: str, where: str) -> PlannedClaim:
    """Look a claim up, and its rows.

    Args:
        catalog: looks tables up.
        name: name of the table, or None for that of tests that name none.
        claim: name of the claim.
        where: what asks for it, for messages.

    Raises:
        UnknownNameError: no table has that name, or the table no such claim.
    """
    table = find_claims(catalog, name, where)
    named = name_claims(table.claims) if table else {}
    if table is None or claim not in named:
        raise UnknownNameError(f"claim of table {name!r}", claim, named, where)
    found = named[claim]
    return PlannedClaim(
        table=table.name,
        device=table.device,
        name=claim,
        claim=found,
        rows=tuple(catalog.choose(table.name, row, where) for row in found.rows),
    )
