"""The marker ``sd_account``, read as frozen facts; a wrong argument is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import MarkerError
from pytest_sdspeed.judge.accounts import check_names
from pytest_sdspeed.plugin.options import ACCOUNT_MARKER
from pytest_sdspeed.run.settings import AccountMarker

if TYPE_CHECKING:
    from _pytest.mark import Mark


def read_account_marker(mark: Mark | None, where: str) -> AccountMarker:
    """Read and check a marker's arguments.

    Args:
        mark: the closest ``sd_account`` marker, or None for a test without one.
        where: id of the test, for messages.

    Raises:
        UnknownNameError: no count has the name of a bound; the message names those that there are.
        MarkerError: an argument is positional, or its value is not valid.
    """
    if mark is None:
        return AccountMarker()
    if mark.args:
        raise MarkerError(
            f"{where}: marker sd_account takes its bounds by name, not {mark.args[0]!r}:"
            f" {ACCOUNT_MARKER}, as in sd_account(host_syncs_per_step=0)"
        )
    bounds = dict(mark.kwargs)
    table = bounds.pop("table", None)
    if not isinstance(table, str | None):
        raise MarkerError(
            f"{where}: marker sd_account: table={table!r}; valid: the name of a table"
        )
    check_names(bounds, f"{where}: marker sd_account")
    return AccountMarker(
        table=table,
        bounds={name: _check_bound(where, name, bound) for name, bound in bounds.items()},
    )


def _check_bound(where: str, name: str, bound: Any) -> int:
    if isinstance(bound, bool) or not isinstance(bound, int) or bound < 0:
        raise MarkerError(
            f"{where}: marker sd_account: {name}={bound!r}; valid: a whole number, 0 or more, the"
            " most that passes"
        )
    return bound
