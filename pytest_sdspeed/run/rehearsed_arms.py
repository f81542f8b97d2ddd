"""What a rehearsal has drawn already: at toy size, rows of several tables are one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.model import CONTROL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_sdspeed.measure.campaign_data import Arm, CampaignData
    from pytest_sdspeed.model import Case

_OF_ARMS = (
    "samples_s",
    "pictures",
    "references",
    "peak_bytes",
    "loaded",
    "warm_up_s",
    "compiled",
    "proofs",
)
"""What a campaign without times tells of each arm, by its name."""


class _Drawn(NamedTuple):
    """An arm that was drawn.

    Attributes:
        data: what its campaign found.
        name: its name there.
    """

    data: CampaignData
    name: str


class RehearsedArms:
    """Draws each distinct arm of a rehearsal once.

    The tables of one benchmark on several devices, and its rows of several sizes and batches,
    shrink to the same recipes. The same stack draws the same cases of the same recipe as before, so
    that it is only judged again, by what its own table says.
    """

    def __init__(self) -> None:
        self._drawn: dict[tuple[str, tuple[Case, ...]], _Drawn] = {}

    def complete(
        self,
        baseline: Arm,
        rows: Sequence[Arm],
        cases: tuple[Case, ...],
        draw: Callable[[Sequence[Arm]], CampaignData],
    ) -> CampaignData:
        """Draw what was not drawn before, and return it together with what was.

        An arm that raised is drawn again: what it says names it.

        Args:
            baseline: the arm that all rows are compared with.
            rows: the other arms.
            cases: what all of them draw.
            draw: runs a campaign of the baseline and some of the rows.
        """
        arms = (baseline, *rows)
        known = {arm.name: self._find(arm, cases) for arm in arms}
        missing = [row for row in rows if known[row.name] is None]
        before = known[baseline.name]
        if missing or before is None:
            data = draw(missing)
            drawn = (baseline, *missing)
        else:
            data, drawn = _empty(before.data, baseline.name), ()
        for arm in drawn:
            if arm.identity is not None and arm.name not in data.errors:
                self._drawn[arm.identity, cases] = _Drawn(data, arm.name)
        names = {arm.name for arm in drawn}
        data = _join(data, {name: one for name, one in known.items() if one and name not in names})
        if baseline.name in data.errors:
            # What ended the baseline ends all rows.
            ended = dict.fromkeys((arm.name for arm in arms), data.errors[baseline.name])
            data = replace(data, errors={**ended, **data.errors})
        return data

    def _find(self, arm: Arm, cases: tuple[Case, ...]) -> _Drawn | None:
        return None if arm.identity is None else self._drawn.get((arm.identity, cases))


def _empty(data: CampaignData, baseline: str) -> CampaignData:
    """Return a campaign in which nothing was drawn, on the machine of another one."""
    nothing: dict[str, Any] = {name: {} for name in (*_OF_ARMS, "decisions", "errors", "contrasts")}
    nothing["samples_s"] = {CONTROL: []}
    return replace(data, baseline=baseline, **nothing)


def _join(data: CampaignData, known: Mapping[str, _Drawn]) -> CampaignData:
    """Return what a campaign found, with what earlier ones found of other arms."""
    joined: dict[str, Any] = {
        field: getattr(data, field)
        | {
            name: getattr(one.data, field)[one.name]
            for name, one in known.items()
            if one.name in getattr(one.data, field)
        }
        for field in _OF_ARMS
    }
    return replace(data, **joined)
