"""What a row costs beside its time, and what its bounds say of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_sdspeed.model.costs import MEMORY_COSTS, RECOMPILATIONS, START_COSTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_sdspeed.judge.costs import CostJudgement, Place
    from pytest_sdspeed.judge.memory import MemoryJudgement
    from pytest_sdspeed.model import Machine
    from pytest_sdspeed.run.criteria import Criteria, RowCase

_SHARE = "memory_share"


class CostFindings(NamedTuple):
    """What was found of a row's costs.

    Attributes:
        memory: its peak memory beside its baseline's.
        judgement: what became of the other bounds.
        figures: figure of a result -> its value, None if it is unknown.
    """

    memory: MemoryJudgement
    judgement: CostJudgement
    figures: Mapping[str, Any]


def examine_costs(case: RowCase) -> CostFindings:
    """Collect what a row costs, and hold it to its bounds."""
    from pytest_sdspeed.judge.costs import (
        CostJudgement,
        join,
        judge_costs,
        judge_promise,
        judge_saving,
        judge_starts,
    )

    figures, place, criteria = (
        collect_figures(case),
        find_place(case.criteria, case.machine, case.weights),
        case.criteria,
    )
    memory = _judge_share(case, place)
    judged = judge_costs(figures, criteria.costs, criteria.cost_bounds, place)
    if case.starts is not None:
        judged = join(
            judged,
            judge_starts(
                case.starts.seconds, criteria.costs, criteria.cost_bounds, place, case.starts.error
            ),
        )
    if criteria.slower and place.weights != "tiny":
        bounded = [name for name in MEMORY_COSTS if name in criteria.cost_bounds]
        bounded += [_SHARE] * (criteria.memory is not None)
        known = judged.judged | ({_SHARE} if memory.share is not None else set())
        doubt = judge_promise(bounded, known)
        waste = judge_saving(memory.share, place)
        judged = join(judged, CostJudgement((waste,) if waste else (), (doubt,) if doubt else ()))
    return CostFindings(memory, judged, figures)


def collect_figures(case: RowCase) -> dict[str, Any]:
    """Collect the figures of a row's costs, by their names in a result."""
    data, name = case.data, case.candidate.name
    loaded, compiled = data.loaded.get(name), data.compiled.get(name, ())
    peak, profile = data.peak_bytes.get(name), data.profiles.get(name)
    reserved = None
    if loaded and loaded.reserved is not None and profile and profile.reserved_bytes is not None:
        reserved = max(loaded.reserved + profile.reserved_bytes, peak or 0)
    starts: Mapping[str, float | None] = {
        figure: min(taken)
        for figure, taken in (case.starts.seconds if case.starts else {}).items()
        if taken and figure in case.criteria.cost_bounds
    }
    return {
        "peak_memory_bytes": peak,
        "peak_reserved_bytes": reserved,
        "load_memory_bytes": loaded.allocated if loaded else None,
        "load_reserved_bytes": loaded.reserved if loaded else None,
        RECOMPILATIONS: compiled[1] if len(compiled) > 1 and any(compiled) else None,
        **dict.fromkeys(START_COSTS),
        "compile_s": _find_compile_s(case),
        **starts,
    }


def find_iterations_per_s(case: RowCase, latency_s: float) -> float | None:
    """Find the denoising steps a second of the denoising loop, None if that is unknown.

    Args:
        case: the row.
        latency_s: median of its slots, seconds; it is the loop's if that is what they time.
    """
    setup, profile = case.candidate.setup, case.data.profiles.get(case.candidate.name)
    recipe = setup.recipe if setup else None
    if recipe is None:
        return None
    steps = (profile.steps if profile else None) or recipe.steps
    loop_s = (profile.stages_s or {}).get("denoising") if profile else None
    taken = latency_s if recipe.unit == "denoising" else loop_s
    return steps / taken if taken and taken > 0 else None


def _find_compile_s(case: RowCase) -> float | None:
    """Return how much longer the first generation of the campaign took, if it compiled anything."""
    data, name, setup = case.data, case.candidate.name, case.candidate.setup
    taken, compiled = data.warm_up_s.get(name, ()), data.compiled.get(name, ())
    if setup is not None and not setup.recipe.of_call:
        # What was compiled was so before the unit was timed.
        return None
    if len(taken) < 2 or not compiled or not compiled[0]:  # noqa: PLR2004 - a first one and another
        return None
    return max(0.0, taken[0] - min(taken[1:]))


def find_place(criteria: Criteria, machine: Machine, weights: str | None) -> Place:
    """Say where a row is measured, and where its table was.

    Args:
        criteria: what it is held to.
        machine: where it is measured.
        weights: where its weights come from, in a word.
    """
    from pytest_sdspeed.judge.costs import Place
    from pytest_sdspeed.model.machine import is_another_device

    documented = criteria.documented_on
    elsewhere = is_another_device(machine.device, documented)
    return Place(machine.device, machine.kind, documented, elsewhere=elsewhere, weights=weights)


def _judge_share(case: RowCase, place: Place) -> MemoryJudgement:
    from pytest_sdspeed.judge.memory import INEXACT, MemoryJudgement, judge_memory

    peak, of_base = (case.data.peak_bytes.get(arm.name) for arm in (case.candidate, case.base))
    bound, kind = case.criteria.memory, case.machine.kind
    if place.weights == "tiny":
        toys = "the bound on memory was not judged: its models are toys"
        return MemoryJudgement(None, note=toys if bound is not None else "")
    return judge_memory(peak, of_base, bound, exact=kind not in INEXACT, kind=kind)
