"""What is said of a run's total budget: before it begins, and at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.report.row_tally import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence


def describe_prospect(total_s: float, campaigns: int, fitting_s: Sequence[float]) -> str:
    """Describe what a budget is expected to have time for.

    Args:
        total_s: the budget, seconds.
        campaigns: campaigns that fit the device.
        fitting_s: estimated seconds of those that have time.
    """
    return (
        f"sd total budget: {format_duration(total_s)}, for {len(fitting_s)} of {campaigns}"
        f" campaigns, which take about {format_duration(sum(fitting_s))}; the cheapest come first"
    )


def format_left_out(
    total_s: float,
    spent_s: float,
    measured: int,
    left_out: Sequence[tuple[str, str, Sequence[str], float]],
) -> list[str]:
    """Format what became of a budget.

    Args:
        total_s: the budget, seconds.
        spent_s: seconds of the run.
        measured: campaigns that had time.
        left_out: table, baseline, rows and estimated seconds of each campaign that had none.
    """
    over = "" if spent_s <= total_s else ", more than that: a campaign that was begun is ended"
    first = (
        f"sd total budget: {format_duration(spent_s)} of {format_duration(total_s)}{over}:"
        f" {measured} campaign{'s' * (measured != 1)} measured, {len(left_out)} left out"
    )
    return [
        first,
        *(
            f"left out: {table} against {baseline}, {len(rows)} row{'s' * (len(rows) != 1)}, about"
            f" {format_duration(seconds)}"
            for table, baseline, rows, seconds in sorted(left_out, key=lambda one: one[3])
        ),
    ]
