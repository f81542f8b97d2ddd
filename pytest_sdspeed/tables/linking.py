"""What the rows of one table owe each other: names, baselines, and speed-ups.

A speed-up must agree with the latencies of row and baseline.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import BASELINE, CONTROL, DEFAULT_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.model import Spread
    from pytest_sdspeed.tables.schema import TomlPath

_ROUNDING = Decimal("1e-12")
"""Relative error that covers the rounding of a quotient of two floats written with all digits."""


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


def resolve_speedup(
    place: TomlPath, row: Mapping[str, Any], baseline: Mapping[str, Any], *, measured: bool
) -> float:
    """Return the documented speed-up of a row, computed if only latencies are given.

    Args:
        place: place of the row.
        row: facts of the row; numbers are Decimals.
        baseline: facts of the row it is compared with.
        measured: whether the table is a recorded one.

    Returns:
        Baseline latency over the row's.

    Raises:
        TableError: there is neither a speed-up nor both latencies, they contradict each other, or
            their quotient is no positive float.
    """
    key = place.at("speedup")
    speedup: Decimal | None = row.get("speedup")
    if row is baseline:
        if speedup is not None and speedup != 1:
            raise key.error(
                f"{speedup} on a baseline row, which is what the others are compared with; valid:"
                " 1, or leave it out"
            )
        return 1.0
    ours, theirs = row.get("latency_s"), baseline.get("latency_s")
    if ours is None or theirs is None:
        if speedup is None:
            raise key.error(
                "missing; valid: speedup, or latency_s both here and on the baseline row"
                f" {baseline['setup']!r}"
            )
        return float(speedup)
    if speedup is None:
        computed = float(theirs) / float(ours)
        if not 0 < computed < math.inf:
            raise key.error(
                f"{theirs} s / {ours} s is {computed} as a float; valid: latencies whose quotient"
                " is above 0 and finite"
            )
        return computed
    _check_speedup(key, speedup, theirs, ours, _allow_slack(row, measured=measured))
    return float(speedup)


def check_spread(
    place: TomlPath, row: Mapping[str, Any], speedup: float, *, measured: bool
) -> None:
    """Check a row's spread against its speed-up.

    Args:
        place: place of the row.
        row: facts of the row.
        speedup: speed-up of the row; 1 on a baseline row, whose interval is the A/A control's.
        measured: whether the table is a recorded one.

    Raises:
        TableError: the table is not a recorded one, or the speed-up lies outside its own interval.
    """
    spread: Spread | None = row.get("spread")
    if spread is None:
        return
    if not measured:
        raise place.at("spread").error(
            "only a row of a recorded table, one with a [recorded] section, has a spread"
        )
    if not spread.low <= speedup <= spread.high:
        problem = (
            f"{spread.low} to {spread.high} does not hold the speed-up {speedup}; valid: low <="
            " speed-up <= high"
        )
        raise place.at("spread").error(problem)


def _allow_slack(row: Mapping[str, Any], *, measured: bool) -> Decimal:
    """Return the relative disagreement that is not a contradiction.

    A recorded speed-up is estimated from paired blocks, a recorded latency is a median over slots.
    The quotient of two medians differs from the estimate by noise, which the row's tolerance
    bounds.
    """
    return max(row["tolerance"], Decimal(str(DEFAULT_TOLERANCE))) if measured else _ROUNDING


def _check_speedup(
    key: TomlPath, speedup: Decimal, baseline: Decimal, latency: Decimal, slack: Decimal
) -> None:
    """Compare intervals: each figure stands for all numbers that round to it as it was written.

    With half units h of the last written places, the speed-up s contradicts the latencies b of the
    baseline and l of the row if [s - h, s + h] lies outside of
    [(b - h) / (l + h) (1 - slack), (b + h) / (l - h) (1 + slack)].
    """
    half_baseline, half_latency, half_speedup = map(_find_half_unit, (baseline, latency, speedup))
    low = (baseline - half_baseline) / (latency + half_latency) * (1 - slack)
    # A positive number is at least one unit of its last written place: the divisor is positive.
    high = (baseline + half_baseline) / (latency - half_latency) * (1 + slack)
    if speedup + half_speedup < low or speedup - half_speedup > high:
        places = min(max(2, -int(speedup.as_tuple().exponent)) + 1, 17)
        raise key.error(
            f"{speedup} contradicts the latencies: {baseline} s / {latency} s is"
            f" {baseline / latency:.{places}f}; valid: {low:.{places}f} to {high:.{places}f}, or"
            " leave it out"
        )


def _find_half_unit(number: Decimal) -> Decimal:
    """Return half a unit of a number's last written place: 0.005 for 1.50."""
    return Decimal(1).scaleb(int(number.as_tuple().exponent)) / 2
