"""The part of the page with accounts: what was counted, and the lines of code that ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_sdspeed.report.accounts import (
    COLUMNS,
    PLACE_COLUMNS,
    collect_account_notes,
    describe_basis,
    group_accounts,
    list_account_rows,
    list_place_rows,
    name_group,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.model import AccountResult


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountGroup:
    """The accounts of a table, or of a test's callables, as cells."""

    anchor: str
    name: str
    basis: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    place_columns: Sequence[str]
    places: Sequence[Sequence[str]]
    notes: Sequence[str]


def make_account_groups(results: Sequence[AccountResult]) -> list[AccountGroup]:
    """Make the accounts of a page, a group for each table.

    Args:
        results: what the run counted.
    """
    return [
        AccountGroup(
            anchor=f"accounts-{number}",
            name=name_group(group),
            basis=describe_basis(group),
            columns=COLUMNS,
            rows=[cells for cells, _ in list_account_rows(group)],
            place_columns=PLACE_COLUMNS,
            places=list_place_rows(group),
            notes=collect_account_notes(group),
        )
        for number, group in enumerate(group_accounts(results), start=1)
    ]
