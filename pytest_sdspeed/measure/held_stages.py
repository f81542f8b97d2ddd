"""What the looks of a campaign decide about single stages, of rows with a floor for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.judge.speed.stage_floors import StageVerdict, choose_held, judge_stages
from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.measure.campaign_data import Decision
    from pytest_sdspeed.measure.roster import Roster

_FEW_BLOCKS = 6
"""So few blocks say little of the noise: a stage is given them, whatever it seems to need."""
_LEAST_BLOCKS, _TIMES = 8, 2
"""Blocks that stages may take in all: the least, and how many times those of the call."""

StageSamples = dict[str, dict[str, list[tuple[float, float]]]]


class HeldStages:
    """Judges the stages of the arms that have a floor for each, at the looks of the rows.

    Args:
        roster: the arms.
        samples: arm -> stage -> [first, second] call of every block, seconds; read at every look,
            and empty if slots are whole calls.
        rows: how many rows of the whole run have stages that are held.

    Attributes:
        verdicts: arm -> stage -> what is known of it; of the stages that are held.
        allowance: by which fraction intervals are widened, for a bias that nobody sees.
    """

    def __init__(self, roster: Roster, samples: StageSamples, rows: int = 1) -> None:
        self.verdicts: dict[str, dict[str, StageVerdict]] = {}
        self.allowance = 0.0
        self._roster, self._samples, self._rows = roster, samples, max(1, rows)
        self._planned = 0

    def look(self, planned_blocks: int) -> None:
        """Judge the stages of all rows that are still measured.

        Args:
            planned_blocks: how many blocks the budget allows.
        """
        self._planned = planned_blocks
        for name, arm in self._roster.active.items():
            if arm.stage_floor is not None and name in self._samples:
                self._judge(name, arm.stage_floor)

    def needs_more(self, decided: Mapping[str, Decision]) -> bool:
        """Tell whether a row whose call passed is measured on for an undecided stage.

        All arms are, for as long as its blocks are few, and then as long as the noise promises a
        decision within ``_TIMES`` the blocks that its call took. A row that fails in any case is
        not.

        Args:
            decided: row -> what was decided about its calls.
        """
        return any(
            self._is_open(found, decided[name].blocks)
            for name, found in self.verdicts.items()
            if name in self._roster.active and name in decided and decided[name].verdict == "pass"
        )

    def _is_open(self, found: Mapping[str, StageVerdict], blocks: int) -> bool:
        if any(one.verdict == "fail" for one in found.values()):
            return False
        most = min(self._planned, max(_LEAST_BLOCKS, _TIMES * blocks))
        return any(
            one.blocks < most
            and (one.blocks < _FEW_BLOCKS or (one.needed is not None and one.needed <= most))
            for one in found.values()
            if one.verdict == "inconclusive"
        )

    def _judge(self, name: str, floor: float) -> None:
        own = self._samples[name]
        kinds = [self._samples[arm] for arm in (self._roster.baseline.name, CONTROL)]
        theirs = {stage: [kind[stage] for kind in kinds] for stage in kinds[0]}
        before: Mapping[str, StageVerdict] = self.verdicts.get(name, {})
        held = list(before) or choose_held(theirs, own)
        self.verdicts[name] = judge_stages(
            theirs,
            own,
            floor,
            held=held,
            rows=self._rows,
            allowance=self.allowance,
            before=before,
        )
