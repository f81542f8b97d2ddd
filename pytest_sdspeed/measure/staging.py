"""Calls that are measured by stages: a whole one in the warm-up, and then many that take turns."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pytest_sdspeed.errors import UnstageableError
from pytest_sdspeed.judge.speed.put_together import (
    Sampling,
    choose_sampling,
    cut_short,
    find_other_end,
    keep_faster,
    may_be_disturbed,
)
from pytest_sdspeed.measure.turns import count_turns, split_into_turns
from pytest_sdspeed.model.stages import CASTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.measure.campaign_data import Arm
    from pytest_sdspeed.measure.roster import Roster
    from pytest_sdspeed.model import Case
    from pytest_sdspeed.model.stages import StagedCall, Stages, StageTime

AUTO_S = 1.0
"""Seconds of a call of the baseline from which on ``auto`` measures by stages."""

MORE_DRAWS = 2
"""Whole calls that are drawn by stages beside the first if only its clock says that its steps are
not alike. To measure all of them takes seven times as long."""

_BY_CALLS = "call"


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedPlan:
    """How a campaign measures by stages.

    Attributes:
        sampling: how many of the denoising steps of a call.
        costs_s: arm -> seconds of one call as far as it is measured.
        turns: arm -> how many parts each turn of its call has.
    """

    sampling: Sampling
    costs_s: Mapping[str, float] = field(default_factory=dict)
    turns: Mapping[str, Sequence[int]] = field(default_factory=dict)


class Staging:
    """Calls arms by stages, as far as they can be.

    Args:
        unit: ``stage``, ``auto`` or ``call``.
        main: what the timed slots draw.

    Attributes:
        refused: why whole calls are measured although stages were asked for, or "".
    """

    def __init__(self, unit: str, main: Case) -> None:
        self.refused = ""
        self._unit, self._main = unit, main
        self._stages: dict[str, Stages] = {}
        self._whole: dict[str, list[StageTime]] = {}
        self._fastest_s = math.inf

    def note(self, seconds: float) -> None:
        """Note how long a whole call took; the first ones are the baseline's."""
        self._fastest_s = min(self._fastest_s, seconds)

    def draws(self, case: Case) -> bool:
        """Tell whether the warm-up draws a case by stages, which ``auto`` is settled for then."""
        if self.refused or case != self._main:
            return False
        if self._unit == "auto":
            self._unit = "stage" if self._fastest_s >= AUTO_S else _BY_CALLS
        return self._unit == "stage"

    def draw(self, arm: Arm, case: Case) -> tuple[Any, float]:
        """Draw a whole call by stages, for its pictures, and for what its stages take.

        Returns:
            Pictures, and the seconds of all stages.

        Raises:
            UnstageableError: the arm cannot be called by stages.
        """
        if arm.stages is None:
            raise UnstageableError(f"{arm.name} is no pipeline whose stages are known")
        stages = arm.stages()
        pictures, parts = _draw_whole(stages, case)
        seconds = sum(part.seconds for part in parts)
        for _ in range(MORE_DRAWS):
            if may_be_disturbed(parts):
                parts = keep_faster(parts, _draw_whole(stages, case)[1])
        self._stages[arm.name], self._whole[arm.name] = stages, parts
        return pictures, seconds

    def refuse(self, why: str) -> None:
        """Measure whole calls of all arms."""
        self.refused = self.refused or why

    def plan(self, roster: Roster) -> StagedPlan | None:
        """Plan the calls of the arms that are left; None if they are measured as a whole."""
        arms = [arm.name for arm in roster.remaining]
        if self._unit != "stage" or self.refused:
            return None
        own = {name: choose_sampling(self._whole[name], self._stages[name].uneven) for name in arms}
        steps = {one.steps for one in own.values()}
        if len(steps) > 1:
            self.refuse(
                "denoising steps cannot be paired: "
                + ", ".join(f"{name} takes {own[name].steps}" for name in arms)
            )
            return None
        why = self._find_conflict(roster.baseline.name, arms)
        if why:
            self.refuse(why)
            return None
        most = max(own, key=lambda name: own[name].sampled)
        why = own[most].why and f"{most}: {own[most].why}"
        sampling = own[most]._replace(why=why)
        return self._plan(arms, sampling)

    def plan_all_steps(self, plan: StagedPlan, why: str) -> StagedPlan:
        """Plan to measure all denoising steps of every call.

        Args:
            plan: the plan so far.
            why: why those of it do not do.
        """
        steps = plan.sampling.steps
        return self._plan(list(plan.costs_s), Sampling(steps, steps, why))

    def _plan(self, arms: Sequence[str], sampling: Sampling) -> StagedPlan:
        wholes = {name: self._whole[name] for name in arms}
        turns = count_turns(wholes.values(), sampling.sampled)
        return StagedPlan(
            sampling=sampling,
            costs_s={name: _estimate_cost(whole, sampling) for name, whole in wholes.items()},
            turns={
                name: split_into_turns(cut_short(whole, sampling), turns)
                for name, whole in wholes.items()
            },
        )

    def _find_conflict(self, baseline: str, arms: Sequence[str]) -> str:
        """Say why the calls of these arms cannot take turns, or return ""."""
        alone = self._stages[baseline].alone
        if alone:
            return f"two calls of {baseline} cannot take turns: {alone}"
        casting = [name for name in arms if self._stages[name].casts]
        if len(casting) > 1:
            return f"{' and '.join(casting)} cannot take turns: {CASTS}"
        return ""

    def describe_unlike(self, arm: Arm, parts: Sequence[StageTime], sampling: Sampling) -> str:
        """Say in what the parts of a call are unlike those of the whole call, or return "".

        Args:
            arm: whose call it was.
            parts: what it took.
            sampling: how many of its denoising steps were wanted.
        """
        wanted = cut_short(self._whole[arm.name], sampling)
        if [(part.stage, part.work) for part in parts] == [(one.stage, one.work) for one in wanted]:
            return ""
        return (
            f"a call of {arm.name} that ends after {sampling.sampled} of {sampling.steps} steps has"
            f" other stages than the first of a whole one: {_list(parts)} instead of"
            f" {_list(wanted)}"
        )

    def describe_other_end(self, arm: Arm, parts: Sequence[StageTime]) -> str:
        """Say why the last step of a call is another one than that of the whole call, or "".

        Args:
            arm: whose call it was.
            parts: what it took.
        """
        other = find_other_end(self._whole[arm.name], parts)
        return other and f"{arm.name}: {other}"

    def call(self, arm: Arm, steps: int | None, *, control: bool) -> StagedCall:
        """Begin a call that takes turns with others."""
        return self._stages[arm.name].call(self._main, steps, int(control))

    def close(self) -> None:
        """Measure no more by stages, and forget what the calls left."""
        self._stages.clear()
        self._unit = _BY_CALLS


def _draw_whole(stages: Stages, case: Case) -> tuple[Any, list[StageTime]]:
    """Return the pictures of a whole call, and what each of its parts took."""
    call = stages.call(case, None, 0)
    try:
        parts = call.take_turn(sys.maxsize)
    finally:
        call.close()
    return call.pictures, parts


def _list(parts: Sequence[StageTime]) -> str:
    """List the stages of a call."""
    runs = [(stage, len(list(run))) for stage, run in groupby(part.stage for part in parts)]
    return ", ".join(f"{count} {stage}" for stage, count in runs)


def _estimate_cost(whole: Sequence[StageTime], sampling: Sampling) -> float:
    """Return the seconds of a call of which only some of the steps are measured."""
    steps = [part.seconds for part in whole if part.is_step]
    others = sum(part.seconds for part in whole if not part.is_step)
    return others + sum(steps[: sampling.sampled])
