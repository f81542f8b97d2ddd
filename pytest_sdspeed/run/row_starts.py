"""How new processes start with a row, if the row has a bound on that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.model.costs import START_COSTS, ColdStarts
from pytest_sdspeed.run.criteria import weights_of

if TYPE_CHECKING:
    from pytest_sdspeed.run.criteria import Criteria
    from pytest_sdspeed.run.plan import Plan
    from pytest_sdspeed.run.session import Session
    from pytest_sdspeed.setups.catalog import ResolvedSetup


def find_starts(
    resolved: ResolvedSetup | None, criteria: Criteria, plan: Plan, session: Session
) -> ColdStarts | None:
    """Measure how new processes start with a row, if it has a bound on that which holds here."""
    from pytest_sdspeed.judge.costs import find_obstacle
    from pytest_sdspeed.run.cold_starts import measure_cold_starts
    from pytest_sdspeed.run.costs import find_place

    if resolved is None or plan.start is None:
        return None
    place = find_place(criteria, session.machine, weights_of(resolved.recipe, session.options))
    if session.options.record is not None:
        # The file is to have the seconds of this device, whatever another one takes.
        place = place._replace(elsewhere=False)
    held = {
        name: bound
        for name, bound in criteria.cost_bounds.items()
        if not find_obstacle(name, place)
    }
    found = measure_cold_starts(held, plan.start, resolved.table.name, resolved.setup)
    # Bounds that do not hold here say so.
    return (
        ColdStarts({})
        if found is None and set(START_COSTS) & criteria.cost_bounds.keys()
        else found
    )
