"""Does a row cost as little memory, and start as fast, as documented?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pytest_sdspeed.judge.memory import INEXACT
from pytest_sdspeed.model.costs import GIB, MEMORY_COSTS, RECOMPILATIONS, START_COSTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_sdspeed.model import Verdict

MOST_STARTS = 3
"""Most new processes for one figure: contention only slows, and the fastest of them counts."""
_WORDS = {
    "peak_memory_bytes": "memory at its peak",
    "load_memory_bytes": "memory after loading",
    "first_s": "time to the first picture",
    "compile_s": "time to compile",
    "warm_compile_s": "time to compile with a warm cache",
    RECOMPILATIONS: "recompilations in a second call",
}
"""What is bounded, in words."""
_TOYS = "its models are toys"


class CostJudgement(NamedTuple):
    """What became of the bounds on a row's costs.

    Attributes:
        reasons: why the row fails.
        doubts: why it does not pass, though nothing shows that it fails.
        notes: which bounds were not judged, and why.
        judged: figures that were judged.
    """

    reasons: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    judged: frozenset[str] = frozenset()


class Place(NamedTuple):
    """Where a row is measured, and where its table was.

    Attributes:
        device: device that it is measured on.
        kind: kind of that device.
        documented_on: device of the table, or None.
        elsewhere: whether that is another one.
        weights: where the weights come from, in a word, or None.
    """

    device: str
    kind: str
    documented_on: str | None = None
    elsewhere: bool = False
    weights: str | None = None


def find_obstacle(figure: str, place: Place) -> str:
    """Say why a figure cannot be held to its bound here, or "".

    Bytes are those of weights and activations, on any device nearly the same. Seconds of a start
    are mostly the host's, and no ratio: on another device they say nothing.
    """
    if place.weights == "tiny":
        return _TOYS
    if figure == "peak_memory_bytes" and place.kind in INEXACT:
        return INEXACT[place.kind]
    if figure in START_COSTS and place.elsewhere:
        return (
            f"seconds documented on {place.documented_on} say nothing on {place.device}:"
            " --sd-record has this device's own"
        )
    return ""


def judge_costs(
    measured: Mapping[str, float | None],
    documented: Mapping[str, float],
    bounds: Mapping[str, float],
    place: Place,
) -> CostJudgement:
    """Hold memory and recompilations to their bounds; see ``judge_starts`` for the others.

    Args:
        measured: figure -> its value, None if it is unknown.
        documented: figure -> what is documented.
        bounds: figure -> the most that passes.
        place: where it is measured.
    """
    reasons, notes, judged = [], [], set()
    for figure in (*MEMORY_COSTS, RECOMPILATIONS):
        if figure not in bounds:
            continue
        value = measured.get(figure)
        why = find_obstacle(figure, place) or ("" if value is not None else _UNKNOWN[figure])
        if why or value is None:
            notes.append(describe_unjudged(figure, why))
            continue
        judged.add(figure)
        if value > bounds[figure]:
            reasons.append(_describe_excess(figure, value, documented[figure], place))
    return CostJudgement(tuple(reasons), (), tuple(notes), frozenset(judged))


_UNKNOWN = {
    "peak_memory_bytes": "the peak is unknown",
    "load_memory_bytes": "it is unknown",
    RECOMPILATIONS: "nothing was seen to compile",
}


def judge_starts(
    taken: Mapping[str, Sequence[float]],
    documented: Mapping[str, float],
    bounds: Mapping[str, float],
    place: Place,
    error: str = "",
) -> CostJudgement:
    """Hold what new processes took to the bounds on it.

    The fastest counts. If it misses its bound by no more than it differs from the next fastest,
    nobody can tell whether the machine was at fault: that is no failure, and no pass.

    Args:
        taken: figure -> what each process took, seconds.
        documented: figure -> what is documented.
        bounds: figure -> the most that passes.
        place: where it is measured.
        error: why there are no more processes, or "".
    """
    reasons, doubts, notes, judged = [], [], [], set()
    for figure in START_COSTS:
        if figure not in bounds:
            continue
        if why := find_obstacle(figure, place):
            notes.append(describe_unjudged(figure, why))
            continue
        verdict = decide_start(taken.get(figure, ()), bounds[figure])
        if verdict is None:
            doubts.append(f"the {_WORDS[figure]} is unknown: {error or 'no process told it'}")
            continue
        judged.add(figure)
        said = _describe_start(figure, taken[figure], documented[figure], bounds[figure])
        if verdict == "fail":
            reasons.append(said)
        elif verdict == "inconclusive":
            doubts.append(f"{said}; its starts differ by more than that" + _add(error))
    return CostJudgement(tuple(reasons), tuple(doubts), tuple(notes), frozenset(judged))


def decide_start(taken: Sequence[float], bound: float) -> Verdict | None:
    """Decide on what new processes took, see ``judge_starts``; None if there is none."""
    if not taken:
        return None
    fastest, *others = sorted(taken)
    if fastest <= bound:
        return "pass"
    if not others:
        return "inconclusive"
    return "fail" if fastest - bound > others[0] - fastest else "inconclusive"


def judge_promise(documented: Iterable[str], judged: Iterable[str]) -> str:
    """Say why a row that promises memory and costs time cannot pass, or "".

    Its floor is low on purpose: a row of which the memory was not judged has promised nothing.

    Args:
        documented: names of the bounds on memory that the row has, its share of the baseline's
            among them.
        judged: names of those that were judged.
    """
    bounded, missing = list(documented), sorted(set(documented) - set(judged))
    if not bounded:
        return (
            "the row promises memory, and its table has no bound on it: give it memory, memory_gb"
            " or load_gb"
        )
    if missing:
        return "the row promises memory, and not all of it could be judged here"
    return ""


def judge_saving(share: float | None, place: Place) -> str:
    """Say why a row that promises memory fails, whatever its bounds are, or "".

    A bound in bytes may be as loose as it likes: one that takes no less than its baseline saves
    nothing for its time.

    Args:
        share: its peak as a share of the baseline's, None if it is unknown.
        place: where it is measured.
    """
    if share is None or share < 1 or place.kind in INEXACT:
        return ""
    return f"the row promises memory, and its peak is x{share:.3f} of its baseline's"


def join(first: CostJudgement, second: CostJudgement) -> CostJudgement:
    """Join judgements of different costs."""
    return CostJudgement(
        (*first.reasons, *second.reasons),
        (*first.doubts, *second.doubts),
        (*first.notes, *second.notes),
        first.judged | second.judged,
    )


def describe_unjudged(figure: str, why: str) -> str:
    """Describe that a bound was not judged, and why."""
    return f"the bound on {_WORDS[figure]} was not judged: {why}"


def _describe_excess(figure: str, value: float, documented: float, place: Place) -> str:
    where = f" on {place.documented_on}" if place.documented_on else ""
    if figure == RECOMPILATIONS:
        return (
            f"torch compiled {value:.0f} graphs in a second call of the same sizes, at most"
            f" {documented:.0f} is documented"
        )
    sized = f"{value / GIB:.2f} GiB of {_WORDS[figure]}"
    return (
        f"it takes {sized} on {place.device}, {value / documented - 1:.1%} more than the"
        f" {documented / GIB:.2f} GiB that are documented{where}"
    )


def _describe_start(figure: str, taken: Sequence[float], documented: float, bound: float) -> str:
    fastest, count = min(taken), len(taken)
    of = f"the fastest of {count} new processes" if count > 1 else "one new process"
    return (
        f"{_WORDS[figure]}: {fastest:.2f} s in {of}, {documented:.2f} s are documented, at most"
        f" {bound:.2f} s pass"
    )


def _add(error: str) -> str:
    return f" ({error})" if error else ""
