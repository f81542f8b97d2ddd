"""What a generation costs beside its time: memory in bytes, starting, compiling."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.model.tables import Row

GIB = 2**30
MEMORY_COSTS = ("peak_memory_bytes", "load_memory_bytes")
"""Figures of a result that are bytes, and that a table may document."""
START_COSTS = ("first_s", "compile_s", "warm_compile_s")
"""Figures of a result that are seconds of a new process, and that a table may document."""
RECOMPILATIONS = "recompilations"
COSTS = (*MEMORY_COSTS, *START_COSTS, RECOMPILATIONS)


class Loaded(NamedTuple):
    """Memory after loading, bytes; None is unknown.

    Attributes:
        allocated: what the weights take.
        reserved: what torch has taken from the device for them.
    """

    allocated: int | None = None
    reserved: int | None = None


class ColdStarts(NamedTuple):
    """What new processes took to start with a row.

    Attributes:
        seconds: figure of ``START_COSTS`` -> what each process took, in order.
        error: why there are no more of them, or "".
    """

    seconds: Mapping[str, Sequence[float]]
    error: str = ""


def list_documented_costs(row: Row) -> dict[str, float]:
    """List what a row documents of its costs, and its rate: figure of a result -> its value."""
    documented = {
        "peak_memory_bytes": _to_bytes(row.memory_gb),
        "load_memory_bytes": _to_bytes(row.load_gb),
        "first_s": row.first_s,
        "compile_s": row.compile_s,
        "warm_compile_s": row.warm_compile_s,
        RECOMPILATIONS: row.account.get(RECOMPILATIONS),
        "iterations_per_s": row.iterations_per_s,
    }
    return {name: float(value) for name, value in documented.items() if value is not None}


def find_cost_bounds(documented: Mapping[str, float], tolerance: float) -> dict[str, float]:
    """Find the most that passes of each cost: figure of a result -> its bound.

    Args:
        documented: what is documented.
        tolerance: fraction by which bytes and seconds may be more; a count may not.
    """
    return {
        name: value if name == RECOMPILATIONS else value * (1 + tolerance)
        for name, value in documented.items()
        if name in COSTS
    }


def _to_bytes(gib: float | None) -> float | None:
    return None if gib is None else gib * GIB
