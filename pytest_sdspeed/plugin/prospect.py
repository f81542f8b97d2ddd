"""What a run is expected to cost, said before its first test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.plugin.requests import plan_of
from pytest_sdspeed.plugin.state import (
    ANSWER,
    COLD,
    PROBLEMS,
    is_gated,
    is_timed,
    measures_nothing,
    run_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from pytest_sdspeed.setups.catalog import ResolvedSetup


def describe_run(config: pytest.Config, items: Iterable[pytest.Item]) -> str:
    """Describe what the tests of a run will cost; "" if nothing is known of it.

    Nothing is said by a worker of pytest-xdist or its controller, none of which knows what the
    others measure on, nor of a comparison of versions, whose calls no page times.
    """
    gated = [item for item in items if is_gated(item)]
    silent = (
        not gated
        or config.stash[PROBLEMS]
        or config.option.collectonly
        or config.get_verbosity() < 0
        or hasattr(config, "workerinput")
        or getattr(config.option, "dist", "no") != "no"
        or ANSWER in config.stash
        or COLD in config.stash
        or measures_nothing(config)
    )
    if silent:
        return ""
    run = run_of(config)
    options = run.options
    if options.rehearses or options.against is not None or run.plan.total is not None:
        return ""
    from pytest_sdspeed.report.prospect import describe_prospect
    from pytest_sdspeed.run.estimates import BLOCKS
    from pytest_sdspeed.run.prospects import estimate_run

    try:
        asked = [row for row in _list_rows(gated) if options.measures(on_cpu=row.table.on_cpu)]
        estimates = estimate_run(run.session, asked)[0] if asked else ()
    except Exception:  # noqa: BLE001 - a wrong marker, or a user's setup: the test that asks says what is wrong
        return ""
    if not estimates:
        return ""
    return describe_prospect(
        [
            (
                one.total_s if one.is_known else None,
                one.find_most_s(
                    options.budget_s,
                    options.max_staged_blocks if one.by_stages else options.max_blocks,
                ),
                one.timed_s / one.call_s,
            )
            for one in estimates
        ],
        rows=sum(len(one.rows) for one in estimates),
        by_stages=sum(one.by_stages for one in estimates),
        blocks=BLOCKS,
    )


def _list_rows(items: Iterable[pytest.Item]) -> Iterable[ResolvedSetup]:
    """Yield the rows of tables that tests and claims measure in the campaigns of the tables."""
    for item in items:
        plan = plan_of(item)
        if plan.claim is not None and plan.claim.is_measured:
            yield from plan.claim.rows
        elif is_timed(item) and plan.marker.is_documented:
            yield from (row for row in plan.setups if row.row is not None)
