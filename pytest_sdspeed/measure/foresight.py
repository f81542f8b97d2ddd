"""What a campaign will cost, put together from its warm-up and the plan of its blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.judge.speed import intervals, stopping
from pytest_sdspeed.judge.speed.whole_calls import LEAST_DIFFERENCE, count_palindromes
from pytest_sdspeed.model.campaign_plan import ASSUMED_NOISE, CampaignPlan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_sdspeed.judge.speed.put_together import Sampling
    from pytest_sdspeed.measure.block_plan import BlockPlan

PROFILE_CALLS = 2
"""Calls of an arm for its profile at most, which an accelerator takes."""


def foresee(
    blocks: BlockPlan,
    costs_s: Mapping[str, float],
    whole_s: Mapping[str, float],
    baseline: str,
    rows: Sequence[str],
    *,
    family_size: int,
    profiled: Iterable[str] = (),
    sampling: Sampling | None = None,
    refused: str = "",
) -> CampaignPlan:
    """Say what a campaign will cost.

    Args:
        blocks: the plan of its blocks.
        costs_s: arm -> seconds of one call as far as it is measured.
        whole_s: arm -> seconds of one whole call, by the warm-up.
        baseline: name of the baseline, which has four calls in a palindrome.
        rows: names of the rows, which have two.
        family_size: how many rows share the error of "fail".
        profiled: names of the arms that have a profile.
        sampling: how many denoising steps of each call are measured; None if slots are whole calls.
        refused: why they are although stages were asked for, or "".
    """
    repeats = blocks.repeats
    calls = repeats * (4 + 2 * len(rows))
    by_calls_s = repeats * (4 * whole_s[baseline] + 2 * sum(whole_s[name] for name in rows))
    return CampaignPlan(
        call_s=whole_s[baseline],
        block_s=blocks.block_s,
        by_calls_s=by_calls_s,
        rows_s={name: 2 * repeats * costs_s[name] for name in rows},
        calls=calls,
        first_look=stopping.first_look(),
        blocks=blocks.blocks,
        whole_calls=2 * (1 + len(rows)) if sampling else 0,
        whole_s=2 * (whole_s[baseline] + sum(whole_s[name] for name in rows)) if sampling else 0.0,
        palindromes=count_palindromes(blocks.blocks)[1] if sampling else 1,
        profiles_s=PROFILE_CALLS * sum(whole_s[name] for name in profiled),
        steps=sampling.steps if sampling else 0,
        sampled_steps=sampling.sampled if sampling else 0,
        why=sampling.why if sampling else refused,
        resolves=intervals.find_resolution(
            ASSUMED_NOISE, blocks.blocks, family_size, LEAST_DIFFERENCE if sampling else 0.0
        ),
    )
