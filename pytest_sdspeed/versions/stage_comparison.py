"""What a row that was measured by stages says of each of them in both versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_sdspeed.judge.speed.stage_floors import LEAST_SHARE
from pytest_sdspeed.model.stages import say_stage
from pytest_sdspeed.run.stages import find_stage_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_sdspeed.measure.campaign_data import CampaignData
    from pytest_sdspeed.model import Interval, StageResults


def list_changes(found: StageResults) -> dict[str, float]:
    """Return stage -> latency of the version in hand over that of the other one.

    Stages that take less than ``LEAST_SHARE`` of a call are left out.
    """
    call_s = sum(theirs for _, theirs in found.latencies_s.values())
    return {
        stage: 1 / ratio.speedup
        for stage, ratio in found.ratios.items()
        if found.latencies_s[stage][1] > LEAST_SHARE * call_s
    }


def explain_by_process(
    found: StageResults,
    data: CampaignData,
    control: str,
    label: str,
    differs: Callable[[Interval], bool],
) -> str:
    """Say why no stage that fails is a fault of the code, or return "".

    Args:
        found: what was measured of the row's stages.
        data: its campaign.
        control: name of the arm in another process of the other version.
        label: name of that version.
        differs: tells whether a ratio that ought to be 1 is further away than it may be.
    """
    slower = [stage for stage, verdict in found.verdicts.items() if verdict == "fail"]
    samples: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]] = (
        data.stages.samples_s if data.stages else {}
    )
    ratios = {
        stage: find_stage_ratio(samples, control, data.baseline, stage, len(slower))
        for stage in slower
        if stage in samples.get(control, {})
    }
    if not slower or not all(stage in ratios and differs(ratios[stage]) for stage in slower):
        return ""
    shown = ", ".join(f"{say_stage(stage)} {ratio:.3f}" for stage, ratio in ratios.items())
    return (
        f"two processes of {label} differ by as much in what is slower ({shown}): an effect of the"
        " process, not of the code"
    )
