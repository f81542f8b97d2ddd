"""From a claim of a table to whether it is true here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_sdspeed.errors import ChangedPartError, UnknownNameError, UnsupportedError, explain
from pytest_sdspeed.judge.claims import (
    ClaimJudgement,
    combine,
    find_acknowledgement,
    judge_contrast,
    judge_defaults,
    judge_share,
)
from pytest_sdspeed.judge.pictures.slots import find_broken_slots
from pytest_sdspeed.model import ClaimResult, Comparison
from pytest_sdspeed.model.costs import GIB
from pytest_sdspeed.model.machine import is_another_device
from pytest_sdspeed.run.criteria import RowCase, find_criteria, weights_of
from pytest_sdspeed.run.outcomes import find_without_effect
from pytest_sdspeed.run.settings import MarkerOptions
from pytest_sdspeed.run.stages import find_unowned
from pytest_sdspeed.run.targets import Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_sdspeed.measure.campaign_data import CampaignData, Decision
    from pytest_sdspeed.model import Contrast, Verdict
    from pytest_sdspeed.run.campaigns import Campaigns
    from pytest_sdspeed.run.plan import Plan, RunPlan
    from pytest_sdspeed.run.planned_claims import PlannedClaim
    from pytest_sdspeed.run.session import Session
    from pytest_sdspeed.setups.catalog import ResolvedSetup


class Claims:
    """Judges the claims of a run, each by what decides it.

    Args:
        session: what the run measures with.
        plan: what its tests ask for.
        campaigns: measures in this process.
    """

    def __init__(self, session: Session, plan: RunPlan, campaigns: Campaigns) -> None:
        self._session, self._plan, self._campaigns = session, plan, campaigns
        self._parameters: dict[tuple[str, str, str], Mapping[str, int]] = {}

    def judge(self, planned: PlannedClaim, plan: Plan) -> ClaimResult:
        """Judge a claim.

        Args:
            planned: the claim.
            plan: what its test asks for.

        Raises:
            UnsupportedError: this run cannot judge it; the message says why and what would help.
            SdSpeedError: what it compares could not be measured or counted.
        """
        obstacle = self._plan.find_obstacle(planned, plan)
        if obstacle:
            raise UnsupportedError(obstacle)
        if planned.is_measured:
            return self._judge_measured(planned, plan)
        judges = {
            "parameters": self._count_parameters,
            "account": self._count_account,
            "defaults": _read_defaults,
        }
        return _make_result(planned, plan, judges[planned.claim.kind](planned))

    # By a campaign

    def _judge_measured(self, planned: PlannedClaim, plan: Plan) -> ClaimResult:
        data, session = self._campaigns.measure_claim(planned, plan), self._session
        contrasts = planned.list_contrasts(session.options.tolerance)
        decided = [one for one in map(data.contrasts.get, contrasts) if one]
        judgement = self._judge_campaign(planned, data, contrasts)
        load = data.load if judgement.verdict in ("inconclusive", "invalid") else ""
        return _make_result(
            planned,
            plan,
            judgement,
            device=session.machine.device,
            weights=weights_of(planned.rows[0].recipe, session.options),
            blocks=max((one.blocks for one in decided), default=0),
            notes=(f"meanwhile on this machine: {load}",) if load else (),
        )

    def _judge_campaign(
        self, planned: PlannedClaim, data: CampaignData, contrasts: Sequence[Contrast]
    ) -> ClaimJudgement:
        idle = self._find_without_effect(planned, data)
        if idle:
            return ClaimJudgement("invalid", (), (idle,))
        _raise_what_broke(planned, data, contrasts)
        if planned.claim.kind == "comparable":
            return self._judge_pictures(planned, data)
        broken = _find_broken_pictures(planned, data)
        if broken:
            return ClaimJudgement("invalid", (), broken)
        if planned.is_timed:
            return _judge_times(planned, data, contrasts)
        return _judge_memory(planned, data)

    def _target(self, row: ResolvedSetup) -> Target:
        return Target.of(self._session.setup(row))

    def _find_without_effect(self, planned: PlannedClaim, data: CampaignData) -> str | None:
        """Return which optimization of its rows, or of their baseline, was not seen to act."""
        base = self._target(self._session.catalog.find_baseline(planned.rows[0]))
        found = (find_without_effect(data, self._target(row), base) for row in planned.rows)
        return next(filter(None, found), None)

    def _judge_pictures(self, planned: PlannedClaim, data: CampaignData) -> ClaimJudgement:
        """Judge the first row's pictures against those of each other row, within its own bounds.

        Raises:
            UnsupportedError: its bounds were not judged here: pictures that nothing was held to are
                no evidence.
        """
        first, *others = planned.rows
        judged = [self._compare_pictures(first, other, data) for other in others]
        comparisons, reasons = zip(*judged, strict=True)
        return ClaimJudgement(
            combine([one.verdict for one in comparisons]),
            comparisons,
            tuple(reason for one in reasons for reason in one),
        )

    def _compare_pictures(
        self, first: ResolvedSetup, other: ResolvedSetup, data: CampaignData
    ) -> tuple[Comparison, tuple[str, ...]]:
        from pytest_sdspeed.report.text import format_pictures
        from pytest_sdspeed.run.pictures import judge_pictures

        session = self._session
        criteria = find_criteria(first.setup, first, MarkerOptions(), session.options)
        case = RowCase(
            data,
            self._target(first),
            self._target(other),
            first,
            criteria,
            session.machine,
            session.options,
            lambda: session.clip_scorer,
            metrics=session.registry.metrics,
        )
        found = judge_pictures(case)
        bounds, judgement = criteria.image.bounds if criteria.image else {}, found.judgement
        metrics = judgement.metrics if judgement else {}
        broken = judgement is not None and judgement.verdict == "fail"
        approximates = case.candidate.setup is not None and (
            case.candidate.setup.relation == "approximation"
        )
        left = [name for name in bounds if name not in metrics]
        if not broken and (not bounds or left or (case.is_shrunk and approximates)):
            said = "; ".join(found.notes) or f"no bounds hold for {case.weights} weights"
            raise UnsupportedError(
                f"the pictures of {first.setup} were not held to the bounds of its row here: {said}"
            )
        assert judgement is not None  # noqa: S101 - what is broken, or has metrics, was judged
        comparison = Comparison(
            subject=f"pictures of {first.setup} against {other.setup}",
            measured=format_pictures(metrics) or "nothing that can be compared",
            expected=", ".join(f"{name} {bound:g}" for name, bound in bounds.items()),
            verdict="inconclusive" if judgement.verdict == "powerless" else judgement.verdict,
        )
        return comparison, judgement.reasons

    # By counting

    def _count_parameters(self, planned: PlannedClaim) -> ClaimJudgement:
        part, by = planned.claim.part, planned.claim.by
        first, *others = ((row, self._count_part(row, part)) for row in planned.rows)
        comparisons = tuple(
            judge_share(
                f"{part or 'parameters'} of {first[0].setup} against {row.setup}",
                (f"{first[1]:,}", f"{number:,}"),
                first[1] / number,
                by,
            )
            for row, number in others
        )
        return ClaimJudgement(combine([one.verdict for one in comparisons]), comparisons)

    def _count_part(self, row: ResolvedSetup, part: str | None) -> int:
        """Count the parameters of a row, or of a part of it.

        Raises:
            UnknownNameError: its pipeline has no such part.
        """
        from pytest_sdspeed.run.accounting import count_setup_parameters

        key, session = (row.table.name, row.table.device, row.setup), self._session
        if key not in self._parameters:
            try:
                self._parameters[key] = count_setup_parameters(
                    row, session.stack_of(row), session.registry
                )
            except Exception as error:  # noqa: BLE001 - a pipeline of anybody's may raise anything
                raise explain(row.setup, error) from None
        found = self._parameters[key]
        if (part or "") not in found:
            where = f"setup {row.setup!r} of table {row.table.name!r}"
            raise UnknownNameError("part of the pipeline", str(part), filter(None, found), where)
        return found[part or ""]

    def _count_account(self, planned: PlannedClaim) -> ClaimJudgement:
        from pytest_sdspeed.judge.accounts import judge_account
        from pytest_sdspeed.model import find_count
        from pytest_sdspeed.run.accounting import count_setup

        (row,), session = planned.rows, self._session
        try:
            account = count_setup(row, session.stack_of(row), session.registry)
        except Exception as error:  # noqa: BLE001 - a pipeline of anybody's may raise anything
            raise explain(row.setup, error) from None
        verdict, reasons = judge_account(account, planned.claim.bounds)
        comparisons = []
        for name, bound in planned.claim.bounds.items():
            count = find_count(account, name)
            own: Verdict = "invalid" if count is None else "pass" if count <= bound else "fail"
            said = "unknown" if count is None else f"{count:,}"
            comparisons.append(
                Comparison(
                    subject=f"{name} of {row.setup}",
                    measured=said,
                    expected=f"at most {bound:,}",
                    verdict=own,
                )
            )
        return ClaimJudgement(verdict or "pass", tuple(comparisons), reasons)


def _find_broken_pictures(planned: PlannedClaim, data: CampaignData) -> tuple[str, ...]:
    """Find what is wrong with the pictures of a claim's rows: what draws none saves nothing."""
    return tuple(
        f"{row.setup}: {fault}"
        for row in planned.rows
        if row.setup in data.pictures
        for fault in find_broken_slots(data.pictures[row.setup])
    )


def _raise_what_broke(
    planned: PlannedClaim, data: CampaignData, contrasts: Sequence[Contrast]
) -> None:
    """Raise what ended an arm of a claim, or its baseline, before the claim was decided.

    Args:
        planned: the claim.
        data: what its campaign found.
        contrasts: the ratios that decide it; one that was decided before keeps its verdict. There
            are none if no times decide it.

    Raises:
        SdSpeedError: what an arm, or else the baseline, raised.
    """
    decisions = [data.contrasts.get(one) for one in contrasts]
    whole = bool(decisions) and all(one and one.verdict != "inconclusive" for one in decisions)
    for name in (*(row.setup for row in planned.rows), data.baseline):
        error = data.errors.get(name)
        if error is not None and (not whole or isinstance(error, ChangedPartError)):
            raise explain(name, error)


def _judge_times(
    planned: PlannedClaim, data: CampaignData, contrasts: Sequence[Contrast]
) -> ClaimJudgement:
    first, judged, reasons = planned.rows[0].setup, [], []
    for contrast in contrasts:
        decision = data.contrasts.get(contrast)
        decided = (decision.verdict, decision.interval) if decision else None
        broken = data.throttled or find_unowned(data, contrast, decision)
        comparison = judge_contrast(contrast, first, decided, data.control, broken)
        judged.append(comparison)
        if comparison.verdict == "inconclusive" and decision is not None:
            reasons.append(_describe_more_blocks(comparison.subject, decision, data))
        elif comparison.verdict == "invalid":
            control = data.control
            reasons.append(
                broken
                or (f"A/A control {control:.3f} excludes x1" if control else "no A/A control")
            )
    return ClaimJudgement(
        combine([one.verdict for one in judged]), tuple(judged), tuple(dict.fromkeys(reasons))
    )


def _describe_more_blocks(subject: str, decision: Decision, data: CampaignData) -> str:
    """Say what would decide a ratio of two rows that the budget left open."""
    if decision.more_blocks is None:
        return f"{subject}: no number of blocks that a campaign may take decides this"
    total = decision.blocks + decision.more_blocks
    block_s = max(data.block_s, data.timed_s / max(1, len(data.samples_s[data.baseline])))
    wanted = f"--sd-budget {math.ceil(1.2 * block_s * total)} --sd-max-blocks {total}"
    cut = f", but this campaign {data.cut_short}" if data.cut_short else ""
    return f"{subject}: about {decision.more_blocks} more blocks would decide it: {wanted}{cut}"


def _judge_memory(planned: PlannedClaim, data: CampaignData) -> ClaimJudgement:
    """Compare the measured peaks of memory.

    Raises:
        UnsupportedError: the device does not tell them.
    """
    first, *others = (row.setup for row in planned.rows)
    peaks = {name: data.peak_bytes.get(name) for name in (first, *others)}
    unknown = [name for name, peak in peaks.items() if not peak]
    if unknown:
        raise UnsupportedError(f"the peak memory of {', '.join(unknown)} is unknown")
    sizes = {name: peak or 0 for name, peak in peaks.items()}
    comparisons = tuple(
        judge_share(
            f"peak memory of {first} against {other}",
            (f"{sizes[first] / GIB:.2f} GiB", f"{sizes[other] / GIB:.2f} GiB"),
            sizes[first] / sizes[other],
            planned.claim.by,
        )
        for other in others
    )
    return ClaimJudgement(combine([one.verdict for one in comparisons]), comparisons)


def _read_defaults(planned: PlannedClaim) -> ClaimJudgement:
    from pytest_sdspeed.device.torch_defaults import read_defaults

    said = planned.claim.defaults
    return judge_defaults(said, read_defaults(said))


def _make_result(
    planned: PlannedClaim,
    plan: Plan,
    judgement: ClaimJudgement,
    *,
    device: str = "cpu",
    weights: str | None = None,
    blocks: int = 0,
    notes: tuple[str, ...] = (),
) -> ClaimResult:
    claim = planned.claim
    return ClaimResult(
        table=planned.table,
        name=planned.name,
        text=claim.text,
        kind=claim.kind,
        verdict=judgement.verdict,
        comparisons=judgement.comparisons,
        reasons=judgement.reasons,
        notes=notes,
        acknowledged=find_acknowledgement(claim.notes),
        binding=not planned.is_measured or not is_another_device(device, planned.device),
        device=device,
        weights=weights,
        blocks=blocks,
        test=plan.test,
    )
