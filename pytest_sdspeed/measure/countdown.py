"""What a time limit leaves a campaign, which ends at its last whole block before it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import TimeLimitError
from pytest_sdspeed.judge.speed import stopping

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.measure.campaign_data import Limits
    from pytest_sdspeed.measure.clock import Clock
    from pytest_sdspeed.measure.time_limit import TimeLimit

_PROFILE_GENERATIONS = 6
"""Generations of an arm that its profile is expected to take at most."""


class Countdown:
    """What is left for a campaign of its test's time limit.

    Args:
        limit: the limit, or None.
        clock: the clock of the campaign, which begins now.
    """

    def __init__(self, limit: TimeLimit | None, clock: Clock) -> None:
        self.limit, self._clock = limit, clock
        self._begun = clock.now() if limit else 0.0
        self._generated_s: float | None = None
        self._fastest_s, self._warmed = math.inf, 0

    @property
    def spent_s(self) -> float:
        """Seconds since the campaign began."""
        return self._clock.now() - self._begun

    @property
    def left_s(self) -> float:
        """Seconds that are left; infinite without a limit."""
        return self.limit.left_s - self.spent_s if self.limit else math.inf

    def note_generation(self, arms: int, cases: int) -> None:
        """Note that a generation of the warm-up begins.

        Args:
            arms: arms of the campaign.
            cases: what each of them draws in the warm-up.

        Raises:
            TimeLimitError: there is no time for one more, and nothing was timed.
        """
        if self.limit is None:
            return
        now = self._clock.now()
        if self._generated_s is not None:
            self._fastest_s = min(self._fastest_s, now - self._generated_s)
        self._generated_s = now
        fastest_s = self._fastest_s if math.isfinite(self._fastest_s) else self.spent_s
        if self.left_s <= (fastest_s if self._warmed else 0.0):
            still = (arms * cases - self._warmed) + stopping.first_look() * (2 * arms + 2)
            raise self._too_short("warm-up", still * fastest_s)
        self._warmed += 1

    def check_building(self) -> None:
        """Check that building has not taken all of the time.

        Raises:
            TimeLimitError: it has.
        """
        if self.left_s <= 0:
            raise self._too_short("building", 2 * self.spent_s)

    def fit(self, limits: Limits, block_s: float, after_s: float) -> Limits:
        """Return limits with a budget that ends before the time limit.

        Args:
            limits: what the campaign may spend without it.
            block_s: seconds that a block is expected to take.
            after_s: seconds to leave for what follows the blocks.

        Raises:
            TimeLimitError: not even the blocks of the first look have time.
        """
        left_s = self.left_s - after_s
        blocks = min(stopping.first_look(), limits.max_blocks)
        if left_s < blocks * block_s:
            raise self._too_short(f"its first {blocks} blocks", blocks * block_s + after_s)
        return replace(limits, budget_s=min(limits.budget_s, left_s))

    def allows_profiles(self, costs_s: Mapping[str, float]) -> bool:
        """Tell whether there is time to profile the arms."""
        return self.left_s > _PROFILE_GENERATIONS * sum(costs_s.values())

    def describe_need(self, more_s: float) -> str:
        """Say what to set so that so many seconds more would be left; "" without a limit."""
        if self.limit is None:
            return ""
        return f"set {self.limit.name} to {self._need_s(more_s):.0f} or more"

    def _too_short(self, phase: str, more_s: float) -> TimeLimitError:
        assert self.limit is not None  # noqa: S101 - without one nothing is too short
        return TimeLimitError(
            f"{self.limit.name} ends this test after {self.limit.seconds:g} s, which is too short"
            f" for {phase}: nothing was timed. One test of a table measures the whole campaign, the"
            f" others share it: {self.describe_need(more_s)}",
            self.limit.seconds,
        )

    def _need_s(self, more_s: float) -> float:
        """Return the limit that would leave so many seconds more, with a fifth to spare."""
        assert self.limit is not None  # noqa: S101 - as above
        before_s = self.limit.seconds - self.limit.left_s
        return math.ceil(1.2 * (before_s + self.spent_s + more_s))
