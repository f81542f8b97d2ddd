"""What the figures of a row owe each other, and those of its baseline.

Figures are Decimals: each stands for all numbers that round to it as it was written, so that two of
them contradict each other only if no such numbers agree.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.model import DEFAULT_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_sdspeed.model import Spread, Unit
    from pytest_sdspeed.tables.schema import TomlPath

_ROUNDING = Decimal("1e-12")
"""Relative error that covers the rounding of a quotient of two floats written with all digits."""


class _Quotient(NamedTuple):
    """Two figures whose quotient is a speed-up, with their names for messages."""

    what: str
    unit: str
    over: Decimal
    under: Decimal

    def __str__(self) -> str:
        return f"{self.over} {self.unit} / {self.under} {self.unit}"

    @property
    def low(self) -> Decimal:
        """Return the least quotient of numbers that round to the figures."""
        half_over, half_under = _find_half_unit(self.over), _find_half_unit(self.under)
        return (self.over - half_over) / (self.under + half_under)

    @property
    def high(self) -> Decimal:
        """Return the greatest."""
        half_over, half_under = _find_half_unit(self.over), _find_half_unit(self.under)
        # A positive number is at least one unit of its last written place: never a division by 0.
        return (self.over + half_over) / (self.under - half_under)


def resolve_speedup(
    place: TomlPath,
    row: Mapping[str, Any],
    baseline: Mapping[str, Any],
    *,
    measured: bool,
    unit: Unit = "call",
) -> float:
    """Return the documented speed-up of a row, computed if only latencies or iterations are given.

    Args:
        place: place of the row.
        row: facts of the row; numbers are Decimals.
        baseline: facts of the row it is compared with.
        measured: whether the table is a recorded one.
        unit: what the recipe's latencies are of. Iterations per second are those of the denoising
            loop: they say something about the speed-up of that unit only.

    Returns:
        Baseline latency over the row's.

    Raises:
        TableError: there is neither a speed-up nor figures of both rows that it follows from, they
            contradict each other, or their quotient is no positive float.
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
    quotients = list(_list_quotients(row, baseline, unit))
    slack = _allow_slack(row, measured=measured)
    if speedup is not None:
        for one in quotients:
            _check_speedup(key, speedup, one, slack)
        return float(speedup)
    if not quotients:
        raise _explain_no_speedup(place, row, baseline, unit)
    first, *others = quotients
    for other in others:
        _check_agreement(place.at("iterations_per_s"), first, other, slack)
    return _divide(key, first)


def _list_quotients(
    row: Mapping[str, Any], baseline: Mapping[str, Any], unit: Unit
) -> Iterator[_Quotient]:
    ours, theirs = row.get("latency_s"), baseline.get("latency_s")
    if ours is not None and theirs is not None:
        yield _Quotient("latencies", "s", theirs, ours)
    ours, theirs = row.get("iterations_per_s"), baseline.get("iterations_per_s")
    if unit == "denoising" and ours is not None and theirs is not None:
        yield _Quotient("iterations per second", "it/s", ours, theirs)


def _explain_no_speedup(
    place: TomlPath, row: Mapping[str, Any], baseline: Mapping[str, Any], unit: Unit
) -> Exception:
    if unit != "denoising" and "iterations_per_s" in row and "iterations_per_s" in baseline:
        return place.at("iterations_per_s").error(
            "iterations per second are those of the denoising loop, and say nothing about the"
            f' speed-up of a {unit!r}, which is this recipe\'s unit; valid: unit = "denoising" in'
            " the recipe, or beside them speedup, or latency_s both here and on the baseline row"
            f" {baseline['setup']!r}"
        )
    iterations = ", or iterations_per_s on both" if unit == "denoising" else ""
    return place.at("speedup").error(
        "missing; valid: speedup, or latency_s both here and on the baseline row"
        f" {baseline['setup']!r}{iterations}"
    )


def _divide(key: TomlPath, quotient: _Quotient) -> float:
    computed = float(quotient.over) / float(quotient.under)
    if not 0 < computed < math.inf:
        raise key.error(
            f"{quotient} is {computed} as a float; valid: {quotient.what} whose quotient is above 0"
            " and finite"
        )
    return computed


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


def check_memory(
    place: TomlPath, row: Mapping[str, Any], baseline: Mapping[str, Any], *, measured: bool
) -> None:
    """Check a row's documented memory against its bounds and its baseline's.

    A recorded table keeps the bounds of the documented one beside figures of another device: of its
    own figures only those that were measured together are compared.

    Args:
        place: place of the row.
        row: facts of the row; numbers are Decimals.
        baseline: facts of the row it is compared with.
        measured: whether the table is a recorded one.

    Raises:
        TableError: more memory is documented after loading than at the peak, or the documented
            peaks break the row's own bound.
    """
    peak, loaded = row.get("memory_gb"), row.get("load_gb")
    if peak is not None and loaded is not None and _exceeds(loaded, peak):
        raise place.at("load_gb").error(
            f"{loaded} is more than memory_gb {peak}, and a peak is no less than what is held after"
            " loading; valid: load_gb <= memory_gb"
        )
    theirs, share = baseline.get("memory_gb"), row.get("memory")
    if measured or peak is None or theirs is None or share is None:
        return
    found = _Quotient("peaks", "GB", peak, theirs)
    if found.low > share:
        raise place.at("memory").error(
            f"{share} contradicts the documented peaks: {found} is {peak / theirs:.3f}; valid: at"
            " least that, or leave it out"
        )


def check_slower(
    place: TomlPath,
    row: Mapping[str, Any],
    baseline: Mapping[str, Any],
    speedup: float,
    *,
    measured: bool,
) -> None:
    """Check that a row promises something: speed, or, if it is slower, memory.

    A source may publish a row that gives neither, as a warning: its notes say so, and its figures
    are held like any other's. What was measured on another device may come out on either side of
    1: a recorded row needs a promise of memory only.

    Args:
        place: place of the row.
        row: facts of the row; numbers are Decimals.
        baseline: facts of the row it is compared with.
        speedup: the row's speed-up.
        measured: whether the table is a recorded one.

    Raises:
        TableError: ``slower`` without a promise of memory or notes, with a speed-up above 1 or
            with no less memory than the baseline; or a row that is slower by more than its
            tolerance without it.
    """
    key = place.at("slower")
    if not row.get("slower"):
        if not measured and Decimal(repr(speedup)) < 1 - row["tolerance"]:
            raise place.at("speedup").error(
                f"x{speedup:.4g}: slower than its baseline {baseline['setup']!r} by more than its"
                " tolerance; valid: slower = true, with memory or memory_gb, if it promises memory"
                " and costs time, or with notes that say why it is published; else check which of"
                " the two figures is the baseline's"
            )
        return
    if row is baseline:
        raise key.error("a baseline row is what the others are compared with; valid: leave it out")
    if not row.get("notes"):
        _check_promise(place, row)
    if measured:
        return
    if speedup > 1:
        raise key.error(
            f"x{speedup:.4g} is faster than the baseline {baseline['setup']!r}; valid: with a"
            " speed-up of at most 1, or leave it out"
        )
    peak, theirs = row.get("memory_gb"), baseline.get("memory_gb")
    if not row.get("notes") and peak is not None and theirs is not None and peak >= theirs:
        raise place.at("memory_gb").error(
            f"{peak} is no less than the {theirs} of the baseline {baseline['setup']!r}, and a row"
            " that is slower promises memory; valid: a figure below, slower left out, or notes that"
            " say why it is published"
        )


def _check_promise(place: TomlPath, row: Mapping[str, Any]) -> None:
    """Check that a row promises less memory than its baseline needs."""
    if "memory" not in row and "memory_gb" not in row:
        raise place.at("slower").error(
            "a row that may be slower promises memory, and this one has no figure of it; valid:"
            " beside it memory, a share of the baseline's peak, or memory_gb, or notes that say why"
            " it is published"
        )
    share = row.get("memory")
    if share is not None and share >= 1 and "memory_gb" not in row:
        raise place.at("memory").error(
            f"{share} allows no less than the baseline's peak, and a row that may be slower"
            " promises memory; valid: below 1, memory_gb beside it, or slower left out"
        )


def _allow_slack(row: Mapping[str, Any], *, measured: bool) -> Decimal:
    """Return the relative disagreement that is not a contradiction.

    A recorded speed-up is estimated from paired blocks, a recorded latency is a median over slots.
    The quotient of two medians differs from the estimate by noise, which the row's tolerance
    bounds.
    """
    return max(row["tolerance"], Decimal(str(DEFAULT_TOLERANCE))) if measured else _ROUNDING


def _check_speedup(key: TomlPath, speedup: Decimal, quotient: _Quotient, slack: Decimal) -> None:
    """Compare intervals: each figure stands for all numbers that round to it as it was written.

    With half units h of the last written places, the speed-up s contradicts a quotient of the
    figures a and b if [s - h, s + h] lies outside of
    [(a - h) / (b + h) (1 - slack), (a + h) / (b - h) (1 + slack)].
    """
    half = _find_half_unit(speedup)
    low, high = quotient.low * (1 - slack), quotient.high * (1 + slack)
    if speedup + half < low or speedup - half > high:
        places = min(max(2, -int(speedup.as_tuple().exponent)) + 1, 17)
        raise key.error(
            f"{speedup} contradicts the {quotient.what}: {quotient} is"
            f" {quotient.over / quotient.under:.{places}f}; valid: {low:.{places}f} to"
            f" {high:.{places}f}, or leave it out"
        )


def _check_agreement(key: TomlPath, one: _Quotient, other: _Quotient, slack: Decimal) -> None:
    if one.low * (1 - slack) > other.high * (1 + slack) or (
        one.high * (1 + slack) < other.low * (1 - slack)
    ):
        raise key.error(
            f"the {other.what} contradict the {one.what}: {other} is"
            f" {other.over / other.under:.4g}, {one} is {one.over / one.under:.4g}; valid: figures"
            " that agree as they are rounded, or one of the two"
        )


def _exceeds(one: Decimal, other: Decimal) -> bool:
    """Tell whether a figure is above another, however both were rounded."""
    return one - _find_half_unit(one) > other + _find_half_unit(other)


def _find_half_unit(number: Decimal) -> Decimal:
    """Return half a unit of a number's last written place: 0.005 for 1.50."""
    return Decimal(1).scaleb(int(number.as_tuple().exponent)) / 2
