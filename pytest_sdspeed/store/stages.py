"""The stored form of what a row that was measured by stages shows of each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sdspeed.model import StageResults
from pytest_sdspeed.model.numbers import finite_or_none, number_or_nan
from pytest_sdspeed.store.forms import read_interval, store_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def store_stages(found: StageResults) -> dict[str, Any]:
    """Return the stored form: builtins only, unknown is None."""
    return {
        "steps": found.steps,
        "sampled_steps": found.sampled_steps,
        "why_all": found.why_all,
        "ratios": {stage: store_interval(ratio) for stage, ratio in found.ratios.items()},
        "verdicts": dict(found.verdicts),
        "floor": found.floor,
        "latencies_s": {stage: _store(pair) for stage, pair in found.latencies_s.items()},
        "whole_s": _store(found.whole_s),
        "unowned": _store(found.unowned),
    }


def read_stages(stored: Mapping[str, Any]) -> StageResults:
    """Return what a stored form stands for."""
    return StageResults(
        steps=int(stored["steps"]),
        sampled_steps=int(stored["sampled_steps"]),
        why_all=str(stored["why_all"]),
        ratios={stage: read_interval(ratio) for stage, ratio in stored["ratios"].items()},
        verdicts=dict(stored["verdicts"]),
        floor=stored["floor"],
        latencies_s={stage: _read(pair) for stage, pair in stored["latencies_s"].items()},
        whole_s=_read(stored["whole_s"]),
        unowned=_read(stored["unowned"]),
    )


def _store(figures: Sequence[float]) -> list[float | None]:
    return [finite_or_none(figure) for figure in figures]


def _read(stored: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(number_or_nan(figure) for figure in stored)
