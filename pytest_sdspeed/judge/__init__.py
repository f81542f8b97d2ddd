"""Pure rules: the speed-up's interval and when to stop, picture metrics and gates. No torch, no pytest."""

from __future__ import annotations

from pytest_sdspeed.judge.images import ImageJudgement, as_pictures, broken_bounds, defects, judge_images, metrics
from pytest_sdspeed.judge.speed import (
    ERROR_PER_SIDE,
    affordable_looks,
    blocks_to_decide,
    boundaries,
    control_interval,
    decide,
    interval,
    log_ratios,
    resolvable,
)

__all__ = [
    "ERROR_PER_SIDE",
    "ImageJudgement",
    "affordable_looks",
    "as_pictures",
    "blocks_to_decide",
    "boundaries",
    "broken_bounds",
    "control_interval",
    "decide",
    "defects",
    "interval",
    "judge_images",
    "log_ratios",
    "metrics",
    "resolvable",
]
