"""What the looks of a campaign decide about its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.errors import ThrottledError
from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.judge.speed.blocks import latencies
from pytest_sdspeed.measure.campaign_data import Arm, Decision
from pytest_sdspeed.measure.contrasts import Contrasts, Samples, as_undecided, withstands
from pytest_sdspeed.measure.held_stages import HeldStages
from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.measure.roster import Roster
    from pytest_sdspeed.model import Interval


class Decisions:
    """Decides rows at looks, and lets those that are decided leave.

    Attributes:
        samples: arm -> [first, second] slot of every block, seconds.
        decided: row -> what the last look decided about it.
        family_size: how many rows share the error of "fail".
        allowance: by which fraction intervals are widened, for a bias that nobody sees.
        contrasts: decides the ratios of two rows that claims compare.
        stages: judges the stages of the rows that are held to a floor in each.
    """

    def __init__(
        self,
        roster: Roster,
        samples: Samples,
        rows: int,
        campaigns: int = 1,
        *,
        contrasts: Contrasts | None = None,
        stages: HeldStages | None = None,
    ) -> None:
        """Begin without a decision.

        Args:
            roster: the rows to decide.
            samples: read at every look.
            rows: how many rows of the whole run could still fail.
            campaigns: how many campaigns of the run share the error of the A/A control.
            contrasts: decides the ratios of two rows; None if no claim compares any.
            stages: judges single stages; None if none is held.
        """
        floors = sum(row.floor is not None for row in roster.active.values())
        self.samples, self.decided = samples, dict[str, Decision]()
        self.family_size = max(rows, floors, 1)
        self.allowance = 0.0
        self.contrasts = contrasts or Contrasts((), roster, samples)
        self.stages = stages or HeldStages(roster, {})
        self._roster, self._failed, self._campaigns = roster, set[str](), campaigns
        self._kept: set[str] = set()

    def widen(self, allowance: float) -> None:
        """Widen all intervals by a fraction, those of contrasts and of stages as well."""
        self.allowance = self.contrasts.allowance = self.stages.allowance = allowance

    def look(self, blocks: int, planned_blocks: int) -> None:
        """Decide what can be decided after so many blocks.

        Holm's step-down procedure (1979): a row that fails gives its share of the error to the
        others, which are then asked again.

        A row is not decided while the bias that the A/A control shows could turn its verdict: more
        blocks tell whether the control broke by chance. If it is a row that left before, the others
        are decided, and measured on for its sake.

        A row that is decided, and that an open contrast or an open stage needs, is measured on
        without being decided again: neither changes what is decided about its call.
        """
        roster, asked_again = self._roster, True
        control = self._find_control(blocks)
        self.contrasts.look(blocks, planned_blocks, control)
        self.stages.look(planned_blocks)
        before = (*self.decided.values(), *self.contrasts.decided.values())
        stay = not all(withstands(one, control) for one in before)
        while asked_again:
            found = {
                name: self._decide(name, blocks, planned_blocks)
                for name in roster.active
                if name not in self._kept
            }
            decided = {
                name: decision
                for name, decision in found.items()
                if decision.verdict != "inconclusive" and withstands(decision, control)
            }
            failed = {
                name for name, decision in decided.items() if decision.verdict == "fail"
            } - self._failed
            self.decided |= decided
            if not stay:
                self._let_leave(decided, control)
            self._failed |= failed
            self.family_size = max(1, self.family_size - len(failed))
            asked_again = bool(failed)

    def _let_leave(self, decided: Mapping[str, Decision], control: Interval | None) -> None:
        """Let the rows leave that are decided, but for those that something open needs."""
        active = self._roster.active
        self._kept |= {name for name, one in decided.items() if _may_leave(active[name], one)}
        if self.stages.needs_more(self.decided):
            return
        self._roster.active = {
            name: row
            for name, row in active.items()
            if name not in self._kept or self.contrasts.needs(name, control)
        }

    def close(self, planned_blocks: int, throttled: str) -> None:
        """Say how far the undecided rows are.

        No look was planned here, so none of them is decided any more.

        An arm that raised keeps what its whole blocks say beside its error.

        Args:
            planned_blocks: how many the budget allowed.
            throttled: why throttling ended the campaign, or "".
        """
        baseline, errors = self._roster.baseline, self._roster.errors
        self.contrasts.close(planned_blocks)
        if throttled and len(self.samples[baseline.name]) < stopping.LEAST_BLOCKS:
            errors[baseline.name] = ThrottledError(
                f"invalid: {throttled}, and fewer than {stopping.LEAST_BLOCKS} are left"
            )
        for name, arm in self._roster.arms.items():
            if name in self.decided or arm is baseline:
                continue
            if baseline.name in errors:
                errors.setdefault(name, errors[baseline.name])
            blocks = len(self.samples[name])
            if blocks >= stopping.LEAST_BLOCKS:
                decision = self._decide(name, blocks, planned_blocks)
                self.decided[name] = decision if arm.floor is None else as_undecided(decision)

    def _find_control(self, blocks: int) -> Interval | None:
        outer, inner = (self.samples[arm][:blocks] for arm in (self._roster.baseline.name, CONTROL))
        return intervals.control_interval(outer, inner, self._campaigns)

    def _find_floor(self, arm: Arm, blocks: int) -> float | None:
        """Return the floor of an arm by the baseline's latency in its first blocks."""
        if arm.floor is None or arm.floor_at is None:
            return arm.floor
        baseline = self._roster.baseline.name
        theirs = {name: self.samples[name][:blocks] for name in (baseline, CONTROL)}
        return arm.floor_at(latencies(theirs, baseline, baseline)[1])

    def _decide(self, name: str, look: int, planned_blocks: int) -> Decision:
        # Arms only ever leave: a row took part in the first blocks of the baseline, without a gap.
        pairs = self.samples[name]
        floor = self._find_floor(self._roster.arms[name], len(pairs))
        baseline = self._roster.baseline.name
        outer, inner = (self.samples[arm][: len(pairs)] for arm in (baseline, CONTROL))
        ratios = intervals.log_ratios([outer, inner], [pairs])
        interval = intervals.interval(
            ratios, stopping.critical_value(look), stopping.critical_value(look, self.family_size)
        )
        interval = intervals.widen(interval, self.allowance)
        verdict = "pass" if floor is None else intervals.decide(interval, floor)
        more = None
        if verdict is None and floor is not None:
            needed = intervals.blocks_to_decide(ratios, floor, self.family_size, self.allowance)
            more = None if needed is None else needed - len(pairs)
        return Decision(
            verdict=verdict or "inconclusive",
            interval=interval,
            blocks=len(pairs),
            more_blocks=more,
            minimum_detectable_effect=intervals.minimum_detectable_effect(
                ratios, planned_blocks, self.family_size, self.allowance
            ),
            floor=floor,
        )


def _may_leave(row: Arm, decision: Decision) -> bool:
    return row.may_stop is None or row.may_stop(decision)
