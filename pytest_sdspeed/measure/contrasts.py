"""What the looks of a campaign decide about two of its rows that a claim compares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.judge.speed.bias import withstands_bias
from pytest_sdspeed.measure.campaign_data import Decision
from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.measure.roster import Roster
    from pytest_sdspeed.model import Contrast, Interval

Samples = dict[str, list[tuple[float, float]]]


class Contrasts:
    """Decides, at the looks of the rows, whether the ratio of two rows is above what is claimed.

    A contrast is decided once, at the first look whose interval lies on one side, as a row is: so
    its error is that of a row, ``stopping.ERROR_PER_SIDE`` a side over all looks. Contrasts are a
    family of their own: "pass" needs no correction, since a claim passes only if each of its
    contrasts does, and "fail" is Holm's over the contrasts of the run, so that any of them fails
    wrongly in no more than one's share. They leave the error of the rows as it is.

    Args:
        wanted: what is to be decided, each once.
        roster: the arms.
        samples: arm -> [first, second] slot of every block, seconds; read at every look.
        family: how many contrasts of the whole run could still fail.

    Attributes:
        decided: contrast -> what the looks decided about it.
        family_size: how many contrasts share the error of "fail".
        allowance: by which fraction intervals are widened, for a bias that nobody sees.
    """

    def __init__(
        self, wanted: Sequence[Contrast], roster: Roster, samples: Samples, family: int = 1
    ) -> None:
        self.decided: dict[Contrast, Decision] = {}
        self.family_size = max(family, len(wanted), 1)
        self.allowance = 0.0
        self._wanted, self._roster, self._samples = tuple(dict.fromkeys(wanted)), roster, samples

    def look(self, blocks: int, planned_blocks: int, control: Interval | None) -> None:
        """Decide what can be decided after so many blocks: Holm's step-down procedure, as for rows.

        Args:
            blocks: number of blocks so far.
            planned_blocks: how many the budget allows.
            control: the A/A control; no contrast is decided while the bias that it shows could turn
                it.
        """
        asked_again = True
        while asked_again:
            found = {
                one: self._decide(one, blocks, planned_blocks)
                for one in self._wanted
                if one not in self.decided and self._is_whole(one, blocks)
            }
            decided = {
                one: decision
                for one, decision in found.items()
                if decision.verdict != "inconclusive" and withstands(decision, control)
            }
            failed = sum(decision.verdict == "fail" for decision in decided.values())
            self.decided |= decided
            self.family_size = max(1, self.family_size - failed)
            asked_again = bool(failed)

    def needs(self, name: str, control: Interval | None) -> bool:
        """Tell whether an arm has to be measured on for a contrast that is open.

        Open is one that is undecided, or whose verdict the bias of the A/A control could turn. One
        with an arm that has left the campaign stays as it is.
        """
        return any(
            name in one.arms
            for one in self._wanted
            if not self._roster.errors.keys() & set(one.arms)
            and (one not in self.decided or not withstands(self.decided[one], control))
        )

    def close(self, planned_blocks: int) -> None:
        """Say how far the undecided contrasts are: no look was planned here."""
        for one in self._wanted:
            blocks = min(len(self._samples[name]) for name in one.arms)
            if one not in self.decided and blocks >= stopping.LEAST_BLOCKS:
                self.decided[one] = as_undecided(self._decide(one, blocks, planned_blocks))

    def _is_whole(self, one: Contrast, blocks: int) -> bool:
        """Tell whether both arms took part in all blocks so far."""
        return all(len(self._samples[name]) == blocks for name in one.arms)

    def _take_pairs(self, name: str, blocks: int) -> list[list[tuple[float, float]]]:
        """Return the kinds of pairs that an arm has: the baseline has the control's as well."""
        names = (name, CONTROL) if name == self._roster.baseline.name else (name,)
        return [self._samples[one][:blocks] for one in names]

    def _decide(self, one: Contrast, blocks: int, planned_blocks: int) -> Decision:
        ratios = intervals.contrast_log_ratios(
            *(self._take_pairs(name, blocks) for name in one.arms)
        )
        interval = intervals.interval(
            ratios,
            stopping.critical_value(blocks),
            stopping.critical_value(blocks, self.family_size),
        )
        interval = intervals.widen(interval, self.allowance)
        verdict = intervals.decide(interval, one.least)
        needed = None
        if not verdict:
            needed = intervals.blocks_to_decide(ratios, one.least, self.family_size, self.allowance)
        return Decision(
            verdict=verdict or "inconclusive",
            interval=interval,
            blocks=blocks,
            more_blocks=None if needed is None else needed - blocks,
            minimum_detectable_effect=intervals.minimum_detectable_effect(
                ratios, planned_blocks, self.family_size, self.allowance
            ),
            floor=one.least,
        )


def withstands(decision: Decision, control: Interval | None) -> bool:
    """Tell whether no bias that the A/A control shows could turn a decision."""
    return withstands_bias(decision.interval, decision.floor, control)


def as_undecided(decision: Decision) -> Decision:
    """Return a decision as undecided, since no look was planned there.

    It needs the next look, even if it seems to decide.
    """
    more = decision.more_blocks
    if decision.verdict != "inconclusive":
        more = next(
            (look - decision.blocks for look in stopping.later_looks(decision.blocks)), None
        )
    return replace(decision, verdict="inconclusive", more_blocks=more)
