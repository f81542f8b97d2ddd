"""What measuring will cost, in words: a campaign before its blocks, a run before its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.model.campaign_plan import ASSUMED_NOISE
from pytest_sdspeed.report.by_stage import describe_steps
from pytest_sdspeed.report.row_tally import format_duration
from pytest_sdspeed.report.text import describe_resolved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_sdspeed.model.campaign_plan import CampaignPlan

_MINUTES_FROM_S = 120.0
_DIGITS_UNDER_S = 10.0


def describe_plan(campaign: str, plan: CampaignPlan) -> str:
    """Describe what a campaign will cost and can tell.

    ``sd plan: mini50 by stages, 7 of 50 steps of each call: a block takes 2.0 s (1.2 calls of the
    baseline; by calls 8.4 s, 6 calls), 3 to 20 blocks and 4 to 12 whole calls take 13 s to
    61 s; at 1% noise of a block 20 blocks resolve 0.7%``
    """
    profiles = f"profiles up to {format_seconds(plan.profiles_s)} more" if plan.profiles_s else ""
    costs = ", ".join(filter(None, (_describe_block(plan), _describe_blocks(plan), profiles)))
    return f"sd plan: {campaign} {_describe_manner(plan)}: {costs}; {_describe_resolution(plan)}"


def describe_prospect(
    campaigns: Sequence[tuple[float | None, float, float]],
    *,
    rows: int,
    by_stages: int,
    blocks: int,
) -> str:
    """Describe what a run is expected to cost before anything is measured; "" if nothing is known.

    Args:
        campaigns: of each campaign of a table: seconds to its first look, None if neither pages nor
            stored counts say how long its calls take; most seconds; and to how many calls of its
            baseline the blocks to the first look come.
        rows: rows of all campaigns, baselines not among them.
        by_stages: how many of the campaigns are measured by stages.
        blocks: blocks of a first look.
    """
    known = [
        (least_s, most_s, calls) for least_s, most_s, calls in campaigns if least_s is not None
    ]
    if not known:
        return ""
    least_s, most_s, calls = (sum(figures) for figures in zip(*known, strict=True))
    unknown = len(campaigns) - len(known)
    manner = f" ({by_stages} by stages)" if 0 < by_stages < len(campaigns) else ""
    manner = ", by stages" if by_stages == len(campaigns) else manner
    more = f"; {_count(unknown, 'campaign')} of unknown cost beside them" if unknown else ""
    return (
        f"sd plan: {_count(len(campaigns), 'campaign')}, {_count(rows, 'row')}{manner}: about"
        f" {format_seconds(least_s)} to first looks ({blocks} blocks, the time of"
        f" {_count(calls, 'call', '.0f')}), at most {format_seconds(most_s)}, by published"
        f" latencies and stored counts{more}"
    )


def format_seconds(seconds: float) -> str:
    """Format ``42 ms``, ``2.0 s``, ``48 s`` or ``12 min 5 s``."""
    if seconds >= _MINUTES_FROM_S:
        return format_duration(seconds)
    if seconds >= _DIGITS_UNDER_S:
        return f"{seconds:.0f} s"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1e3 * seconds:.0f} ms"


def _describe_manner(plan: CampaignPlan) -> str:
    if plan.steps:
        return f"by stages, {describe_steps(plan.steps, plan.sampled_steps, plan.why)}"
    return f"by calls, not by stages ({plan.why})" if plan.why else "by calls"


def _describe_block(plan: CampaignPlan) -> str:
    calls = f"{plan.calls} calls"
    if plan.steps:
        share = _count(plan.block_s / plan.call_s, "call", ".1f")
        calls = f"{share} of the baseline; by calls {format_seconds(plan.by_calls_s)}, {calls}"
    parts = sorted(plan.rows_s.values())
    of_rows = ""
    if len(parts) > 1:
        ends = dict.fromkeys(map(format_seconds, (parts[0], parts[-1])))
        of_rows = f", {' to '.join(ends)} of it for a row"
    return f"a block takes {format_seconds(plan.block_s)} ({calls}){of_rows}"


def _describe_blocks(plan: CampaignPlan) -> str:
    most = plan.palindromes * plan.whole_calls
    calls = dict.fromkeys(map(str, (plan.whole_calls, most)))
    whole = f" and {' to '.join(calls)} whole calls" if most else ""
    ends = dict.fromkeys(map(format_seconds, (plan.least_s, plan.most_s)))
    blocks = f"{plan.first_look} to {plan.blocks} blocks"
    if plan.blocks <= plan.first_look:
        blocks = _count(plan.blocks, "block")
    return f"{blocks}{whole} take {' to '.join(ends)}"


def _describe_resolution(plan: CampaignPlan) -> str:
    if plan.resolves is None:
        return (
            f"{_count(plan.blocks, 'block')} decide nothing, the first look comes after"
            f" {plan.first_look}: a greater --sd-budget or --sd-max-blocks"
        )
    noise = f"at {100 * ASSUMED_NOISE:g}% noise of a block"
    return f"{noise} {plan.blocks} blocks {describe_resolved(plan.resolves)}"


def _count(number: float, what: str, form: str = "d") -> str:
    return f"{number:{form}} {what}{'' if number == 1 else 's'}"
