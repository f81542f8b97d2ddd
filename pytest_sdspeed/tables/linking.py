"""What the rows of one table owe each other by their names: setups, baselines, recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import BASELINE, CONTROL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.tables.schema import TomlPath


def link(place: TomlPath, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Check how rows refer to each other, and fill in the ``baseline`` of those that name none.

    Args:
        place: place of the array of rows.
        rows: facts of the rows, which are completed.

    Returns:
        Name -> index of every baseline row.

    Raises:
        TableError: two rows have one name, a name is reserved, a baseline is missing or compared
            with another row, a row that is not a baseline has a recipe, a baseline has a bound on
            its memory, or there is nothing to compare.
    """
    _check_names(place, rows)
    for row in rows:
        row.setdefault("baseline", BASELINE)
    baselines = {
        row["setup"]: index for index, row in enumerate(rows) if row["setup"] == row["baseline"]
    }
    setups = {row["setup"]: row for row in rows}
    for index, row in enumerate(rows):
        if row["baseline"] not in baselines:
            raise (
                place.item(index)
                .at("baseline")
                .error(_explain_no_baseline(row["baseline"], setups, baselines))
            )
        if "recipe" in row and row["setup"] not in baselines:
            problem = (
                f"only a baseline row has a recipe; this row has that of {row['baseline']!r}. Valid"
                " here: a recipe on a baseline row of its own"
            )
            raise place.item(index).at("recipe").error(problem)
        if "memory" in row and row["setup"] in baselines:
            raise (
                place.item(index)
                .at("memory")
                .error(
                    "a baseline row has no bound; valid: on a row compared with it, a share of its"
                    " peak"
                )
            )
    if len(baselines) == len(rows):
        raise place.error(
            "no row is compared with a baseline; valid: a baseline row and at least one row that"
            " names it"
        )
    return baselines


def _check_names(place: TomlPath, rows: Sequence[Mapping[str, Any]]) -> None:
    first: dict[str, int] = {}
    for index, row in enumerate(rows):
        setup = row["setup"]
        if setup in first:
            raise (
                place.item(index)
                .at("setup")
                .error(
                    f"{setup!r} is already the setup of rows[{first[setup]}]; each row needs a name"
                    " of its own"
                )
            )
        first[setup] = index
        if setup == CONTROL:
            raise (
                place.item(index)
                .at("setup")
                .error(f"{CONTROL!r} is the name of the A/A control; valid: any other name")
            )
        if setup == BASELINE and row.get("baseline", BASELINE) != BASELINE:
            raise (
                place.item(index)
                .at("baseline")
                .error(
                    f"the row {BASELINE!r} is compared with no other; valid: {BASELINE}, or leave"
                    " it out"
                )
            )


def _explain_no_baseline(
    name: str, setups: Mapping[str, Mapping[str, Any]], baselines: Mapping[str, int]
) -> str:
    none = "none, since no row is a baseline: a baseline row names itself"
    valid = f"valid: {', '.join(baselines) or none}"
    if name in setups:
        return (
            f"{name!r} is itself compared with {setups[name]['baseline']!r}, and a baseline is"
            f" compared with no other row; {valid}"
        )
    return f"no row has the setup {name!r}; {valid}"
