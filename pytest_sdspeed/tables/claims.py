"""Claims of a table: sentences of its source that compare rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import CLAIM_KINDS, Claim, Row
from pytest_sdspeed.tables import schema, values
from pytest_sdspeed.tables.schema import TomlPath, read_section

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MORE = ("faster", "slower")
_SHARES = ("less_memory", "parameters")
_CAMPAIGN = ("faster", "slower", "less_memory", "comparable")
"""Kinds that compare what was measured together."""


def read_claims(
    place: TomlPath, raw: Iterable[Mapping[str, object]], rows: Sequence[Row]
) -> tuple[Claim, ...]:
    """Check the claims of a table.

    Args:
        place: place of the array of claims.
        raw: the claims as tomllib read them.
        rows: rows of the table.

    Raises:
        TableError: a claim has no kind or more than one, names a row that the table does not have,
            compares rows that are never measured together, or has a key that its kind has not.
    """
    known = {row.setup: row for row in rows}
    return tuple(_read_claim(place.item(index), one, known) for index, one in enumerate(raw))


def _read_claim(place: TomlPath, raw: Mapping[str, object], known: Mapping[str, Row]) -> Claim:
    found = read_section(place, raw, schema.CLAIM)
    # A claim on an account names one row, and its bounds beside it.
    kinds = [kind for kind in CLAIM_KINDS if kind in found or (kind == "account" and "row" in raw)]
    if len(kinds) != 1:
        raise place.error(
            f"says {'nothing that can fail' if not kinds else ' and '.join(kinds)}; valid: exactly"
            f" one of {', '.join(CLAIM_KINDS)} (account: row and bounds)"
        )
    (kind,) = kinds
    names: tuple[str, ...] = found.get(kind, ()) if kind != "defaults" else ()
    if kind == "account":
        names = (found["row"],)
    for name in names:
        if name not in known:
            raise place.at("row" if kind == "account" else kind).error(
                f"no row has the setup {name!r}; valid: {', '.join(known)}"
            )
    campaigns = {known[name].baseline for name in names}
    if kind in _CAMPAIGN and len(campaigns) > 1:
        raise place.at(kind).error(
            f"the rows have the baselines {', '.join(sorted(campaigns))}, and what is compared is"
            " measured together; valid: rows of one baseline"
        )
    _check_keys(place, kind, found)
    if kind == "comparable" and known[names[0]].image is None:
        raise place.at(kind).error(
            f"the row {names[0]!r} has no bounds on its pictures; valid: image on that row"
        )
    by = found.get("by")
    return Claim(
        text=found["text"],
        kind=kind,
        rows=names,
        by=None if by is None else float(by),
        part=found.get("part"),
        bounds=found.get("bounds", {}),
        defaults=found.get("defaults", {}),
        notes=found.get("notes", ""),
        written=values.find_zeros(found),
    )


def _check_keys(place: TomlPath, kind: str, found: dict[str, Any]) -> None:
    allowed = {
        "by": (*_MORE, *_SHARES),
        "part": ("parameters",),
        "bounds": ("account",),
        "row": ("account",),
    }
    for name, kinds in allowed.items():
        if name in found and kind not in kinds:
            raise place.at(name).error(
                f"has no meaning for {kind}; valid: with {', '.join(kinds)}, or leave it out"
            )
    by = found.get("by")
    if by is not None and kind in _MORE and by < 1:
        raise place.at("by").error(f"{by}: the least ratio of two latencies is 1 or more")
    if by is not None and kind in _SHARES and by > 1:
        raise place.at("by").error(f"{by}: a greatest share is at most 1")
    if kind == "account":
        if not found.get("bounds"):
            raise place.at("bounds").error(
                f"missing; valid: upper bounds on {', '.join(schema.ACCOUNT)}"
            )
        read_section(place.at("bounds"), found["bounds"], schema.ACCOUNT)
