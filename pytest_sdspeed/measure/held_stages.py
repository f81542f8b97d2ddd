"""What the looks of a campaign decide about single stages, of rows with a floor for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.judge.speed.stage_floors import StageVerdict, choose_held, judge_stages
from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from pytest_sdspeed.measure.roster import Roster

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
    """

    def __init__(self, roster: Roster, samples: StageSamples, rows: int = 1) -> None:
        self.verdicts: dict[str, dict[str, StageVerdict]] = {}
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

    def needs_more(self, failed: Container[str]) -> bool:
        """Tell whether a stage of a row is undecided that the planned blocks could decide.

        All arms are measured on for its sake, but not for a row that fails in any case.

        Args:
            failed: rows whose calls are too slow.
        """
        return any(
            self._is_open(found)
            for name, found in self.verdicts.items()
            if name in self._roster.active and name not in failed
        )

    def _is_open(self, found: Mapping[str, StageVerdict]) -> bool:
        if any(one.verdict == "fail" for one in found.values()):
            return False
        needs = [one.needed for one in found.values() if one.verdict == "inconclusive"]
        return any(needed is not None and needed <= self._planned for needed in needs)

    def _judge(self, name: str, floor: float) -> None:
        own = self._samples[name]
        kinds = [self._samples[arm] for arm in (self._roster.baseline.name, CONTROL)]
        theirs = {stage: [kind[stage] for kind in kinds] for stage in kinds[0]}
        before: Mapping[str, StageVerdict] = self.verdicts.get(name, {})
        held = list(before) or choose_held(theirs, own)
        self.verdicts[name] = judge_stages(
            theirs, own, floor, held=held, rows=self._rows, before=before
        )
