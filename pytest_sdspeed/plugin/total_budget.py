"""``--sd-total-budget``: the order of the tests, what is left out, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_sdspeed.plugin.state import ANSWER, COLD, PLAN, claim_of, is_gated, must_ask, run_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_sdspeed.run.run import Run
    from pytest_sdspeed.run.total_budget import TotalBudget
    from pytest_sdspeed.setups.catalog import ResolvedSetup

_NAME = "sdspeed-total-budget"


def keep_total_budget(config: pytest.Config, *, distributed: bool) -> None:
    """Register what orders the tests of a run that has a total budget.

    A process that repeats a row of another run has none: the other run's budget holds.

    Raises:
        pytest.UsageError: several workers are to share it.
    """
    total_s = run_of(config).options.total_budget_s
    if total_s is None or ANSWER in config.stash or COLD in config.stash:
        return
    if distributed or hasattr(config, "workerinput"):
        raise pytest.UsageError(
            "--sd-total-budget is for one process, which knows what time is left and what comes"
            " next: run without -n, or without it and with -n"
        )
    config.pluginmanager.register(Orderer(total_s), _NAME)


class Orderer:
    """Hooks of a run that has a total budget.

    Args:
        total_s: seconds of the whole run.
    """

    def __init__(self, total_s: float) -> None:
        self._total_s = total_s

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Put the tests of campaigns in the order of the budget, behind those of no campaign."""
        run, asked = run_of(config), dict(_list_asked(items))
        wanted = [*asked.values(), *_list_compared(items)]
        total = run.plan.total = make_total_budget(run, wanted, self._total_s)
        places = {one.key: place for place, one in enumerate(total.ordered)}
        first, last = -1, len(places)

        def place_of(item: pytest.Item) -> int:
            claim = claim_of(item)
            # A claim is measured with the rows that it compares.
            resolved = claim.rows[0] if claim and claim.is_measured else asked.get(item)
            return first if resolved is None else places.get(resolved.campaign, last)

        items.sort(key=place_of)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Let the time run from here on."""
        total = run_of(session.config).plan.total
        if total is not None:
            total.begin()

    def pytest_report_collectionfinish(self, config: pytest.Config) -> str:
        """Say how many campaigns the budget is expected to have time for."""
        from pytest_sdspeed.report.total_budget import describe_prospect

        total = run_of(config).plan.total
        if total is None:
            return ""
        from pytest_sdspeed.run.total_budget import choose_fitting

        fitting = choose_fitting(total.ordered, total.total_s)
        return describe_prospect(
            total.total_s, len(total.ordered), [one.total_s for one in fitting]
        )


def make_total_budget(run: Run, asked: Iterable[ResolvedSetup], total_s: float) -> TotalBudget:
    """Make the total budget of a run of what its tests ask for.

    Args:
        run: the run.
        asked: the rows that its tests ask for.
        total_s: seconds of the whole run.
    """
    from pytest_sdspeed.measure.clock import WallClock
    from pytest_sdspeed.run.prospects import estimate_run
    from pytest_sdspeed.run.total_budget import TotalBudget, order_campaigns

    estimates, misfits = estimate_run(run.session, asked)
    clock = WallClock(lambda: None)
    return TotalBudget(total_s, order_campaigns(estimates), misfits, clock.now)


def _list_asked(items: Iterable[pytest.Item]) -> Iterable[tuple[pytest.Item, ResolvedSetup]]:
    """Yield the tests that ask for a row of a table, and nothing else, of the table's campaign."""
    from pytest_sdspeed.plugin.row_tally import find_row

    for item in items:
        row = find_row(item) if is_gated(item) and must_ask(item) else None
        if row is not None and item.stash[PLAN][1].marker.is_documented:
            yield item, row


def _list_compared(items: Iterable[pytest.Item]) -> Iterable[ResolvedSetup]:
    """Yield the rows that claims compare, which a campaign measures without tests of their own."""
    for item in items:
        claim = claim_of(item)
        if claim is not None and claim.is_measured:
            yield from claim.rows


def total_budget_lines(run: Run) -> list[str]:
    """Format what a total budget had no time for; nothing without one."""
    total = run.plan.total
    if total is None:
        return []
    from pytest_sdspeed.report.total_budget import format_left_out

    left_out = [
        (
            one.estimate.key.table or "",
            one.estimate.key.baseline,
            one.estimate.rows,
            one.estimate.total_s,
        )
        for one in total.left_out.values()
    ]
    return format_left_out(total.total_s, total.spent_s, total.measured, left_out)
