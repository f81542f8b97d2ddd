"""The total budget of a run: in which order campaigns are measured, and which have no time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pytest_sdspeed.model import CampaignKey
    from pytest_sdspeed.run.estimates import CampaignEstimate
    from pytest_sdspeed.setups.catalog import ResolvedSetup

OPTION = "--sd-total-budget"


def order_campaigns(estimates: Iterable[CampaignEstimate]) -> tuple[CampaignEstimate, ...]:
    """Order campaigns: those of the same weights one after the other, the cheapest first.

    Groups of the same weights come by the mean cost of their campaigns, which lets the most
    campaigns end early (Smith's rule: W. E. Smith, "Various optimizers for single-stage
    production", 1956, with each campaign of the same worth), and in a group by their own.
    """
    groups: dict[tuple[str, str, str], list[CampaignEstimate]] = {}
    for one in estimates:
        groups.setdefault(one.weights, []).append(one)
    ordered = sorted(groups.values(), key=lambda group: sum(map(_cost, group)) / len(group))
    return tuple(one for group in ordered for one in sorted(group, key=_cost))


def _cost(estimate: CampaignEstimate) -> float:
    return estimate.total_s


def choose_fitting(
    ordered: Iterable[CampaignEstimate], left_s: float
) -> tuple[CampaignEstimate, ...]:
    """Choose, in their order, the campaigns that fit the time that is left."""
    chosen = []
    for one in ordered:
        if one.total_s <= left_s:
            chosen.append(one)
            left_s -= one.total_s
    return tuple(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A campaign that had no time.

    Attributes:
        estimate: what it would have cost.
        left_s: seconds that were left.
    """

    estimate: CampaignEstimate
    left_s: float


class TotalBudget:
    """What a run may spend in all, and which campaigns that has no time for.

    A campaign is admitted when its first test asks, if its estimate fits what is left by then. It
    may spend, on more blocks than are estimated, what the campaigns after it are not expected to
    need.

    Args:
        total_s: seconds of the run, from ``begin`` on.
        ordered: the campaigns in their order.
        misfits: campaign and setup -> why it does not fit the device.
        now: returns seconds.
    """

    def __init__(
        self,
        total_s: float,
        ordered: Sequence[CampaignEstimate],
        misfits: Mapping[tuple[CampaignKey, str], str],
        now: Callable[[], float],
    ) -> None:
        self.total_s, self.ordered = total_s, tuple(ordered)
        self._misfits, self._now, self._begun = misfits, now, now()
        self._estimates = {one.key: one for one in ordered}
        self._admitted: set[CampaignKey] = set()
        self.left_out: dict[CampaignKey, LeftOut] = {}

    def begin(self) -> None:
        """Let the time run from now on."""
        self._begun = self._now()

    @property
    def spent_s(self) -> float:
        """Seconds since it began."""
        return self._now() - self._begun

    @property
    def left_s(self) -> float:
        """Seconds that are left; less than 0 if the last campaign took longer."""
        return self.total_s - self.spent_s

    def explain_misfit(self, resolved: ResolvedSetup) -> str | None:
        """Say why a row does not fit the device, or return None."""
        return self._misfits.get((resolved.campaign, resolved.setup))

    def refuse(self, resolved: ResolvedSetup) -> str | None:
        """Say why a row is not measured: it does not fit, or there is no time; or return None."""
        key = resolved.campaign
        misfit = self.explain_misfit(resolved)
        if misfit is not None or key in self._admitted:
            return misfit
        estimate, left_s = self._estimates.get(key), self.left_s
        fits = left_s > 0 if estimate is None else estimate.total_s <= left_s
        if fits and key not in self.left_out:
            self._admitted.add(key)
            return None
        if estimate is None:
            return self.explain_nothing_left()
        left = self.left_out.setdefault(key, LeftOut(estimate=estimate, left_s=left_s))
        return (
            f"left out: {OPTION}: its campaign takes about {left.estimate.total_s:.0f} s, and"
            f" {max(0.0, left.left_s):.0f} s of {self.total_s:g} s were left"
        )

    def cut(self, budget_s: float, key: CampaignKey | None) -> float:
        """Cut a campaign's own budget to what the total leaves it.

        Args:
            budget_s: its own budget, seconds of its timed part.
            key: the campaign, or None for one of callables, whose cost is unknown.

        Raises:
            UnsupportedError: nothing is left.
        """
        estimate, left_s = self._estimates.get(key) if key else None, self.left_s
        if left_s <= 0:
            raise UnsupportedError(self.explain_nothing_left())
        if estimate is None:
            return min(budget_s, left_s)
        free_s = left_s - estimate.total_s
        later_s = sum(map(_cost, choose_fitting(self._list_undecided(), free_s)))
        return min(budget_s, left_s, estimate.timed_s + max(0.0, free_s - later_s))

    def _list_undecided(self) -> list[CampaignEstimate]:
        decided = self._admitted | self.left_out.keys()
        return [one for one in self.ordered if one.key not in decided]

    def explain_nothing_left(self) -> str:
        """Say that no time is left."""
        return f"left out: {OPTION}: nothing of {self.total_s:g} s is left"

    @property
    def measured(self) -> int:
        """Count the campaigns that were admitted."""
        return len(self._admitted)
