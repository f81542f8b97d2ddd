"""Columns on what a row costs beside its time: memory, starting, compiling."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_sdspeed.model import Result

_GIB, _MIB = 2**30, 2**20


class CostColumn(NamedTuple):
    """One column.

    Attributes:
        name: what it is called.
        figure: figure of a result that it shows.
        format: makes its cell.
    """

    name: str
    figure: str
    format: Callable[[Result], str]


def list_cost_columns(results: Sequence[Result]) -> tuple[CostColumn, ...]:
    """List the columns of a campaign's table: of what its table documents of any row."""
    documented = {figure for result in results for figure in result.documented_costs}
    return tuple(column for column in _COLUMNS if column.figure in documented)


def list_known_columns(results: Sequence[Result]) -> tuple[CostColumn, ...]:
    """List the columns of what is documented of any row, or measured on a device that tells it."""
    documented = list_cost_columns(results)
    told = any(result.peak_reserved_bytes is not None for result in results)
    return tuple(
        column
        for column in _COLUMNS
        if column in documented or (told and column.figure in _ALWAYS_TOLD)
    )


def format_sizes(result: Result, figure: str, reserved: str) -> str:
    """Format ``4.90 of 5.25 GiB (5.60 reserved)``: measured, the most that passes, and reserved.

    Args:
        result: result of a row.
        figure: figure of the allocated bytes.
        reserved: figure of the reserved bytes.
    """
    size, most = getattr(result, figure), result.cost_bounds.get(figure)
    if size is None:
        return ""
    taken = getattr(result, reserved)
    unit, name = (_GIB, "GiB") if max(size, most or 0) >= _GIB else (_MIB, "MiB")
    of = f" of {most / unit:.2f}" if most else ""
    return f"{size / unit:.2f}{of} {name}" + (f" ({taken / unit:.2f} reserved)" if taken else "")


def _format_seconds(figure: str) -> Callable[[Result], str]:
    def write(result: Result) -> str:
        seconds, most = getattr(result, figure), result.cost_bounds.get(figure)
        of = f" of {most:.2f}" if most else ""
        return "" if seconds is None else f"{seconds:.2f}{of} s"

    return write


def _format_rate(result: Result) -> str:
    rate = result.iterations_per_s
    return "" if rate is None else f"{rate:.3g} it/s"


def _format_count(result: Result) -> str:
    count = result.recompilations
    return "" if count is None else f"{count}"


_COLUMNS = (
    CostColumn(
        "memory",
        "peak_memory_bytes",
        lambda result: format_sizes(result, "peak_memory_bytes", "peak_reserved_bytes"),
    ),
    CostColumn(
        "loaded",
        "load_memory_bytes",
        lambda result: format_sizes(result, "load_memory_bytes", "load_reserved_bytes"),
    ),
    CostColumn("iterations", "iterations_per_s", _format_rate),
    CostColumn("first picture", "first_s", _format_seconds("first_s")),
    CostColumn("compile", "compile_s", _format_seconds("compile_s")),
    CostColumn("warm compile", "warm_compile_s", _format_seconds("warm_compile_s")),
    CostColumn("recompilations", "recompilations", _format_count),
)
_ALWAYS_TOLD = ("peak_memory_bytes", "load_memory_bytes")
